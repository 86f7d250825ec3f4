-- One table on several machines: a partitioned table, some or all of whose partitions are foreign tables of postgres_fdw.
--
-- PostgreSQL's own plan for ORDER BY embedding <-> query LIMIT k over such a table is exact and has each server sort, but it asks one
-- server after the other, through cursors without a limit. Under UNION ALL of one question for each partition the order and the limit
-- go to the servers, which then work at the same time. What follows writes that statement; it runs with the caller's rights.

-- Calling it loads the library, which changes what the planner takes foreign tables for (src/pg/shards.rs).
CREATE FUNCTION coopembed.loaded() RETURNS boolean
    AS 'MODULE_PATHNAME', 'coop_loaded_wrapper' LANGUAGE C VOLATILE PARALLEL SAFE;

-- The partitions that may be asked instead of their table; null if it has none, or if rights or policies make that another question.
CREATE FUNCTION coopembed.search_parts(rel regclass) RETURNS regclass[]
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT array_agg(t.relid ORDER BY t.relid) FROM pg_partition_tree(rel) t JOIN pg_class c ON c.oid = t.relid
    WHERE t.isleaf AND t.relid <> rel
    HAVING has_table_privilege(rel, 'SELECT') AND NOT row_security_active(rel)
        AND bool_and(has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)) $$;

-- What a row type wants of a table, in order: quoted names of columns, and null for the distance.
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
        RAISE datatype_mismatch USING MESSAGE = format('type %s is not that of a row', row_type),
            HINT = 'Pass NULL::TABLE, or NULL of a composite type that has some of the columns of the table.';
    ELSIF missing IS NOT NULL THEN
        RAISE undefined_column USING MESSAGE = format('relation %s lacks columns of type %s', rel, row_type),
            DETAIL = format('It has no %s.', missing), HINT = 'A column "distance" of type double precision is filled in where the table has none.';
    END IF;
    RETURN columns;
END $$;

-- Leaves out the foreign tables whose servers cannot be reached, with a warning for each.
CREATE FUNCTION coopembed.search_reachable(parts regclass[]) RETURNS regclass[]
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    part regclass;
    reached regclass[] := '{}';
    reason text;
BEGIN
    FOREACH part IN ARRAY parts LOOP
        BEGIN
            -- Opens a connection, or makes sure of the one there is.
            EXECUTE format('SELECT FROM ONLY %s LIMIT 0', part);
            reached := reached || part;
        EXCEPTION WHEN connection_exception THEN
            reason := SQLERRM;
            RAISE WARNING 'partition % is left out: its server cannot be reached', part USING DETAIL = reason;
        END;
    END LOOP;
    IF reached = '{}' THEN
        RAISE sqlclient_unable_to_establish_sqlconnection USING MESSAGE = 'no server of a partition can be reached', DETAIL = reason;
    END IF;
    RETURN reached;
END $$;

-- The statement that coop_search() runs; its parameter $1 is the query. It is read in the caller's search_path, for the filter's sake,
-- and names all else by schema.
CREATE FUNCTION coopembed.search_statement(row_type regtype, emb_column name, k integer, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false)
    RETURNS text LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    tab regclass := COALESCE(rel, (SELECT c.oid FROM pg_class c WHERE c.reltype = row_type AND c.relkind <> 'c'));
    columns text[];
    parts regclass[] := coopembed.search_parts(tab);
    -- What a filter may call the table, whichever partition is asked.
    alias text := (SELECT quote_ident(relname) FROM pg_class WHERE oid = tab);
    distance text;
    wanted text;
    condition text;
BEGIN
    IF tab IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = format('%s is not the row type of a table', row_type), HINT = 'Name the table to search: rel => ...';
    ELSIF emb_column IS NULL OR k IS NULL OR k < 0 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a search needs a column of embeddings and a number of rows',
            DETAIL = format('Found %L and %L.', emb_column, k), HINT = 'Name the column, and how many rows are wanted: none or more.';
    END IF;
    IF skip_unreachable AND parts IS NOT NULL THEN
        parts := coopembed.search_reachable(parts);
    END IF;
    distance := format('%s.%s OPERATOR(%s.<->) $1', alias, coopembed.embedding_column(tab, emb_column), '@extschema@');
    columns := coopembed.search_columns(row_type, tab);
    SELECT string_agg(format('%s.%s AS c%s, ', alias, name, n), '' ORDER BY n) INTO wanted
        FROM unnest(columns) WITH ORDINALITY c (name, n) WHERE name IS NOT NULL;
    -- A filter may end in a comment.
    condition := COALESCE(E'\nWHERE (' || filter || E'\n)', '');
    -- OFFSET 0 hides from the planner that each branch comes sorted: it would merge them, and so ask for one after the other.
    RETURN format(E'SELECT %s FROM (\n%s\nOFFSET 0) t ORDER BY d LIMIT %s',
        (SELECT string_agg(CASE WHEN name IS NULL THEN 'd' ELSE 'c' || n END, ', ' ORDER BY n) FROM unnest(columns) WITH ORDINALITY c (name, n)),
        (SELECT string_agg(concat('(SELECT ', wanted, distance, ' AS d FROM ', source, ' AS ', alias, condition,
                ' ORDER BY ', distance, ' LIMIT ', k, ')'), E'\nUNION ALL\n' ORDER BY n)
            FROM unnest(COALESCE((SELECT array_agg('ONLY ' || part::text) FROM unnest(parts) part), ARRAY[tab::text]))
                WITH ORDINALITY s (source, n)), k);
END $$;

-- The k nearest rows, nearest first. A filter is SQL, as in WHERE. Neither STRICT nor with a pinned search_path: see above.
CREATE FUNCTION coop_search(row_type anyelement, emb_column name, query coopquery, k integer DEFAULT 10, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false)
    RETURNS SETOF anyelement LANGUAGE plpgsql STABLE COST 100000 ROWS 10 SET jit TO off SET coopembed.large_foreign_tables TO on AS $$
DECLARE
    statement pg_catalog.text := coopembed.search_statement(pg_catalog.pg_typeof(row_type), emb_column, k, filter, rel, skip_unreachable);
BEGIN
    IF query IS NOT NULL AND coopembed.loaded() THEN
        RETURN QUERY EXECUTE statement USING query;
    END IF;
END $$;
