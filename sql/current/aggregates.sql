-- avg(coopvec): the plain mean, not normalised again. NULLs do not count; of no rows it is NULL.
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

-- SSPACE: 400 sums of 8 bytes, so that the planner sees what a hash table of groups takes.
CREATE AGGREGATE avg(coopvec) (
    SFUNC = coopvec_avg_accum, STYPE = internal, SSPACE = 3300, FINALFUNC = coopvec_avg_final,
    COMBINEFUNC = coopvec_avg_combine, SERIALFUNC = coopvec_avg_serial, DESERIALFUNC = coopvec_avg_deserial,
    PARALLEL = SAFE
);
