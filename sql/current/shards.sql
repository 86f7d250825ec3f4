-- coop_search(): the rows nearest to a query, of a table whose partitions may lie on several servers, on request without those whose
-- servers are down. src/pg/planner/shards.rs has all partitions searched at the same time, in any query; the function that leaves
-- partitions out is in src/pg/planner/skipped_partitions.rs.

-- The columns of a table that make up a row type, in its order: their quoted names, and null for the distance.
CREATE FUNCTION coopembed.search_columns(row_type regtype, rel regclass) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    columns text[];
    missing text;
BEGIN
    SELECT array_agg(quote_ident(c.attname) ORDER BY a.attnum), string_agg(format('"%s"', a.attname), ', ' ORDER BY a.attnum)
            FILTER (WHERE c.attname IS NULL AND (a.attname, a.atttypid) <> ('distance', 'double precision'::regtype))
        INTO columns, missing
        FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attribute c ON c.attrelid = rel AND c.attname = a.attname AND c.attnum > 0 AND NOT c.attisdropped
        WHERE t.oid = row_type;
    IF columns IS NULL THEN
        RAISE datatype_mismatch USING MESSAGE = format('type %s is not a row type', row_type),
            HINT = 'Pass NULL::name_of_the_table, or NULL of a composite type with some of its columns.';
    ELSIF missing IS NOT NULL THEN
        RAISE undefined_column USING MESSAGE = format('relation %s does not have all columns of type %s', rel, row_type),
            DETAIL = format('It lacks %s.', missing), HINT = 'Only a column "distance" of type double precision is filled in if the table has none.';
    END IF;
    RETURN columns;
END $$;
COMMENT ON FUNCTION coopembed.search_columns(regtype, regclass) IS
    'internal: the columns of a table that coop_search() returns for a row type; null for the distance';

-- The statement that coop_search() runs, with the query as parameter $1. It is parsed with the caller's search_path, for the sake of
-- the filter, so everything else in it is named with its schema.
CREATE FUNCTION coopembed.search_statement(row_type regtype, emb_column name, k bigint, filter text, rel regclass)
    RETURNS text LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    -- The name by which a filter refers to the table.
    alias text := (SELECT quote_ident(relname) FROM pg_class WHERE oid = rel);
    distance text;
BEGIN
    IF rel IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = format('%s is not the row type of a table', row_type), HINT = 'Name the table to search: rel => ...';
    ELSIF emb_column IS NULL OR k IS NULL OR k < 0 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a search needs a column of embeddings and a number of rows, zero or more',
            DETAIL = format('Got column %L and number of rows %L.', emb_column, k),
            HINT = 'Name a column of type coopvec, and the number of rows to return.';
    END IF;
    distance := format('%s.%s OPERATOR(%s.<->) $1', alias, coopembed.embedding_column(rel, emb_column), '@extschema@');
    -- A newline follows the filter, because it may end in a comment.
    RETURN format(E'SELECT %s FROM %s AS %s%s\nORDER BY %s LIMIT %s',
        (SELECT string_agg(COALESCE(alias || '.' || name, distance), ', ' ORDER BY n)
            FROM unnest(coopembed.search_columns(row_type, rel)) WITH ORDINALITY c (name, n)),
        coopembed.qualified(rel), alias, COALESCE(E'\nWHERE (' || filter || E'\n)', ''), distance, k);
END $$;
COMMENT ON FUNCTION coopembed.search_statement(regtype, name, bigint, text, regclass) IS
    'internal: the statement that coop_search() runs, with the query as parameter $1';

-- The statement of a search for variety: of the `n` rows nearest to the query $1, one for each value of a column (rows in which it is null each for
-- themselves), and of these k that differ. With k = 0 it counts instead: the rows, and those that are one for each value. Like the statement
-- above, it names everything but the filter with its schema.
CREATE FUNCTION coopembed.varied_statement(row_type regtype, emb_column name, k bigint, filter text, rel regclass, distinct_on name, n bigint,
        diversity double precision)
    RETURNS text LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    alias text := (SELECT quote_ident(relname) FROM pg_class WHERE oid = rel);
    emb text := alias || '.' || coopembed.embedding_column(rel, emb_column);
    distance text := format('%s OPERATOR(%s.<->) $1', emb, '@extschema@');
    columns text[] := coopembed.search_columns(row_type, rel);
    names text := (SELECT string_agg('c' || i, ', ') FROM generate_series(1, cardinality(columns)) i);
    nearest text;
