-- coop_embed_table(): embeds the images of a whole table. src/pg/functions/embed_table.rs implements the steps.
--
-- The procedure commits between its steps, and a procedure that commits cannot set a search_path; nor may a step, in which the
-- table's own triggers fire. So everything they call is named with its schema, operators and types too. All of it runs with the
-- caller's rights.

CREATE FUNCTION coopembed.fingerprint(embedding coopvec) RETURNS bigint
    AS 'MODULE_PATHNAME', 'coopvec_fingerprint' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopembed.embed_model(model text) RETURNS TABLE (name text, fingerprint bigint)
    AS 'MODULE_PATHNAME', 'embed_model_wrapper' LANGUAGE C STABLE ROWS 1;
CREATE FUNCTION coopembed.embed_step(
        tab regclass, image text, emb text, box text, key text[], model text, "position" bigint, batch integer)
    RETURNS TABLE (next bigint, done bigint, failed bigint, locked bigint)
    AS 'MODULE_PATHNAME', 'embed_step_cropped_wrapper' LANGUAGE C VOLATILE ROWS 1;
CREATE FUNCTION coopembed.may_commit() RETURNS boolean
    AS 'MODULE_PATHNAME', 'may_commit_wrapper' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION coopembed.embed_begin(tab regclass, model text, total bigint) RETURNS void
    AS 'MODULE_PATHNAME', 'embed_begin_wrapper' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION coopembed.embed_add(done bigint, failed bigint, locked bigint) RETURNS void
    AS 'MODULE_PATHNAME', 'embed_add_wrapper' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION coopembed.embed_end() RETURNS void
    AS 'MODULE_PATHNAME', 'embed_end_wrapper' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION coopembed.fingerprint(coopvec) IS 'internal: fingerprint of the model that made an embedding, as a number';
COMMENT ON FUNCTION coopembed.embed_model(text) IS 'internal: name and fingerprint of the model that coop_embed_table() uses';
COMMENT ON FUNCTION coopembed.embed_step(regclass, text, text, text, text[], text, bigint, integer) IS 'internal: one batch of coop_embed_table()';
COMMENT ON FUNCTION coopembed.may_commit() IS 'internal: whether a procedure may commit where it was called';
COMMENT ON FUNCTION coopembed.embed_begin(regclass, text, bigint) IS 'internal: records that coop_embed_table() begins';
COMMENT ON FUNCTION coopembed.embed_add(bigint, bigint, bigint) IS 'internal: adds rows to the run of coopembed embed, which embeds outside of the server';
COMMENT ON FUNCTION coopembed.embed_end() IS 'internal: records that coop_embed_table() has finished';

-- The latest run of each session. The functions above write only the row of the session that calls them.
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
COMMENT ON TABLE coopembed.embedding_runs IS 'runs of coop_embed_table() and coopembed embed; the view coop_embed_progress shows them';
COMMENT ON COLUMN coopembed.embedding_runs.pid IS 'process id of the session';
COMMENT ON COLUMN coopembed.embedding_runs.relation IS 'table passed to coop_embed_table()';
COMMENT ON COLUMN coopembed.embedding_runs.model IS 'name of the model';
COMMENT ON COLUMN coopembed.embedding_runs.total IS 'number of rows without an embedding of the model when the run began';
COMMENT ON COLUMN coopembed.embedding_runs.done IS 'number of rows embedded and committed';
COMMENT ON COLUMN coopembed.embedding_runs.failed IS 'number of rows whose image could not be embedded';
COMMENT ON COLUMN coopembed.embedding_runs.locked IS 'number of rows skipped because another session had locked them';
COMMENT ON COLUMN coopembed.embedding_runs.started IS 'when the run began';
COMMENT ON COLUMN coopembed.embedding_runs.updated IS 'when the run last committed a batch';
COMMENT ON COLUMN coopembed.embedding_runs.finished IS 'when the run finished; null if it has not';

-- A run whose session is idle or does something else was interrupted. Only members of pg_read_all_stats see what other users'
-- sessions do; for everybody else such a run counts as running until its session ends. So it does where the program embeds (`coopembed
-- embed`), whose session is idle most of the time.
CREATE VIEW coop_embed_progress AS
SELECT r.relation::regclass AS relation, r.pid, r.model,
       CASE WHEN r.finished IS NOT NULL THEN 'finished'
            WHEN a.pid IS NULL OR a.pid = pg_backend_pid() THEN 'interrupted'
            WHEN a.state <> 'active' AND a.application_name <> 'coopembed embed' THEN 'interrupted'
            ELSE 'running' END AS state,
       r.total, r.done, r.failed, r.locked, r.started, coalesce(r.finished, r.updated) AS updated,
       r.done::double precision / greatest(extract(epoch FROM coalesce(r.finished, r.updated) - r.started), 0.001)::double precision AS per_second
