-- The two types. This file comes first in the extension's script, so every function after it can use them.

CREATE TYPE coopvec;
CREATE TYPE coopquery;

CREATE FUNCTION coopvec_in(cstring) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_in_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
-- STABLE: coopembed.output says how values are written.
CREATE FUNCTION coopvec_out(coopvec) RETURNS cstring
    AS 'MODULE_PATHNAME', 'coopvec_out_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_recv(internal) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_recv_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_send(coopvec) RETURNS bytea
    AS 'MODULE_PATHNAME', 'coopvec_send_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION coopquery_in(cstring) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_in_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_out(coopquery) RETURNS cstring
    AS 'MODULE_PATHNAME', 'coopquery_out_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_recv(internal) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopquery_recv_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_send(coopquery) RETURNS bytea
    AS 'MODULE_PATHNAME', 'coopquery_send_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- STORAGE external: the last bits of learnt numbers are noise that pglz cannot shrink (a 400-dimensional value does not
-- compress at all), so trying costs time at each insert and, where it won a few bytes, again at each read. A row over
-- 2 kB is moved out of line, as with any type. ALIGNMENT is what the widest field read in place needs: the length
-- word and the fingerprint (4 bytes); a query's constant (8 bytes).
CREATE TYPE coopvec (
    INPUT = coopvec_in, OUTPUT = coopvec_out, RECEIVE = coopvec_recv, SEND = coopvec_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = external
);
CREATE TYPE coopquery (
    INPUT = coopquery_in, OUTPUT = coopquery_out, RECEIVE = coopquery_recv, SEND = coopquery_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = external
);
