-- Tags: which values an embedding shows, with probabilities learned with its model.

CREATE FUNCTION coop_predict(embedding coopvec, attribute text) RETURNS TABLE (value text, probability double precision)
    AS 'MODULE_PATHNAME', 'coop_predict_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION coop_predict(coopvec, text) IS
    'the values of an attribute that an embedding may show, likeliest first; a null value: none of them';
CREATE FUNCTION coop_predict_category(embedding coopvec)
    RETURNS TABLE (category text, probability double precision)
    AS 'MODULE_PATHNAME', 'coop_predict_category_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION coop_predict_category(coopvec) IS 'the categories that an embedding may be of, likeliest first';
CREATE FUNCTION coop_tags(embedding coopvec) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'coop_tags_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION coop_tags(coopvec) IS 'the likeliest value of each attribute and the likeliest category, with probabilities';
