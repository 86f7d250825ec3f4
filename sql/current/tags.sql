-- Tags: which attribute values and categories an embedding shows, with probabilities that were calibrated when its model was trained.
-- src/pg/functions/tags.rs implements them.

CREATE FUNCTION coop_predict(embedding coopvec, attribute text) RETURNS TABLE (value text, probability double precision)
    AS 'MODULE_PATHNAME', 'coop_predict_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION coop_predict(coopvec, text) IS
    'the values of an attribute with the probability that an embedding shows them, likeliest first; the null value stands for none of them';

CREATE FUNCTION coop_predict_category(embedding coopvec)
    RETURNS TABLE (category text, probability double precision)
    AS 'MODULE_PATHNAME', 'coop_predict_category_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION coop_predict_category(coopvec) IS
    'the categories with the probability that an embedding belongs to them, likeliest first';

CREATE FUNCTION coop_tags(embedding coopvec) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'coop_tags_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION coop_tags(coopvec) IS
    'the likeliest value of each attribute and the likeliest category: {"attributes": {name: {"value", "probability"}}, "category": {"value", "probability"}}; with a list "values" for attributes of which an image may show several';
