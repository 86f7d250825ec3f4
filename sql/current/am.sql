-- One index for every mask and every weight (src/pg/am).
CREATE FUNCTION coop_handler(internal) RETURNS index_am_handler
    AS 'MODULE_PATHNAME', 'coop_handler' LANGUAGE C STRICT;
CREATE ACCESS METHOD coop TYPE INDEX HANDLER coop_handler;

CREATE OPERATOR CLASS coopvec_ops DEFAULT FOR TYPE coopvec USING coop AS
    OPERATOR 1 <-> (coopvec, coopvec) FOR ORDER BY pg_catalog.float_ops,
    OPERATOR 2 <-> (coopvec, coopquery) FOR ORDER BY pg_catalog.float_ops;

-- Raises an error if an index is damaged or lacks a row of its table; returns how many rows it compared.
CREATE FUNCTION coop_index_check(index regclass) RETURNS bigint
    AS 'MODULE_PATHNAME', 'coop_index_check_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
