-- Queries from words; src/pg/functions/description.rs implements them.

CREATE FUNCTION coop_query(description text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_query_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_query(description text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_query_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_query_explain(description text)
    RETURNS TABLE (phrase text, attribute text, value text, category text, negated boolean, weight double precision)
    AS 'MODULE_PATHNAME', 'coop_query_explain_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000 ROWS 5;
CREATE FUNCTION coop_query_explain(description text, model text)
    RETURNS TABLE (phrase text, attribute text, value text, category text, negated boolean, weight double precision)
    AS 'MODULE_PATHNAME', 'coop_query_explain_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000 ROWS 5;
COMMENT ON FUNCTION coop_query(text) IS
    'query: what a description asks for, in words of the default model and their synonyms, such as ''floral dress, long sleeves, not black''; words that mean nothing are told in a NOTICE';
COMMENT ON FUNCTION coop_query(text, text) IS 'query: what a description asks for, in words of a model and their synonyms';
COMMENT ON FUNCTION coop_query_explain(text) IS
    'what coop_query() understands of a description: each phrase with what it means to the default model; nulls for words that mean nothing';
COMMENT ON FUNCTION coop_query_explain(text, text) IS 'what coop_query() understands of a description by the words of a model';
