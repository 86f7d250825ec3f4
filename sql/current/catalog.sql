-- Models as rows of the schema coopembed, so that they travel with pg_dump, replication and failover, and the functions that load,
-- list, define and drop them. The folder src/pg/catalog implements the functions.
--
-- Everything but the weights is readable by everybody. Only the functions below write: coop_load_model(), coop_drop_model(),
-- coop_set_default_model(), those that define or drop users' own attribute values and categories, and a restore. Attributes and values are numbered from 1; the subspace of
-- attribute k has the dimensions (k-1) n + 1 to k n.
--
-- There are no foreign keys: pg_restore -j fills an extension's tables in any order, with their constraints already in place, and
-- would fail on them. Rows of a model that is not in coopembed.models mean nothing; they are deleted when its name is loaded.

CREATE SCHEMA coopembed;
COMMENT ON SCHEMA coopembed IS 'tables and internal functions of the coopembed extension';

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
COMMENT ON TABLE coopembed.models IS 'models by name; coop_models() lists them, coop_load_model() and coop_drop_model() change them';
COMMENT ON COLUMN coopembed.models.name IS 'the name that functions take';
COMMENT ON COLUMN coopembed.models.digest IS 'SHA-256 of everything that determines an embedding: architecture, vocabulary, preprocessing, weights';
COMMENT ON COLUMN coopembed.models.fingerprint IS 'the first 32 bits of the digest, which every embedding of the model carries';
COMMENT ON COLUMN coopembed.models.subspaces IS 'K: number of subspaces, one for each attribute';
COMMENT ON COLUMN coopembed.models.subspace_dim IS 'n: dimensions of each subspace';
COMMENT ON COLUMN coopembed.models.config IS 'config.json; characters that the encoding of the database lacks are escaped';
COMMENT ON COLUMN coopembed.models.loaded_at IS 'when the model was loaded into this database';

-- At most one row. A table of its own, so that a restore beside models that are there already keeps their default and fails on this row only.
CREATE TABLE coopembed.default_model (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    model    text COLLATE pg_catalog."C" NOT NULL
);
COMMENT ON TABLE coopembed.default_model IS 'the model that functions take where none is named and coopembed.model is empty; coop_set_default_model() changes it';
COMMENT ON COLUMN coopembed.default_model.only_row IS 'true: there is one row at most';
COMMENT ON COLUMN coopembed.default_model.model IS 'name of the model';

-- model.safetensors in consecutive parts: a single value of more than half a gigabyte could be stored but not dumped.
CREATE TABLE coopembed.model_weights (
    model text COLLATE pg_catalog."C" NOT NULL,
    part  integer NOT NULL CHECK (part > 0),
    bytes bytea NOT NULL,
    PRIMARY KEY (model, part)
);
-- Trained weights do not compress.
ALTER TABLE coopembed.model_weights ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE coopembed.model_weights IS 'model.safetensors of each model, in parts; only its owner may read it';
COMMENT ON COLUMN coopembed.model_weights.model IS 'name of the model';
COMMENT ON COLUMN coopembed.model_weights.part IS 'position of the part in the file, from 1';
COMMENT ON COLUMN coopembed.model_weights.bytes IS 'contents of the part';

