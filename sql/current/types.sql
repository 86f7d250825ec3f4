-- The types coopvec and coopquery, and their input and output functions, which src/pg/types/io.rs implements. This file comes
-- first in the extension's script, so that every function after it can use the types.

CREATE TYPE coopvec;
CREATE TYPE coopquery;

-- Input is STABLE because '[0.1,0.2,...]' is an embedding of the default model.
CREATE FUNCTION coopvec_in(cstring, oid, integer) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_in_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE;
-- Output is STABLE because the setting coopembed.output chooses the format.
CREATE FUNCTION coopvec_out(coopvec) RETURNS cstring
    AS 'MODULE_PATHNAME', 'coopvec_out_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_recv(internal, oid, integer) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_recv_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_send(coopvec) RETURNS bytea
    AS 'MODULE_PATHNAME', 'coopvec_send_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_typmod_in(cstring[]) RETURNS integer
    AS 'MODULE_PATHNAME', 'coopvec_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopvec_in(cstring, oid, integer) IS 'I/O';
COMMENT ON FUNCTION coopvec_out(coopvec) IS 'I/O';
COMMENT ON FUNCTION coopvec_recv(internal, oid, integer) IS 'I/O';
COMMENT ON FUNCTION coopvec_send(coopvec) IS 'I/O';
COMMENT ON FUNCTION coopvec_typmod_in(cstring[]) IS 'I/O typmod';

CREATE FUNCTION coopquery_in(cstring) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_in_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_out(coopquery) RETURNS cstring
    AS 'MODULE_PATHNAME', 'coopquery_out_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_recv(internal) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_recv_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_send(coopquery) RETURNS bytea
    AS 'MODULE_PATHNAME', 'coopquery_send_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopquery_in(cstring) IS 'I/O';
COMMENT ON FUNCTION coopquery_out(coopquery) IS 'I/O';
COMMENT ON FUNCTION coopquery_recv(internal) IS 'I/O';
COMMENT ON FUNCTION coopquery_send(coopquery) IS 'I/O';

-- ANALYZE keeps how many values are null or the same, and how wide they are. It keeps no values: nobody looks for embeddings in a range, and a
-- histogram of them would take a hundred times the size of one.
CREATE FUNCTION coop_typanalyze(internal) RETURNS boolean
    AS 'MODULE_PATHNAME', 'coop_typanalyze' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coop_typanalyze(internal) IS 'ANALYZE of embeddings and queries, which keeps no values';

-- STORAGE external, that is, no compression: the low bits of trained numbers are noise, so pglz gains nothing (a 400-dimensional
-- value does not shrink at all), and trying would cost time at each insert and, where it gained a few bytes, at each read. A row
-- over 2 kB is still moved out of line, as with any type. ALIGNMENT is that of the widest field read in place: the length word
-- and the fingerprint of a coopvec (4 bytes), the constant of a coopquery (8 bytes).
CREATE TYPE coopvec (
    INPUT = coopvec_in, OUTPUT = coopvec_out, RECEIVE = coopvec_recv, SEND = coopvec_send, TYPMOD_IN = coopvec_typmod_in,
    ANALYZE = coop_typanalyze, INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = external
);
COMMENT ON TYPE coopvec IS
    'embedding of an image: for each attribute of its model a subspace of n half-precision numbers, of unit length; it carries the fingerprint of the model; 16 + 2 K n bytes for K subspaces; coopvec(N) takes those of N = K n dimensions';
CREATE TYPE coopquery (
    INPUT = coopquery_in, OUTPUT = coopquery_out, RECEIVE = coopquery_recv, SEND = coopquery_send,
    ANALYZE = coop_typanalyze, INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = external
);
COMMENT ON TYPE coopquery IS
    'query over embeddings: a target and a weight for each subspace (weight 0: the subspace does not count), and a constant c; distance^2 = c + sum of w ||target - embedding||^2';

-- coopvec(650) takes embeddings of 650 dimensions only.
CREATE FUNCTION coopvec(coopvec, integer, boolean) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_check_dimensions' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (coopvec AS coopvec) WITH FUNCTION coopvec(coopvec, integer, boolean) AS IMPLICIT;
COMMENT ON FUNCTION coopvec(coopvec, integer, boolean) IS 'the embedding, if it has as many dimensions as the type modifier says';
COMMENT ON CAST (coopvec AS coopvec) IS 'checks the dimensions that coopvec(n) asks for';
