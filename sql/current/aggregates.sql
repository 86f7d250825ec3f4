-- avg(coopvec): the arithmetic mean, not normalised. It ignores NULLs, and the mean of no rows is NULL. src/pg/types/aggregates.rs
-- implements it. sum(coopquery): what the operator + makes of the rows' queries.

CREATE FUNCTION coopvec_avg_accum(internal, coopvec) RETURNS internal
    AS 'MODULE_PATHNAME', 'coopvec_avg_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION coopvec_avg_combine(internal, internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'coopvec_avg_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION coopvec_avg_serial(internal) RETURNS bytea
    AS 'MODULE_PATHNAME', 'coopvec_avg_serial' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_avg_deserial(bytea, internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'coopvec_avg_deserial' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_avg_final(internal) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_avg_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION coopvec_avg_accum(internal, coopvec) IS 'aggregate transition function';
COMMENT ON FUNCTION coopvec_avg_combine(internal, internal) IS 'aggregate combine function';
COMMENT ON FUNCTION coopvec_avg_serial(internal) IS 'aggregate serial function';
COMMENT ON FUNCTION coopvec_avg_deserial(bytea, internal) IS 'aggregate deserial function';
COMMENT ON FUNCTION coopvec_avg_final(internal) IS 'aggregate final function';

-- SSPACE tells the planner how much memory a hash table of groups needs: 400 sums of 8 bytes for each group.
CREATE AGGREGATE avg(coopvec) (
    SFUNC = coopvec_avg_accum, STYPE = internal, SSPACE = 3300, FINALFUNC = coopvec_avg_final,
    COMBINEFUNC = coopvec_avg_combine, SERIALFUNC = coopvec_avg_serial, DESERIALFUNC = coopvec_avg_deserial,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(coopvec) IS 'the mean of embeddings of one model, not normalised; ignores NULLs, is NULL for no rows';

-- The sum of no rows is NULL, and NULLs are skipped, as coop_plus() is STRICT. SSPACE: a query in all subspaces of 400 dimensions.
CREATE AGGREGATE sum(coopquery) (
    SFUNC = coop_plus, STYPE = coopquery, SSPACE = 1700, COMBINEFUNC = coop_plus, PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(coopquery) IS 'the sum of queries of one model, as by +; ignores NULLs, is NULL for no rows';
