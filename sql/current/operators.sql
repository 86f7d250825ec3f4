-- Equality: the same model and the same bits, so -0 differs from 0. PostgreSQL's own functions on binary strings say just
-- that of two values of one format version (the length word is not compared), and hash what they compare; a second
-- format version would need functions of its own here.
CREATE FUNCTION coopvec_eq(coopvec, coopvec) RETURNS boolean
    AS 'byteaeq' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_ne(coopvec, coopvec) RETURNS boolean
    AS 'byteane' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_hash(coopvec) RETURNS integer
    AS 'hashvarlena' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_hash_extended(coopvec, bigint) RETURNS bigint
    AS 'hashvarlenaextended' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;

CREATE OPERATOR = (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_eq, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
CREATE OPERATOR <> (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_ne, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR CLASS coopvec_hash_ops DEFAULT FOR TYPE coopvec USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 coopvec_hash(coopvec),
    FUNCTION 2 coopvec_hash_extended(coopvec, bigint);

-- The support function makes a statement evaluate a call with constant arguments once (src/pg/fold.rs).
CREATE FUNCTION coop_fold_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'coop_fold_support' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- Distances: both orders of arguments, because SQL says "a <-> b" and means no order.
-- COST 3: beside the bare scan of a row (cpu_tuple_cost, 0.01) one distance takes about three quarters of its time. So a
-- cheaper condition on the same row is tested first. SUPPORT also loads the library before a query is planned (src/pg/shards.rs).
CREATE FUNCTION coop_distance(coopvec, coopvec) RETURNS double precision
    AS 'MODULE_PATHNAME', 'coopvec_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_distance(coopvec, coopquery) RETURNS double precision
    AS 'MODULE_PATHNAME', 'coopvec_query_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_distance(coopquery, coopvec) RETURNS double precision
    AS 'MODULE_PATHNAME', 'coopquery_vec_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3
    SUPPORT coop_fold_support;

CREATE OPERATOR <-> (LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coop_distance, COMMUTATOR = <->);
CREATE OPERATOR <-> (LEFTARG = coopvec, RIGHTARG = coopquery, FUNCTION = coop_distance, COMMUTATOR = <->);
CREATE OPERATOR <-> (LEFTARG = coopquery, RIGHTARG = coopvec, FUNCTION = coop_distance, COMMUTATOR = <->);

-- The algebra of queries. Each makes a new value of a few kB: ten times the price of a plain operator.
CREATE FUNCTION coop_plus(coopquery, coopquery) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_plus_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_scale(double precision, coopquery) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_scale_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_scale(coopquery, double precision) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_scaled_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;

CREATE OPERATOR + (LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coop_plus, COMMUTATOR = +);
CREATE OPERATOR * (LEFTARG = double precision, RIGHTARG = coopquery, FUNCTION = coop_scale, COMMUTATOR = *);
CREATE OPERATOR * (LEFTARG = coopquery, RIGHTARG = double precision, FUNCTION = coop_scale, COMMUTATOR = *);

-- "This one, in everything": every weight 1. Exact, so storing an embedding in a column of queries may convert; not
-- implicit, so that an expression says where an embedding becomes a question, and `emb <-> emb` never has two readings.
CREATE FUNCTION coopquery(coopvec) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopvec_to_query_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE CAST (coopvec AS coopquery) WITH FUNCTION coopquery(coopvec) AS ASSIGNMENT;

-- The numbers are exact, the model's name is lost: on assignment, or when asked.
CREATE FUNCTION coopvec_to_float4_array(coopvec) RETURNS real[]
    AS 'MODULE_PATHNAME', 'coopvec_to_float4_array_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
CREATE CAST (coopvec AS real[]) WITH FUNCTION coopvec_to_float4_array(coopvec) AS ASSIGNMENT;