CREATE TABLE coopembed.attributes (
    model   text COLLATE pg_catalog."C" NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal > 0),
    name    text COLLATE pg_catalog."C" NOT NULL,
    ordered boolean NOT NULL,
    PRIMARY KEY (model, ordinal),
    UNIQUE (model, name)
);
COMMENT ON TABLE coopembed.attributes IS 'attributes of models; coop_attributes() lists them';
COMMENT ON COLUMN coopembed.attributes.model IS 'name of the model';
COMMENT ON COLUMN coopembed.attributes.ordinal IS 'number of the attribute''s subspace, from 1';
COMMENT ON COLUMN coopembed.attributes.name IS 'the name that functions take';
COMMENT ON COLUMN coopembed.attributes.ordered IS 'whether the values have an order, as sleeve lengths do';

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
COMMENT ON TABLE coopembed.attribute_values IS 'values of attributes; coop_attribute_values() lists them';
COMMENT ON COLUMN coopembed.attribute_values.model IS 'name of the model';
COMMENT ON COLUMN coopembed.attribute_values.attribute IS 'ordinal of the attribute';
COMMENT ON COLUMN coopembed.attribute_values.ordinal IS 'number of the value within its attribute, from 1; for ordered attributes also the order';
COMMENT ON COLUMN coopembed.attribute_values.value IS 'the name that functions take';
COMMENT ON COLUMN coopembed.attribute_values.images IS 'number of training images that show the value';
COMMENT ON COLUMN coopembed.attribute_values.query IS 'result of coop_attr_query(); null if no training image showed the value';
COMMENT ON COLUMN coopembed.attribute_values.own IS 'whether coop_define_attribute_value() defined it; false if it was trained';

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
COMMENT ON TABLE coopembed.categories IS 'categories of models; coop_categories() lists them';
COMMENT ON COLUMN coopembed.categories.model IS 'name of the model';
COMMENT ON COLUMN coopembed.categories.ordinal IS 'number of the category within its model, from 1';
COMMENT ON COLUMN coopembed.categories.name IS 'the name that functions take';
COMMENT ON COLUMN coopembed.categories.images IS 'number of training images in the category';
COMMENT ON COLUMN coopembed.categories.query IS 'result of coop_category_query(); null if no training image was in the category';
COMMENT ON COLUMN coopembed.categories.own IS 'whether coop_define_category() defined it; false if it was trained';

CREATE TABLE coopembed.proxies (
    model     text COLLATE pg_catalog."C" NOT NULL,
    attribute integer NOT NULL CHECK (attribute >= 0),
    points    real[] NOT NULL,
    absent    real[],
    PRIMARY KEY (model, attribute)
);
COMMENT ON TABLE coopembed.proxies IS 'proxies of attribute values and categories, learned in training; coop_predict() and coop_tags() compare embeddings with them';
COMMENT ON COLUMN coopembed.proxies.model IS 'name of the model';
COMMENT ON COLUMN coopembed.proxies.attribute IS 'ordinal of the attribute; 0 for the categories';
COMMENT ON COLUMN coopembed.proxies.points IS 'the proxies of all values in the order of their ordinals, concatenated';
COMMENT ON COLUMN coopembed.proxies.absent IS 'the proxy of images that show no value of the attribute; null if the model has none';

CREATE TABLE coopembed.synonyms (
    model     text COLLATE pg_catalog."C" NOT NULL,
    phrase    text COLLATE pg_catalog."C" NOT NULL,
    attribute text COLLATE pg_catalog."C",
    value     text COLLATE pg_catalog."C",
    PRIMARY KEY (model, phrase),
    CHECK (attribute IS NOT NULL OR value IS NOT NULL)
);
COMMENT ON TABLE coopembed.synonyms IS 'phrases that mean a word of a model in coop_query(); coop_synonyms() lists them, coop_define_synonym() adds them';
COMMENT ON COLUMN coopembed.synonyms.model IS 'name of the model';
COMMENT ON COLUMN coopembed.synonyms.phrase IS 'the words as somebody may write them';
COMMENT ON COLUMN coopembed.synonyms.attribute IS 'name of the attribute; null for a category';
COMMENT ON COLUMN coopembed.synonyms.value IS 'name of the value or category; null for no value of the attribute';

-- pg_dump dumps the rows of all of them.
SELECT pg_catalog.pg_extension_config_dump('coopembed.models', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.default_model', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.model_weights', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.attributes', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.attribute_values', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.categories', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.proxies', '');
SELECT pg_catalog.pg_extension_config_dump('coopembed.synonyms', '');

