-- 0.2.0 to 0.3.0. Whatever is new or different in the other files of this folder stands here too, its comments and rights with it:
-- tests/upgrade.sh compares what `ALTER EXTENSION coopembed UPDATE` leaves with what CREATE EXTENSION makes, and fails if they differ.
\echo Use "ALTER EXTENSION coopembed UPDATE TO '0.3.0'" to load this file. \quit

-- Anybody could list a view as a graph, and coop_knn_graphs() read it with the rights of its caller. Now a function adds to the list, and
-- what is no plain table leaves it (at the end of this file). Without policies, a role that may read all data can dump the list.
DROP POLICY readers ON coopembed.knn_graphs;
DROP POLICY owners_add ON coopembed.knn_graphs;
DROP POLICY owners_remove ON coopembed.knn_graphs;
ALTER TABLE coopembed.knn_graphs DISABLE ROW LEVEL SECURITY;
REVOKE INSERT, DELETE ON coopembed.knn_graphs FROM PUBLIC;
DROP FUNCTION coopembed.owns(regclass);

-- Partitions whose servers are down are left out of one statement, by no setting that others could be misled with.
DROP FUNCTION coopembed.search_unreachable(text, coopquery, regclass);

-- The name of a relation for a statement: quoted and with its schema, whatever the search_path is.
CREATE FUNCTION coopembed.qualified(rel regclass) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rel $$;

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
        id_column, label_column, coopembed.embedding_column(rel, emb_column), coopembed.qualified(rel), '@extschema@');
END $$;

