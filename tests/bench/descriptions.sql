-- Which weights make coop_query() find most: mean average precision over all pairs of a category and a value that at least three products of
-- the demo's gallery have, for "value category" and for "category, not value". Run it in the demo's database (`make demo`):
--   psql -f tests/bench/descriptions.sql
-- A category's query has a weight of 1 in each of its 7 attributes, so that a value that weighs as much has 7, and a negation of a quarter 1.75.
CREATE TEMP TABLE pairs AS
SELECT category, a, v FROM products p, LATERAL (
    VALUES ('colour', colour), ('pattern', pattern), ('sleeves', sleeves), ('neckline', neckline)) x (a, v)
WHERE v IS NOT NULL GROUP BY 1, 2, 3 HAVING count(*) >= 3;
DELETE FROM pairs WHERE NOT EXISTS (SELECT FROM coop_attribute_values(a) x WHERE x.value = v AND has_query);

SELECT weight, round(avg(ap)::numeric, 2) AS value_and_category FROM (VALUES (1), (2), (4), (7), (12)) w (weight), pairs,
    LATERAL (SELECT coop_category_query(category) + weight * coop_attr_query(a, v) AS q OFFSET 0) q,
    LATERAL (SELECT coop_average_precision(p.category = pairs.category AND to_jsonb(p) ->> a = v ORDER BY p.emb <-> q) AS ap FROM products p) x
GROUP BY weight ORDER BY weight;

SELECT weight, round(avg(ap)::numeric, 2) AS category_not_value FROM (VALUES (0.001), (1), (1.75), (4), (7)) w (weight), pairs,
    LATERAL (SELECT coop_category_query(category) + weight * coop_not(a, v) AS q OFFSET 0) q,
    LATERAL (SELECT coop_average_precision(p.category = pairs.category AND to_jsonb(p) ->> a <> v ORDER BY p.emb <-> q) AS ap FROM products p) x
GROUP BY weight ORDER BY weight;
