-- Equality and order, distances, the algebra of queries, and the cast of embeddings to queries; src/pg/types/operators.rs implements what is not PostgreSQL's own.

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
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
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

-- The same for queries. No weight or constant is -0, so queries that say the same have the same bits, but for a -0 in a target.
CREATE FUNCTION coopquery_eq(coopquery, coopquery) RETURNS boolean
    AS 'byteaeq' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_ne(coopquery, coopquery) RETURNS boolean
    AS 'byteane' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_hash(coopquery) RETURNS integer
    AS 'hashvarlena' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_hash_extended(coopquery, bigint) RETURNS bigint
    AS 'hashvarlenaextended' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopquery_eq(coopquery, coopquery) IS 'implementation of the = operator';
COMMENT ON FUNCTION coopquery_ne(coopquery, coopquery) IS 'implementation of the <> operator';
COMMENT ON FUNCTION coopquery_hash(coopquery) IS 'hash';
COMMENT ON FUNCTION coopquery_hash_extended(coopquery, bigint) IS 'hash';

CREATE OPERATOR = (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_eq, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR <> (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_ne, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR = (coopquery, coopquery) IS 'equal: the same model and the same bits';
COMMENT ON OPERATOR <> (coopquery, coopquery) IS 'not equal: another model or other bits';
CREATE OPERATOR CLASS coopquery_hash_ops DEFAULT FOR TYPE coopquery USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 coopquery_hash(coopquery),
    FUNCTION 2 coopquery_hash_extended(coopquery, bigint);
COMMENT ON OPERATOR FAMILY coopquery_hash_ops USING hash IS 'equality of queries';
COMMENT ON OPERATOR CLASS coopquery_hash_ops USING hash IS 'equality of queries, for hash joins, GROUP BY and DISTINCT';

-- An order, for UNIQUE, count(DISTINCT), ORDER BY and merge joins: that of the bytes, shape and model first. It means nothing, and is not
-- the order of distances.
CREATE FUNCTION coopvec_lt(coopvec, coopvec) RETURNS boolean
    AS 'bytealt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_le(coopvec, coopvec) RETURNS boolean
    AS 'byteale' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_ge(coopvec, coopvec) RETURNS boolean
    AS 'byteage' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_gt(coopvec, coopvec) RETURNS boolean
    AS 'byteagt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_cmp(coopvec, coopvec) RETURNS integer
    AS 'byteacmp' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_sortsupport(internal) RETURNS void
    AS 'bytea_sortsupport' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopvec_lt(coopvec, coopvec) IS 'implementation of the < operator';
COMMENT ON FUNCTION coopvec_le(coopvec, coopvec) IS 'implementation of the <= operator';
COMMENT ON FUNCTION coopvec_ge(coopvec, coopvec) IS 'implementation of the >= operator';
COMMENT ON FUNCTION coopvec_gt(coopvec, coopvec) IS 'implementation of the > operator';
COMMENT ON FUNCTION coopvec_cmp(coopvec, coopvec) IS 'less-equal-greater';
COMMENT ON FUNCTION coopvec_sortsupport(internal) IS 'sort support';

CREATE OPERATOR < (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_lt, COMMUTATOR = >, NEGATOR = >=,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_le, COMMUTATOR = >=, NEGATOR = >,
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR >= (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_ge, COMMUTATOR = <=, NEGATOR = <,
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR > (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_gt, COMMUTATOR = <, NEGATOR = <=,
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR < (coopvec, coopvec) IS 'before, byte by byte';
COMMENT ON OPERATOR <= (coopvec, coopvec) IS 'before or equal, byte by byte';
COMMENT ON OPERATOR >= (coopvec, coopvec) IS 'after or equal, byte by byte';
COMMENT ON OPERATOR > (coopvec, coopvec) IS 'after, byte by byte';
CREATE OPERATOR CLASS coopvec_btree_ops DEFAULT FOR TYPE coopvec USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 coopvec_cmp(coopvec, coopvec),
    FUNCTION 2 (coopvec, coopvec) coopvec_sortsupport(internal),
    FUNCTION 4 (coopvec, coopvec) pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR FAMILY coopvec_btree_ops USING btree IS 'bytewise order of embeddings';
COMMENT ON OPERATOR CLASS coopvec_btree_ops USING btree IS 'bytewise order of embeddings, for UNIQUE, count(DISTINCT), ORDER BY and merge joins';

CREATE FUNCTION coopquery_lt(coopquery, coopquery) RETURNS boolean
    AS 'bytealt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_le(coopquery, coopquery) RETURNS boolean
    AS 'byteale' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_ge(coopquery, coopquery) RETURNS boolean
    AS 'byteage' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_gt(coopquery, coopquery) RETURNS boolean
    AS 'byteagt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_cmp(coopquery, coopquery) RETURNS integer
    AS 'byteacmp' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_sortsupport(internal) RETURNS void
    AS 'bytea_sortsupport' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopquery_lt(coopquery, coopquery) IS 'implementation of the < operator';
COMMENT ON FUNCTION coopquery_le(coopquery, coopquery) IS 'implementation of the <= operator';
COMMENT ON FUNCTION coopquery_ge(coopquery, coopquery) IS 'implementation of the >= operator';
COMMENT ON FUNCTION coopquery_gt(coopquery, coopquery) IS 'implementation of the > operator';
COMMENT ON FUNCTION coopquery_cmp(coopquery, coopquery) IS 'less-equal-greater';
COMMENT ON FUNCTION coopquery_sortsupport(internal) IS 'sort support';

CREATE OPERATOR < (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_lt, COMMUTATOR = >, NEGATOR = >=,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_le, COMMUTATOR = >=, NEGATOR = >,
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR >= (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_ge, COMMUTATOR = <=, NEGATOR = <,
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR > (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_gt, COMMUTATOR = <, NEGATOR = <=,
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR < (coopquery, coopquery) IS 'before, byte by byte';
COMMENT ON OPERATOR <= (coopquery, coopquery) IS 'before or equal, byte by byte';
COMMENT ON OPERATOR >= (coopquery, coopquery) IS 'after or equal, byte by byte';
COMMENT ON OPERATOR > (coopquery, coopquery) IS 'after, byte by byte';
CREATE OPERATOR CLASS coopquery_btree_ops DEFAULT FOR TYPE coopquery USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 coopquery_cmp(coopquery, coopquery),
    FUNCTION 2 (coopquery, coopquery) coopquery_sortsupport(internal),
    FUNCTION 4 (coopquery, coopquery) pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR FAMILY coopquery_btree_ops USING btree IS 'bytewise order of queries';
COMMENT ON OPERATOR CLASS coopquery_btree_ops USING btree IS 'bytewise order of queries, for UNIQUE, count(DISTINCT), ORDER BY and merge joins';

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
