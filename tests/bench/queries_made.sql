-- Queries for the rows of load.sh: 50 of each kind. For pgvector, `a` and `b` have the numbers of subspaces 3 and 6, `v` all.
-- slice: subspace k of a row, for a coopquery. value: the mean of the rows around it, as the query of an attribute value is.
CREATE FUNCTION pg_temp.slice(row_id int, k int) RETURNS text LANGUAGE sql AS
$$ SELECT array_to_string((emb::real[])[k * 50 + 1:k * 50 + 50], ',') FROM gallery WHERE id = row_id $$;
CREATE TEMP TABLE sample AS SELECT emb FROM gallery WHERE id <= 2000;
CREATE FUNCTION pg_temp.value(row_id int, k int) RETURNS text LANGUAGE sql AS $$
    SELECT array_to_string((avg(emb)::real[])[k * 50 + 1:k * 50 + 50], ',') FROM sample
    WHERE emb <-> format('8x50@0000002a:{0;%s:1*[%s]}', k, pg_temp.slice(row_id, k))::coopquery < 1.05 $$;
CREATE TEMP TABLE slices AS
SELECT i AS n, pg_temp.slice(i * 37, 3) AS a, pg_temp.slice(i * 41, 6) AS b, pg_temp.value(i * 37, 3) AS x, pg_temp.value(i * 41, 6) AS y
FROM generate_series(1, 50) i;

INSERT INTO queries (kind, query, n, q, a, b)
SELECT 1, 'one attribute, like a row', n, format('8x50@0000002a:{0;3:1*[%s]}', a), a, NULL FROM slices
UNION ALL SELECT 2, 'one attribute, a value', n, format('8x50@0000002a:{0;3:1*[%s]}', x), x, NULL FROM slices
UNION ALL SELECT 3, 'two attributes, like rows', n, format('8x50@0000002a:{0;3:1*[%s];6:2*[%s]}', a, b), a, b FROM slices
UNION ALL SELECT 4, 'two attributes, values', n, format('8x50@0000002a:{0;3:1*[%s];6:2*[%s]}', x, y), x, y FROM slices;
INSERT INTO queries (kind, query, n, q, v)
SELECT 5, 'superspace', n, emb::coopquery::text, array_to_string(emb::real[], ',') FROM slices JOIN gallery ON id = n * 37;
