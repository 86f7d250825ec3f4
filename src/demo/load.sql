-- Fills the demo's database once; a second run finds everything there. Variables: gallery, model (server-side folders).
CREATE EXTENSION IF NOT EXISTS coopembed;
SELECT count(coop_load_model('emoji', :'model')) AS loaded
WHERE NOT EXISTS (SELECT FROM coop_models() WHERE name = 'emoji') \gset

CREATE TABLE IF NOT EXISTS products (
    id integer PRIMARY KEY,
    name text NOT NULL,
    designer text NOT NULL,
    category text NOT NULL,
    image bytea NOT NULL,
    emb coopvec
);
CREATE TEMP TABLE listed (id integer, name text, designer text, category text, path text);
SELECT format('COPY listed FROM %L (FORMAT csv, HEADER)', :'gallery' || '/products.csv') \gexec
INSERT INTO products (id, name, designer, category, image)
SELECT id, name, designer, category, pg_read_binary_file(:'gallery' || '/' || path) FROM listed
ON CONFLICT (id) DO NOTHING;
