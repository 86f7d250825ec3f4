-- Embedding a whole table, and keeping it embedded.
--
-- The procedure commits between its steps, so it can set no search_path, and neither may a step, in which the table's own triggers
-- fire: what they call is named by its schema, operators and types too. All of it runs with the caller's rights.

CREATE FUNCTION coopembed.fingerprint(embedding coopvec) RETURNS bigint
    AS 'MODULE_PATHNAME', 'coopvec_fingerprint' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopembed.embed_model(model text) RETURNS TABLE (name text, fingerprint bigint)
    AS 'MODULE_PATHNAME', 'embed_model_wrapper' LANGUAGE C STABLE ROWS 1;
CREATE FUNCTION coopembed.embed_step(tab regclass, image text, emb text, key text[], model text, "position" bigint, batch integer)
    RETURNS TABLE (next bigint, done bigint, failed bigint, locked bigint)
    AS 'MODULE_PATHNAME', 'embed_step_wrapper' LANGUAGE C VOLATILE STRICT ROWS 1;
CREATE FUNCTION coopembed.embed_begin(tab regclass, model text, total bigint) RETURNS void
    AS 'MODULE_PATHNAME', 'embed_begin_wrapper' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION coopembed.embed_end() RETURNS void
    AS 'MODULE_PATHNAME', 'embed_end_wrapper' LANGUAGE C VOLATILE STRICT;

-- One row for each session that embeds a table or has; functions write it for the session that calls them, and no other.
CREATE TABLE coopembed.embedding_runs (
    pid      integer PRIMARY KEY,
    relation oid NOT NULL,
    model    text NOT NULL,
    total    bigint NOT NULL,
    done     bigint NOT NULL DEFAULT 0,
    failed   bigint NOT NULL DEFAULT 0,
    locked   bigint NOT NULL DEFAULT 0,
    started  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished timestamptz
);

-- A session that does something else has given up. Whether it does is for members of pg_read_all_stats to see, of all sessions but
-- one's own; to others such a run is running until its session ends.
CREATE VIEW coop_embed_progress AS
SELECT r.relation::regclass AS relation, r.pid, r.model,
       CASE WHEN r.finished IS NOT NULL THEN 'finished'
            WHEN a.pid IS NULL OR a.pid = pg_backend_pid() OR a.state <> 'active' THEN 'interrupted'
            ELSE 'running' END AS state,
       r.total, r.done, r.failed, r.locked, r.started, coalesce(r.finished, r.updated) AS updated,
       r.done::double precision / greatest(extract(epoch FROM coalesce(r.finished, r.updated) - r.started), 0.001)::double precision AS per_second
FROM coopembed.embedding_runs r LEFT JOIN pg_stat_activity a ON a.pid = r.pid;
GRANT SELECT ON coop_embed_progress TO PUBLIC;

-- The tables in which the rows of rel lie, each with its primary key's columns; or an error that says why rel cannot be embedded.
CREATE FUNCTION coopembed.embed_targets(rel regclass, image_column name, emb_column name)
    RETURNS TABLE (part regclass, key text[]) LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found regtype;
    kind "char" := (SELECT relkind FROM pg_class WHERE oid = rel);
    odd regclass;
BEGIN
    IF rel IS NULL OR image_column IS NULL OR emb_column IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'the table and its columns must not be null';
    ELSIF kind IS NULL OR kind NOT IN ('r', 'p') THEN
        RAISE wrong_object_type USING MESSAGE = format('%s is not a table', rel),
            HINT = 'Name the table in which the rows lie; of a view or a foreign table, embed the table behind it.';
    END IF;
    PERFORM coopembed.embedding_column(rel, emb_column);
    found := (SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
              FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
              WHERE a.attrelid = rel AND a.attname = image_column AND a.attnum > 0 AND NOT a.attisdropped);
    IF found IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', image_column, rel);
    ELSIF found <> 'bytea'::regtype THEN
        RAISE datatype_mismatch USING MESSAGE = format('column "%s" of relation %s holds no pictures', image_column, rel),
            DETAIL = format('Its type is %s.', found), HINT = 'Name a column of type bytea.';
    END IF;
    RETURN QUERY
        WITH RECURSIVE tree AS (
            SELECT rel::oid AS tab UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.tab)
        SELECT c.oid::regclass, ARRAY(
            SELECT a.attname::text FROM pg_index i
            CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place)
        FROM tree JOIN pg_class c ON c.oid = tree.tab WHERE c.relkind <> 'p' ORDER BY c.oid;