BEGIN
    IF distinct_on IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = rel AND attname = distinct_on AND attnum > 0 AND NOT attisdropped) THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', distinct_on, rel),
            HINT = 'distinct_on is the column of which each value is to come once, such as the id of a product that several images show.';
    END IF;
    nearest := format(E'WITH nearest AS MATERIALIZED (SELECT %s, %s AS key, %s AS emb, %s AS d FROM %s AS %s%s\nORDER BY %s LIMIT %s), '
            'ranked AS (SELECT *, pg_catalog.row_number() OVER (ORDER BY d) AS i FROM nearest), '
            'firsts AS (%s)',
        (SELECT string_agg(format('%s AS c%s', COALESCE(alias || '.' || name, distance), i), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY c (name, i)),
        COALESCE(alias || '.' || quote_ident(distinct_on), 'NULL'), emb, distance, coopembed.qualified(rel), alias,
        COALESCE(E'\nWHERE (' || filter || E'\n)', ''), distance, n,
        CASE WHEN distinct_on IS NULL THEN 'SELECT * FROM ranked'
            ELSE 'SELECT DISTINCT ON (key, CASE WHEN key IS NULL THEN i END) * FROM ranked ORDER BY key, CASE WHEN key IS NULL THEN i END, i' END);
    IF k = 0 THEN
        RETURN nearest || ' SELECT (SELECT pg_catalog.count(*) FROM nearest), (SELECT pg_catalog.count(*) FROM firsts)';
    ELSIF diversity = 0 THEN
        RETURN format('%s SELECT %s FROM firsts ORDER BY i LIMIT %s', nearest, names, k);
    END IF;
    -- Rows without an embedding differ from none, and are left out.
    RETURN format('%s, picks AS MATERIALIZED (SELECT coopembed.diverse(pg_catalog.array_agg(emb ORDER BY i), pg_catalog.array_agg(d ORDER BY i), %s, %s) AS p,
            pg_catalog.array_agg(i ORDER BY i) AS numbers FROM firsts WHERE emb IS NOT NULL)
        SELECT %s FROM picks, pg_catalog.unnest(p) WITH ORDINALITY u (pick, place) JOIN firsts ON true
        WHERE firsts.i OPERATOR(pg_catalog.=) numbers[pick] ORDER BY place', nearest, least(k, 2147483647), diversity, names);
END $$;
COMMENT ON FUNCTION coopembed.varied_statement(regtype, name, bigint, text, regclass, name, bigint, double precision) IS
    'internal: the statement that coop_search() runs for variety, with the query as parameter $1';

CREATE FUNCTION coopembed.diverse(embeddings coopvec[], distances double precision[], k integer, diversity double precision) RETURNS integer[]
    AS 'MODULE_PATHNAME', 'coop_diverse_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION coopembed.diverse(coopvec[], double precision[], integer, double precision) IS
    'internal: the numbers of k embeddings that are near a query and far from each other, by maximal marginal relevance';

-- A cursor over a SELECT with the query as $1, in which the given foreign partitions of its table are treated as empty. That holds for
-- this one statement: its plan is made with the caller's rights and not cached.
CREATE FUNCTION coopembed.open_search(statement text, query coopquery, absent oid[]) RETURNS refcursor
    AS 'MODULE_PATHNAME', 'coop_open_search' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION coopembed.open_search(text, coopquery, oid[]) IS
    'internal: a cursor for a search that treats some foreign partitions as empty';

-- The foreign partitions whose servers cannot be reached, with a warning for each. To test one, it runs the statement over the table
-- with all other foreign partitions left out: that opens a connection, or tests the existing one, with no more rights than reading
-- the table takes.
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
COMMENT ON FUNCTION coopembed.search_unreachable(text, coopquery, regclass) IS
    'internal: the partitions that coop_search() leaves out, with a warning for each';

-- The k nearest rows, nearest first. A filter is an SQL condition, as in WHERE. Not STRICT, because filter and rel are null by default;
-- and without a search_path of its own, because the filter is parsed with the caller's.
--
-- For variety, as many rows are read as it takes: the nearest few hundred to choose from, and four times as many again and again until there
-- are enough different ones.
CREATE FUNCTION coop_search(row_type anyelement, emb_column name, query coopquery, k bigint DEFAULT 10, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false, distinct_on name DEFAULT NULL, diversity double precision DEFAULT 0)
    RETURNS SETOF anyelement LANGUAGE plpgsql STABLE COST 100000 ROWS 10 AS $$
DECLARE
    row_type_of pg_catalog.regtype := pg_catalog.pg_typeof(row_type);
    tab pg_catalog.regclass := COALESCE(rel, (SELECT c.oid FROM pg_catalog.pg_class c
        WHERE c.reltype OPERATOR(pg_catalog.=) row_type_of AND c.relkind OPERATOR(pg_catalog.<>) 'c'));
    statement pg_catalog.text := coopembed.search_statement(row_type_of, emb_column, k, filter, tab);
    is_varied pg_catalog.bool := distinct_on IS NOT NULL OR (diversity OPERATOR(pg_catalog.=) 0::pg_catalog.float8) IS NOT TRUE;
    absent pg_catalog.oid[];
    nearest pg_catalog.refcursor;
    hit pg_catalog.record;
    -- No table has more rows, and no product below overflows.
    most pg_catalog.int8 := LEAST(k, 1000000000000000);
    wanted pg_catalog.int8;
    n pg_catalog.int8;
    seen pg_catalog.int8;
    different pg_catalog.int8;
BEGIN
    IF (diversity OPERATOR(pg_catalog.>=) 0::pg_catalog.float8 AND diversity OPERATOR(pg_catalog.<=) 1::pg_catalog.float8) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = pg_catalog.format('diversity must be between 0 and 1, not %s', COALESCE(diversity::pg_catalog.text, 'null')),
            HINT = '0 is the nearest rows, 1 rows that are as different as can be; 0.3 is a start.';
    ELSIF query IS NULL OR k OPERATOR(pg_catalog.=) 0::pg_catalog.int8 THEN
        RETURN;
    ELSIF skip_unreachable THEN
        absent := coopembed.search_unreachable(coopembed.search_statement(row_type_of, emb_column, 0, filter, tab), query, tab);
    END IF;
    IF is_varied THEN
        wanted := CASE WHEN diversity OPERATOR(pg_catalog.>) 0::pg_catalog.float8 THEN GREATEST(200::pg_catalog.int8, 10::pg_catalog.int8 OPERATOR(pg_catalog.*) most) ELSE most END;
        n := wanted;
        WHILE distinct_on IS NOT NULL LOOP
            n := 4::pg_catalog.int8 OPERATOR(pg_catalog.*) n;
            statement := coopembed.varied_statement(row_type_of, emb_column, 0, filter, tab, distinct_on, n, diversity);
            IF skip_unreachable THEN
                nearest := coopembed.open_search(statement, query, absent);
                FETCH nearest INTO seen, different;
                CLOSE nearest;
            ELSE
                EXECUTE statement INTO seen, different USING query;
            END IF;
            EXIT WHEN seen OPERATOR(pg_catalog.<) n OR different OPERATOR(pg_catalog.>=) wanted;
        END LOOP;
        statement := coopembed.varied_statement(row_type_of, emb_column, k, filter, tab, distinct_on, n, diversity);
    END IF;
    IF skip_unreachable IS NOT TRUE THEN
        RETURN QUERY EXECUTE statement USING query;
        RETURN;
    END IF;
    nearest := coopembed.open_search(statement, query, absent);
    LOOP
        FETCH nearest INTO hit;
        EXIT WHEN NOT FOUND;
        RETURN NEXT hit;
    END LOOP;
    CLOSE nearest;
END $$;
COMMENT ON FUNCTION coop_search(anyelement, name, coopquery, bigint, text, regclass, boolean, name, double precision) IS
    'the k rows nearest to a query, nearest first; with distinct_on, one for each value of a column; with a diversity between 0 and 1, rows that differ; with skip_unreachable, partitions whose servers are down are left out with a warning';

-- coop_search() of version 0.2.0, to which k was an integer: views of users depend on it. Calls by its name reach the one above.
CREATE FUNCTION coopembed.coop_search(row_type anyelement, emb_column name, query coopquery, k integer DEFAULT 10, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false)
    RETURNS SETOF anyelement LANGUAGE plpgsql STABLE COST 100000 ROWS 10 AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.coop_search(row_type, emb_column, query, k::pg_catalog.int8, filter, rel, skip_unreachable);
END $$;
COMMENT ON FUNCTION coopembed.coop_search(anyelement, name, coopquery, integer, text, regclass, boolean) IS
    'internal: coop_search() of version 0.2.0, for views that depend on it';
