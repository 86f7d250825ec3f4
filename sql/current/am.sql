-- The access method coop: one index for every choice of subspaces and weights. The folder src/pg/am implements it.

CREATE FUNCTION coop_handler(internal) RETURNS index_am_handler
    AS 'MODULE_PATHNAME', 'coop_handler' LANGUAGE C STRICT;
CREATE ACCESS METHOD coop TYPE INDEX HANDLER coop_handler;
COMMENT ON FUNCTION coop_handler(internal) IS 'coop index access method handler';
COMMENT ON ACCESS METHOD coop IS 'exact nearest neighbours of embeddings, over any subspaces with any weights';

-- A ball: all embeddings within a distance of a query. The planner makes it from `emb <-> query < r`, for indexes to stop at r
-- (src/pg/planner/distance_limit.rs), and the condition itself is tested on each row that comes. So a ball may be a little too large, never
-- too small: the operator allows for what two ways of summing up a distance round differently.
CREATE TYPE coopembed.ball AS (query coopquery, radius double precision);
COMMENT ON TYPE coopembed.ball IS 'internal: the embeddings within a distance of a query';
CREATE FUNCTION coopembed.is_in_ball(coopvec, coopembed.ball) RETURNS boolean
    AS 'MODULE_PATHNAME', 'coop_is_in_ball' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3;
COMMENT ON FUNCTION coopembed.is_in_ball(coopvec, coopembed.ball) IS 'implementation of the <@ operator';
CREATE OPERATOR <@ (LEFTARG = coopvec, RIGHTARG = coopembed.ball, FUNCTION = coopembed.is_in_ball, RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR <@ (coopvec, coopembed.ball) IS
    'internal: is the embedding within a distance of a query, or a thousandth beyond it? As an index condition it stands for emb <-> query < r';

CREATE OPERATOR CLASS coopvec_ops DEFAULT FOR TYPE coopvec USING coop AS
    OPERATOR 1 <-> (coopvec, coopvec) FOR ORDER BY pg_catalog.float_ops,
    OPERATOR 2 <-> (coopvec, coopquery) FOR ORDER BY pg_catalog.float_ops,
    OPERATOR 3 <@ (coopvec, coopembed.ball);
COMMENT ON OPERATOR FAMILY coopvec_ops USING coop IS 'ORDER BY embedding <-> query or embedding, and embedding <-> query < distance';
COMMENT ON OPERATOR CLASS coopvec_ops USING coop IS
    'ORDER BY embedding <-> query or embedding, and embedding <-> query < distance; WITH (tail_rows = N): how many new rows are collected before they are packed into groups, default 2048';

CREATE FUNCTION coop_index_check(index regclass) RETURNS bigint
    AS 'MODULE_PATHNAME', 'coop_index_check_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION coop_index_check(regclass) IS
    'compares an index with its table and returns the number of rows compared; an error (XX002) says what is damaged or missing. For the owner of the index';

-- EXPLAIN of PostgreSQL 15 has no place for an access method's own counters.
CREATE FUNCTION coop_last_scan()
    RETURNS TABLE (index_oid oid, indexed_rows bigint, rows_bounded bigint, rows_refined bigint, rows_returned bigint)
    AS 'MODULE_PATHNAME', 'coop_last_scan_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION coop_last_scan() IS
    'counters of the last index scan of this session: rows in the index, rows whose distance was bounded, rows whose distance was refined with all bits, rows returned; no row before the first scan';

CREATE FUNCTION coop_last_scan_recall()
    RETURNS TABLE (recall float8, is_exact boolean, rows_ranked bigint, rows_estimated bigint)
    AS 'MODULE_PATHNAME', 'coop_last_scan_recall_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION coop_last_scan_recall() IS
    'the recall that the last index scan of this session was to find, null with coopembed.candidates; whether the scan was exact, as one at a recall becomes where ranking rows tells too little; rows ranked by their cells, and rows whose distance was estimated by their sketches; no row before the first scan';
