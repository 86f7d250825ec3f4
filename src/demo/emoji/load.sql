-- Creates and fills the demo's table; running it again changes nothing. Variables: gallery and model, folders that the server can read.
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
CREATE TEMP TABLE catalogue (id integer, name text, designer text, category text, path text);
SELECT format('COPY catalogue FROM %L (FORMAT csv, HEADER)', :'gallery' || '/products.csv') \gexec
INSERT INTO products (id, name, designer, category, image)
SELECT id, name, designer, category, pg_read_binary_file(:'gallery' || '/' || path) FROM catalogue
ON CONFLICT (id) DO NOTHING;
