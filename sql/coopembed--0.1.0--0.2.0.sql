-- 0.1.0 to 0.2.0. Whatever is new or different in the other files of this folder stands here too, its comments and rights with it:
-- tests/upgrade.sh compares what `ALTER EXTENSION coopembed UPDATE` leaves with what CREATE EXTENSION makes, and fails if they differ.
\echo Use "ALTER EXTENSION coopembed UPDATE TO '0.2.0'" to load this file. \quit

-- Operators between two types that need a cast, in functions whose search_path the caller sets or that were read when the extension
-- was created, could have been another schema's. Schemas may have a % in their names.
CREATE OR REPLACE FUNCTION coop_typicality(rel regclass, id_column name, emb_column name, label_column name)
    RETURNS TABLE (id text, label text, distance double precision, rank bigint)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 1000000 SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT id::text, label::text, distance, rank() OVER (PARTITION BY label ORDER BY distance) FROM (
             SELECT %1$I AS id, %2$I AS label,
                    %3$s OPERATOR(%5$s.<->) %5$s.avg(%3$s) OVER (PARTITION BY %2$I) AS distance
             FROM %4$s WHERE %2$I IS NOT NULL AND %3$s IS NOT NULL) t
         ORDER BY label, 4',
        id_column, label_column, coopembed.embedding_column(rel, emb_column), rel, '@extschema@');
END $$;

