-- Creates and fills the demo's table; running it again changes nothing. Variables: gallery and model, folders that the server can read.
CREATE EXTENSION IF NOT EXISTS coopembed;
SELECT count(coop_load_model('clothes', :'model')) AS loaded
WHERE NOT EXISTS (SELECT FROM coop_models() WHERE name = 'clothes') \gset

CREATE TABLE IF NOT EXISTS products (
    id integer PRIMARY KEY,
    garment text NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    neckline text,
    sleeves text,
    pattern text,
    closure text,
    length text,
    colour text,
    material text,
    image bytea NOT NULL,
    emb coopvec
);
CREATE TEMP TABLE catalogue (
    id integer, garment text, name text, category text, neckline text, sleeves text, pattern text, closure text, length text, colour text,
    material text, path text
);
SELECT format('COPY catalogue FROM %L (FORMAT csv, HEADER)', :'gallery' || '/products.csv') \gexec
INSERT INTO products
SELECT id, garment, name, category, neckline, sleeves, pattern, closure, length, colour, material,
       pg_read_binary_file(:'gallery' || '/' || path)
FROM catalogue
ON CONFLICT (id) DO NOTHING;
