-- Stored graphs of nearest neighbours: coop_build_knn() builds and refreshes them. src/pg/functions/knn.rs implements the list of
-- graphs, digests of embeddings, and the test of an embedding against many targets.
--
-- A graph is a table that belongs to whoever built it, with one row for each image:
--   id          id of the image
--   digest      digest of the embedding with which the row takes part in the graph
--   neighbours  ids of the k nearest other images, nearest first; null while the list waits to be computed
--   distances   their distances
--
-- Invariant at each commit: a list that is not null names the k nearest of the *registered* images. Those are the rows of the graph,
-- with the embeddings that their digests stand for. So the work can be cut into transactions of about a second, shared between
-- sessions, cancelled and resumed:
--   knn_forget    removes images that are gone or whose embedding has changed, and sets the lists that named them back to waiting
--   knn_register  adds new images, with waiting lists, and sets the lists that one of them belongs in back to waiting
--   knn_batch     computes waiting lists, among registered images only
-- The first two lock out each other and the third, which several sessions may run side by side. When no list waits and the first two
-- find nothing to do, the graph equals the one that a build from scratch makes (except for ties). One case goes unnoticed: an image
-- that was deleted and came back with the same embedding while a list was computed.

-- The list of graphs. Rows whose tables were dropped mean nothing: they are not dumped or found, and the next build removes them. (An
-- event trigger would remove them at once, but would run in every DROP of every user.)
CREATE TABLE coopembed.knn_graphs (
    graph      regclass PRIMARY KEY,
    relation   regclass NOT NULL,
    id_column  name NOT NULL,
    emb_column name NOT NULL,
    k          integer NOT NULL CHECK (k BETWEEN 1 AND 1000),
    attribute  text
);
CREATE INDEX knn_graphs_relation ON coopembed.knn_graphs (relation);
COMMENT ON TABLE coopembed.knn_graphs IS 'graphs built by coop_build_knn(); coop_knn_graphs() lists them';
COMMENT ON COLUMN coopembed.knn_graphs.graph IS 'the table that stores the graph';
COMMENT ON COLUMN coopembed.knn_graphs.relation IS 'the table whose rows are its images';
COMMENT ON COLUMN coopembed.knn_graphs.id_column IS 'column of that table with the ids';
COMMENT ON COLUMN coopembed.knn_graphs.emb_column IS 'column of that table with the embeddings';
COMMENT ON COLUMN coopembed.knn_graphs.k IS 'number of neighbours of each image';
COMMENT ON COLUMN coopembed.knn_graphs.attribute IS 'the attribute in which distances are measured; null: all attributes';
SELECT pg_catalog.pg_extension_config_dump('coopembed.knn_graphs',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = graph) AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = relation)');

-- Everybody may read the list. Only the two functions below write it, with the rights of its owner; the first accepts only ordinary
-- tables that the caller owns. (Row-level security would do, too, but pg_dump without BYPASSRLS refuses to dump tables that have it.)
GRANT SELECT ON coopembed.knn_graphs TO PUBLIC;
CREATE FUNCTION coopembed.knn_add_graph(graph regclass, relation regclass, id_column name, emb_column name, k integer, attribute text)
    RETURNS void AS 'MODULE_PATHNAME', 'coop_knn_add_graph' LANGUAGE C VOLATILE;
-- Removes rows whose graph was dropped, whoever built it, and rows of the caller's graphs whose relation was dropped.
CREATE FUNCTION coopembed.knn_remove_gone() RETURNS void
    AS 'MODULE_PATHNAME', 'coop_knn_remove_gone' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION coopembed.knn_add_graph(regclass, regclass, name, name, integer, text) IS
    'internal: adds a table of the caller to the list of graphs';
