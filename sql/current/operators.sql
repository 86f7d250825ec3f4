-- Equality, distances, the algebra of queries, and casts; src/pg/types/operators.rs implements what is not PostgreSQL's own.

-- Equality means the same model and the same bits, so -0 differs from 0. PostgreSQL's functions on binary strings test exactly
-- that for two values of one format version (they do not compare the length word), and hash what they compare. A second format
-- version would need functions of its own here.
CREATE FUNCTION coopvec_eq(coopvec, coopvec) RETURNS boolean
    AS 'byteaeq' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_ne(coopvec, coopvec) RETURNS boolean
    AS 'byteane' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_hash(coopvec) RETURNS integer
    AS 'hashvarlena' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_hash_extended(coopvec, bigint) RETURNS bigint
    AS 'hashvarlenaextended' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopvec_eq(coopvec, coopvec) IS 'implementation of the = operator';
COMMENT ON FUNCTION coopvec_ne(coopvec, coopvec) IS 'implementation of the <> operator';
COMMENT ON FUNCTION coopvec_hash(coopvec) IS 'hash';
COMMENT ON FUNCTION coopvec_hash_extended(coopvec, bigint) IS 'hash';

CREATE OPERATOR = (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_eq, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
CREATE OPERATOR <> (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_ne, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR = (coopvec, coopvec) IS 'equal: the same model and the same bits';
COMMENT ON OPERATOR <> (coopvec, coopvec) IS 'not equal: another model or other bits';
CREATE OPERATOR CLASS coopvec_hash_ops DEFAULT FOR TYPE coopvec USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 coopvec_hash(coopvec),
    FUNCTION 2 coopvec_hash_extended(coopvec, bigint);
COMMENT ON OPERATOR FAMILY coopvec_hash_ops USING hash IS 'equality of embeddings';
COMMENT ON OPERATOR CLASS coopvec_hash_ops USING hash IS 'equality of embeddings, for hash joins, GROUP BY and DISTINCT';

-- Distances, in both orders of arguments: `a <-> b` and `b <-> a` mean the same.
-- COST 3: one distance takes about three quarters of the time of the bare scan of a row (cpu_tuple_cost, 0.01), so that a cheaper
-- condition on the same row is tested first. SUPPORT also makes sure that the library, and with it the planner hooks of
-- src/pg/planner/, is loaded before a query is planned.
CREATE FUNCTION coop_distance(coopvec, coopvec) RETURNS double precision
    AS 'MODULE_PATHNAME', 'coopvec_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_distance(coopvec, coopquery) RETURNS double precision
    AS 'MODULE_PATHNAME', 'coopvec_query_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_distance(coopquery, coopvec) RETURNS double precision
    AS 'MODULE_PATHNAME', 'coopquery_vec_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_distance(coopvec, coopvec) IS 'implementation of the <-> operator';
COMMENT ON FUNCTION coop_distance(coopvec, coopquery) IS 'implementation of the <-> operator';
COMMENT ON FUNCTION coop_distance(coopquery, coopvec) IS 'implementation of the <-> operator';

CREATE OPERATOR <-> (LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coop_distance, COMMUTATOR = <->);
CREATE OPERATOR <-> (LEFTARG = coopvec, RIGHTARG = coopquery, FUNCTION = coop_distance, COMMUTATOR = <->);
CREATE OPERATOR <-> (LEFTARG = coopquery, RIGHTARG = coopvec, FUNCTION = coop_distance, COMMUTATOR = <->);
COMMENT ON OPERATOR <-> (coopvec, coopvec) IS
    'distance between two embeddings over all subspaces; an error (22000) if their models differ. Indexes USING coop serve it';
COMMENT ON OPERATOR <-> (coopvec, coopquery) IS
    'distance of an embedding from what a query asks for; an error (22000) if their models differ. Indexes USING coop serve it';
COMMENT ON OPERATOR <-> (coopquery, coopvec) IS 'distance of an embedding from what a query asks for';

-- The algebra of queries. COST 10: each call makes a new value of a few kB.
CREATE FUNCTION coop_plus(coopquery, coopquery) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_plus_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_scale(double precision, coopquery) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_scale_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_scale(coopquery, double precision) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_scaled_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_plus(coopquery, coopquery) IS 'implementation of the + operator';
COMMENT ON FUNCTION coop_scale(double precision, coopquery) IS 'implementation of the * operator';
COMMENT ON FUNCTION coop_scale(coopquery, double precision) IS 'implementation of the * operator';

CREATE OPERATOR + (LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coop_plus, COMMUTATOR = +);
CREATE OPERATOR * (LEFTARG = double precision, RIGHTARG = coopquery, FUNCTION = coop_scale, COMMUTATOR = *);
CREATE OPERATOR * (LEFTARG = coopquery, RIGHTARG = double precision, FUNCTION = coop_scale, COMMUTATOR = *);
COMMENT ON OPERATOR + (coopquery, coopquery) IS
    'sum of two queries: weights add, targets in one subspace become their weighted mean';
COMMENT ON OPERATOR * (double precision, coopquery) IS 'a query with its weights multiplied by a number, which must be positive and finite';
COMMENT ON OPERATOR * (coopquery, double precision) IS 'a query with its weights multiplied by a number, which must be positive and finite';

-- "Like this embedding in every subspace": all weights are 1. The conversion is exact, so it happens on assignment to a column of
-- queries. It is not implicit: an expression says where an embedding becomes a query, and `emb <-> emb` has one meaning only.
CREATE FUNCTION coopquery(coopvec) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopvec_to_query_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE CAST (coopvec AS coopquery) WITH FUNCTION coopquery(coopvec) AS ASSIGNMENT;
COMMENT ON FUNCTION coopquery(coopvec) IS 'query: like this embedding in every subspace, each with weight 1';
COMMENT ON CAST (coopvec AS coopquery) IS 'like this embedding in every subspace; exact';

-- The numbers are exact, but the fingerprint of the model is lost: on assignment or by an explicit cast only.
CREATE FUNCTION coopvec_to_float4_array(coopvec) RETURNS real[]
    AS 'MODULE_PATHNAME', 'coopvec_to_float4_array_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
CREATE CAST (coopvec AS real[]) WITH FUNCTION coopvec_to_float4_array(coopvec) AS ASSIGNMENT;
COMMENT ON FUNCTION coopvec_to_float4_array(coopvec) IS 'the K n numbers of an embedding, subspace after subspace';
COMMENT ON CAST (coopvec AS real[]) IS 'the numbers of an embedding; exact, but without the fingerprint of its model';
