-- Kept graphs of nearest neighbours: tables of their builder's own, one row for each image.
--
-- id          the image's
-- digest      of the embedding that the lists were made with
-- neighbours  the k nearest other images, nearest first; null: waiting to be computed
-- distances   of those
--
-- What holds at each commit: a list that is not null names the k nearest of the *registered* images, the rows of the graph
-- with the embeddings of their digests. So work can be cut into transactions of a second, shared between sessions, cancelled
-- and taken up again:
--   knn_forget    takes out images that are gone or have another embedding now, and puts lists that named one back to waiting
--   knn_register  adds new images, waiting, and puts those lists back to waiting that one of them belongs in
--   knn_batch     computes lists that are waiting, among registered images only
-- The first two lock each other and the third out, which several sessions may run side by side. When nothing waits and the
-- first two find nothing to do, the graph is the one that a build from nothing makes (ties aside). It cannot see that an image
-- was away and came back as it was while a list was computed.

-- Graphs by what they are of. Rows whose tables were dropped mean nothing: they are not dumped, not found, and go with the
-- next build. (An event trigger would clean up at once, but would run in every DROP of everybody.)
CREATE TABLE coopembed.knn_graphs (
    graph      regclass PRIMARY KEY,
    relation   regclass NOT NULL,
    id_column  name NOT NULL,
    emb_column name NOT NULL,
    k          integer NOT NULL CHECK (k BETWEEN 1 AND 1000),
    attribute  text
);
CREATE INDEX knn_graphs_relation ON coopembed.knn_graphs (relation);
SELECT pg_catalog.pg_extension_config_dump('coopembed.knn_graphs',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = graph) AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = relation)');

-- Everybody sees which graphs there are. The rows are written by the two functions below, as the owner of this table: the first takes
-- ordinary tables of the caller's own only. (No policies, which a pg_dump without BYPASSRLS would refuse to dump.)
GRANT SELECT ON coopembed.knn_graphs TO PUBLIC;
CREATE FUNCTION coopembed.knn_add_graph(graph regclass, relation regclass, id_column name, emb_column name, k integer, attribute text)
    RETURNS void AS 'MODULE_PATHNAME', 'coop_knn_add_graph' LANGUAGE C VOLATILE;
-- Takes out rows whose graph is gone, and those of the caller's whose relation is. (What is not there is nobody's.)
CREATE FUNCTION coopembed.knn_remove_gone() RETURNS void
    AS 'MODULE_PATHNAME', 'coop_knn_remove_gone' LANGUAGE C VOLATILE;

