-- Models: loading, dropping, listing. Queries by name and by likeness.
--
-- COST 1000 is a lookup in the catalogue, some tens of microseconds. The support function makes a statement evaluate a call that is
-- the same for all rows once (src/pg/fold.rs). Where a model is optional there are two functions, not a default of NULL:
-- a NULL that an application passes by mistake gives NULL, as everywhere, and never the default model.

CREATE FUNCTION coop_load_model(name text, directory text) RETURNS text
    AS 'MODULE_PATHNAME', 'coop_load_model_directory_wrapper' LANGUAGE C STRICT COST 1000000;
CREATE FUNCTION coop_load_model(name text, config text, weights bytea) RETURNS text
    AS 'MODULE_PATHNAME', 'coop_load_model_values_wrapper' LANGUAGE C STRICT COST 1000000;
CREATE FUNCTION coop_drop_model(name text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_model_wrapper' LANGUAGE C STRICT COST 10000;

-- These act as the owner of the tables, so the right to call one is all that an administrator need grant:
-- GRANT EXECUTE ON FUNCTION coop_drop_model(text) TO catalogue_team.
REVOKE ALL ON FUNCTION coop_load_model(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION coop_load_model(text, text, bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION coop_drop_model(text) FROM PUBLIC;
-- The function itself makes sure, too, that whoever calls it may read the server's files.
GRANT EXECUTE ON FUNCTION coop_load_model(text, text) TO pg_read_server_files;

CREATE FUNCTION coop_models() RETURNS TABLE (
        name text, fingerprint text, subspaces integer, subspace_dim integer, attributes bigint, categories bigint,
        backbone text, input_size integer, is_default boolean, bytes bigint, loaded_at timestamptz)
    AS 'MODULE_PATHNAME', 'coop_models_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 5;

CREATE FUNCTION coop_attributes()
    RETURNS TABLE (ordinal integer, name text, ordered boolean, value_count bigint)
    AS 'MODULE_PATHNAME', 'coop_attributes_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
CREATE FUNCTION coop_attributes(model text)
    RETURNS TABLE (ordinal integer, name text, ordered boolean, value_count bigint)
    AS 'MODULE_PATHNAME', 'coop_attributes_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;

CREATE FUNCTION coop_attribute_values(attribute text)
    RETURNS TABLE (ordinal integer, value text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_attribute_values_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 20;
CREATE FUNCTION coop_attribute_values(attribute text, model text)
    RETURNS TABLE (ordinal integer, value text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_attribute_values_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 20;

CREATE FUNCTION coop_categories()
    RETURNS TABLE (ordinal integer, name text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_categories_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
CREATE FUNCTION coop_categories(model text)
    RETURNS TABLE (ordinal integer, name text, images bigint, has_query boolean, own boolean)
    AS 'MODULE_PATHNAME', 'coop_categories_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;

-- Words of one's own, from rows that somebody labelled: coop_define_attribute_value('fit', 'boxy', avg(emb)). Like loading a model,
-- it changes what everybody finds, so it is for those to whom an administrator grants it. Not STRICT: a definition by the mean of
-- no rows is an error.
CREATE FUNCTION coop_define_attribute_value(attribute text, value text, query coopquery) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_attribute_value_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_attribute_value(attribute text, value text, example coopvec) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_attribute_value_like_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_category(name text, query coopquery) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_category_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_define_category(name text, example coopvec) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_define_category_like_wrapper' LANGUAGE C COST 10000;
CREATE FUNCTION coop_drop_attribute_value(attribute text, value text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_attribute_value_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_drop_attribute_value(attribute text, value text, model text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_attribute_value_of_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_drop_category(name text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_category_wrapper' LANGUAGE C STRICT COST 10000;
CREATE FUNCTION coop_drop_category(name text, model text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_drop_category_of_wrapper' LANGUAGE C STRICT COST 10000;
REVOKE ALL ON FUNCTION coop_define_attribute_value(text, text, coopquery), coop_define_attribute_value(text, text, coopvec),
    coop_define_category(text, coopquery), coop_define_category(text, coopvec), coop_drop_attribute_value(text, text),
    coop_drop_attribute_value(text, text, text), coop_drop_category(text), coop_drop_category(text, text) FROM PUBLIC;

CREATE FUNCTION coop_attr_query(attribute text, value text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_attr_query_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_attr_query(attribute text, value text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_attr_query_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;

CREATE FUNCTION coop_category_query(category text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_category_query_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_category_query(category text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_category_query_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;

-- Without attributes: like this one in all of them. What the cast to coopquery does, under the name one looks for.
CREATE FUNCTION coop_like(embedding coopvec) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopvec_to_query_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_like(embedding coopvec, VARIADIC attributes text[]) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_like_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;

CREATE FUNCTION coop_vector(numbers real[]) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_vector_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_vector(numbers real[], model text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_vector_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;

-- Explicit only: which model the numbers are of is the user's word alone.
CREATE CAST (real[] AS coopvec) WITH FUNCTION coop_vector(real[]);