CREATE OR REPLACE FUNCTION coop_duplicates(rel regclass, id_column name, emb_column name, threshold double precision)
    RETURNS TABLE (id text, other text, distance double precision)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 1000000 SET search_path TO pg_catalog, pg_temp
    SET enable_sort TO off SET jit TO off AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    rows text := format('SELECT %I::text AS id, %s AS emb FROM %s WHERE %s IS NOT NULL', id_column, emb, rel, emb);
    nearest text := format('SELECT %1$I::text AS id, %2$s OPERATOR(%4$s.<->) $1 AS distance FROM %3$s
        ORDER BY %2$s OPERATOR(%4$s.<->) $1', id_column, emb, rel, '@extschema@');
    a record;
    b record;
BEGIN
    IF threshold < 0 OR threshold = 'NaN' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('the threshold must not be negative, not %s', threshold);
    END IF;
    FOR a IN EXECUTE rows LOOP
        -- The index gives the others nearest first; the first beyond the threshold ends the search.
        FOR b IN EXECUTE nearest USING a.emb LOOP
            EXIT WHEN b.distance IS NULL OR b.distance > threshold;
            CONTINUE WHEN (b.id COLLATE "C" > a.id COLLATE "C") IS NOT TRUE;
            id := a.id;
            other := b.id;
            distance := b.distance;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION coopembed.rank_step(state double precision[], relevant boolean) RETURNS double precision[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN relevant
        THEN ARRAY[state[1] + 1::double precision, state[2] + 1::double precision,
            state[3] + (state[2] + 1::double precision) / (state[1] + 1::double precision)]
        ELSE ARRAY[state[1] + 1::double precision, state[2], state[3]] END;

CREATE OR REPLACE FUNCTION coopembed.average_precision(state double precision[]) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN state[3] / NULLIF(state[2], 0::double precision);

CREATE OR REPLACE FUNCTION coopembed.target(emb text, attributes text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT CASE WHEN attributes IS NULL THEN emb
        ELSE format('%s.coop_like(%s, VARIADIC %L::text[])', '@extschema@', emb, attributes) END $$;

CREATE OR REPLACE FUNCTION coopembed.nearest(rel regclass, id_column name, emb text, target text, k integer, cond text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT b.%1$I AS id, b.%2$s OPERATOR(%7$s.<->) %3$s AS d FROM %4$s b
        WHERE b.%1$I IS NOT NULL AND b.%2$s IS NOT NULL AND %5$s
        ORDER BY b.%2$s OPERATOR(%7$s.<->) %3$s LIMIT %6$s', id_column, emb, target, rel, cond, k, '@extschema@') $$;

CREATE OR REPLACE FUNCTION coopembed.full_name(name text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT COALESCE(
        (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(name)),
        (SELECT CASE WHEN pg_catalog.cardinality(p) OPERATOR(pg_catalog.=) 1 THEN pg_catalog.format('%I.%I', pg_catalog.current_schema(), p[1])
            WHEN pg_catalog.cardinality(p) OPERATOR(pg_catalog.=) 2 THEN pg_catalog.format('%I.%I', p[1], p[2])
            ELSE name END FROM pg_catalog.parse_ident(name) p)) $$;

CREATE OR REPLACE FUNCTION coopembed.knn_open(rel regclass, id_column name, emb_column name, name text, k integer, attribute text) RETURNS regclass
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    kept regclass;
    known coopembed.knn_graphs;
BEGIN
    IF rel IS NULL OR id_column IS NULL OR emb_column IS NULL OR name IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'table, columns and graph must not be null',
            DETAIL = format('Found %L, %L, %L and %L.', rel, id_column, emb_column, name);
    END IF;
    PERFORM coopembed.id_type(rel, id_column), coopembed.check_k(k);
    IF attribute IS NOT NULL THEN
        EXECUTE format('SELECT %3$s.coop_like(%1$s, $1) FROM %2$s WHERE %1$s IS NOT NULL LIMIT 1', emb, rel, '@extschema@') USING attribute;
    END IF;
    -- Of two sessions that begin at once, one makes the table.
    PERFORM pg_advisory_xact_lock(hashtext('coop_build_knn'), hashtext(name));
    DELETE FROM coopembed.knn_graphs g WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = g.graph)
        OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = g.relation) AND coopembed.owns(g.graph);
    kept := to_regclass(name);
    SELECT * INTO known FROM coopembed.knn_graphs g WHERE g.graph = kept;
    IF known.graph IS NOT NULL THEN
        IF (known.relation, known.id_column, known.emb_column, known.k) <> (rel, id_column, emb_column, k)
            OR known.attribute IS DISTINCT FROM attribute THEN
            RAISE duplicate_object USING MESSAGE = format('%s is another graph', kept),
                DETAIL = format('It is of %s (%I, %I), k = %s%s.', known.relation, known.id_column, known.emb_column, known.k,
                    COALESCE(', attribute "' || known.attribute || '"', '')),
                HINT = 'Name another table, or drop this one.';
        END IF;
        RETURN kept;
    ELSIF kept IS NOT NULL THEN
        RAISE duplicate_table USING MESSAGE = format('%s exists and is no graph of coop_build_knn()', kept),
            HINT = 'Name another table, or drop this one.';
    END IF;
    PERFORM coopembed.check_unique(rel, id_column, emb);
    EXECUTE format('CREATE TABLE %1$s AS SELECT %2$I AS id, NULL::bytea AS digest, ARRAY[%2$I] AS neighbours,
        NULL::double precision[] AS distances FROM %3$s WITH NO DATA', name, id_column, rel);
    kept := to_regclass(name);
    EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (id), ALTER COLUMN digest SET NOT NULL', kept);
    EXECUTE format('CREATE INDEX ON %s (id) WHERE neighbours IS NULL', kept);
    EXECUTE format('COMMENT ON TABLE %s IS %L', kept, format('nearest neighbours of %s, by coop_build_knn()', rel));
    INSERT INTO coopembed.knn_graphs VALUES (kept, rel, id_column, emb_column, k, attribute);
    RETURN kept;
END $$;

CREATE OR REPLACE PROCEDURE coop_build_knn(rel regclass, id_column name, emb_column name, graph text, k integer DEFAULT 5, attribute text DEFAULT NULL)
    LANGUAGE plpgsql AS $$
DECLARE
    kept pg_catalog.regclass := coopembed.knn_open(rel, id_column, emb_column, coopembed.full_name(graph), k, attribute);
    more boolean;
    told pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    progress pg_catalog.record;
BEGIN
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        PERFORM coopembed.knn_forget(kept);
        LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            more := coopembed.knn_register(kept);
            EXIT WHEN NOT more;
        END LOOP;
        progress := coopembed.knn_count(kept);
        more := progress.waiting OPERATOR(pg_catalog.>) 0;
        EXIT WHEN NOT more;
        LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            more := coopembed.knn_batch(kept) OPERATOR(pg_catalog.>) 0;
            EXIT WHEN NOT more;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) '10 seconds'::pg_catalog.interval THEN
                told := pg_catalog.clock_timestamp();
                progress := coopembed.knn_count(kept);
                RAISE NOTICE '%: % of % images wait', kept, progress.waiting, progress.images;
            END IF;
        END LOOP;
    END LOOP;
    EXECUTE pg_catalog.format('ANALYZE %s', kept);
END $$;

CREATE OR REPLACE FUNCTION coopembed.check_walk(rel regclass, id_column name, emb_column name, k integer, attributes text[], graph regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
BEGIN
    PERFORM coopembed.id_type(rel, id_column), coopembed.check_k(k);
    IF attributes IS NOT NULL THEN
        EXECUTE format('SELECT %3$s.coop_like(%1$s, VARIADIC $1) FROM %2$s WHERE %1$s IS NOT NULL LIMIT 1', emb, rel, '@extschema@')
            USING attributes;
    END IF;
    IF graph IS NOT NULL AND NOT EXISTS (SELECT FROM coopembed.knn_graphs g WHERE g.graph = check_walk.graph AND g.relation = rel
        AND g.id_column = check_walk.id_column AND g.emb_column = check_walk.emb_column AND g.k >= check_walk.k
        AND (attributes IS NULL AND g.attribute IS NULL OR attributes = ARRAY[g.attribute])) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s is no graph that coop_build_knn() made of this', graph),
            DETAIL = format('Asked of %s (%I, %I), k = %s%s.', rel, id_column, emb_column, k,
                COALESCE(', attribute "' || array_to_string(attributes, '", "') || '"', '')),
            HINT = 'coop_knn_graphs() lists the graphs. Without one, it is found or made for the statement.';
    END IF;
END $$;

CREATE OR REPLACE VIEW coop_stat_worker_batches AS
SELECT size, batches, images
FROM jsonb_to_recordset(coopembed.worker_stats() -> 'batch_sizes'::text) AS stats (size bigint, batches bigint, images bigint);

CREATE OR REPLACE VIEW coop_embed_progress AS
SELECT r.relation::regclass AS relation, r.pid, r.model,
       CASE WHEN r.finished IS NOT NULL THEN 'finished'
            WHEN a.pid IS NULL OR a.pid = pg_backend_pid() OR a.state <> 'active' THEN 'interrupted'
            ELSE 'running' END AS state,
       r.total, r.done, r.failed, r.locked, r.started, coalesce(r.finished, r.updated) AS updated,
       r.done::double precision / greatest(extract(epoch FROM coalesce(r.finished, r.updated) - r.started), 0.001)::double precision AS per_second
FROM coopembed.embedding_runs r LEFT JOIN pg_stat_activity a ON a.pid = r.pid;

CREATE FUNCTION coopembed.embed_rate(done bigint, took interval) RETURNS numeric
    LANGUAGE sql IMMUTABLE STRICT RETURN pg_catalog.round(done::numeric / greatest(extract(epoch FROM took), 0.001), 1);

CREATE OR REPLACE PROCEDURE coop_embed_table(
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

-- Only a graph that is there can be registered.
CREATE OR REPLACE FUNCTION coopembed.owns(rel regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT COALESCE((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = rel), false) $$;

DROP POLICY owners_remove ON coopembed.knn_graphs;

CREATE POLICY owners_remove ON coopembed.knn_graphs FOR DELETE
    USING (coopembed.owns(graph) OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = graph::oid));
