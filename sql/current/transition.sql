-- Transitions from image to image: the shortest path in the undirected graph of nearest neighbours (Section 5.3 of the paper).
-- src/pg/functions/transition.rs implements the aggregate that finds it.

CREATE FUNCTION coopembed.route_step(internal, id text, neighbours text[], distances double precision[], start text, goal text) RETURNS internal
    AS 'MODULE_PATHNAME', 'coop_route_step' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION coopembed.route_final(internal) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'coop_route_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
-- The path from `start` to `goal` as JSON or, if there is none, how many images can be reached. Each row is an image with its
-- neighbours; rows with null lists do not count, and a null id stands for the target point of coop_transition_to().
CREATE AGGREGATE coopembed.route(id text, neighbours text[], distances double precision[], start text, goal text) (
    SFUNC = coopembed.route_step, STYPE = internal, FINALFUNC = coopembed.route_final, PARALLEL = SAFE
);
COMMENT ON FUNCTION coopembed.route_step(internal, text, text[], double precision[], text, text) IS 'internal: aggregate transition function of route()';
COMMENT ON FUNCTION coopembed.route_final(internal) IS 'internal: aggregate final function of route()';
COMMENT ON AGGREGATE coopembed.route(text, text[], double precision[], text, text) IS
    'internal: the shortest path or, if there is none, how many images can be reached';

CREATE FUNCTION coopembed.asked_attributes(query coopquery) RETURNS text[]
    AS 'MODULE_PATHNAME', 'coop_asked_attributes_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
CREATE FUNCTION coopembed.centre(query coopquery, attributes text[]) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_centre_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION coopembed.asked_attributes(coopquery) IS 'internal: the attributes in which a query has a weight; null if in all';
COMMENT ON FUNCTION coopembed.centre(coopquery, text[]) IS 'internal: the target of a query in some attributes, with equal weights';

-- The id as its column writes it ('007' and '7' are the same integer), or an error unless exactly one row has it, and an embedding.
CREATE FUNCTION coopembed.image_id(rel regclass, id_column name, emb_column name, id text) RETURNS text
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
            DETAIL = format('Looked for in column "%s".', id_column), HINT = 'Pass the id of a row of the table.';
    ELSIF rows > 1 THEN
        RAISE unique_violation USING MESSAGE = format('several rows of %s have the id "%s"', rel, id),
            HINT = format('Name a column that is unique instead of "%s".', id_column);
    ELSIF embeddings = 0 THEN
        RAISE null_value_not_allowed USING MESSAGE = format('the row of %s with the id "%s" has no embedding', rel, id),
            HINT = format('Set its "%s" to the coop_embed() of its image.', emb_column);
    END IF;
    RETURN written;
END $$;
COMMENT ON FUNCTION coopembed.image_id(regclass, name, name, text) IS 'internal: an id as its column writes it, or an error';

-- The stored graph that fits and that the caller may read, if there is one. Any user may build a graph of a table, so only graphs of the
-- caller, of a superuser or of the table's owner are used, and none to which code is attached.
CREATE FUNCTION coopembed.kept_graph(rel regclass, id_column name, emb_column name, k integer, attributes text[]) RETURNS regclass
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT g.graph FROM coopembed.knn_graphs g
        JOIN pg_class c ON c.oid = g.graph JOIN pg_class t ON t.oid = g.relation JOIN pg_roles owner ON owner.oid = c.relowner
    WHERE g.relation = rel AND g.id_column = kept_graph.id_column AND g.emb_column = kept_graph.emb_column AND g.k >= kept_graph.k
        AND (attributes IS NULL AND g.attribute IS NULL OR attributes = ARRAY[g.attribute])
        AND coopembed.is_plain(c.oid) AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE')
        AND (coopembed.is_trusted(c.oid) OR c.relowner = t.relowner)
    ORDER BY owner.rolname <> current_user, g.k, c.relname LIMIT 1 $$;
COMMENT ON FUNCTION coopembed.kept_graph(regclass, name, name, integer, text[]) IS 'internal: the stored graph that fits, null if there is none';

-- SQL that computes the lists of neighbours of the rows r for which `cond` is true: (id, neighbours, distances).
CREATE FUNCTION coopembed.lists(rel regclass, id_column name, emb text, attributes text[], k integer, cond text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT a.id::text, COALESCE(n.neighbours, ''{}''), COALESCE(n.distances, ''{}'')
        FROM (SELECT r.%1$I AS id, %2$s AS target FROM %3$s r WHERE r.%1$I IS NOT NULL AND r.%4$s IS NOT NULL AND %5$s) a
        CROSS JOIN LATERAL (SELECT array_agg(n.id::text ORDER BY n.d) AS neighbours, array_agg(n.d ORDER BY n.d) AS distances
            FROM (%6$s) n) n',
        id_column, coopembed.target('r.' || emb, attributes), coopembed.qualified(rel), emb, cond,
        coopembed.nearest(rel, id_column, emb, 'a.target', k, format('b.%I <> a.id', id_column))) $$;