-- Whether a graph is as coop_build_knn() makes it: an ordinary table of plain columns on which no code of anybody's hangs that would run
-- with the rights of whoever reads or refreshes it. Not even a planner reads it without running the functions of index expressions.
CREATE FUNCTION coopembed.is_plain(graph regclass) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT c.relkind = 'r' AND NOT (c.relrowsecurity OR c.relispartition OR pg_is_other_temp_schema(c.relnamespace))
        AND NOT EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid)
        AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent))
        AND NOT EXISTS (SELECT FROM pg_attrdef WHERE adrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype NOT IN ('p', 'n'))
        AND NOT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid
            AND (indexprs IS NOT NULL OR pg_get_expr(indpred, indrelid) <> '(neighbours IS NULL)'))
        AND (SELECT array_agg(a.attname::text ORDER BY a.attnum) = '{id,digest,neighbours,distances}'
                AND bool_and(a.attname <> 'digest' OR a.atttypid = 'bytea'::regtype)
                AND bool_and(a.attname <> 'distances' OR a.atttypid = 'double precision[]'::regtype)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
    FROM pg_class c WHERE c.oid = graph $$;

CREATE FUNCTION coopembed.check_plain(graph regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF coopembed.is_plain(graph) IS NOT TRUE THEN
        RAISE wrong_object_type USING MESSAGE = format('%s is not as coop_build_knn() made it', graph),
            DETAIL = 'A graph is an ordinary table without triggers, rules, policies, defaults, checks, or indexes on expressions.',
            HINT = 'Name another table, or drop this one and build it anew.';
    END IF;
END $$;

-- Whether a table is the caller's or a superuser's. Reading or writing any other that the caller has not named is doing what its owner says.
CREATE FUNCTION coopembed.is_trusted(rel regclass) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT o.rolname = current_user OR o.rolsuper FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner WHERE c.oid = rel $$;

-- 128 bits of the SHA-256 of an embedding.
CREATE FUNCTION coopembed.digest(embedding coopvec) RETURNS bytea
    AS 'MODULE_PATHNAME', 'coop_digest' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

-- Whether one of the targets is nearer than that. COST: it is the last thing to test of a row.
CREATE FUNCTION coopembed.any_nearer(embedding coopvec, targets coopquery[], within double precision) RETURNS boolean
    AS 'MODULE_PATHNAME', 'coop_any_nearer_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;

-- The type of an id column, or a clear error.
CREATE FUNCTION coopembed.id_type(rel regclass, name name) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found text := (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                   WHERE attrelid = rel AND attname = name AND attnum > 0 AND NOT attisdropped);
BEGIN
    IF found IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', name, rel);
    END IF;
    RETURN found;
END $$;

CREATE FUNCTION coopembed.check_k(k integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF k IS NULL OR k NOT BETWEEN 1 AND 1000 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('k must be between 1 and 1000, not %s', COALESCE(k::text, 'null')),
            HINT = 'k is how many neighbours each image has; 5 is usual.';
    END IF;
END $$;

CREATE FUNCTION coopembed.check_unique(rel regclass, id_column name, emb text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    twice text;
BEGIN
    EXECUTE format('SELECT %1$I::text FROM %2$s WHERE %1$I IS NOT NULL AND %3$s IS NOT NULL
        GROUP BY %1$I HAVING count(*) > 1 LIMIT 1', id_column, coopembed.qualified(rel), emb) INTO twice;
    IF twice IS NOT NULL THEN
        RAISE unique_violation USING MESSAGE = format('several rows of %s have the id "%s"', rel, twice),
            HINT = format('Name a column that is unique instead of "%s".', id_column);
    END IF;
END $$;

-- SQL for what the distance to an embedding is measured from: the embedding, or the query "like it in these attributes".
CREATE FUNCTION coopembed.target(emb text, attributes text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT CASE WHEN attributes IS NULL THEN emb
        ELSE format('%s.coop_like(%s, VARIADIC %L::text[])', '@extschema@', emb, attributes) END $$;

-- SQL for the k rows nearest to `target`, `(id, d)`: a query that the index answers, because its LIMIT is known. `cond` may speak of b.
CREATE FUNCTION coopembed.nearest(rel regclass, id_column name, emb text, target text, k integer, cond text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT b.%1$I AS id, b.%2$s OPERATOR(%7$s.<->) %3$s AS d FROM %4$s b
        WHERE b.%1$I IS NOT NULL AND b.%2$s IS NOT NULL AND %5$s
        ORDER BY b.%2$s OPERATOR(%7$s.<->) %3$s LIMIT %6$s', id_column, emb, target, coopembed.qualified(rel), cond, k, '@extschema@') $$;

-- The table that a name means, quoted and with its schema; where there is none, the one it would be created as. It reads the
-- caller's search_path, so it names everything else by schema.
CREATE FUNCTION coopembed.full_name(name text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT COALESCE(
        (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(name)),
        (SELECT CASE WHEN pg_catalog.cardinality(p) OPERATOR(pg_catalog.=) 1 THEN pg_catalog.format('%I.%I', pg_catalog.current_schema(), p[1])
            WHEN pg_catalog.cardinality(p) OPERATOR(pg_catalog.=) 2 THEN pg_catalog.format('%I.%I', p[1], p[2])
            ELSE name END FROM pg_catalog.parse_ident(name) p)) $$;

-- The graph's table and its row in coopembed.knn_graphs, made if they are not there; an error if it is of something else.
CREATE FUNCTION coopembed.knn_open(rel regclass, id_column name, emb_column name, name text, k integer, attribute text) RETURNS regclass
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
        EXECUTE format('SELECT %3$s.coop_like(%1$s, $1) FROM %2$s WHERE %1$s IS NOT NULL LIMIT 1', emb, coopembed.qualified(rel), '@extschema@') USING attribute;
    END IF;
    -- Of two sessions that begin at once, one makes the table.
    PERFORM pg_advisory_xact_lock(hashtext('coop_build_knn'), hashtext(name));
    PERFORM coopembed.knn_remove_gone();
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
        PERFORM coopembed.knn_to_refresh(kept);
        RETURN kept;
    ELSIF kept IS NOT NULL THEN
        RAISE duplicate_table USING MESSAGE = format('%s exists and is no graph of coop_build_knn()', kept),
            HINT = 'Name another table, or drop this one.';
    END IF;
    PERFORM coopembed.check_unique(rel, id_column, emb);
    EXECUTE format('CREATE TABLE %1$s AS SELECT %2$I AS id, NULL::bytea AS digest, ARRAY[%2$I] AS neighbours,
        NULL::double precision[] AS distances FROM %3$s WITH NO DATA', name, id_column, coopembed.qualified(rel));
    kept := to_regclass(name);
    EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (id), ALTER COLUMN digest SET NOT NULL', coopembed.qualified(kept));
    EXECUTE format('CREATE INDEX ON %s (id) WHERE neighbours IS NULL', coopembed.qualified(kept));
    EXECUTE format('COMMENT ON TABLE %s IS %L', coopembed.qualified(kept), format('nearest neighbours of %s, by coop_build_knn()', rel));
    PERFORM coopembed.knn_add_graph(kept, rel, id_column, emb_column, k, attribute);
    RETURN kept;
END $$;

-- What a graph is of.
CREATE FUNCTION coopembed.knn(graph regclass) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found coopembed.knn_graphs;
BEGIN
    SELECT g.* INTO found FROM coopembed.knn_graphs g JOIN pg_class c ON c.oid = g.graph JOIN pg_class r ON r.oid = g.relation
        WHERE g.graph = knn.graph;
    IF found.graph IS NULL THEN
        RAISE undefined_table USING MESSAGE = format('the graph %s or its table does not exist', graph),
            DETAIL = 'It was dropped meanwhile.';
    END IF;
    RETURN found;
END $$;

-- What a graph is of, to those who may refresh it without doing what somebody else says: it must belong to the caller, to a superuser or to
-- the owner of the table that the caller has named, and be plain.
CREATE FUNCTION coopembed.knn_to_refresh(graph regclass) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn(graph);
BEGIN
    IF NOT coopembed.is_trusted(graph)
        AND (SELECT c.relowner <> r.relowner FROM pg_class c, pg_class r WHERE c.oid = graph AND r.oid = g.relation) THEN
        RAISE insufficient_privilege USING MESSAGE = format('permission denied for graph %s', graph),
            DETAIL = format('It belongs neither to you nor to the owner of %s.', g.relation), HINT = 'Name another table.';
    END IF;
    PERFORM coopembed.check_plain(graph);
    RETURN g;
END $$;

-- The same of a graph that is locked first, so that it stays what it was found to be.
CREATE FUNCTION coopembed.knn_lock(graph regclass, mode text) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    PERFORM coopembed.knn_to_refresh(graph);
    EXECUTE format('LOCK TABLE ONLY %s IN %s MODE', coopembed.qualified(graph), mode);
    RETURN coopembed.knn_to_refresh(graph);
END $$;

-- Images that are gone, have another embedding now, or were found so by knn_batch(), and the lists that name one.
CREATE FUNCTION coopembed.knn_forget(graph regclass) RETURNS void
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET jit TO off AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn_lock(graph, 'SHARE ROW EXCLUSIVE');
    tab text := coopembed.qualified(graph);
    emb text := coopembed.embedding_column(g.relation, g.emb_column);
    gone bigint;
BEGIN
    PERFORM coopembed.check_unique(g.relation, g.id_column, emb);
    EXECUTE format('DELETE FROM %1$s g WHERE NOT EXISTS (
        SELECT FROM %2$s r WHERE r.%3$I = g.id AND coopembed.digest(r.%4$s) = g.digest)', tab, coopembed.qualified(g.relation), g.id_column, emb);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        EXECUTE format('UPDATE %1$s g SET neighbours = NULL, distances = NULL FROM (
            SELECT DISTINCT l.id FROM (SELECT id, unnest(neighbours) AS neighbour FROM %1$s) l
            WHERE NOT EXISTS (SELECT FROM %1$s o WHERE o.id = l.neighbour)) lost WHERE g.id = lost.id', tab);
    END IF;
END $$;

-- New images, at most 500 of them where that makes less work than computing all lists again. Returns whether there are more.
CREATE FUNCTION coopembed.knn_register(graph regclass) RETURNS boolean
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET jit TO off AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn_lock(graph, 'SHARE ROW EXCLUSIVE');
    tab text := coopembed.qualified(graph);
    emb text := coopembed.embedding_column(g.relation, g.emb_column);
    fresh text := format('SELECT r.%1$I AS id, r.%2$s AS emb FROM %3$s r WHERE r.%1$I IS NOT NULL AND r.%2$s IS NOT NULL
        AND NOT EXISTS (SELECT FROM %4$s g WHERE g.id = r.%1$I)', g.id_column, emb, coopembed.qualified(g.relation), tab);
    listed bigint;
    missing bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s) fresh', fresh) INTO missing;
    EXECUTE format('SELECT count(*) FROM %s WHERE neighbours IS NOT NULL', tab) INTO listed;
    IF missing = 0 THEN
        RETURN false;
    ELSIF 2 * missing >= listed THEN
        -- Hardly a list would stay.
        EXECUTE format('UPDATE %s SET neighbours = NULL, distances = NULL WHERE neighbours IS NOT NULL', tab);
        EXECUTE format('INSERT INTO %s (id, digest) SELECT id, coopembed.digest(emb) FROM (%s) fresh', tab, fresh);
        RETURN false;
    END IF;
    -- One pass over all rows for 500 new ones: each list into which one of them belongs has to be computed again. The
    -- distances of a list may be sums in another order than these, so what is as good as equal counts as nearer.
    EXECUTE format('
        WITH fresh AS MATERIALIZED (%1$s LIMIT 500),
        added AS (INSERT INTO %2$s (id, digest) SELECT id, coopembed.digest(emb) FROM fresh),
        targets AS MATERIALIZED (SELECT array_agg(%3$s) AS targets FROM fresh)
        UPDATE %2$s g SET neighbours = NULL, distances = NULL FROM %4$s r
        WHERE r.%5$I = g.id AND g.neighbours IS NOT NULL AND coopembed.any_nearer(r.%6$s, (SELECT targets FROM targets),
            CASE WHEN cardinality(g.distances) < %7$s THEN ''Infinity'' ELSE g.distances[%7$s] * 1.000001 END)',
        fresh, tab, CASE WHEN g.attribute IS NULL THEN '@extschema@.coop_like(emb)'
            ELSE coopembed.target('emb', ARRAY[g.attribute]) END, coopembed.qualified(g.relation), g.id_column, emb, g.k);
    RETURN missing > 500;
END $$;

-- Computes up to 200 lists that wait and that no other session has in hand; returns how many it took.
CREATE FUNCTION coopembed.knn_batch(graph regclass) RETURNS bigint
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET jit TO off SET coopembed.candidates TO 0 SET coopembed.probes TO 0 AS $$
DECLARE
    -- Locked before the next statement's snapshot: no image is registered from then on.
    g coopembed.knn_graphs := coopembed.knn_lock(graph, 'ROW EXCLUSIVE');
    tab text := coopembed.qualified(graph);
    emb text := coopembed.embedding_column(g.relation, g.emb_column);
    taken bigint;
BEGIN
    -- Digests are compared in a subquery for each candidate, so that the order stays that of the index; and inside it, because the
    -- planner takes a condition that is a whole subquery to hold for half of the rows, and `digest = (subquery)` for hardly any.
    EXECUTE format('
        WITH taken AS MATERIALIZED (
            SELECT id, digest FROM %1$s WHERE neighbours IS NULL ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED),
        images AS MATERIALIZED (
            SELECT t.id, %2$s AS target FROM taken t JOIN %3$s r ON r.%4$I = t.id AND coopembed.digest(r.%5$s) = t.digest),
        lists AS MATERIALIZED (
            SELECT a.id, l.* FROM images a CROSS JOIN LATERAL (
                SELECT array_agg(n.id ORDER BY n.d) AS neighbours, array_agg(n.d ORDER BY n.d) AS distances FROM (%6$s) n) l)
        -- An image that is gone or changed is set aside for knn_forget(): no digest is empty.
        UPDATE %1$s g SET digest = CASE WHEN l.id IS NULL THEN ''''::bytea ELSE g.digest END,
            neighbours = COALESCE(l.neighbours, ''{}''), distances = COALESCE(l.distances, ''{}'')
        FROM taken t LEFT JOIN lists l ON l.id = t.id WHERE g.id = t.id',
        tab, coopembed.target('r.' || emb, CASE WHEN g.attribute IS NOT NULL THEN ARRAY[g.attribute] END),
        coopembed.qualified(g.relation), g.id_column, emb,
        coopembed.nearest(g.relation, g.id_column, emb, 'a.target', g.k, format('b.%1$I <> a.id
            AND (SELECT o.digest = coopembed.digest(b.%2$s) FROM %3$s o WHERE o.id = b.%1$I)', g.id_column, emb, tab)));
    GET DIAGNOSTICS taken = ROW_COUNT;
    RETURN taken;
END $$;

-- How many images a graph has, and how many wait.
CREATE FUNCTION coopembed.knn_count(graph regclass, OUT images bigint, OUT waiting bigint)
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE neighbours IS NULL) FROM %s', coopembed.qualified(graph)) INTO images, waiting;
END $$;

-- The builder itself only strings transactions together. A procedure that commits may not pin its search_path, so it names
-- everything by schema. READ COMMITTED, whatever the default is: each batch has to see what other sessions have done.
CREATE PROCEDURE coop_build_knn(rel regclass, id_column name, emb_column name, graph text, k integer DEFAULT 5, attribute text DEFAULT NULL)
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
    EXECUTE pg_catalog.format('ANALYZE %s', coopembed.qualified(kept));
END $$;

CREATE FUNCTION coop_knn_graphs()
    RETURNS TABLE (graph regclass, relation regclass, id_column name, emb_column name, k integer, attribute text, images bigint, waiting bigint)
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    FOR graph, relation, id_column, emb_column, k, attribute IN
        SELECT g.graph, g.relation, g.id_column, g.emb_column, g.k, g.attribute FROM coopembed.knn_graphs g
            JOIN pg_class c ON c.oid = g.graph JOIN pg_class r ON r.oid = g.relation ORDER BY g.graph::text
    LOOP
        images := NULL;
        waiting := NULL;
        -- Of the caller's own and superusers' graphs: those of others are read only by those who name them.
        IF coopembed.is_trusted(graph) AND coopembed.is_plain(graph) AND has_table_privilege(graph, 'SELECT') AND has_schema_privilege((SELECT relnamespace FROM pg_class WHERE oid = graph), 'USAGE') THEN
            SELECT c.images, c.waiting INTO images, waiting FROM coopembed.knn_count(graph) c;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