END $$;

-- How many rows have a picture and no embedding of this model.
CREATE FUNCTION coopembed.embed_missing(part regclass, image_column name, emb_column name, fingerprint bigint)
    RETURNS bigint LANGUAGE plpgsql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    missing bigint;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = part) <> 'r' THEN
        RAISE wrong_object_type USING MESSAGE = format('partition %s is a foreign table', part),
            HINT = 'Embed the partitions that are tables one by one, and the foreign table''s rows where they are.';
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM ONLY %1$s WHERE %2$I IS NOT NULL AND (%3$I IS NULL OR coopembed.fingerprint(%3$I) <> %4$s)',
        coopembed.qualified(part), image_column, emb_column, fingerprint) INTO missing;
    RETURN missing;
END $$;

-- Rows a second, for people to read.
CREATE FUNCTION coopembed.embed_rate(done bigint, took interval) RETURNS numeric
    LANGUAGE sql IMMUTABLE STRICT RETURN pg_catalog.round(done::numeric / greatest(extract(epoch FROM took), 0.001), 1);

CREATE PROCEDURE coop_embed_table(
        rel regclass, image_column name, emb_column name, model text DEFAULT NULL, batch integer DEFAULT 256)
    LANGUAGE plpgsql AS $$
DECLARE
    chosen pg_catalog.record;
    target pg_catalog.record;
    step pg_catalog.record;
    "position" bigint;
    total bigint;
    done bigint := 0;
    failed bigint := 0;
    locked bigint := 0;
    started pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    told pg_catalog.timestamptz := started;
BEGIN
    IF batch IS NULL OR batch OPERATOR(pg_catalog.<) 1 OR batch OPERATOR(pg_catalog.>) 100000 THEN
        RAISE invalid_parameter_value USING MESSAGE = pg_catalog.format('the batch must be 1 to 100000 rows, not %s', batch);
    END IF;
    SELECT m.name, m.fingerprint INTO chosen FROM coopembed.embed_model(model) m;
    SELECT pg_catalog.sum(coopembed.embed_missing(t.part, image_column, emb_column, chosen.fingerprint)) INTO total
        FROM coopembed.embed_targets(rel, image_column, emb_column) t;
    PERFORM coopembed.embed_begin(rel, chosen.name, coalesce(total, 0));
    COMMIT;
    FOR target IN SELECT t.part, t.key FROM coopembed.embed_targets(rel, image_column, emb_column) t LOOP
        "position" := 0;
        WHILE "position" IS NOT NULL LOOP
            SELECT s.next, s.done, s.failed, s.locked INTO step
                FROM coopembed.embed_step(target.part, image_column, emb_column, target.key, chosen.name, "position", batch) s;
            COMMIT;
            "position" := step.next;
            done := done OPERATOR(pg_catalog.+) step.done;
            failed := failed OPERATOR(pg_catalog.+) step.failed;
            locked := locked OPERATOR(pg_catalog.+) step.locked;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) '5 s'::pg_catalog.interval THEN
                told := pg_catalog.clock_timestamp();
                RAISE NOTICE '% of % rows of % embedded, % a second', done, total, rel, coopembed.embed_rate(done, told OPERATOR(pg_catalog.-) started);
            END IF;
        END LOOP;
    END LOOP;
    PERFORM coopembed.embed_end();
    COMMIT;
    told := pg_catalog.clock_timestamp();
    RAISE NOTICE '% rows of % embedded in % s, % a second; % failed; % were locked by other sessions',
        done, rel, pg_catalog.round(pg_catalog.date_part('epoch', told OPERATOR(pg_catalog.-) started)::numeric, 1),
        coopembed.embed_rate(done, told OPERATOR(pg_catalog.-) started), failed, locked;
END $$;

CREATE FUNCTION coop_embed_trigger() RETURNS trigger
    AS 'MODULE_PATHNAME', 'coop_embed_trigger' LANGUAGE C;
