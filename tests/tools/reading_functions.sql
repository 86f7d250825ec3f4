-- Calls every function that only reads, with everything named by schema, so that the results are the same whatever the search_path is.
-- Reads shop.products (embedded) and the neighbour graph shop.graph. Variable: ext, the extension's schema, quoted.
\set green :ext '.coop_attr_query(''hue'', ''green'')'
SELECT pg_catalog.md5(pg_catalog.concat_ws(' ', :green, :ext.coop_attr_query('hue', 'green', 'emoji'), :ext.coop_category_query('tool'),
    :ext.coop_category_query('tool', 'emoji')));
SELECT id, emb OPERATOR(:ext.<->) :green FROM shop.products ORDER BY emb OPERATOR(:ext.<->) :green, id LIMIT 5;
SELECT pg_catalog.md5(pg_catalog.concat_ws(' ', :ext.coop_attr_query('skin_tone', 5), :ext.coop_attr_query('skin_tone', 5, 'emoji'), :ext.coop_not(:green),
    :ext.coop_not('hue', 'green'), :ext.coop_absent('hair'), :ext.coop_absent('hair', 'emoji'), :ext.coop_query('green hue, not sad'),
    :ext.coop_query('green hue', 'emoji')));
SELECT * FROM :ext.coop_query_explain('green hue, not sad, whatever');
SELECT pg_catalog.md5(pg_catalog.concat_ws(' ', :ext.coop_not(emb, 'hue', 'green'), :ext.coop_replace(emb, 'skin_tone', 5))) FROM shop.products ORDER BY id LIMIT 2;
SELECT * FROM :ext.coop_synonyms();
SELECT pg_catalog.md5(pg_catalog.concat_ws(' ', :ext.coop_like(emb), :ext.coop_like(emb, 'hue'), :ext.coop_replace(emb, 'hue', 'green'),
    :ext.coop_replace(emb, :green), :ext.coop_blend(emb, emb, 'hue'), :ext.coop_subspace(emb, 'hue'), :ext.coop_tags(emb),
    CAST(emb AS :ext.coopquery), CAST(emb AS pg_catalog.float4[]), :ext.coop_vector(CAST(emb AS pg_catalog.float4[])),
    :ext.coop_vector(CAST(emb AS pg_catalog.float4[]), 'emoji'), :green OPERATOR(:ext.+) (2.0::pg_catalog.float8 OPERATOR(:ext.*) :green),
    emb OPERATOR(:ext.=) emb, CAST(emb AS pg_catalog.jsonb), CAST(:green AS pg_catalog.jsonb), CAST(CAST(emb AS pg_catalog.float8[]) AS :ext.coopvec),
    CAST(CAST(emb AS pg_catalog.numeric[]) AS :ext.coopvec), CAST(emb AS :ext.coopvec(650)), CAST('[' OPERATOR(pg_catalog.||)
    pg_catalog.array_to_string(CAST(emb AS pg_catalog.float4[]), ',') OPERATOR(pg_catalog.||) ']' AS :ext.coopvec), :ext.coop_model(emb))) FROM shop.products ORDER BY id LIMIT 2;
SELECT id, emb OPERATOR(:ext.<->) CAST(emb AS pg_catalog.float8[]) FROM shop.products ORDER BY emb USING OPERATOR(:ext.<) LIMIT 2;
SELECT pg_catalog.count(DISTINCT emb), pg_catalog.md5(CAST(:ext.sum(CAST(emb AS :ext.coopquery) ORDER BY id) AS pg_catalog.text)) FROM shop.products;
SELECT id, e.* FROM shop.products, :ext.coop_explain(emb, :green) e ORDER BY id LIMIT 5;
SELECT id, e.* FROM shop.products, :ext.coop_explain(emb, emb) e ORDER BY id LIMIT 5;
SELECT id, p.* FROM shop.products, :ext.coop_predict(emb, 'hue') p ORDER BY id LIMIT 5;
SELECT id, p.* FROM shop.products, :ext.coop_predict_category(emb) p ORDER BY id LIMIT 5;
SELECT pg_catalog.md5(CAST(:ext.avg(emb) AS pg_catalog.text)) FROM shop.products;
SELECT * FROM :ext.coop_attributes();
SELECT * FROM :ext.coop_attribute_values('hue');
SELECT * FROM :ext.coop_attribute_values('hue', 'emoji');
SELECT * FROM :ext.coop_categories();
SELECT name, fingerprint, is_default FROM :ext.coop_models();
SELECT id FROM :ext.coop_search(CAST(NULL AS shop.products), 'emb', :green, 5, 'id OPERATOR(pg_catalog.>) 3');
SELECT id FROM :ext.coop_search(CAST(NULL AS shop.products), 'emb', :green, 5, 'id OPERATOR(pg_catalog.>) 3', distinct_on => 'category', diversity => 0.3);
SELECT * FROM :ext.coop_typicality('shop.products', 'id', 'emb', 'category') ORDER BY label, rank, id;
SELECT * FROM :ext.coop_duplicates('shop.products', 'id', 'emb', 3) ORDER BY id, other;
SELECT * FROM :ext.coop_transition('shop.products', 'id', 'emb', 1, 60, k => 8) ORDER BY step;
SELECT * FROM :ext.coop_transition('shop.products', 'id', 'emb', 1, 60, 'hue', 6) ORDER BY step;
SELECT * FROM :ext.coop_transition_to('shop.products', 'id', 'emb', 1, :green) ORDER BY step;
SELECT id_column, emb_column, k, attribute, images, waiting FROM :ext.coop_knn_graphs();
SELECT :ext.coop_average_precision(id OPERATOR(pg_catalog.<) 9 ORDER BY id DESC), :ext.coop_recall_at(id OPERATOR(pg_catalog.<) 9, 3 ORDER BY id) FROM shop.products;
SELECT pg_catalog.count(*) FROM :ext.coop_stat_worker;
SELECT pg_catalog.count(images) IS NULL FROM :ext.coop_stat_worker_batches;
SELECT pg_catalog.count(per_second) IS NULL, pg_catalog.count(state) IS NULL FROM :ext.coop_embed_progress;