COMMENT ON FUNCTION coopembed.knn_remove_gone() IS 'internal: removes dropped graphs from the list';
-- The owner of the database may add rows, too, as its pg_restore does: of tables that are its own. Others are left out, so that the restore goes on.
GRANT INSERT ON coopembed.knn_graphs TO pg_database_owner;
CREATE FUNCTION coopembed.knn_check_row() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid IN (NEW.graph, TG_RELID) AND pg_has_role(current_user, relowner, 'USAGE')) THEN
        RETURN NEW;
    END IF;
    RAISE WARNING '% is not added to the list of neighbour graphs', NEW.graph
        USING DETAIL = 'It belongs to another role.', HINT = 'Its owner can drop the table and call coop_build_knn() again.';
    RETURN NULL;
END $$;
COMMENT ON FUNCTION coopembed.knn_check_row() IS 'internal: leaves out rows of the list of graphs whose table is not the inserting role''s';
CREATE TRIGGER check_row BEFORE INSERT ON coopembed.knn_graphs FOR EACH ROW EXECUTE FUNCTION coopembed.knn_check_row();

-- Whether a graph is as coop_build_knn() makes it: an ordinary table of plain columns, with no code attached that would run with the
-- rights of whoever reads or refreshes it. (Index expressions count as well: even planning a query runs their functions.)
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
COMMENT ON FUNCTION coopembed.is_plain(regclass) IS 'internal: whether a graph is a table to which no code is attached';

