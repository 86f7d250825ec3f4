-- The catalogue: models as rows, so that they travel with pg_dump, replication and failover.
--
-- Everything but the weights is for everybody to read. Rows are written by coop_load_model(), coop_drop_model() and the
-- functions that define words of one's own. What each column holds is said in sql/comments.sql.
--
-- No foreign keys: pg_restore -j fills an extension's tables in any order, with their constraints in place already, and
-- would fail on them. Rows of a model that is not in coopembed.models mean nothing, and go when its name is loaded.

CREATE SCHEMA coopembed;

CREATE TABLE coopembed.models (
    name         text COLLATE pg_catalog."C" PRIMARY KEY,
    digest       bytea NOT NULL CHECK (octet_length(digest) = 32),
    fingerprint  text COLLATE pg_catalog."C" GENERATED ALWAYS AS (left(encode(digest, 'hex'), 8)) STORED,
    subspaces    integer NOT NULL CHECK (subspaces > 0),
    subspace_dim integer NOT NULL CHECK (subspace_dim > 0),
    config       text NOT NULL,
    loaded_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX models_fingerprint ON coopembed.models (fingerprint);

-- model.safetensors in parts, in order: a value of more than half a gigabyte could be stored but not dumped.
CREATE TABLE coopembed.model_weights (
    model text COLLATE pg_catalog."C" NOT NULL,
    part  integer NOT NULL CHECK (part > 0),
    bytes bytea NOT NULL,
    PRIMARY KEY (model, part)
);
-- Trained numbers do not compress.
ALTER TABLE coopembed.model_weights ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE coopembed.attributes (
    model   text COLLATE pg_catalog."C" NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal > 0),
    name    text COLLATE pg_catalog."C" NOT NULL,
    ordered boolean NOT NULL,
    PRIMARY KEY (model, ordinal),
    UNIQUE (model, name)
);

CREATE TABLE coopembed.attribute_values (
    model     text COLLATE pg_catalog."C" NOT NULL,
    attribute integer NOT NULL,
    ordinal   integer NOT NULL CHECK (ordinal > 0),
    value     text COLLATE pg_catalog."C" NOT NULL,
    images    bigint NOT NULL CHECK (images >= 0),
    query     coopquery,
    own       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (model, attribute, ordinal),
    UNIQUE (model, attribute, value)
);

CREATE TABLE coopembed.categories (
    model   text COLLATE pg_catalog."C" NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal > 0),
    name    text COLLATE pg_catalog."C" NOT NULL,
    images  bigint NOT NULL CHECK (images >= 0),
    query   coopquery,
    own     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (model, ordinal),
    UNIQUE (model, name)
);

CREATE TABLE coopembed.proxies (
    model     text COLLATE pg_catalog."C" NOT NULL,
    attribute integer NOT NULL CHECK (attribute >= 0),
    points    real[] NOT NULL,
    absent    real[],
    PRIMARY KEY (model, attribute)
);

-- pg_dump carries the rows of all of them.
SELECT pg_catalog.pg_extension_config_dump('coopembed.models', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.model_weights', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.attributes', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.attribute_values', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.categories', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.proxies', '');

GRANT USAGE ON SCHEMA coopembed TO PUBLIC;
GRANT SELECT ON coopembed.models, coopembed.attributes, coopembed.attribute_values, coopembed.categories,
    coopembed.proxies TO PUBLIC;
