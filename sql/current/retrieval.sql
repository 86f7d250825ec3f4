-- Functions over a whole table, and measures of rankings (src/pg/functions/retrieval.rs). They are all SQL, so they run with the
-- caller's rights, on tables, views, foreign and partitioned tables alike.

-- The name of a relation for use in a statement: quoted and with its schema, whatever the search_path is.
CREATE FUNCTION coopembed.qualified(rel regclass) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rel $$;
COMMENT ON FUNCTION coopembed.qualified(regclass) IS 'internal: the name of a relation for use in a statement, quoted and with its schema';

-- The type under a domain, or the type itself.
CREATE FUNCTION coopembed.base_type(type regtype) RETURNS regtype LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    WITH RECURSIVE under AS (
        SELECT type::oid AS oid UNION ALL SELECT t.typbasetype FROM pg_type t JOIN under u ON t.oid = u.oid WHERE t.typtype = 'd')
    SELECT u.oid::regtype FROM under u JOIN pg_type t ON t.oid = u.oid WHERE t.typtype <> 'd' $$;
COMMENT ON FUNCTION coopembed.base_type(regtype) IS 'internal: the type under a domain, or the type itself';

-- The quoted name of a column of type coopvec, or an error whose hint names those that the relation has.
CREATE FUNCTION coopembed.embedding_column(rel regclass, name name) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    embeddings CONSTANT regtype := '@extschema@.coopvec';
    found regtype := (SELECT atttypid FROM pg_attribute WHERE attrelid = rel AND attname = name AND attnum > 0 AND NOT attisdropped);
    hint text;
BEGIN
    IF coopembed.base_type(found) = embeddings THEN
        RETURN quote_ident(name);
    END IF;
    SELECT COALESCE('Its columns of type coopvec: ' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || '.',
        'It has no column of type coopvec.') INTO hint
    FROM pg_attribute WHERE attrelid = rel AND coopembed.base_type(atttypid) = embeddings AND attnum > 0 AND NOT attisdropped;
    IF found IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', name, rel), HINT = hint;
    END IF;
    RAISE datatype_mismatch USING MESSAGE = format('column "%s" of relation %s does not contain embeddings', name, rel),
        DETAIL = format('Its type is %s.', found), HINT = hint;
END $$;
COMMENT ON FUNCTION coopembed.embedding_column(regclass, name) IS 'internal: the quoted name of a column of embeddings, or an error';

CREATE FUNCTION coop_typicality(rel regclass, id_column name, emb_column name, label_column name)
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
COMMENT ON FUNCTION coop_typicality(regclass, name, name, name) IS
    'the distance of each row from the mean of its label, and its rank within the label: typical rows first, atypical ones last; rows without a label or an embedding are left out';

-- Pairs of the rows of a query that returns ids and embeddings. As crosstab() and query_to_xml() do, it runs the query as its caller. The last
-- argument is not read: the function learns from its type what the type coopvec is, wherever the extension lies.
CREATE FUNCTION coopembed.pairs_within(query text, threshold double precision, any_embedding coopvec)
    RETURNS TABLE (id text, other text, distance double precision)
    AS 'MODULE_PATHNAME', 'coop_pairs_within' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION coopembed.pairs_within(text, double precision, coopvec) IS
    'internal: all pairs of the rows of a query whose distance is at most the threshold; the query returns a text and a coopvec';

CREATE FUNCTION coop_duplicates(rel regclass, id_column name, emb_column name, threshold double precision)
    RETURNS TABLE (id text, other text, distance double precision)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 1000000 SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF threshold < 0 OR threshold = 'NaN' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('threshold must be zero or more, not %s', threshold);
    END IF;
    RETURN QUERY SELECT p.id, p.other, p.distance FROM coopembed.pairs_within(
        format('SELECT %1$I::text, %2$s::%4$s.coopvec FROM %3$s WHERE %1$I IS NOT NULL AND %2$s IS NOT NULL',
            id_column, coopembed.embedding_column(rel, emb_column), coopembed.qualified(rel), '@extschema@'), threshold, NULL) p;
END $$;
COMMENT ON FUNCTION coop_duplicates(regclass, name, name, double precision) IS
    'pairs of rows whose distance is at most the threshold, each pair once; rows without an id are left out. Needs no index';

-- Measures of a ranking: SELECT coop_average_precision(category = 'blouse' ORDER BY emb <-> coop_category_query('blouse')).
-- Rows whose relevance is unknown (NULL) do not count. Both operands of each operator have the same type, so that PostgreSQL's own
-- operator is chosen: where a cast is needed, an operator of another schema might fit better.
CREATE FUNCTION coopembed.rank_step(state double precision[], relevant boolean) RETURNS double precision[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN relevant
        THEN ARRAY[state[1] + 1::double precision, state[2] + 1::double precision,
            state[3] + (state[2] + 1::double precision) / (state[1] + 1::double precision)]
        ELSE ARRAY[state[1] + 1::double precision, state[2], state[3]] END;
CREATE FUNCTION coopembed.average_precision(state double precision[]) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN state[3] / NULLIF(state[2], 0::double precision);
CREATE AGGREGATE coop_average_precision(boolean) (
    SFUNC = coopembed.rank_step, STYPE = double precision[], INITCOND = '{0,0,0}', FINALFUNC = coopembed.average_precision,
    PARALLEL = SAFE
);
COMMENT ON FUNCTION coopembed.rank_step(double precision[], boolean) IS 'internal: aggregate transition function of coop_average_precision()';
COMMENT ON FUNCTION coopembed.average_precision(double precision[]) IS 'internal: aggregate final function of coop_average_precision()';
COMMENT ON AGGREGATE coop_average_precision(boolean) IS
    'average precision of a ranking: coop_average_precision(relevant ORDER BY emb <-> query); null if no row is relevant';

CREATE FUNCTION coopembed.recall_step(state integer[], relevant boolean, k integer) RETURNS integer[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY[state[1] + 1, state[2] + (relevant AND state[1] < k)::integer, state[3] + relevant::integer];
CREATE FUNCTION coopembed.recall(state integer[]) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN state[3] > 0 THEN (state[2] > 0)::integer END;
CREATE AGGREGATE coop_recall_at(boolean, integer) (
    SFUNC = coopembed.recall_step, STYPE = integer[], INITCOND = '{0,0,0}', FINALFUNC = coopembed.recall, PARALLEL = SAFE
);
COMMENT ON FUNCTION coopembed.recall_step(integer[], boolean, integer) IS 'internal: aggregate transition function of coop_recall_at()';
COMMENT ON FUNCTION coopembed.recall(integer[]) IS 'internal: aggregate final function of coop_recall_at()';
COMMENT ON AGGREGATE coop_recall_at(boolean, integer) IS
    'recall at K of a ranking: coop_recall_at(relevant, K ORDER BY emb <-> query) is 1 if one of the first K rows is relevant, else 0; null if no row is relevant';