GRANT USAGE ON SCHEMA coopembed TO PUBLIC;
GRANT SELECT ON coopembed.models, coopembed.default_model, coopembed.attributes, coopembed.attribute_values, coopembed.categories,
    coopembed.proxies, coopembed.synonyms TO PUBLIC;
-- The owner of the database may add rows, as its pg_restore does. Rows come table by table and in any order, so they are checked when they are
-- used: against each other, and weights against the digest. Nobody gains more than to choose what is found in this database.
GRANT INSERT ON coopembed.models, coopembed.default_model, coopembed.model_weights, coopembed.attributes, coopembed.attribute_values,
    coopembed.categories, coopembed.proxies, coopembed.synonyms TO pg_database_owner;

-- Load and drop models, and choose the default.

CREATE FUNCTION coop_load_model(name text, directory text) RETURNS text
    AS 'MODULE_PATHNAME', 'coop_load_model_directory_wrapper' LANGUAGE C STRICT COST 1000000;
CREATE FUNCTION coop_load_model(name text, config text, weights bytea) RETURNS text
    AS 'MODULE_PATHNAME', 'coop_load_model_values_wrapper' LANGUAGE C STRICT COST 1000000;
CREATE FUNCTION coop_drop_model(name text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_model_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_set_default_model(name text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_set_default_model_wrapper' LANGUAGE C STRICT COST 10000;
COMMENT ON FUNCTION coop_load_model(text, text) IS
    'loads the model in a directory of the server (an absolute path) under a name that is not in use; returns its fingerprint, 8 hexadecimal digits. For superusers and members of pg_read_server_files';
COMMENT ON FUNCTION coop_load_model(text, text, bytea) IS
    'loads a model from the contents of its config.json and model.safetensors under a name that is not in use; returns its fingerprint. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_drop_model(text) IS
    'drops a model; its embeddings stay, and can still be compared with each other. The default model can be dropped only if no other is loaded. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_set_default_model(text) IS
    'makes a loaded model the default of the database, which functions take where none is named and coopembed.model is empty. For superusers, until EXECUTE is granted';

-- They act with the rights of the tables' owner, so EXECUTE is all that an administrator has to grant:
-- GRANT EXECUTE ON FUNCTION coop_drop_model(text) TO catalogue_team.
REVOKE ALL ON FUNCTION coop_load_model(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION coop_load_model(text, text, bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION coop_drop_model(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION coop_set_default_model(text) FROM PUBLIC;
-- The function itself checks, too, that the caller may read the server's files.
GRANT EXECUTE ON FUNCTION coop_load_model(text, text) TO pg_read_server_files;

-- A model over a connection, of any size: its weights come in parts of at most 16 MB, all in one transaction. `coopembed load` calls the
-- first two, `coopembed dump-model` the third.
CREATE FUNCTION coopembed.stage_weights(part integer, bytes bytea) RETURNS void
    AS 'MODULE_PATHNAME', 'stage_weights_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coopembed.load_staged(name text, config text, replace boolean) RETURNS text
    AS 'MODULE_PATHNAME', 'load_staged_wrapper' LANGUAGE C STRICT COST 1000000;
CREATE FUNCTION coopembed.model_part(model text, part integer) RETURNS bytea
    AS 'MODULE_PATHNAME', 'model_part_wrapper' LANGUAGE C STABLE STRICT COST 10000;
COMMENT ON FUNCTION coopembed.stage_weights(integer, bytea) IS
    'internal: keeps a part of a model''s weights for coopembed.load_staged() in the same transaction; part 1 begins anew. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coopembed.load_staged(text, text, boolean) IS
    'internal: loads a model from its config and the staged parts of its weights; returns its fingerprint. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coopembed.model_part(text, integer) IS
    'internal: a part of a model''s weights, counted from 1; null past the last. For superusers and the owner of the database';
REVOKE ALL ON FUNCTION coopembed.stage_weights(integer, bytea), coopembed.load_staged(text, text, boolean),
    coopembed.model_part(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coopembed.model_part(text, integer) TO pg_database_owner;

-- List models and their vocabulary.
--
-- COST 1000 stands for a lookup in the catalogue, some tens of microseconds. Where a model is optional there are two functions, not
-- one with a default of NULL: a NULL passed by mistake gives NULL, as everywhere in SQL, and never the default model.

CREATE FUNCTION coop_models() RETURNS TABLE (
        name text, fingerprint text, subspaces integer, subspace_dim integer, attributes bigint, categories bigint,
        backbone text, input_size integer, is_default boolean, bytes bigint, loaded_at timestamptz)
    AS 'MODULE_PATHNAME', 'coop_models_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 5;
COMMENT ON FUNCTION coop_models() IS
    'the loaded models: fingerprint, number and dimension of subspaces, number of attributes and categories, backbone, input size in pixels, whether it is the default, size of its weights in bytes';

-- For tables whose rows were made by several models. A model that is not loaded has no name here: NULL, so that such rows can be counted.
CREATE FUNCTION coop_model(embedding coopvec) RETURNS text
    AS 'MODULE_PATHNAME', 'coop_model_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION coop_model(coopvec) IS 'the name of the model that made an embedding; null if that model is not loaded';

CREATE FUNCTION coop_attributes()
    RETURNS TABLE (ordinal integer, name text, ordered boolean, value_count bigint)
    AS 'MODULE_PATHNAME', 'coop_attributes_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
CREATE FUNCTION coop_attributes(model text)
    RETURNS TABLE (ordinal integer, name text, ordered boolean, value_count bigint)
    AS 'MODULE_PATHNAME', 'coop_attributes_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION coop_attributes() IS 'the attributes of the default model, in the order of their subspaces';
COMMENT ON FUNCTION coop_attributes(text) IS 'the attributes of a model, in the order of their subspaces';

CREATE FUNCTION coop_attribute_values(attribute text)
    RETURNS TABLE (ordinal integer, value text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_attribute_values_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 20;
CREATE FUNCTION coop_attribute_values(attribute text, model text)
    RETURNS TABLE (ordinal integer, value text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_attribute_values_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 20;
COMMENT ON FUNCTION coop_attribute_values(text) IS
    'the values of an attribute of the default model: number of training images, whether coop_attr_query() has a query for it, whether coop_define_attribute_value() defined it';
COMMENT ON FUNCTION coop_attribute_values(text, text) IS 'the values of an attribute of a model, with the same columns as for the default model';

CREATE FUNCTION coop_categories()
    RETURNS TABLE (ordinal integer, name text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_categories_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
CREATE FUNCTION coop_categories(model text)
    RETURNS TABLE (ordinal integer, name text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_categories_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION coop_categories() IS
    'the categories of the default model: number of training images, whether coop_category_query() has a query for it, whether coop_define_category() defined it';
COMMENT ON FUNCTION coop_categories(text) IS 'the categories of a model, with the same columns as for the default model';

-- Define attribute values and categories from rows that somebody labelled:
-- coop_define_attribute_value('fit', 'boxy', avg(emb)). Like loading a model this changes what everybody finds, so only those may
-- to whom an administrator grants it. Not STRICT: to define something by the mean of no rows is an error.

CREATE FUNCTION coop_define_attribute_value(attribute text, value text, query coopquery) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_attribute_value_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_attribute_value(attribute text, value text, example coopvec) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_attribute_value_like_wrapper' LANGUAGE C COST 10000;
COMMENT ON FUNCTION coop_define_attribute_value(text, text, coopquery) IS
    'defines a new value of an attribute by what a query asks for in the attribute''s subspace. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_attribute_value(text, text, coopvec) IS
    'defines a new value of an attribute by an example: an embedding, or avg() of several. For superusers, until EXECUTE is granted';

CREATE FUNCTION coop_define_category(name text, query coopquery) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_category_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_category(name text, example coopvec) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_category_like_wrapper' LANGUAGE C COST 10000;
COMMENT ON FUNCTION coop_define_category(text, coopquery) IS
    'defines a new category by a query. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_category(text, coopvec) IS
    'defines a new category by an example: an embedding, or avg() of several. For superusers, until EXECUTE is granted';

CREATE FUNCTION coop_drop_attribute_value(attribute text, value text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_attribute_value_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_drop_attribute_value(attribute text, value text, model text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_attribute_value_of_wrapper' LANGUAGE C STRICT COST 10000;
COMMENT ON FUNCTION coop_drop_attribute_value(text, text) IS
    'drops a value of the default model that coop_define_attribute_value() defined; trained values cannot be dropped';
COMMENT ON FUNCTION coop_drop_attribute_value(text, text, text) IS
    'drops a value of a model that coop_define_attribute_value() defined; trained values cannot be dropped';

CREATE FUNCTION coop_drop_category(name text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_category_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_drop_category(name text, model text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_category_of_wrapper' LANGUAGE C STRICT COST 10000;
COMMENT ON FUNCTION coop_drop_category(text) IS
    'drops a category of the default model that coop_define_category() defined; trained categories cannot be dropped';
COMMENT ON FUNCTION coop_drop_category(text, text) IS
    'drops a category of a model that coop_define_category() defined; trained categories cannot be dropped';

REVOKE ALL ON FUNCTION coop_define_attribute_value(text, text, coopquery), coop_define_attribute_value(text, text, coopvec),
    coop_define_category(text, coopquery), coop_define_category(text, coopvec), coop_drop_attribute_value(text, text),
    coop_drop_attribute_value(text, text, text), coop_drop_category(text), coop_drop_category(text, text) FROM PUBLIC;

-- Phrases for descriptions that are the shop's own: coop_define_synonym('crimson', 'colour', 'red'). A phrase that had a meaning means
-- this instead.
CREATE FUNCTION coop_define_synonym(phrase text, attribute text, value text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_synonym_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_synonym(phrase text, attribute text, value text, model text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_synonym_of_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_category_synonym(phrase text, category text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_category_synonym_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_category_synonym(phrase text, category text, model text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_category_synonym_of_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_drop_synonym(phrase text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_synonym_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_drop_synonym(phrase text, model text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_synonym_of_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_synonyms() RETURNS TABLE (phrase text, attribute text, value text, category text)
    AS 'MODULE_PATHNAME', 'coop_synonyms_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 20;
CREATE FUNCTION coop_synonyms(model text) RETURNS TABLE (phrase text, attribute text, value text, category text)
    AS 'MODULE_PATHNAME', 'coop_synonyms_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 20;
COMMENT ON FUNCTION coop_define_synonym(text, text, text) IS
    'makes coop_query() understand a phrase as a value of an attribute of the default model, or as no value of it if the value is null. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_synonym(text, text, text, text) IS
    'makes coop_query() understand a phrase as a value of an attribute of a model, or as no value of it if the value is null. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_category_synonym(text, text) IS
    'makes coop_query() understand a phrase as a category of the default model. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_category_synonym(text, text, text) IS
    'makes coop_query() understand a phrase as a category of a model. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_drop_synonym(text) IS 'drops a synonym of the default model. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_drop_synonym(text, text) IS 'drops a synonym of a model. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_synonyms() IS
    'the synonyms of the default model; one without value and category means no value of the attribute';
COMMENT ON FUNCTION coop_synonyms(text) IS 'the synonyms of a model, with the same columns as for the default model';
REVOKE ALL ON FUNCTION coop_define_synonym(text, text, text), coop_define_synonym(text, text, text, text),
    coop_define_category_synonym(text, text), coop_define_category_synonym(text, text, text), coop_drop_synonym(text),
    coop_drop_synonym(text, text) FROM PUBLIC;
