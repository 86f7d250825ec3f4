-- Queries by the names of the loaded model: attribute values, pairs of them, categories; and like rows. At most 50 of each kind.
INSERT INTO queries (kind, query, n, q)
SELECT 1, 'one attribute, a value', row_number() OVER (), coop_attr_query(a.name, v.value)::text
FROM coop_attributes() a, coop_attribute_values(a.name) v WHERE v.has_query LIMIT 50;
INSERT INTO queries (kind, query, n, q)
SELECT 2, 'one attribute, like a row', id, coop_like(emb, 'hue')::text FROM gallery WHERE id <= 50;
INSERT INTO queries (kind, query, n, q)
SELECT 3, 'two attributes, values', a.n, (a.q::coopquery + 2 * b.q::coopquery)::text
FROM queries a JOIN queries b ON b.n = (a.n + 23) % 50 + 1 WHERE a.kind = 1 AND b.kind = 1;
INSERT INTO queries (kind, query, n, q, v)
SELECT 4, 'a category', row_number() OVER (), coop_category_query(name)::text, '' FROM coop_categories() LIMIT 50;
INSERT INTO queries (kind, query, n, q, v)
SELECT 5, 'superspace, like a row', id, emb::coopquery::text, '' FROM gallery WHERE id <= 50;