FROM coopembed.embedding_runs r LEFT JOIN pg_stat_activity a ON a.pid = r.pid;
GRANT SELECT ON coop_embed_progress TO PUBLIC;
COMMENT ON VIEW coop_embed_progress IS 'progress of coop_embed_table() and coopembed embed: the latest run of each session, in this database';
COMMENT ON COLUMN coop_embed_progress.relation IS 'table passed to coop_embed_table()';
COMMENT ON COLUMN coop_embed_progress.pid IS 'process id of the session';
COMMENT ON COLUMN coop_embed_progress.model IS 'name of the model';
COMMENT ON COLUMN coop_embed_progress.state IS 'running, finished or interrupted';
COMMENT ON COLUMN coop_embed_progress.total IS 'number of rows without an embedding of the model when the run began';
COMMENT ON COLUMN coop_embed_progress.done IS 'number of rows embedded and committed';
COMMENT ON COLUMN coop_embed_progress.failed IS 'number of rows whose image could not be embedded';
COMMENT ON COLUMN coop_embed_progress.locked IS 'number of rows skipped because another session had locked them';
COMMENT ON COLUMN coop_embed_progress.started IS 'when the run began';
COMMENT ON COLUMN coop_embed_progress.updated IS 'when the run last committed a batch, or finished';
COMMENT ON COLUMN coop_embed_progress.per_second IS 'rows embedded per second, on average';

-- An error unless a procedure may commit: the second argument is coopembed.may_commit(), which has to be called by the procedure itself.
CREATE FUNCTION coopembed.check_commit(procedure text, may boolean) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF NOT may THEN
        RAISE active_sql_transaction USING
            MESSAGE = format('%s cannot run in a transaction block, in a function, or in a block with EXCEPTION', procedure),
            DETAIL = 'It commits as it goes.',
            HINT = 'CALL it as a statement of its own: without BEGIN, and from a driver in autocommit mode.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_commit(text, boolean) IS 'internal: an error unless a procedure may commit';

-- The base type of a column; an error if there is none of that name.
CREATE FUNCTION coopembed.column_type(rel regclass, name name) RETURNS regtype
    LANGUAGE plpgsql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found regtype := (SELECT coopembed.base_type(atttypid) FROM pg_attribute
                      WHERE attrelid = rel AND attname = name AND attnum > 0 AND NOT attisdropped);
BEGIN
    IF found IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', name, rel);
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION coopembed.column_type(regclass, name) IS 'internal: the base type of a column, or an error';

-- The tables that store the rows of rel (itself, its partitions, its children), each with the columns of its primary key; or an error
-- that says why rel cannot be embedded.
CREATE FUNCTION coopembed.embed_targets(rel regclass, image_column name, emb_column name, box_column name)
    RETURNS TABLE (part regclass, key text[]) LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found regtype;
    kind "char" := (SELECT relkind FROM pg_class WHERE oid = rel);
    is_distributed boolean := false;
BEGIN
    IF rel IS NULL OR image_column IS NULL OR emb_column IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'the table and its columns must not be null';
    ELSIF kind IS NULL OR kind NOT IN ('r', 'p') THEN
        RAISE wrong_object_type USING MESSAGE = format('%s is not a table', rel),
            HINT = 'Name the table that stores the rows. For a view or a foreign table, embed the table behind it.';
    END IF;
    -- By Citus, whose tables store no rows themselves.
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT count(*) > 0 FROM pg_catalog.pg_dist_partition WHERE logicalrelid = $1' INTO is_distributed USING rel;
    END IF;
    IF is_distributed THEN
        RAISE feature_not_supported USING MESSAGE = format('%s is distributed: its rows are stored in shards', rel),
            HINT = format('Embed the shards where they are: SELECT * FROM run_command_on_shards(%L, %L) WHERE NOT success;', rel,
                format('CALL coop_embed_table(''%%s'', %L, %L)', image_column, emb_column));
    END IF;
    PERFORM coopembed.embedding_column(rel, emb_column);
    found := coopembed.column_type(rel, image_column);
    IF found NOT IN ('bytea'::regtype, 'oid'::regtype) THEN
        RAISE datatype_mismatch USING MESSAGE = format('column "%s" of relation %s does not contain images', image_column, rel),
            DETAIL = format('Its type is %s.', found), HINT = 'Name a column of type bytea, or one of type oid with large objects.';
    END IF;
    found := coopembed.column_type(rel, box_column);
    IF found <> 'box'::regtype THEN
        RAISE datatype_mismatch USING MESSAGE = format('column "%s" of relation %s does not contain crop boxes', box_column, rel),
            DETAIL = format('Its type is %s.', found), HINT = 'Name a column of type box. Make one of numbers as box(point(x1, y1), point(x2, y2)).';
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
COMMENT ON FUNCTION coopembed.embed_targets(regclass, name, name, name) IS 'internal: the tables that store the rows of a relation, with their primary keys';