COMMENT ON FUNCTION coopembed.lists(regclass, name, text, text[], integer, text) IS 'internal: SQL that computes lists of neighbours';

-- The path from one image to another or, if `goal` is null, to the point `target`, measured in some attributes or, if those are null,
-- in all. It only leads through rows that the caller may read, even in a stored graph: its lists are joined with those rows.
CREATE FUNCTION coopembed.walk(rel regclass, id_column name, emb_column name, start text, goal text, target coopquery, attributes text[],
        k integer, graph regclass)
    RETURNS TABLE (step integer, id text, distance double precision, is_crossing boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp SET jit TO off AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    id_type text := coopembed.id_type(rel, id_column);
    stored regclass := COALESCE(graph, coopembed.kept_graph(rel, id_column, emb_column, k, attributes));
    -- SQL for (id, neighbours, distances, whether the stored graph lacks the row as it is now; null if no stored graph was used for it)
    lists text;
    outdated bigint;
    used bigint;
    path jsonb;
BEGIN
    IF stored IS NULL THEN
        IF (SELECT reltuples > 20000 FROM pg_class WHERE oid = rel) THEN
            RAISE NOTICE 'no stored graph of % fits, so one is built for this statement alone', rel
                USING HINT = 'CALL coop_build_knn() stores one; coop_knn_graphs() lists the stored graphs.';
        END IF;
        lists := format('SELECT l.*, NULL::boolean FROM (%s) l', coopembed.lists(rel, id_column, emb, attributes, k, 'true'));
    ELSE
        -- Rows that the graph lacks are left out, except for the two ends of the path.
        lists := format('SELECT r.%1$I::text, g.neighbours[:%2$s]::text[], g.distances[:%2$s], g.neighbours IS NULL
            FROM %3$s r LEFT JOIN %4$s g ON g.id = r.%1$I AND g.digest = coopembed.digest(r.%5$s)
            WHERE r.%1$I IS NOT NULL AND r.%5$s IS NOT NULL
            UNION ALL SELECT l.*, NULL FROM (%6$s) l', id_column, k, coopembed.qualified(rel), coopembed.qualified(stored), emb,
            coopembed.lists(rel, id_column, emb, attributes, k, format('r.%1$I IN ($1::%2$s, $2::%2$s) AND NOT EXISTS (SELECT FROM %3$s g
                WHERE g.id = r.%1$I AND g.digest = coopembed.digest(r.%4$s) AND g.neighbours IS NOT NULL)', id_column, id_type, coopembed.qualified(stored), emb)));
    END IF;
    IF goal IS NULL THEN
        lists := lists || format(' UNION ALL SELECT NULL, COALESCE(array_agg(n.id::text ORDER BY n.d), ''{}''),
            COALESCE(array_agg(n.d ORDER BY n.d), ''{}''), NULL FROM (%s) n', coopembed.nearest(rel, id_column, emb, '$3', k, 'true'));
    END IF;
    EXECUTE format('SELECT coopembed.route(id, neighbours, distances, $1, $2), count(*) FILTER (WHERE outdated),
        count(*) FILTER (WHERE NOT outdated) FROM (%s) l (id, neighbours, distances, outdated)', lists)
        INTO path, outdated, used USING start, goal, target;
    IF stored IS NOT NULL THEN
        PERFORM coopembed.tell_outdated(stored, outdated, used);
    END IF;
    IF jsonb_typeof(path) = 'object' THEN
        RAISE no_data_found USING MESSAGE = format('no path leads from "%s" to %s', start, COALESCE('"' || goal || '"', 'the target')),
            DETAIL = format('Of %s images %s can be reached from "%s", and %s from %s.', path ->> 'nodes', path ->> 'from_start', start,
                path ->> 'from_goal', COALESCE('"' || goal || '"', 'the target')),
            HINT = 'Raise k, so that each image has more neighbours.';
    END IF;
    RETURN QUERY SELECT (n - 1)::integer, s ->> 'id', (s ->> 'hop')::double precision, (s ->> 'crossing')::boolean
        FROM jsonb_array_elements(path) WITH ORDINALITY t (s, n) ORDER BY n;
END $$;
COMMENT ON FUNCTION coopembed.walk(regclass, name, name, text, text, coopquery, text[], integer, regclass) IS
    'internal: the path of coop_transition() and coop_transition_to()';

-- A NOTICE if a stored graph is not what a refresh would make it. Rows that the caller may not read do not count as gone.
CREATE FUNCTION coopembed.tell_outdated(graph regclass, outdated bigint, used bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn(graph);
    lists bigint := used;
BEGIN
    IF NOT row_security_active(g.relation) THEN
        EXECUTE format('SELECT count(*) FROM %s WHERE neighbours IS NOT NULL', coopembed.qualified(graph)) INTO lists;
    END IF;
    IF outdated > 0 OR lists > used THEN
        RAISE NOTICE 'the stored graph % is out of date: % rows are new or changed, % of its rows are gone or changed', graph, outdated, lists - used
            USING HINT = format('CALL coop_build_knn(%L, %L, %L, %L, %s%s) refreshes it.', g.relation, g.id_column, g.emb_column, graph, g.k,
                COALESCE(', ' || quote_literal(g.attribute), ''));
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.tell_outdated(regclass, bigint, bigint) IS 'internal: a NOTICE if a stored graph is out of date';

-- Checks the arguments of both functions below; `graph` is null or the graph that the caller named.
CREATE FUNCTION coopembed.check_walk(rel regclass, id_column name, emb_column name, k integer, attributes text[], graph regclass) RETURNS void
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
        RAISE invalid_parameter_value USING MESSAGE = format('%s is not a graph that coop_build_knn() built for these arguments', graph),
            DETAIL = format('The arguments are %s (%I, %I), k = %s%s.', rel, id_column, emb_column, k,
                COALESCE(', attribute "' || array_to_string(attributes, '", "') || '"', '')),
            HINT = 'coop_knn_graphs() lists the graphs. Without this argument, a graph that fits is found or built for the statement.';
    ELSIF graph IS NOT NULL THEN
        PERFORM coopembed.check_plain(graph);
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_walk(regclass, name, name, integer, text[], regclass) IS
    'internal: checks the arguments of coop_transition() and coop_transition_to()';

-- Ids may be of any type, and the ids returned have the type of those passed: integer, text, uuid.
CREATE FUNCTION coop_transition(rel regclass, id_column name, emb_column name, from_id anycompatible, to_id anycompatible,
        attribute text DEFAULT NULL, k integer DEFAULT 5, graph regclass DEFAULT NULL)
    RETURNS TABLE (step integer, id anycompatible, distance double precision, is_crossing boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 10 SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    attributes text[] := CASE WHEN attribute IS NOT NULL THEN ARRAY[attribute] END;
    start text;
    goal text;
BEGIN
    IF rel IS NULL OR id_column IS NULL OR emb_column IS NULL OR from_id IS NULL OR to_id IS NULL THEN
        RETURN;
    END IF;
    PERFORM coopembed.check_walk(rel, id_column, emb_column, k, attributes, graph);
    start := coopembed.image_id(rel, id_column, emb_column, from_id::text);
    goal := coopembed.image_id(rel, id_column, emb_column, to_id::text);
    IF start = goal THEN
        RETURN QUERY SELECT 0, from_id, NULL::double precision, false;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format('SELECT step, id::%s, distance, is_crossing
        FROM coopembed.walk($1, $2, $3, $4, $5, NULL, $6, $7, $8)', pg_typeof(from_id))
        USING rel, id_column, emb_column, start, goal, attributes, k, graph;
END $$;
COMMENT ON FUNCTION coop_transition(regclass, name, name, anycompatible, anycompatible, text, integer, regclass) IS
    'the shortest path from one image to another along k nearest neighbours, over all attributes or in one, in a stored graph or one built for the statement; is_crossing marks its longest hop';

-- The path ends at a point: the target of a category, of an attribute value, or of a sum of queries. Distances are measured in the
-- attribute that is named or, without one, in all attributes in which the target has a weight. How large the weights are does not
-- matter.
CREATE FUNCTION coop_transition_to(rel regclass, id_column name, emb_column name, from_id anycompatible, target coopquery,
        attribute text DEFAULT NULL, k integer DEFAULT 5, graph regclass DEFAULT NULL)
    RETURNS TABLE (step integer, id anycompatible, distance double precision, is_crossing boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 10 SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    attributes text[] := CASE WHEN attribute IS NOT NULL THEN ARRAY[attribute] ELSE coopembed.asked_attributes(target) END;
BEGIN
    IF rel IS NULL OR id_column IS NULL OR emb_column IS NULL OR from_id IS NULL OR target IS NULL THEN
        RETURN;
    END IF;
    PERFORM coopembed.check_walk(rel, id_column, emb_column, k, attributes, graph);
    RETURN QUERY EXECUTE format('SELECT step, id::%s, distance, is_crossing
        FROM coopembed.walk($1, $2, $3, $4, NULL, $5, $6, $7, $8)', pg_typeof(from_id))
        USING rel, id_column, emb_column, coopembed.image_id(rel, id_column, emb_column, from_id::text),
            coopembed.centre(target, attributes), attributes, k, graph;
END $$;
COMMENT ON FUNCTION coop_transition_to(regclass, name, name, anycompatible, coopquery, text, integer, regclass) IS
    'the shortest path from an image to the target of a query, such as a category; its last row has no id';