-- The planner does not know that a search ends early: without enable_sort = off it would sort a large table for each row.
CREATE OR REPLACE FUNCTION coop_duplicates(rel regclass, id_column name, emb_column name, threshold double precision)
    RETURNS TABLE (id text, other text, distance double precision)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 1000000 SET search_path TO pg_catalog, pg_temp
    SET enable_sort TO off SET jit TO off AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    rows text := format('SELECT %I::text AS id, %s AS emb FROM %s WHERE %s IS NOT NULL', id_column, emb, coopembed.qualified(rel), emb);
    nearest text := format('SELECT %1$I::text AS id, %2$s OPERATOR(%4$s.<->) $1 AS distance FROM %3$s
        ORDER BY %2$s OPERATOR(%4$s.<->) $1', id_column, emb, coopembed.qualified(rel), '@extschema@');
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

-- How many rows have a picture and no embedding of this model.
CREATE OR REPLACE FUNCTION coopembed.embed_missing(part regclass, image_column name, emb_column name, fingerprint bigint)
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

-- The statement that coop_search() runs; its parameter $1 is the query. It is read in the caller's search_path, for the filter's sake,
-- and names all else by schema.
CREATE OR REPLACE FUNCTION coopembed.search_statement(row_type regtype, emb_column name, k integer, filter text, rel regclass)
    RETURNS text LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    -- What a filter may call the table.
    alias text := (SELECT quote_ident(relname) FROM pg_class WHERE oid = rel);
    distance text;
BEGIN
    IF rel IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = format('%s is not the row type of a table', row_type), HINT = 'Name the table to search: rel => ...';
    ELSIF emb_column IS NULL OR k IS NULL OR k < 0 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a search needs a column of embeddings and a number of rows',
            DETAIL = format('Found %L and %L.', emb_column, k), HINT = 'Name the column, and how many rows are wanted: none or more.';
    END IF;
    distance := format('%s.%s OPERATOR(%s.<->) $1', alias, coopembed.embedding_column(rel, emb_column), '@extschema@');
    -- A filter may end in a comment.
    RETURN format(E'SELECT %s FROM %s AS %s%s\nORDER BY %s LIMIT %s',
        (SELECT string_agg(COALESCE(alias || '.' || name, distance), ', ' ORDER BY n)
            FROM unnest(coopembed.search_columns(row_type, rel)) WITH ORDINALITY c (name, n)),
        coopembed.qualified(rel), alias, COALESCE(E'\nWHERE (' || filter || E'\n)', ''), distance, k);
END $$;

-- A cursor for the rows of a SELECT of which the query is $1, some foreign partitions of its table taken to be empty: for this one statement,
-- planned with the caller's rights and never kept (src/pg/search.rs).
CREATE FUNCTION coopembed.open_search(statement text, query coopquery, absent oid[]) RETURNS refcursor
    AS 'MODULE_PATHNAME', 'coop_open_search' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100000;

-- The foreign partitions whose servers cannot be reached, with a warning for each. A statement over the table in which all other foreign
-- partitions are absent opens a connection, or makes sure of the one there is, with the rights of whoever may read the table.
CREATE FUNCTION coopembed.search_unreachable(statement text, query coopquery, rel regclass) RETURNS oid[]
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    elsewhere pg_catalog.oid[] := ARRAY(SELECT c.oid FROM pg_catalog.pg_partition_tree(rel) t
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid::pg_catalog.oid
        WHERE t.isleaf AND c.relkind OPERATOR(pg_catalog.=) 'f' ORDER BY c.oid);
    leaves bigint := (SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_tree(rel) t WHERE t.isleaf);
    unreachable pg_catalog.oid[] := '{}';
    part pg_catalog.regclass;
    nearest pg_catalog.refcursor;
    hit pg_catalog.record;
    reason pg_catalog.text;
BEGIN
    FOREACH part IN ARRAY elsewhere LOOP
        BEGIN
            nearest := coopembed.open_search(statement, query, pg_catalog.array_remove(elsewhere, part::pg_catalog.oid));
            FETCH nearest INTO hit;
            CLOSE nearest;
        EXCEPTION WHEN connection_exception THEN
            reason := SQLERRM;
            RAISE WARNING 'partition % is left out: its server cannot be reached', part USING DETAIL = reason;
            unreachable := pg_catalog.array_append(unreachable, part::pg_catalog.oid);
        END;
    END LOOP;
    IF leaves OPERATOR(pg_catalog.>) 0::bigint AND leaves OPERATOR(pg_catalog.=) pg_catalog.cardinality(unreachable)::bigint THEN
        RAISE sqlclient_unable_to_establish_sqlconnection USING MESSAGE = 'no server of a partition can be reached', DETAIL = reason;
    END IF;
    RETURN unreachable;
END $$;

-- The k nearest rows, nearest first. A filter is SQL, as in WHERE. Neither STRICT nor with a pinned search_path: see above.
CREATE OR REPLACE FUNCTION coop_search(row_type anyelement, emb_column name, query coopquery, k integer DEFAULT 10, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false)
    RETURNS SETOF anyelement LANGUAGE plpgsql STABLE COST 100000 ROWS 10 AS $$
DECLARE
    row_type_of pg_catalog.regtype := pg_catalog.pg_typeof(row_type);
    tab pg_catalog.regclass := COALESCE(rel, (SELECT c.oid FROM pg_catalog.pg_class c
        WHERE c.reltype OPERATOR(pg_catalog.=) row_type_of AND c.relkind OPERATOR(pg_catalog.<>) 'c'));
    statement pg_catalog.text := coopembed.search_statement(row_type_of, emb_column, k, filter, tab);
    nearest pg_catalog.refcursor;
    hit pg_catalog.record;
BEGIN
    IF query IS NULL THEN
        RETURN;
    ELSIF skip_unreachable IS NOT TRUE THEN
        RETURN QUERY EXECUTE statement USING query;
        RETURN;
    END IF;
    nearest := coopembed.open_search(statement, query,
        coopembed.search_unreachable(coopembed.search_statement(row_type_of, emb_column, 0, filter, tab), query, tab));
    LOOP
        FETCH nearest INTO hit;
        EXIT WHEN NOT FOUND;
        RETURN NEXT hit;
    END LOOP;
    CLOSE nearest;
END $$;

-- Everybody sees which graphs there are. The rows are written by the two functions below, as the owner of this table: the first takes
-- ordinary tables of the caller's own only. (No policies, which a pg_dump without BYPASSRLS would refuse to dump.)

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

CREATE OR REPLACE FUNCTION coopembed.check_unique(rel regclass, id_column name, emb text) RETURNS void
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

-- SQL for the k rows nearest to `target`, `(id, d)`: a query that the index answers, because its LIMIT is known. `cond` may speak of b.
CREATE OR REPLACE FUNCTION coopembed.nearest(rel regclass, id_column name, emb text, target text, k integer, cond text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT b.%1$I AS id, b.%2$s OPERATOR(%7$s.<->) %3$s AS d FROM %4$s b
        WHERE b.%1$I IS NOT NULL AND b.%2$s IS NOT NULL AND %5$s
        ORDER BY b.%2$s OPERATOR(%7$s.<->) %3$s LIMIT %6$s', id_column, emb, target, coopembed.qualified(rel), cond, k, '@extschema@') $$;

-- The graph's table and its row in coopembed.knn_graphs, made if they are not there; an error if it is of something else.
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
CREATE OR REPLACE FUNCTION coopembed.knn_forget(graph regclass) RETURNS void
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
CREATE OR REPLACE FUNCTION coopembed.knn_register(graph regclass) RETURNS boolean
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
CREATE OR REPLACE FUNCTION coopembed.knn_batch(graph regclass) RETURNS bigint
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
CREATE OR REPLACE FUNCTION coopembed.knn_count(graph regclass, OUT images bigint, OUT waiting bigint)
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE neighbours IS NULL) FROM %s', coopembed.qualified(graph)) INTO images, waiting;
END $$;

-- The builder itself only strings transactions together. A procedure that commits may not pin its search_path, so it names
-- everything by schema. READ COMMITTED, whatever the default is: each batch has to see what other sessions have done.
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
    EXECUTE pg_catalog.format('ANALYZE %s', coopembed.qualified(kept));
END $$;

CREATE OR REPLACE FUNCTION coop_knn_graphs()
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

-- Looks the row of an id up, and returns the id as its column writes it (007 and 7 are one number); an error unless there is one
-- row, with an embedding.
CREATE OR REPLACE FUNCTION coopembed.image_id(rel regclass, id_column name, emb_column name, id text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    rows bigint;
    embeddings bigint;
    written text;
BEGIN
    EXECUTE format('SELECT count(*), count(emb), min(id) FROM (SELECT %1$s AS emb, %2$I::text AS id FROM %3$s WHERE %2$I = $1::%4$s LIMIT 2) t',
        coopembed.embedding_column(rel, emb_column), id_column, coopembed.qualified(rel), coopembed.id_type(rel, id_column))
        INTO rows, embeddings, written USING id;
    IF rows = 0 THEN
        RAISE no_data_found USING MESSAGE = format('no row of %s has the id "%s"', rel, id),
            DETAIL = format('Looked for in column "%s".', id_column), HINT = 'Name an image by the id that its row has there.';
    ELSIF rows > 1 THEN
        RAISE unique_violation USING MESSAGE = format('several rows of %s have the id "%s"', rel, id),
            HINT = format('Name a column that is unique instead of "%s".', id_column);
    ELSIF embeddings = 0 THEN
        RAISE null_value_not_allowed USING MESSAGE = format('the row of %s with the id "%s" has no embedding', rel, id),
            HINT = format('Fill in its "%s", with coop_embed() of its picture.', emb_column);
    END IF;
    RETURN written;
END $$;

-- The kept graph that answers for this, if there is one that whoever asks may read. A graph is a table of somebody's own, so it
-- is believed only if that is the table's owner, a superuser or whoever asks, and never if code of theirs hangs on it.
CREATE OR REPLACE FUNCTION coopembed.kept_graph(rel regclass, id_column name, emb_column name, k integer, attributes text[]) RETURNS regclass
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT g.graph FROM coopembed.knn_graphs g
        JOIN pg_class c ON c.oid = g.graph JOIN pg_class t ON t.oid = g.relation JOIN pg_roles owner ON owner.oid = c.relowner
    WHERE g.relation = rel AND g.id_column = kept_graph.id_column AND g.emb_column = kept_graph.emb_column AND g.k >= kept_graph.k
        AND (attributes IS NULL AND g.attribute IS NULL OR attributes = ARRAY[g.attribute])
        AND coopembed.is_plain(c.oid) AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE')
        AND (coopembed.is_trusted(c.oid) OR c.relowner = t.relowner)
    ORDER BY owner.rolname <> current_user, g.k, c.relname LIMIT 1 $$;

-- SQL for the lists of neighbours of those rows r for which `cond` holds, computed now: (id, neighbours, distances).
CREATE OR REPLACE FUNCTION coopembed.lists(rel regclass, id_column name, emb text, attributes text[], k integer, cond text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT a.id::text, COALESCE(n.neighbours, ''{}''), COALESCE(n.distances, ''{}'')
        FROM (SELECT r.%1$I AS id, %2$s AS target FROM %3$s r WHERE r.%1$I IS NOT NULL AND r.%4$s IS NOT NULL AND %5$s) a
        CROSS JOIN LATERAL (SELECT array_agg(n.id::text ORDER BY n.d) AS neighbours, array_agg(n.d ORDER BY n.d) AS distances
            FROM (%6$s) n) n',
        id_column, coopembed.target('r.' || emb, attributes), coopembed.qualified(rel), emb, cond,
        coopembed.nearest(rel, id_column, emb, 'a.target', k, format('b.%I <> a.id', id_column))) $$;

-- The path from an image to another or, where `goal` is null, to the point that `target` names, measured in some attributes or,
-- if null, in all. Only rows that whoever asks may read are walked through, with a kept graph too: its lists are read beside them.
CREATE OR REPLACE FUNCTION coopembed.walk(rel regclass, id_column name, emb_column name, start text, goal text, target coopquery, attributes text[],
        k integer, graph regclass)
    RETURNS TABLE (step integer, id text, distance double precision, is_crossing boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp SET jit TO off AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    id_type text := coopembed.id_type(rel, id_column);
    kept regclass := COALESCE(graph, coopembed.kept_graph(rel, id_column, emb_column, k, attributes));
    -- (id, neighbours, distances, whether a kept graph lacks the row as it is now: null if it was not asked)
    lists text;
    outdated bigint;
    used bigint;
    path jsonb;
BEGIN
    IF kept IS NULL THEN
        IF (SELECT reltuples > 20000 FROM pg_class WHERE oid = rel) THEN
            RAISE NOTICE 'no graph of % is kept, so one is made for this statement alone', rel
                USING HINT = 'CALL coop_build_knn() keeps one; coop_knn_graphs() lists them.';
        END IF;
        lists := format('SELECT l.*, NULL::boolean FROM (%s) l', coopembed.lists(rel, id_column, emb, attributes, k, 'true'));
    ELSE
        -- What the graph lacks is left out, but for the two ends.
        lists := format('SELECT r.%1$I::text, g.neighbours[:%2$s]::text[], g.distances[:%2$s], g.neighbours IS NULL
            FROM %3$s r LEFT JOIN %4$s g ON g.id = r.%1$I AND g.digest = coopembed.digest(r.%5$s)
            WHERE r.%1$I IS NOT NULL AND r.%5$s IS NOT NULL
            UNION ALL SELECT l.*, NULL FROM (%6$s) l', id_column, k, coopembed.qualified(rel), coopembed.qualified(kept), emb,
            coopembed.lists(rel, id_column, emb, attributes, k, format('r.%1$I IN ($1::%2$s, $2::%2$s) AND NOT EXISTS (SELECT FROM %3$s g
                WHERE g.id = r.%1$I AND g.digest = coopembed.digest(r.%4$s) AND g.neighbours IS NOT NULL)', id_column, id_type, coopembed.qualified(kept), emb)));
    END IF;
    IF goal IS NULL THEN
        lists := lists || format(' UNION ALL SELECT NULL, COALESCE(array_agg(n.id::text ORDER BY n.d), ''{}''),
            COALESCE(array_agg(n.d ORDER BY n.d), ''{}''), NULL FROM (%s) n', coopembed.nearest(rel, id_column, emb, '$3', k, 'true'));
    END IF;
    EXECUTE format('SELECT coopembed.route(id, neighbours, distances, $1, $2), count(*) FILTER (WHERE outdated),
        count(*) FILTER (WHERE NOT outdated) FROM (%s) l (id, neighbours, distances, outdated)', lists)
        INTO path, outdated, used USING start, goal, target;
    IF kept IS NOT NULL THEN
        PERFORM coopembed.tell_outdated(kept, outdated, used);
    END IF;
    IF jsonb_typeof(path) = 'object' THEN
        RAISE no_data_found USING MESSAGE = format('no path leads from "%s" to %s', start, COALESCE('"' || goal || '"', 'the centre')),
            DETAIL = format('Of %s images %s can be reached from "%s", and %s from %s.', path ->> 'nodes', path ->> 'from_start', start,
                path ->> 'from_goal', COALESCE('"' || goal || '"', 'the centre')),
            HINT = 'Raise k, so that each image has more neighbours.';
    END IF;
    RETURN QUERY SELECT (n - 1)::integer, s ->> 'id', (s ->> 'hop')::double precision, (s ->> 'crossing')::boolean
        FROM jsonb_array_elements(path) WITH ORDINALITY t (s, n) ORDER BY n;
END $$;

-- Says so if a graph is not what a refresh would make it. Rows that whoever asks may not read do not count as gone.
CREATE OR REPLACE FUNCTION coopembed.tell_outdated(graph regclass, outdated bigint, used bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn(graph);
    lists bigint := used;
BEGIN
    IF NOT row_security_active(g.relation) THEN
        EXECUTE format('SELECT count(*) FROM %s WHERE neighbours IS NOT NULL', coopembed.qualified(graph)) INTO lists;
    END IF;
    IF outdated > 0 OR lists > used THEN
        RAISE NOTICE 'the kept graph % is out of date: % rows are new or changed, % of its rows are gone or changed', graph, outdated, lists - used
            USING HINT = format('CALL coop_build_knn(%L, %L, %L, %L, %s%s) refreshes it.', g.relation, g.id_column, g.emb_column, graph, g.k,
                COALESCE(', ' || quote_literal(g.attribute), ''));
    END IF;
END $$;

-- What both functions check first; the graph is one that the caller names.
CREATE OR REPLACE FUNCTION coopembed.check_walk(rel regclass, id_column name, emb_column name, k integer, attributes text[], graph regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
BEGIN
    PERFORM coopembed.id_type(rel, id_column), coopembed.check_k(k);
    IF attributes IS NOT NULL THEN
        EXECUTE format('SELECT %3$s.coop_like(%1$s, VARIADIC $1) FROM %2$s WHERE %1$s IS NOT NULL LIMIT 1', emb, coopembed.qualified(rel), '@extschema@')
            USING attributes;
    END IF;
    IF graph IS NOT NULL AND NOT EXISTS (SELECT FROM coopembed.knn_graphs g WHERE g.graph = check_walk.graph AND g.relation = rel
        AND g.id_column = check_walk.id_column AND g.emb_column = check_walk.emb_column AND g.k >= check_walk.k
        AND (attributes IS NULL AND g.attribute IS NULL OR attributes = ARRAY[g.attribute])) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s is no graph that coop_build_knn() made of this', graph),
            DETAIL = format('Asked of %s (%I, %I), k = %s%s.', rel, id_column, emb_column, k,
                COALESCE(', attribute "' || array_to_string(attributes, '", "') || '"', '')),
            HINT = 'coop_knn_graphs() lists the graphs. Without one, it is found or made for the statement.';
    ELSIF graph IS NOT NULL THEN
        PERFORM coopembed.check_plain(graph);
    END IF;
END $$;

COMMENT ON COLUMN coopembed.models.config IS 'config.json; a character that the encoding of the database lacks is escaped';

COMMENT ON FUNCTION coopembed.qualified(regclass) IS 'internal: a relation''s name for a statement, with its schema';

COMMENT ON FUNCTION coopembed.check_plain(regclass) IS 'internal: an error unless a graph is as coop_build_knn() makes it';

COMMENT ON FUNCTION coopembed.is_plain(regclass) IS 'internal: whether a graph is a table that runs no code of anybody''s';

COMMENT ON FUNCTION coopembed.is_trusted(regclass) IS 'internal: whether a table is the current user''s or a superuser''s';

COMMENT ON FUNCTION coopembed.knn_add_graph(regclass, regclass, name, name, integer, text) IS
    'internal: lists a table of the caller''s own as a graph';

COMMENT ON FUNCTION coopembed.knn_lock(regclass, text) IS 'internal: locks a graph that the caller may refresh';

COMMENT ON FUNCTION coopembed.knn_remove_gone() IS 'internal: takes graphs that were dropped from the list';

COMMENT ON FUNCTION coopembed.knn_to_refresh(regclass) IS 'internal: what a graph is of, or an error unless the caller may refresh it';

-- Shards.
COMMENT ON FUNCTION coopembed.open_search(text, coopquery, oid[]) IS
    'internal: a cursor for a search in which some foreign partitions are taken to be empty';


COMMENT ON FUNCTION coopembed.search_unreachable(text, coopquery, regclass) IS
    'internal: which partitions coop_search() leaves out, with a warning for each';

-- Graphs that nobody need believe.
DELETE FROM coopembed.knn_graphs WHERE coopembed.is_plain(graph) IS NOT TRUE;
