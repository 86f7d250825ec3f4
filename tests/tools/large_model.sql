-- A model "garments" as coop_load_model() stores one, with 33 MB of made-up weights in two parts; a table of embeddings and a view on it.
INSERT INTO coopembed.models (name, digest, subspaces, subspace_dim, config)
    VALUES ('garments', decode('0000002a' || repeat('00', 28), 'hex'), 2, 2,
            '{"architecture": {"backbone": "none"}, "preprocessing": {"size": 64}}');
INSERT INTO coopembed.model_weights
    SELECT 'garments', part, decode(repeat(md5(part::text), 1024 * 1024), 'hex') FROM generate_series(1, 2) part;
INSERT INTO coopembed.attributes VALUES ('garments', 1, 'neckline', false), ('garments', 2, 'sleeves', true);
INSERT INTO coopembed.attribute_values VALUES
    ('garments', 1, 1, 'crew', 5, '2x2@0000002a:{0;0:1*[0.1,0.3]}'),
    ('garments', 1, 2, 'v-neck', 3, '2x2@0000002a:{0;0:1*[1,0.000000059604645]}'),
    ('garments', 1, 3, 'boat', 0, NULL);
INSERT INTO coopembed.categories VALUES
    ('garments', 1, 'blouse', 8, '2x2@0000002a:{0;0:1*[0.25,0.5];1:1*[1,-1]}'), ('garments', 2, 'coat', 0, NULL);

CREATE TABLE products (id integer, emb coopvec);
INSERT INTO products SELECT i, format('2x2@0000002a:[%s,%s,0,0]', sin(i), cos(i))::coopvec FROM generate_series(1, 99) i;
CREATE VIEW v_necks AS SELECT id FROM products ORDER BY emb <-> coop_attr_query('neckline', 'v-neck'), id;
