-- Edits of embeddings by subspace, and the terms of a distance; src/pg/functions/algebra.rs implements them. Attributes are those of
-- the model that made the embedding.

CREATE FUNCTION coop_replace(embedding coopvec, attribute text, value text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_replace_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_replace(embedding coopvec, query coopquery) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_replace_by_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_replace(coopvec, text, text) IS 'the embedding with this value of this attribute';
COMMENT ON FUNCTION coop_replace(coopvec, coopquery) IS 'the embedding with the query''s targets in the subspaces where the query has a weight';

CREATE FUNCTION coop_replace(embedding coopvec, attribute text, value bigint) RETURNS coopvec
    LANGUAGE sql STABLE STRICT PARALLEL SAFE RETURN coop_replace(embedding, attribute, value::text);
COMMENT ON FUNCTION coop_replace(coopvec, text, bigint) IS 'the embedding with this value, a whole number, of this attribute';

CREATE FUNCTION coop_not(embedding coopvec, attribute text, value text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_not_value_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_not(coopvec, text, text) IS
    'the embedding, if it is nearer to another value of the attribute than to this one; or else with the nearest other value';

CREATE FUNCTION coop_blend(embedding coopvec, other coopvec, VARIADIC attributes text[]) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_blend_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_blend(coopvec, coopvec, text[]) IS 'the first embedding with the subspaces of these attributes taken from the second';

CREATE FUNCTION coop_subspace(embedding coopvec, attribute text) RETURNS real[]
    AS 'MODULE_PATHNAME', 'coop_subspace_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION coop_subspace(coopvec, text) IS 'the n numbers of an embedding in the subspace of an attribute';

CREATE FUNCTION coop_explain(embedding coopvec, query coopquery)
    RETURNS TABLE (attribute text, weight real, distance double precision, contribution double precision)
    AS 'MODULE_PATHNAME', 'coop_explain_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
CREATE FUNCTION coop_explain(embedding coopvec, other coopvec)
    RETURNS TABLE (attribute text, weight real, distance double precision, contribution double precision)
    AS 'MODULE_PATHNAME', 'coop_explain_other_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION coop_explain(coopvec, coopquery) IS
    'what each attribute contributes to the square of embedding <-> query; the row without an attribute is the query''s constant';
COMMENT ON FUNCTION coop_explain(coopvec, coopvec) IS 'what each attribute contributes to the square of embedding <-> other';