CREATE FUNCTION coopembed.check_plain(graph regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF coopembed.is_plain(graph) IS NOT TRUE THEN
        RAISE wrong_object_type USING MESSAGE = format('%s is not as coop_build_knn() made it', graph),
            DETAIL = 'A graph is an ordinary table without triggers, rules, policies, defaults, checks, or indexes on expressions.',
            HINT = 'Name another table, or drop this one and build it again.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_plain(regclass) IS 'internal: an error unless a graph is as coop_build_knn() makes it';

-- Whether a table belongs to the caller or to a superuser. To read or write a table of another owner, which the caller has not named,
-- would let that owner decide what the caller does.
CREATE FUNCTION coopembed.is_trusted(rel regclass) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT o.rolname = current_user OR o.rolsuper FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner WHERE c.oid = rel $$;
COMMENT ON FUNCTION coopembed.is_trusted(regclass) IS 'internal: whether a table belongs to the current user or to a superuser';

CREATE FUNCTION coopembed.digest(embedding coopvec) RETURNS bytea
    AS 'MODULE_PATHNAME', 'coop_digest' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION coopembed.digest(coopvec) IS 'internal: the first 128 bits of the SHA-256 of an embedding';

-- COST 10000, so that it is the last condition tested of a row: it computes a distance to every target.
CREATE FUNCTION coopembed.any_nearer(embedding coopvec, targets coopquery[], within double precision) RETURNS boolean
    AS 'MODULE_PATHNAME', 'coop_any_nearer_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION coopembed.any_nearer(coopvec, coopquery[], double precision) IS
    'internal: whether an embedding is nearer than this to one of the targets';

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
COMMENT ON FUNCTION coopembed.id_type(regclass, name) IS 'internal: the type of an id column, or an error';

CREATE FUNCTION coopembed.check_k(k integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF k IS NULL OR k NOT BETWEEN 1 AND 1000 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('k must be between 1 and 1000, not %s', COALESCE(k::text, 'null')),
            HINT = 'k is the number of neighbours of each image; the default is 5.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_k(integer) IS 'internal: an error unless k is between 1 and 1000';

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
COMMENT ON FUNCTION coopembed.check_unique(regclass, name, text) IS 'internal: an error if two rows have the same id';

-- SQL for the point from which distances are measured: an embedding or, given attributes, the query "like it in these attributes".
CREATE FUNCTION coopembed.target(emb text, attributes text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT CASE WHEN attributes IS NULL THEN emb
        ELSE format('%s.coop_like(%s, VARIADIC %L::text[])', '@extschema@', emb, attributes) END $$;
COMMENT ON FUNCTION coopembed.target(text, text[]) IS 'internal: SQL for the point from which distances are measured';

-- SQL for the k rows nearest to `target`, as (id, d). Its LIMIT is a constant, so an index can answer it. `cond` may refer to the row
-- as b.
CREATE FUNCTION coopembed.nearest(rel regclass, id_column name, emb text, target text, k integer, cond text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT b.%1$I AS id, b.%2$s OPERATOR(%7$s.<->) %3$s AS d FROM %4$s b
        WHERE b.%1$I IS NOT NULL AND b.%2$s IS NOT NULL AND %5$s
        ORDER BY b.%2$s OPERATOR(%7$s.<->) %3$s LIMIT %6$s', id_column, emb, target, coopembed.qualified(rel), cond, k, '@extschema@') $$;
COMMENT ON FUNCTION coopembed.nearest(regclass, name, text, text, integer, text) IS 'internal: SQL for the k rows nearest to a target';

-- The table that a name refers to, quoted and with its schema; if there is none, the name that it would be created under. It depends on
-- the caller's search_path, so everything else in it is named with its schema.
CREATE FUNCTION coopembed.full_name(name text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT COALESCE(
        (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(name)),
        (SELECT CASE WHEN pg_catalog.cardinality(p) OPERATOR(pg_catalog.=) 1 THEN pg_catalog.format('%I.%I', pg_catalog.current_schema(), p[1])
            WHEN pg_catalog.cardinality(p) OPERATOR(pg_catalog.=) 2 THEN pg_catalog.format('%I.%I', p[1], p[2])
            ELSE name END FROM pg_catalog.parse_ident(name) p)) $$;
COMMENT ON FUNCTION coopembed.full_name(text) IS 'internal: the table that a name refers to, with its schema';

-- The table of a graph, with its row in coopembed.knn_graphs. Creates both if they do not exist; an error if the name is taken by
-- another graph or table.
CREATE FUNCTION coopembed.knn_open(rel regclass, id_column name, emb_column name, name text, k integer, attribute text) RETURNS regclass
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    stored regclass;
    known coopembed.knn_graphs;
BEGIN
    IF rel IS NULL OR id_column IS NULL OR emb_column IS NULL OR name IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'table, columns and graph must not be null',
            DETAIL = format('Got table %L, columns %L and %L, graph %L.', rel, id_column, emb_column, name);
    END IF;
    PERFORM coopembed.id_type(rel, id_column), coopembed.check_k(k);
    IF attribute IS NOT NULL THEN
        EXECUTE format('SELECT %3$s.coop_like(%1$s, $1) FROM %2$s WHERE %1$s IS NOT NULL LIMIT 1', emb, coopembed.qualified(rel), '@extschema@') USING attribute;
    END IF;
    -- If two sessions begin at the same time, one of them creates the table.
    PERFORM pg_advisory_xact_lock(hashtext('coop_build_knn'), hashtext(name));
    PERFORM coopembed.knn_remove_gone();
    stored := to_regclass(name);
    SELECT * INTO known FROM coopembed.knn_graphs g WHERE g.graph = stored;
    IF known.graph IS NOT NULL THEN
        IF (known.relation, known.id_column, known.emb_column, known.k) <> (rel, id_column, emb_column, k)
            OR known.attribute IS DISTINCT FROM attribute THEN
            RAISE duplicate_object USING MESSAGE = format('graph %s already exists with other arguments', stored),
                DETAIL = format('It was built for %s (%I, %I), k = %s%s.', known.relation, known.id_column, known.emb_column, known.k,
                    COALESCE(', attribute "' || known.attribute || '"', '')),
                HINT = 'Name another table, or drop this one.';
        END IF;
        PERFORM coopembed.knn_to_refresh(stored);
        RETURN stored;
    ELSIF stored IS NOT NULL THEN
        RAISE duplicate_table USING MESSAGE = format('%s exists and is not a graph of coop_build_knn()', stored),
            HINT = 'Name another table, or drop this one.';
    END IF;
    PERFORM coopembed.check_unique(rel, id_column, emb);
    EXECUTE format('CREATE TABLE %1$s AS SELECT %2$I AS id, NULL::bytea AS digest, ARRAY[%2$I] AS neighbours,
        NULL::double precision[] AS distances FROM %3$s WITH NO DATA', name, id_column, coopembed.qualified(rel));
    stored := to_regclass(name);
    EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (id), ALTER COLUMN digest SET NOT NULL', coopembed.qualified(stored));
    EXECUTE format('CREATE INDEX ON %s (id) WHERE neighbours IS NULL', coopembed.qualified(stored));
    EXECUTE format('COMMENT ON TABLE %s IS %L', coopembed.qualified(stored), format('nearest neighbours of %s, by coop_build_knn()', rel));
    PERFORM coopembed.knn_add_graph(stored, rel, id_column, emb_column, k, attribute);
    RETURN stored;
END $$;
COMMENT ON FUNCTION coopembed.knn_open(regclass, name, name, text, integer, text) IS 'internal: the table of a graph, created if it does not exist';

CREATE FUNCTION coopembed.knn(graph regclass) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found coopembed.knn_graphs;
BEGIN
    SELECT g.* INTO found FROM coopembed.knn_graphs g JOIN pg_class c ON c.oid = g.graph JOIN pg_class r ON r.oid = g.relation
        WHERE g.graph = knn.graph;
    IF found.graph IS NULL THEN
        RAISE undefined_table USING MESSAGE = format('the graph %s or its table does not exist', graph),
            DETAIL = 'It was dropped in the meantime.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION coopembed.knn(regclass) IS 'internal: the row of a graph in coopembed.knn_graphs, or an error';

-- The row of a graph in coopembed.knn_graphs, or an error unless the caller may refresh it without running others' code: the graph
-- must be plain, and belong to the caller, to a superuser or to the owner of the table that the caller has named.
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
COMMENT ON FUNCTION coopembed.knn_to_refresh(regclass) IS 'internal: the row of a graph in coopembed.knn_graphs, or an error unless the caller may refresh it';

-- The same, with the graph locked. It is checked again after the lock, since its owner may have changed it until then.
CREATE FUNCTION coopembed.knn_lock(graph regclass, mode text) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    PERFORM coopembed.knn_to_refresh(graph);
    EXECUTE format('LOCK TABLE ONLY %s IN %s MODE', coopembed.qualified(graph), mode);
    RETURN coopembed.knn_to_refresh(graph);
END $$;
COMMENT ON FUNCTION coopembed.knn_lock(regclass, text) IS 'internal: locks a graph that the caller may refresh';

-- Removes images that are gone or have another embedding now, those that knn_batch() set aside among them, and sets the lists that name
-- one back to waiting.
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
COMMENT ON FUNCTION coopembed.knn_forget(regclass) IS 'internal: removes images from a graph that are gone or changed';

-- Adds new images: all of them if most lists have to be computed again anyway, else at most 500 at a time. Returns whether there are
-- more.
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
        -- Hardly any list would stay as it is.
        EXECUTE format('UPDATE %s SET neighbours = NULL, distances = NULL WHERE neighbours IS NOT NULL', tab);
        EXECUTE format('INSERT INTO %s (id, digest) SELECT id, coopembed.digest(emb) FROM (%s) fresh', tab, fresh);
        RETURN false;
    END IF;
    -- One pass over all rows finds the lists in which one of the 500 new images belongs; they have to be computed again. The distances
    -- in a list may have been summed in another order, so a distance that is almost equal counts as nearer.
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
COMMENT ON FUNCTION coopembed.knn_register(regclass) IS 'internal: adds new images to a graph';

-- Computes up to 200 waiting lists that no other session is computing. Returns how many. Lists are exact, whatever the session's settings
-- for approximate scans.
CREATE FUNCTION coopembed.knn_batch(graph regclass) RETURNS bigint
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET jit TO off
    SET coopembed.recall TO 1 SET coopembed.candidates TO 0 SET coopembed.probes TO 0 AS $$
DECLARE
    -- Locked before the next statement takes its snapshot, so that no image is registered after it.
    g coopembed.knn_graphs := coopembed.knn_lock(graph, 'ROW EXCLUSIVE');
    tab text := coopembed.qualified(graph);
    emb text := coopembed.embedding_column(g.relation, g.emb_column);
    taken bigint;
BEGIN
    -- Whether a candidate is registered with its present embedding is tested by a subquery for each candidate, which keeps the order of
    -- the index. The comparison is inside the subquery: the planner expects a subquery as condition to be true for half of the rows,
    -- but `digest = (subquery)` for hardly any, and would then not use the index.
    EXECUTE format('
        WITH taken AS MATERIALIZED (
            SELECT id, digest FROM %1$s WHERE neighbours IS NULL ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED),
        images AS MATERIALIZED (
            SELECT t.id, %2$s AS target FROM taken t JOIN %3$s r ON r.%4$I = t.id AND coopembed.digest(r.%5$s) = t.digest),
        lists AS MATERIALIZED (
            SELECT a.id, l.* FROM images a CROSS JOIN LATERAL (
                SELECT array_agg(n.id ORDER BY n.d) AS neighbours, array_agg(n.d ORDER BY n.d) AS distances FROM (%6$s) n) l)
        -- An image that is gone or changed gets an empty digest, which no embedding has, so that knn_forget() removes it.
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
COMMENT ON FUNCTION coopembed.knn_batch(regclass) IS 'internal: computes a batch of waiting lists';

CREATE FUNCTION coopembed.knn_count(graph regclass, OUT images bigint, OUT waiting bigint)
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE neighbours IS NULL) FROM %s', coopembed.qualified(graph)) INTO images, waiting;
END $$;
COMMENT ON FUNCTION coopembed.knn_count(regclass) IS 'internal: number of images in a graph, and of those whose list waits to be computed';

-- Runs the steps above in transactions of their own. A procedure that commits cannot set a search_path, so everything in it is named
-- with its schema. READ COMMITTED, whatever the default is: each batch has to see what other sessions have committed.
CREATE PROCEDURE coop_build_knn(rel regclass, id_column name, emb_column name, graph text, k integer DEFAULT 5, attribute text DEFAULT NULL)
    LANGUAGE plpgsql AS $$
DECLARE
    stored pg_catalog.regclass := coopembed.knn_open(rel, id_column, emb_column, coopembed.full_name(graph), k, attribute);
    more boolean;
    told pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    progress pg_catalog.record;
BEGIN
    PERFORM coopembed.check_commit('coop_build_knn', coopembed.may_commit());
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        PERFORM coopembed.knn_forget(stored);
        LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            more := coopembed.knn_register(stored);
            EXIT WHEN NOT more;
        END LOOP;
        progress := coopembed.knn_count(stored);
        more := progress.waiting OPERATOR(pg_catalog.>) 0;
        EXIT WHEN NOT more;
        LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            more := coopembed.knn_batch(stored) OPERATOR(pg_catalog.>) 0;
            EXIT WHEN NOT more;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) '10 seconds'::pg_catalog.interval THEN
                told := pg_catalog.clock_timestamp();
                progress := coopembed.knn_count(stored);
                RAISE NOTICE 'graph %: % of % images still to be computed', stored, progress.waiting, progress.images;
            END IF;
        END LOOP;
    END LOOP;
    EXECUTE pg_catalog.format('ANALYZE %s', coopembed.qualified(stored));
END $$;
COMMENT ON PROCEDURE coop_build_knn(regclass, name, name, text, integer, text) IS
    'builds or refreshes a table with the k nearest neighbours (1 to 1000) of each row, over all attributes or in one; commits as it goes, resumes after a cancel, and shares work with other sessions that call it';

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
        -- Counted only for graphs of the caller and of superusers; a graph of others is read only when somebody names it.
        IF coopembed.is_trusted(graph) AND coopembed.is_plain(graph) AND has_table_privilege(graph, 'SELECT')
            AND has_schema_privilege((SELECT relnamespace FROM pg_class WHERE oid = graph), 'USAGE') THEN
            SELECT c.images, c.waiting INTO images, waiting FROM coopembed.knn_count(graph) c;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION coop_knn_graphs() IS
    'the graphs of coop_build_knn(): for which table and columns they were built, the number of their images, and how many lists of neighbours wait to be computed';
