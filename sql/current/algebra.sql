-- Embeddings changed in some subspaces, and what a distance is made of. Attributes are those of the embedding's model.

CREATE FUNCTION coop_replace(embedding coopvec, attribute text, value text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_replace_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_replace(embedding coopvec, query coopquery) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_replace_by_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;

CREATE FUNCTION coop_blend(embedding coopvec, other coopvec, VARIADIC attributes text[]) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_blend_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;

CREATE FUNCTION coop_subspace(embedding coopvec, attribute text) RETURNS real[]
    AS 'MODULE_PATHNAME', 'coop_subspace_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;

CREATE FUNCTION coop_explain(embedding coopvec, query coopquery)
    RETURNS TABLE (attribute text, weight real, distance double precision, contribution double precision)
    AS 'MODULE_PATHNAME', 'coop_explain_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
CREATE FUNCTION coop_explain(embedding coopvec, other coopvec)
    RETURNS TABLE (attribute text, weight real, distance double precision, contribution double precision)
    AS 'MODULE_PATHNAME', 'coop_explain_other_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