-- An error if rows of a table have embeddings of another model in an index, which holds those of one model: said before any image is
-- embedded. Partial indexes may leave such rows out; there the row that is not left out is an error.
CREATE FUNCTION coopembed.embed_check_index(part regclass, emb_column name, fingerprint bigint) RETURNS void
    LANGUAGE plpgsql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    index regclass := (SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = part AND m.amname = 'coop' AND a.attname = emb_column AND i.indpred IS NULL ORDER BY 1 LIMIT 1);
    others bigint;
BEGIN
    IF index IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT count(*) FROM ONLY %1$s WHERE %2$I IS NOT NULL AND coopembed.fingerprint(%2$I) <> %3$s',
        coopembed.qualified(part), emb_column, fingerprint) INTO others;
    IF others > 0 THEN
        RAISE data_exception USING MESSAGE = format('index %s holds embeddings of another model', index),
            DETAIL = format('%s rows of %s have an embedding of another model in column "%s"; an index holds embeddings of one model.', others, part, emb_column),
            HINT = 'Without downtime: add a second column, embed and index that one, and swap the two ("Change the model" in sql/operations.md). Otherwise drop the index, call coop_embed_table() again, and create the index again.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.embed_check_index(regclass, name, bigint) IS 'internal: an error if an index holds embeddings of another model';

-- The number of rows that have an image and no embedding of this model.
CREATE FUNCTION coopembed.embed_missing(part regclass, image_column name, emb_column name, fingerprint bigint)
    RETURNS bigint LANGUAGE plpgsql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    missing bigint;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = part) <> 'r' THEN
        RAISE wrong_object_type USING MESSAGE = format('partition %s is a foreign table', part),
            HINT = 'Embed the other partitions one by one, and the rows of the foreign table on its own server.';
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM ONLY %1$s WHERE %2$I IS NOT NULL AND (%3$I IS NULL OR coopembed.fingerprint(%3$I) <> %4$s)',
        coopembed.qualified(part), image_column, emb_column, fingerprint) INTO missing;
    IF missing > 0 THEN
        PERFORM coopembed.embed_check_index(part, emb_column, fingerprint);
    END IF;
    RETURN missing;
END $$;
COMMENT ON FUNCTION coopembed.embed_missing(regclass, name, name, bigint) IS 'internal: number of rows with an image and no embedding of a model';

CREATE FUNCTION coopembed.embed_rate(done bigint, took interval) RETURNS numeric
    LANGUAGE sql IMMUTABLE STRICT RETURN pg_catalog.round(done::numeric / greatest(extract(epoch FROM took), 0.001), 1);
COMMENT ON FUNCTION coopembed.embed_rate(bigint, interval) IS 'internal: rows per second, rounded for messages';

CREATE PROCEDURE coop_embed_table(
        rel regclass, image_column name, emb_column name, model text DEFAULT NULL, batch integer DEFAULT 256,
        box_column name DEFAULT NULL)
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
        FROM coopembed.embed_targets(rel, image_column, emb_column, box_column) t;
    PERFORM coopembed.check_commit('coop_embed_table', coopembed.may_commit());
    PERFORM coopembed.embed_begin(rel, chosen.name, coalesce(total, 0));
    COMMIT;
    FOR target IN SELECT t.part, t.key FROM coopembed.embed_targets(rel, image_column, emb_column, box_column) t LOOP
        "position" := 0;
        WHILE "position" IS NOT NULL LOOP
            SELECT s.next, s.done, s.failed, s.locked INTO step
                FROM coopembed.embed_step(target.part, image_column, emb_column, box_column, target.key, chosen.name, "position", batch) s;
            COMMIT;
            "position" := step.next;
            done := done OPERATOR(pg_catalog.+) step.done;
            failed := failed OPERATOR(pg_catalog.+) step.failed;
            locked := locked OPERATOR(pg_catalog.+) step.locked;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) '5 s'::pg_catalog.interval THEN
                told := pg_catalog.clock_timestamp();
                RAISE NOTICE '% of % rows of % embedded, % per second', done, total, rel, coopembed.embed_rate(done, told OPERATOR(pg_catalog.-) started);
            END IF;
        END LOOP;
    END LOOP;
    PERFORM coopembed.embed_end();
    COMMIT;
    told := pg_catalog.clock_timestamp();
    RAISE NOTICE '% rows of % embedded in % s, % per second; % failed; % were locked by other sessions',
        done, rel, pg_catalog.round(pg_catalog.date_part('epoch', told OPERATOR(pg_catalog.-) started)::numeric, 1),
        coopembed.embed_rate(done, told OPERATOR(pg_catalog.-) started), failed, locked;
END $$;
COMMENT ON PROCEDURE coop_embed_table(regclass, name, name, text, integer, name) IS
    'embeds the rows that have an image (bytea, or the oid of a large object) and no embedding of the model (null: the default model), cropped to the box in box_column if it is named, and commits after each batch of rows; images that cannot be decoded are reported as warnings. It can be cancelled and called again at any time';
