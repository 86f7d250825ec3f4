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
CREATE FUNCTION coop_search(row_type anyelement, emb_column name, query coopquery, k bigint DEFAULT 10, filter text DEFAULT NULL,
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
COMMENT ON FUNCTION coop_search(anyelement, name, coopquery, bigint, text, regclass, boolean) IS
    'the k rows nearest to a query, nearest first; with skip_unreachable, partitions whose servers are down are left out with a warning';

-- coop_search() of version 0.2.0, to which k was an integer: views of users depend on it. Calls by its name reach the one above.
CREATE FUNCTION coopembed.coop_search(row_type anyelement, emb_column name, query coopquery, k integer DEFAULT 10, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false)
    RETURNS SETOF anyelement LANGUAGE plpgsql STABLE COST 100000 ROWS 10 AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.coop_search(row_type, emb_column, query, k::pg_catalog.int8, filter, rel, skip_unreachable);
END $$;
COMMENT ON FUNCTION coopembed.coop_search(anyelement, name, coopquery, integer, text, regclass, boolean) IS
    'internal: coop_search() of version 0.2.0, for views that depend on it';
