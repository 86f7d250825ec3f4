-- Tags: which values an embedding shows, with probabilities learned with its model.

CREATE FUNCTION coop_predict(embedding coopvec, attribute text) RETURNS TABLE (value text, probability double precision)
    AS 'MODULE_PATHNAME', 'coop_predict_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
CREATE FUNCTION coop_predict_category(embedding coopvec)
    RETURNS TABLE (category text, probability double precision)
    AS 'MODULE_PATHNAME', 'coop_predict_category_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
CREATE FUNCTION coop_tags(embedding coopvec) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'coop_tags_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
