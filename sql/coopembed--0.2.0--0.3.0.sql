-- 0.2.0 to 0.3.0: everything of sql/current/ that version 0.2.0 did not have or had otherwise, file by file, with its comments and rights.
-- tests/upgrade.sh fails if ALTER EXTENSION coopembed UPDATE leaves another catalogue than CREATE EXTENSION.
\echo Use "ALTER EXTENSION coopembed UPDATE TO '0.3.0'" to load this file. \quit

-- In 0.2.0 any user could add a view to the list of graphs, and coop_knn_graphs() read it with the rights of its caller. Now only a
-- function adds to the list, and what is not a plain table is removed (at the end of this file). Without policies, a role that may read
-- all data can dump the list.
DROP POLICY readers ON coopembed.knn_graphs;
DROP POLICY owners_add ON coopembed.knn_graphs;
DROP POLICY owners_remove ON coopembed.knn_graphs;
ALTER TABLE coopembed.knn_graphs DISABLE ROW LEVEL SECURITY;
REVOKE INSERT, DELETE ON coopembed.knn_graphs FROM PUBLIC;
DROP FUNCTION coopembed.owns(regclass);

-- In 0.2.0 a setting left out partitions whose servers were down, so a user could leave out any partition. Now they are left out of one
-- statement, without a setting.
DROP FUNCTION coopembed.search_unreachable(text, coopquery, regclass);

-- k was an integer. Views that depend on the function keep it, as coopembed.coop_search().
ALTER FUNCTION coop_search(anyelement, name, coopquery, integer, text, regclass, boolean) SET SCHEMA coopembed;
DROP FUNCTION coopembed.search_statement(regtype, name, integer, text, regclass);

-- current/types.sql

-- Input is STABLE because '[0.1,0.2,...]' is an embedding of the default model.
CREATE FUNCTION coopvec_in(cstring, oid, integer) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_in_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_recv(internal, oid, integer) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_recv_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopvec_typmod_in(cstring[]) RETURNS integer
    AS 'MODULE_PATHNAME', 'coopvec_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopvec_in(cstring, oid, integer) IS 'I/O';
COMMENT ON FUNCTION coopvec_recv(internal, oid, integer) IS 'I/O';
COMMENT ON FUNCTION coopvec_typmod_in(cstring[]) IS 'I/O typmod';
-- ALTER TYPE cannot set INPUT, nor RECEIVE while there are two functions of that name. When it sets something, it records anew all that the
-- type depends on, these two functions included.
UPDATE pg_catalog.pg_type
SET typinput = '@extschema@.coopvec_in(pg_catalog.cstring,pg_catalog.oid,pg_catalog.int4)'::pg_catalog.regprocedure,
    typreceive = '@extschema@.coopvec_recv(pg_catalog.internal,pg_catalog.oid,pg_catalog.int4)'::pg_catalog.regprocedure
WHERE oid OPERATOR(pg_catalog.=) '@extschema@.coopvec'::pg_catalog.regtype;
ALTER TYPE coopvec SET (TYPMOD_IN = coopvec_typmod_in);
DROP FUNCTION coopvec_in(cstring);
DROP FUNCTION coopvec_recv(internal);

-- ANALYZE keeps how many values are null or the same, and how wide they are. It keeps no values: nobody looks for embeddings in a range, and a
-- histogram of them would take a hundred times the size of one.
CREATE FUNCTION coop_typanalyze(internal) RETURNS boolean
    AS 'MODULE_PATHNAME', 'coop_typanalyze' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coop_typanalyze(internal) IS 'ANALYZE of embeddings and queries, which keeps no values';
ALTER TYPE coopvec SET (ANALYZE = coop_typanalyze);
ALTER TYPE coopquery SET (ANALYZE = coop_typanalyze);
COMMENT ON TYPE coopvec IS
    'embedding of an image: for each attribute of its model a subspace of n half-precision numbers, of unit length; it carries the fingerprint of the model; 16 + 2 K n bytes for K subspaces; coopvec(N) takes those of N = K n dimensions';
COMMENT ON TYPE coopquery IS
    'query over embeddings: a target and a weight for each subspace (weight 0: the subspace does not count), and a constant c; distance^2 = c + sum of w ||target - embedding||^2';

-- coopvec(650) takes embeddings of 650 dimensions only.
CREATE FUNCTION coopvec(coopvec, integer, boolean) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coopvec_check_dimensions' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (coopvec AS coopvec) WITH FUNCTION coopvec(coopvec, integer, boolean) AS IMPLICIT;
COMMENT ON FUNCTION coopvec(coopvec, integer, boolean) IS 'the embedding, if it has as many dimensions as the type modifier says';
COMMENT ON CAST (coopvec AS coopvec) IS 'checks the dimensions that coopvec(n) asks for';

-- current/initplan.sql

COMMENT ON FUNCTION coop_fold_support(internal) IS
    'planner support: a call whose arguments are the same for all rows is evaluated once per statement';

-- current/operators.sql

COMMENT ON OPERATOR = (coopvec, coopvec) IS 'equal: the same model and the same bits';
COMMENT ON OPERATOR <> (coopvec, coopvec) IS 'not equal: another model or other bits';
COMMENT ON OPERATOR FAMILY coopvec_hash_ops USING hash IS 'equality of embeddings';
COMMENT ON OPERATOR CLASS coopvec_hash_ops USING hash IS 'equality of embeddings, for hash joins, GROUP BY and DISTINCT';

-- The same for queries. No weight or constant is -0, so queries that say the same have the same bits, but for a -0 in a target.
CREATE FUNCTION coopquery_eq(coopquery, coopquery) RETURNS boolean
    AS 'byteaeq' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_ne(coopquery, coopquery) RETURNS boolean
    AS 'byteane' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_hash(coopquery) RETURNS integer
    AS 'hashvarlena' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION coopquery_hash_extended(coopquery, bigint) RETURNS bigint
    AS 'hashvarlenaextended' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopquery_eq(coopquery, coopquery) IS 'implementation of the = operator';
COMMENT ON FUNCTION coopquery_ne(coopquery, coopquery) IS 'implementation of the <> operator';
COMMENT ON FUNCTION coopquery_hash(coopquery) IS 'hash';
COMMENT ON FUNCTION coopquery_hash_extended(coopquery, bigint) IS 'hash';

CREATE OPERATOR = (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_eq, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR <> (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_ne, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR = (coopquery, coopquery) IS 'equal: the same model and the same bits';
COMMENT ON OPERATOR <> (coopquery, coopquery) IS 'not equal: another model or other bits';
CREATE OPERATOR CLASS coopquery_hash_ops DEFAULT FOR TYPE coopquery USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 coopquery_hash(coopquery),
    FUNCTION 2 coopquery_hash_extended(coopquery, bigint);
COMMENT ON OPERATOR FAMILY coopquery_hash_ops USING hash IS 'equality of queries';
COMMENT ON OPERATOR CLASS coopquery_hash_ops USING hash IS 'equality of queries, for hash joins, GROUP BY and DISTINCT';

-- An order, for UNIQUE, count(DISTINCT), ORDER BY and merge joins: that of the bytes, shape and model first. It means nothing, and is not
-- the order of distances.
CREATE FUNCTION coopvec_lt(coopvec, coopvec) RETURNS boolean
    AS 'bytealt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_le(coopvec, coopvec) RETURNS boolean
    AS 'byteale' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_ge(coopvec, coopvec) RETURNS boolean
    AS 'byteage' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_gt(coopvec, coopvec) RETURNS boolean
    AS 'byteagt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_cmp(coopvec, coopvec) RETURNS integer
    AS 'byteacmp' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopvec_sortsupport(internal) RETURNS void
    AS 'bytea_sortsupport' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopvec_lt(coopvec, coopvec) IS 'implementation of the < operator';
COMMENT ON FUNCTION coopvec_le(coopvec, coopvec) IS 'implementation of the <= operator';
COMMENT ON FUNCTION coopvec_ge(coopvec, coopvec) IS 'implementation of the >= operator';
COMMENT ON FUNCTION coopvec_gt(coopvec, coopvec) IS 'implementation of the > operator';
COMMENT ON FUNCTION coopvec_cmp(coopvec, coopvec) IS 'less-equal-greater';
COMMENT ON FUNCTION coopvec_sortsupport(internal) IS 'sort support';

CREATE OPERATOR < (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_lt, COMMUTATOR = >, NEGATOR = >=,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_le, COMMUTATOR = >=, NEGATOR = >,
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR >= (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_ge, COMMUTATOR = <=, NEGATOR = <,
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR > (
    LEFTARG = coopvec, RIGHTARG = coopvec, FUNCTION = coopvec_gt, COMMUTATOR = <, NEGATOR = <=,
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR < (coopvec, coopvec) IS 'before, byte by byte';
COMMENT ON OPERATOR <= (coopvec, coopvec) IS 'before or equal, byte by byte';
COMMENT ON OPERATOR >= (coopvec, coopvec) IS 'after or equal, byte by byte';
COMMENT ON OPERATOR > (coopvec, coopvec) IS 'after, byte by byte';
CREATE OPERATOR CLASS coopvec_btree_ops DEFAULT FOR TYPE coopvec USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 coopvec_cmp(coopvec, coopvec),
    FUNCTION 2 (coopvec, coopvec) coopvec_sortsupport(internal),
    FUNCTION 4 (coopvec, coopvec) pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR FAMILY coopvec_btree_ops USING btree IS 'bytewise order of embeddings';
COMMENT ON OPERATOR CLASS coopvec_btree_ops USING btree IS 'bytewise order of embeddings, for UNIQUE, count(DISTINCT), ORDER BY and merge joins';

-- ALTER OPERATOR can set MERGES from version 17 on only.
UPDATE pg_catalog.pg_operator SET oprcanmerge = true
WHERE oid OPERATOR(pg_catalog.=) '@extschema@.=(@extschema@.coopvec,@extschema@.coopvec)'::pg_catalog.regoperator;

CREATE FUNCTION coopquery_lt(coopquery, coopquery) RETURNS boolean
    AS 'bytealt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_le(coopquery, coopquery) RETURNS boolean
    AS 'byteale' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_ge(coopquery, coopquery) RETURNS boolean
    AS 'byteage' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_gt(coopquery, coopquery) RETURNS boolean
    AS 'byteagt' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_cmp(coopquery, coopquery) RETURNS integer
    AS 'byteacmp' LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION coopquery_sortsupport(internal) RETURNS void
    AS 'bytea_sortsupport' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION coopquery_lt(coopquery, coopquery) IS 'implementation of the < operator';
COMMENT ON FUNCTION coopquery_le(coopquery, coopquery) IS 'implementation of the <= operator';
COMMENT ON FUNCTION coopquery_ge(coopquery, coopquery) IS 'implementation of the >= operator';
COMMENT ON FUNCTION coopquery_gt(coopquery, coopquery) IS 'implementation of the > operator';
COMMENT ON FUNCTION coopquery_cmp(coopquery, coopquery) IS 'less-equal-greater';
COMMENT ON FUNCTION coopquery_sortsupport(internal) IS 'sort support';

CREATE OPERATOR < (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_lt, COMMUTATOR = >, NEGATOR = >=,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_le, COMMUTATOR = >=, NEGATOR = >,
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR >= (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_ge, COMMUTATOR = <=, NEGATOR = <,
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR > (
    LEFTARG = coopquery, RIGHTARG = coopquery, FUNCTION = coopquery_gt, COMMUTATOR = <, NEGATOR = <=,
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR < (coopquery, coopquery) IS 'before, byte by byte';
COMMENT ON OPERATOR <= (coopquery, coopquery) IS 'before or equal, byte by byte';
COMMENT ON OPERATOR >= (coopquery, coopquery) IS 'after or equal, byte by byte';
COMMENT ON OPERATOR > (coopquery, coopquery) IS 'after, byte by byte';
CREATE OPERATOR CLASS coopquery_btree_ops DEFAULT FOR TYPE coopquery USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 coopquery_cmp(coopquery, coopquery),
    FUNCTION 2 (coopquery, coopquery) coopquery_sortsupport(internal),
    FUNCTION 4 (coopquery, coopquery) pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR FAMILY coopquery_btree_ops USING btree IS 'bytewise order of queries';
COMMENT ON OPERATOR CLASS coopquery_btree_ops USING btree IS 'bytewise order of queries, for UNIQUE, count(DISTINCT), ORDER BY and merge joins';

COMMENT ON OPERATOR <-> (coopvec, coopvec) IS
    'distance between two embeddings over all subspaces; an error (22000) if their models differ. Indexes USING coop serve it';
COMMENT ON OPERATOR <-> (coopvec, coopquery) IS
    'distance of an embedding from what a query asks for; an error (22000) if their models differ. Indexes USING coop serve it';
COMMENT ON OPERATOR <-> (coopquery, coopvec) IS 'distance of an embedding from what a query asks for';
COMMENT ON OPERATOR + (coopquery, coopquery) IS
    'sum of two queries: weights add, targets in one subspace become their weighted mean';
COMMENT ON OPERATOR * (double precision, coopquery) IS 'a query with its weights multiplied by a number, which must be positive and finite';
COMMENT ON OPERATOR * (coopquery, double precision) IS 'a query with its weights multiplied by a number, which must be positive and finite';
COMMENT ON FUNCTION coopquery(coopvec) IS 'query: like this embedding in every subspace, each with weight 1';
COMMENT ON CAST (coopvec AS coopquery) IS 'like this embedding in every subspace; exact';

-- current/aggregates.sql

COMMENT ON AGGREGATE avg(coopvec) IS 'the mean of embeddings of one model, not normalised; ignores NULLs, is NULL for no rows';

-- The sum of no rows is NULL, and NULLs are skipped, as coop_plus() is STRICT. SSPACE: a query in all subspaces of 400 dimensions.
CREATE AGGREGATE sum(coopquery) (
    SFUNC = coop_plus, STYPE = coopquery, SSPACE = 1700, COMBINEFUNC = coop_plus, PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(coopquery) IS 'the sum of queries of one model, as by +; ignores NULLs, is NULL for no rows';

-- current/am.sql

COMMENT ON ACCESS METHOD coop IS 'exact nearest neighbours of embeddings, over any subspaces with any weights';
CREATE TYPE coopembed.ball AS (query coopquery, radius double precision);
COMMENT ON TYPE coopembed.ball IS 'internal: the embeddings within a distance of a query';
CREATE FUNCTION coopembed.is_in_ball(coopvec, coopembed.ball) RETURNS boolean
    AS 'MODULE_PATHNAME', 'coop_is_in_ball' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3;
COMMENT ON FUNCTION coopembed.is_in_ball(coopvec, coopembed.ball) IS 'implementation of the <@ operator';
CREATE OPERATOR <@ (LEFTARG = coopvec, RIGHTARG = coopembed.ball, FUNCTION = coopembed.is_in_ball, RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR <@ (coopvec, coopembed.ball) IS
    'internal: is the embedding within a distance of a query, or a thousandth beyond it? As an index condition it stands for emb <-> query < r';

ALTER OPERATOR FAMILY coopvec_ops USING coop ADD OPERATOR 3 <@ (coopvec, coopembed.ball);
COMMENT ON OPERATOR FAMILY coopvec_ops USING coop IS 'ORDER BY embedding <-> query or embedding, and embedding <-> query < distance';
COMMENT ON OPERATOR CLASS coopvec_ops USING coop IS
    'ORDER BY embedding <-> query or embedding, and embedding <-> query < distance; WITH (tail_rows = N): how many new rows are collected before they are packed into groups, default 2048';
COMMENT ON FUNCTION coop_index_check(regclass) IS
    'compares an index with its table and returns the number of rows compared; an error (XX002) says what is damaged or missing. For the owner of the index';
COMMENT ON FUNCTION coop_last_scan() IS
    'counters of the last index scan of this session: rows in the index, rows whose distance was bounded, rows whose distance was refined with all bits, rows returned; no row before the first scan';

CREATE FUNCTION coop_last_scan_recall()
    RETURNS TABLE (recall float8, is_exact boolean, rows_ranked bigint, rows_estimated bigint)
    AS 'MODULE_PATHNAME', 'coop_last_scan_recall_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION coop_last_scan_recall() IS
    'the recall that the last index scan of this session was to find, null with coopembed.candidates; whether the scan was exact, as one at a recall becomes where ranking rows tells too little; rows ranked by their cells, and rows whose distance was estimated by their sketches; no row before the first scan';

-- current/catalog.sql

COMMENT ON SCHEMA coopembed IS 'tables and internal functions of the coopembed extension';
COMMENT ON TABLE coopembed.models IS 'models by name; coop_models() lists them, coop_load_model() and coop_drop_model() change them';
COMMENT ON COLUMN coopembed.models.digest IS 'SHA-256 of everything that determines an embedding: architecture, vocabulary, preprocessing, weights';
COMMENT ON COLUMN coopembed.models.fingerprint IS 'the first 32 bits of the digest, which every embedding of the model carries';
COMMENT ON COLUMN coopembed.models.subspaces IS 'K: number of subspaces, one for each attribute';
COMMENT ON COLUMN coopembed.models.subspace_dim IS 'n: dimensions of each subspace';
COMMENT ON COLUMN coopembed.models.config IS 'config.json; characters that the encoding of the database lacks are escaped';
COMMENT ON COLUMN coopembed.models.loaded_at IS 'when the model was loaded into this database';
COMMENT ON TABLE coopembed.model_weights IS 'model.safetensors of each model, in parts; only its owner may read it';
COMMENT ON COLUMN coopembed.model_weights.part IS 'position of the part in the file, from 1';
COMMENT ON COLUMN coopembed.model_weights.bytes IS 'contents of the part';
COMMENT ON TABLE coopembed.attributes IS 'attributes of models; coop_attributes() lists them';
COMMENT ON COLUMN coopembed.attributes.ordinal IS 'number of the attribute''s subspace, from 1';
COMMENT ON COLUMN coopembed.attributes.ordered IS 'whether the values have an order, as sleeve lengths do';
COMMENT ON TABLE coopembed.attribute_values IS 'values of attributes; coop_attribute_values() lists them';
COMMENT ON COLUMN coopembed.attribute_values.ordinal IS 'number of the value within its attribute, from 1; for ordered attributes also the order';
COMMENT ON COLUMN coopembed.attribute_values.images IS 'number of training images that show the value';
COMMENT ON COLUMN coopembed.attribute_values.query IS 'result of coop_attr_query(); null if no training image showed the value';
COMMENT ON COLUMN coopembed.attribute_values.own IS 'whether coop_define_attribute_value() defined it; false if it was trained';
COMMENT ON TABLE coopembed.categories IS 'categories of models; coop_categories() lists them';
COMMENT ON COLUMN coopembed.categories.ordinal IS 'number of the category within its model, from 1';
COMMENT ON COLUMN coopembed.categories.images IS 'number of training images in the category';
COMMENT ON COLUMN coopembed.categories.query IS 'result of coop_category_query(); null if no training image was in the category';
COMMENT ON COLUMN coopembed.categories.own IS 'whether coop_define_category() defined it; false if it was trained';
COMMENT ON TABLE coopembed.proxies IS 'proxies of attribute values and categories, learned in training; coop_predict() and coop_tags() compare embeddings with them';
COMMENT ON COLUMN coopembed.proxies.attribute IS 'ordinal of the attribute; 0 for the categories';
COMMENT ON COLUMN coopembed.proxies.points IS 'the proxies of all values in the order of their ordinals, concatenated';
COMMENT ON COLUMN coopembed.proxies.absent IS 'the proxy of images that show no value of the attribute; null if the model has none';
COMMENT ON FUNCTION coop_load_model(text, text) IS
    'loads the model in a directory of the server (an absolute path) under a name that is not in use; returns its fingerprint, 8 hexadecimal digits. For superusers and members of pg_read_server_files';
COMMENT ON FUNCTION coop_load_model(text, text, bytea) IS
    'loads a model from the contents of its config.json and model.safetensors under a name that is not in use; returns its fingerprint. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_drop_model(text) IS
    'drops a model; its embeddings stay, and can still be compared with each other. The default model can be dropped only if no other is loaded. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_models() IS
    'the loaded models: fingerprint, number and dimension of subspaces, number of attributes and categories, backbone, input size in pixels, whether it is the default, size of its weights in bytes';

-- For tables whose rows were made by several models. A model that is not loaded has no name here: NULL, so that such rows can be counted.
CREATE FUNCTION coop_model(embedding coopvec) RETURNS text
    AS 'MODULE_PATHNAME', 'coop_model_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION coop_model(coopvec) IS 'the name of the model that made an embedding; null if that model is not loaded';
COMMENT ON FUNCTION coop_attributes() IS 'the attributes of the default model, in the order of their subspaces';
COMMENT ON FUNCTION coop_attributes(text) IS 'the attributes of a model, in the order of their subspaces';
COMMENT ON FUNCTION coop_attribute_values(text) IS
    'the values of an attribute of the default model: number of training images, whether coop_attr_query() has a query for it, whether coop_define_attribute_value() defined it';
COMMENT ON FUNCTION coop_attribute_values(text, text) IS 'the values of an attribute of a model, with the same columns as for the default model';
COMMENT ON FUNCTION coop_categories() IS
    'the categories of the default model: number of training images, whether coop_category_query() has a query for it, whether coop_define_category() defined it';
COMMENT ON FUNCTION coop_categories(text) IS 'the categories of a model, with the same columns as for the default model';
COMMENT ON FUNCTION coop_define_attribute_value(text, text, coopquery) IS
    'defines a new value of an attribute by what a query asks for in the attribute''s subspace. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_attribute_value(text, text, coopvec) IS
    'defines a new value of an attribute by an example: an embedding, or avg() of several. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_category(text, coopquery) IS
    'defines a new category by a query. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_define_category(text, coopvec) IS
    'defines a new category by an example: an embedding, or avg() of several. For superusers, until EXECUTE is granted';
COMMENT ON FUNCTION coop_drop_attribute_value(text, text) IS
    'drops a value of the default model that coop_define_attribute_value() defined; trained values cannot be dropped';
COMMENT ON FUNCTION coop_drop_attribute_value(text, text, text) IS
    'drops a value of a model that coop_define_attribute_value() defined; trained values cannot be dropped';
COMMENT ON FUNCTION coop_drop_category(text) IS
    'drops a category of the default model that coop_define_category() defined; trained categories cannot be dropped';
COMMENT ON FUNCTION coop_drop_category(text, text) IS
    'drops a category of a model that coop_define_category() defined; trained categories cannot be dropped';

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
SELECT pg_catalog.pg_extension_config_dump('coopembed.synonyms', '');
GRANT SELECT ON coopembed.synonyms TO PUBLIC;
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
CREATE TABLE coopembed.default_model (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    model    text COLLATE pg_catalog."C" NOT NULL
);
COMMENT ON TABLE coopembed.default_model IS 'the model that functions take where none is named and coopembed.model is empty; coop_set_default_model() changes it';
COMMENT ON COLUMN coopembed.default_model.only_row IS 'true: there is one row at most';
COMMENT ON COLUMN coopembed.default_model.model IS 'name of the model';
SELECT pg_catalog.pg_extension_config_dump('coopembed.default_model', '');
GRANT SELECT ON coopembed.default_model TO PUBLIC;
-- The owner of the database may add rows, as its pg_restore does. Rows come table by table and in any order, so they are checked when they are
-- used: against each other, and weights against the digest. Nobody gains more than to choose what is found in this database.
GRANT INSERT ON coopembed.models, coopembed.default_model, coopembed.model_weights, coopembed.attributes, coopembed.attribute_values,
    coopembed.categories, coopembed.proxies, coopembed.synonyms TO pg_database_owner;
CREATE FUNCTION coop_set_default_model(name text) RETURNS void
    AS 'MODULE_PATHNAME', 'coop_set_default_model_wrapper' LANGUAGE C STRICT COST 10000;
COMMENT ON FUNCTION coop_set_default_model(text) IS
    'makes a loaded model the default of the database, which functions take where none is named and coopembed.model is empty. For superusers, until EXECUTE is granted';
REVOKE ALL ON FUNCTION coop_set_default_model(text) FROM PUBLIC;
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
-- The only model was the default. Where there are several, none was, and none becomes it.
INSERT INTO coopembed.default_model (model)
    SELECT m.name FROM coopembed.models m WHERE (SELECT pg_catalog.count(*) FROM coopembed.models) OPERATOR(pg_catalog.=) 1;

-- current/queries.sql

-- Queries by value or category are NULL if an argument is, but not STRICT: a constant NULL would vanish while planning, and with it the notice
-- that rows come in no particular order. Functions in SQL around them are not STRICT either, or they would not be inlined.
CREATE OR REPLACE FUNCTION coop_attr_query(attribute text, value text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_attr_query_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE OR REPLACE FUNCTION coop_attr_query(attribute text, value text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_attr_query_of_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE OR REPLACE FUNCTION coop_category_query(category text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_category_query_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE OR REPLACE FUNCTION coop_category_query(category text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_category_query_of_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_attr_query(text, text) IS
    'query: this value of this attribute of the default model; all else does not matter. An unknown name is an error (42704) that suggests similar ones';
COMMENT ON FUNCTION coop_attr_query(text, text, text) IS 'query: this value of this attribute of a model; all else does not matter';
CREATE FUNCTION coop_attr_query(attribute text, value bigint) RETURNS coopquery
    LANGUAGE sql STABLE PARALLEL SAFE RETURN coop_attr_query(attribute, value::text);
CREATE FUNCTION coop_attr_query(attribute text, value bigint, model text) RETURNS coopquery
    LANGUAGE sql STABLE PARALLEL SAFE RETURN coop_attr_query(attribute, value::text, model);
COMMENT ON FUNCTION coop_attr_query(text, bigint) IS 'query: this value, a whole number, of this attribute of the default model';
COMMENT ON FUNCTION coop_attr_query(text, bigint, text) IS 'query: this value, a whole number, of this attribute of a model';
CREATE FUNCTION coop_not(query coopquery) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_not_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_not(attribute text, value text) RETURNS coopquery
    LANGUAGE sql STABLE PARALLEL SAFE RETURN coop_not(coop_attr_query(attribute, value));
CREATE FUNCTION coop_absent(attribute text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_absent_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_absent(attribute text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_absent_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_not(coopquery) IS
    'query: what is least like another query, in the attributes that it is about. It puts embeddings of unit length in the reverse order';
COMMENT ON FUNCTION coop_not(text, text) IS 'query: what looks least like this value of this attribute of the default model';
COMMENT ON FUNCTION coop_absent(text) IS
    'query: no value of this attribute of the default model; an error (22023) if the model has not learned what that looks like';
COMMENT ON FUNCTION coop_absent(text, text) IS
    'query: no value of this attribute of a model; an error (22023) if the model has not learned what that looks like';
COMMENT ON FUNCTION coop_like(coopvec) IS 'query: like this embedding in every attribute';
COMMENT ON FUNCTION coop_like(coopvec, text[]) IS 'query: like this embedding in these attributes; all else does not matter';
-- Renamed, not dropped: views may call them.
DROP CAST (real[] AS coopvec);
ALTER FUNCTION coop_vector(real[]) RENAME TO coopvec;
ALTER FUNCTION coop_vector(real[], text) SET SCHEMA coopembed;
CREATE FUNCTION coop_vector(numbers double precision[]) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_vector_float8_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_vector(numbers double precision[], model text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_vector_float8_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_vector(double precision[]) IS
    'the embedding of the default model with these numbers, which are stored as they are, without normalising; as many as all subspaces have dimensions';
COMMENT ON FUNCTION coop_vector(double precision[], text) IS
    'the embedding of a model with these numbers, which are stored as they are, without normalising; as many as all subspaces have dimensions';

-- current/casts.sql

-- From arrays, on assignment or by an explicit cast: never implicitly, or `numbers = numbers` would have two meanings. The embedding is one
-- of the default model.
COMMENT ON FUNCTION coopvec(real[]) IS 'the embedding of the default model with these numbers, as by coop_vector()';
COMMENT ON FUNCTION coopembed.coop_vector(real[], text) IS 'internal: coop_vector() of version 0.2.0, for views that call it';
-- The rest in SQL that the planner inlines, so that their embedding, too, is made once for a statement.
CREATE FUNCTION coopvec(numbers numeric[]) RETURNS coopvec LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
    RETURN coop_vector(numbers);
CREATE FUNCTION coopvec(numbers integer[]) RETURNS coopvec LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
    RETURN coop_vector(numbers);
CREATE FUNCTION coopvec(numbers smallint[]) RETURNS coopvec LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
    RETURN coop_vector(numbers);
CREATE FUNCTION coopvec(numbers bigint[]) RETURNS coopvec LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
    RETURN coop_vector(numbers);
COMMENT ON FUNCTION coopvec(numeric[]) IS 'the embedding of the default model with these numbers, as by coop_vector()';
COMMENT ON FUNCTION coopvec(integer[]) IS 'the embedding of the default model with these numbers, as by coop_vector()';
COMMENT ON FUNCTION coopvec(smallint[]) IS 'the embedding of the default model with these numbers, as by coop_vector()';
COMMENT ON FUNCTION coopvec(bigint[]) IS 'the embedding of the default model with these numbers, as by coop_vector()';

CREATE CAST (real[] AS coopvec) WITH FUNCTION coopvec(real[]) AS ASSIGNMENT;
CREATE CAST (double precision[] AS coopvec) WITH FUNCTION coop_vector(double precision[]) AS ASSIGNMENT;
CREATE CAST (numeric[] AS coopvec) WITH FUNCTION coopvec(numeric[]) AS ASSIGNMENT;
CREATE CAST (integer[] AS coopvec) WITH FUNCTION coopvec(integer[]) AS ASSIGNMENT;
CREATE CAST (smallint[] AS coopvec) WITH FUNCTION coopvec(smallint[]) AS ASSIGNMENT;
CREATE CAST (bigint[] AS coopvec) WITH FUNCTION coopvec(bigint[]) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS coopvec) IS 'an embedding of the default model, as by coop_vector()';
COMMENT ON CAST (double precision[] AS coopvec) IS 'an embedding of the default model, as by coop_vector()';
COMMENT ON CAST (numeric[] AS coopvec) IS 'an embedding of the default model, as by coop_vector()';
COMMENT ON CAST (integer[] AS coopvec) IS 'an embedding of the default model, as by coop_vector()';
COMMENT ON CAST (smallint[] AS coopvec) IS 'an embedding of the default model, as by coop_vector()';
COMMENT ON CAST (bigint[] AS coopvec) IS 'an embedding of the default model, as by coop_vector()';

-- `emb <-> '{0.1,0.2,...}'::float8[]`, as drivers send a list. The planner inlines them, so that they use the index like `emb <-> emb`.
CREATE FUNCTION coop_distance(coopvec, double precision[]) RETURNS double precision LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
    RETURN $1 <-> coop_vector($2);
CREATE FUNCTION coop_distance(double precision[], coopvec) RETURNS double precision LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
    RETURN coop_vector($1) <-> $2;
COMMENT ON FUNCTION coop_distance(coopvec, double precision[]) IS 'implementation of the <-> operator';
COMMENT ON FUNCTION coop_distance(double precision[], coopvec) IS 'implementation of the <-> operator';
CREATE OPERATOR <-> (LEFTARG = coopvec, RIGHTARG = double precision[], FUNCTION = coop_distance, COMMUTATOR = <->);
CREATE OPERATOR <-> (LEFTARG = double precision[], RIGHTARG = coopvec, FUNCTION = coop_distance, COMMUTATOR = <->);
COMMENT ON OPERATOR <-> (coopvec, double precision[]) IS
    'distance from the embedding of the default model with these numbers, as by coop_vector(). Indexes USING coop serve it';
COMMENT ON OPERATOR <-> (double precision[], coopvec) IS
    'distance from the embedding of the default model with these numbers, as by coop_vector()';

-- To arrays, on assignment or by an explicit cast. The numbers are exact, but the fingerprint of the model is lost.
CREATE FUNCTION coopvec_to_float8_array(coopvec) RETURNS double precision[]
    AS 'MODULE_PATHNAME', 'coopvec_to_float8_array_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION coopvec_to_numeric_array(coopvec) RETURNS numeric[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10
    RETURN coopvec_to_float8_array($1)::numeric[];
CREATE CAST (coopvec AS double precision[]) WITH FUNCTION coopvec_to_float8_array(coopvec) AS ASSIGNMENT;
CREATE CAST (coopvec AS numeric[]) WITH FUNCTION coopvec_to_numeric_array(coopvec) AS ASSIGNMENT;
COMMENT ON FUNCTION coopvec_to_float8_array(coopvec) IS 'the K n numbers of an embedding, subspace after subspace';
COMMENT ON FUNCTION coopvec_to_numeric_array(coopvec) IS 'the K n numbers of an embedding, subspace after subspace';
COMMENT ON CAST (coopvec AS real[]) IS 'the numbers of an embedding; exact, but without the fingerprint of its model';
COMMENT ON CAST (coopvec AS double precision[]) IS 'the numbers of an embedding; exact, but without the fingerprint of its model';
COMMENT ON CAST (coopvec AS numeric[]) IS 'the numbers of an embedding; exact, but without the fingerprint of its model';

-- To jsonb; and so to json, by emb::jsonb::json. There is no cast to json, which to_json() and row_to_json() would use: they go on to write the
-- text form, which can be read again.
CREATE FUNCTION coopvec_to_jsonb(coopvec) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'coopvec_to_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION coopquery_to_jsonb(coopquery) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'coopquery_to_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
CREATE CAST (coopvec AS jsonb) WITH FUNCTION coopvec_to_jsonb(coopvec) AS ASSIGNMENT;
CREATE CAST (coopquery AS jsonb) WITH FUNCTION coopquery_to_jsonb(coopquery) AS ASSIGNMENT;
COMMENT ON FUNCTION coopvec_to_jsonb(coopvec) IS 'the K n numbers of an embedding as a JSON array';
COMMENT ON FUNCTION coopquery_to_jsonb(coopquery) IS
    'a query as a JSON object: model, constant and subspaces, each with ordinal (as in coop_attributes()), weight and target';
COMMENT ON CAST (coopvec AS jsonb) IS 'an array of the numbers of an embedding; without the fingerprint of its model';
COMMENT ON CAST (coopquery AS jsonb) IS 'an object with model, constant and subspaces of a query';

-- current/description.sql

CREATE FUNCTION coop_query(description text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_query_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_query(description text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_query_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_query_explain(description text)
    RETURNS TABLE (phrase text, attribute text, value text, category text, negated boolean, weight double precision)
    AS 'MODULE_PATHNAME', 'coop_query_explain_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000 ROWS 5;
CREATE FUNCTION coop_query_explain(description text, model text)
    RETURNS TABLE (phrase text, attribute text, value text, category text, negated boolean, weight double precision)
    AS 'MODULE_PATHNAME', 'coop_query_explain_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000 ROWS 5;
COMMENT ON FUNCTION coop_query(text) IS
    'query: what a description asks for, in words of the default model and their synonyms, such as ''floral dress, long sleeves, not black''; words that mean nothing are told in a NOTICE';
COMMENT ON FUNCTION coop_query(text, text) IS 'query: what a description asks for, in words of a model and their synonyms';
COMMENT ON FUNCTION coop_query_explain(text) IS
    'what coop_query() understands of a description: each phrase with what it means to the default model; nulls for words that mean nothing';
COMMENT ON FUNCTION coop_query_explain(text, text) IS 'what coop_query() understands of a description by the words of a model';

-- current/algebra.sql

COMMENT ON FUNCTION coop_replace(coopvec, text, text) IS 'the embedding with this value of this attribute';
COMMENT ON FUNCTION coop_replace(coopvec, coopquery) IS 'the embedding with the query''s targets in the subspaces where the query has a weight';
CREATE FUNCTION coop_replace(embedding coopvec, attribute text, value bigint) RETURNS coopvec
    LANGUAGE sql STABLE STRICT PARALLEL SAFE RETURN coop_replace(embedding, attribute, value::text);
COMMENT ON FUNCTION coop_replace(coopvec, text, bigint) IS 'the embedding with this value, a whole number, of this attribute';

CREATE FUNCTION coop_not(embedding coopvec, attribute text, value text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_not_value_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_not(coopvec, text, text) IS
    'the embedding, if it is nearer to another value of the attribute than to this one; or else with the nearest other value';
COMMENT ON FUNCTION coop_blend(coopvec, coopvec, text[]) IS 'the first embedding with the subspaces of these attributes taken from the second';
COMMENT ON FUNCTION coop_explain(coopvec, coopquery) IS
    'what each attribute contributes to the square of embedding <-> query; the row without an attribute is the query''s constant';
COMMENT ON FUNCTION coop_explain(coopvec, coopvec) IS 'what each attribute contributes to the square of embedding <-> other';

-- current/tags.sql

COMMENT ON FUNCTION coop_predict(coopvec, text) IS
    'the values of an attribute with the probability that an embedding shows them, likeliest first; the null value stands for none of them';
COMMENT ON FUNCTION coop_predict_category(coopvec) IS
    'the categories with the probability that an embedding belongs to them, likeliest first';
COMMENT ON FUNCTION coop_tags(coopvec) IS
    'the likeliest value of each attribute and the likeliest category: {"attributes": {name: {"value", "probability"}}, "category": {"value", "probability"}}; with a list "values" for attributes of which an image may show several';

-- current/embed.sql

COMMENT ON FUNCTION coop_embed(bytea) IS
    'the embedding of an image (JPEG, PNG, WebP, AVIF, JPEG XL, GIF, TIFF, BMP, PNM, ICO) by the default model; errors: 22000 the image cannot be decoded, 54000 it is too large, 53000 the queue of the inference service is full or coopembed.queue_timeout has passed';
COMMENT ON FUNCTION coop_embed(bytea, text) IS 'the embedding of an image by the model of that name; errors as for the default model';
-- A box is required where it can be given: with a default, coop_embed(image, model => ...) would fit two functions.
CREATE FUNCTION coop_embed(image bytea, box box, model text DEFAULT NULL) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_embed_box_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 100000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_embed(bytea, box, text) IS
    'the embedding of an image''s part in a box (null: of the whole image), in pixels of the upright image from its top left corner, by a model (null: the default model)';

-- Not an overload of coop_embed(): with coop_embed(oid), PostgreSQL could not tell what coop_embed('\x...') and coop_embed($1) of a driver that
-- names no types mean.
CREATE FUNCTION coop_embed_lo(lo oid, model text DEFAULT NULL, box box DEFAULT NULL) RETURNS coopvec
    LANGUAGE sql STABLE PARALLEL RESTRICTED COST 100000 SUPPORT coop_fold_support
    RETURN coop_embed(pg_catalog.lo_get(lo), box, model);
COMMENT ON FUNCTION coop_embed_lo(oid, text, box) IS
    'the embedding of an image in a large object, which the caller must be allowed to read; model and box as for coop_embed()';

-- current/retrieval.sql

-- The name of a relation for use in a statement: quoted and with its schema, whatever the search_path is.
CREATE FUNCTION coopembed.qualified(rel regclass) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rel $$;
COMMENT ON FUNCTION coopembed.qualified(regclass) IS 'internal: the name of a relation for use in a statement, quoted and with its schema';

-- The type under a domain, or the type itself.
CREATE FUNCTION coopembed.base_type(type regtype) RETURNS regtype LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    WITH RECURSIVE under AS (
        SELECT type::oid AS oid UNION ALL SELECT t.typbasetype FROM pg_type t JOIN under u ON t.oid = u.oid WHERE t.typtype = 'd')
    SELECT u.oid::regtype FROM under u JOIN pg_type t ON t.oid = u.oid WHERE t.typtype <> 'd' $$;
COMMENT ON FUNCTION coopembed.base_type(regtype) IS 'internal: the type under a domain, or the type itself';

-- The quoted name of a column of type coopvec, or an error whose hint names those that the relation has.
CREATE OR REPLACE FUNCTION coopembed.embedding_column(rel regclass, name name) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    embeddings CONSTANT regtype := '@extschema@.coopvec';
    found regtype := (SELECT atttypid FROM pg_attribute WHERE attrelid = rel AND attname = name AND attnum > 0 AND NOT attisdropped);
    hint text;
BEGIN
    IF coopembed.base_type(found) = embeddings THEN
        RETURN quote_ident(name);
    END IF;
    SELECT COALESCE('Its columns of type coopvec: ' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || '.',
        'It has no column of type coopvec.') INTO hint
    FROM pg_attribute WHERE attrelid = rel AND coopembed.base_type(atttypid) = embeddings AND attnum > 0 AND NOT attisdropped;
    IF found IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', name, rel), HINT = hint;
    END IF;
    RAISE datatype_mismatch USING MESSAGE = format('column "%s" of relation %s does not contain embeddings', name, rel),
        DETAIL = format('Its type is %s.', found), HINT = hint;
END $$;

CREATE OR REPLACE FUNCTION coop_typicality(rel regclass, id_column name, emb_column name, label_column name)
    RETURNS TABLE (id text, label text, distance double precision, rank bigint)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 1000000 SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT id::text, label::text, distance, rank() OVER (PARTITION BY label ORDER BY distance) FROM (
             SELECT %1$I AS id, %2$I AS label,
                    %3$s OPERATOR(%5$s.<->) %5$s.avg(%3$s) OVER (PARTITION BY %2$I) AS distance
             FROM %4$s WHERE %2$I IS NOT NULL AND %3$s IS NOT NULL) t
         ORDER BY label, 4',
        id_column, label_column, coopembed.embedding_column(rel, emb_column), coopembed.qualified(rel), '@extschema@');
END $$;
COMMENT ON FUNCTION coop_typicality(regclass, name, name, name) IS
    'the distance of each row from the mean of its label, and its rank within the label: typical rows first, atypical ones last; rows without a label or an embedding are left out';

-- Pairs of the rows of a query that returns ids and embeddings. As crosstab() and query_to_xml() do, it runs the query as its caller. The last
-- argument is not read: the function learns from its type what the type coopvec is, wherever the extension lies.
CREATE FUNCTION coopembed.pairs_within(query text, threshold double precision, any_embedding coopvec)
    RETURNS TABLE (id text, other text, distance double precision)
    AS 'MODULE_PATHNAME', 'coop_pairs_within' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION coopembed.pairs_within(text, double precision, coopvec) IS
    'internal: all pairs of the rows of a query whose distance is at most the threshold; the query returns a text and a coopvec';

CREATE OR REPLACE FUNCTION coop_duplicates(rel regclass, id_column name, emb_column name, threshold double precision)
    RETURNS TABLE (id text, other text, distance double precision)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 1000000 SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF threshold < 0 OR threshold = 'NaN' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('threshold must be zero or more, not %s', threshold);
    END IF;
    RETURN QUERY SELECT p.id, p.other, p.distance FROM coopembed.pairs_within(
        format('SELECT %1$I::text, %2$s::%4$s.coopvec FROM %3$s WHERE %1$I IS NOT NULL AND %2$s IS NOT NULL',
            id_column, coopembed.embedding_column(rel, emb_column), coopembed.qualified(rel), '@extschema@'), threshold, NULL) p;
END $$;
COMMENT ON FUNCTION coop_duplicates(regclass, name, name, double precision) IS
    'pairs of rows whose distance is at most the threshold, each pair once; rows without an id are left out. Needs no index';
COMMENT ON FUNCTION coopembed.rank_step(double precision[], boolean) IS 'internal: aggregate transition function of coop_average_precision()';
COMMENT ON FUNCTION coopembed.average_precision(double precision[]) IS 'internal: aggregate final function of coop_average_precision()';
COMMENT ON AGGREGATE coop_average_precision(boolean) IS
    'average precision of a ranking: coop_average_precision(relevant ORDER BY emb <-> query); null if no row is relevant';
COMMENT ON FUNCTION coopembed.recall_step(integer[], boolean, integer) IS 'internal: aggregate transition function of coop_recall_at()';
COMMENT ON FUNCTION coopembed.recall(integer[]) IS 'internal: aggregate final function of coop_recall_at()';
COMMENT ON AGGREGATE coop_recall_at(boolean, integer) IS
    'recall at K of a ranking: coop_recall_at(relevant, K ORDER BY emb <-> query) is 1 if one of the first K rows is relevant, else 0; null if no row is relevant';

-- current/embed_trigger.sql

COMMENT ON FUNCTION coop_embed_trigger() IS
    'CREATE TRIGGER ... BEFORE INSERT OR UPDATE ... FOR EACH ROW, or AFTER INSERT ... REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT, EXECUTE FUNCTION coop_embed_trigger(image_column, emb_column [, model] [, ''box_column=...''] [, ''keep_given=on'']): embeds new and changed images';

-- The columns of a table's primary key, each with its base type and the operator that means "equal" in the key's index. No rows for a
-- deferrable key, in which two rows may be equal for a while.
CREATE FUNCTION coopembed.primary_key(rel regclass) RETURNS TABLE (name text, number integer, type oid, equals text)
    LANGUAGE sql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
    SELECT a.attname::text, a.attnum::integer, coopembed.base_type(a.atttypid)::oid, format('OPERATOR(%I.%s)', n.nspname, o.oprname)
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::smallint[], i.indclass::oid[]) WITH ORDINALITY AS k (attnum, opclass, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    JOIN pg_opclass c ON c.oid = k.opclass
    JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
    JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3 AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
    JOIN pg_operator o ON o.oid = p.amopopr
    JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE i.indrelid = rel AND i.indisprimary AND i.indimmediate AND k.place <= i.indnkeyatts ORDER BY k.place $$;
COMMENT ON FUNCTION coopembed.primary_key(regclass) IS 'internal: the columns of a primary key';

-- current/embed_table.sql

COMMENT ON FUNCTION coopembed.fingerprint(coopvec) IS 'internal: fingerprint of the model that made an embedding, as a number';
COMMENT ON FUNCTION coopembed.embed_model(text) IS 'internal: name and fingerprint of the model that coop_embed_table() uses';
DROP FUNCTION coopembed.embed_step(regclass, text, text, text[], text, bigint, integer);
CREATE FUNCTION coopembed.embed_step(
        tab regclass, image text, emb text, box text, key text[], model text, "position" bigint, batch integer)
    RETURNS TABLE (next bigint, done bigint, failed bigint, locked bigint)
    AS 'MODULE_PATHNAME', 'embed_step_cropped_wrapper' LANGUAGE C VOLATILE ROWS 1;
CREATE FUNCTION coopembed.may_commit() RETURNS boolean
    AS 'MODULE_PATHNAME', 'may_commit_wrapper' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION coopembed.embed_step(regclass, text, text, text, text[], text, bigint, integer) IS 'internal: one batch of coop_embed_table()';
COMMENT ON FUNCTION coopembed.may_commit() IS 'internal: whether a procedure may commit where it was called';
COMMENT ON FUNCTION coopembed.embed_begin(regclass, text, bigint) IS 'internal: records that coop_embed_table() begins';
COMMENT ON FUNCTION coopembed.embed_end() IS 'internal: records that coop_embed_table() has finished';
COMMENT ON TABLE coopembed.embedding_runs IS 'runs of coop_embed_table() and coopembed embed; the view coop_embed_progress shows them';
COMMENT ON COLUMN coopembed.embedding_runs.relation IS 'table passed to coop_embed_table()';
COMMENT ON COLUMN coopembed.embedding_runs.total IS 'number of rows without an embedding of the model when the run began';
COMMENT ON COLUMN coopembed.embedding_runs.done IS 'number of rows embedded and committed';
COMMENT ON COLUMN coopembed.embedding_runs.failed IS 'number of rows whose image could not be embedded';
COMMENT ON COLUMN coopembed.embedding_runs.locked IS 'number of rows skipped because another session had locked them';
COMMENT ON COLUMN coopembed.embedding_runs.updated IS 'when the run last committed a batch';
COMMENT ON COLUMN coopembed.embedding_runs.finished IS 'when the run finished; null if it has not';
CREATE FUNCTION coopembed.embed_add(done bigint, failed bigint, locked bigint) RETURNS void
    AS 'MODULE_PATHNAME', 'embed_add_wrapper' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION coopembed.embed_add(bigint, bigint, bigint) IS 'internal: adds rows to the run of coopembed embed, which embeds outside of the server';
CREATE OR REPLACE VIEW coop_embed_progress AS
SELECT r.relation::regclass AS relation, r.pid, r.model,
       CASE WHEN r.finished IS NOT NULL THEN 'finished'
            WHEN a.pid IS NULL OR a.pid = pg_backend_pid() THEN 'interrupted'
            WHEN a.state <> 'active' AND a.application_name <> 'coopembed embed' THEN 'interrupted'
            ELSE 'running' END AS state,
       r.total, r.done, r.failed, r.locked, r.started, coalesce(r.finished, r.updated) AS updated,
       r.done::double precision / greatest(extract(epoch FROM coalesce(r.finished, r.updated) - r.started), 0.001)::double precision AS per_second
FROM coopembed.embedding_runs r LEFT JOIN pg_stat_activity a ON a.pid = r.pid;
COMMENT ON VIEW coop_embed_progress IS 'progress of coop_embed_table() and coopembed embed: the latest run of each session, in this database';
COMMENT ON COLUMN coop_embed_progress.relation IS 'table passed to coop_embed_table()';
COMMENT ON COLUMN coop_embed_progress.state IS 'running, finished or interrupted';
COMMENT ON COLUMN coop_embed_progress.total IS 'number of rows without an embedding of the model when the run began';
COMMENT ON COLUMN coop_embed_progress.done IS 'number of rows embedded and committed';
COMMENT ON COLUMN coop_embed_progress.failed IS 'number of rows whose image could not be embedded';
COMMENT ON COLUMN coop_embed_progress.locked IS 'number of rows skipped because another session had locked them';
COMMENT ON COLUMN coop_embed_progress.updated IS 'when the run last committed a batch, or finished';
COMMENT ON COLUMN coop_embed_progress.per_second IS 'rows embedded per second, on average';

-- An error unless a procedure may commit: the second argument is coopembed.may_commit(), which has to be called by the procedure itself.
CREATE FUNCTION coopembed.check_commit(procedure text, may boolean) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF NOT may THEN
        RAISE active_sql_transaction USING
            MESSAGE = format('%s cannot run in a transaction block, in a function, or in a block with EXCEPTION', procedure),
            DETAIL = 'It commits as it goes.',
            HINT = 'CALL it as a statement of its own: without BEGIN, and from a driver in autocommit mode.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_commit(text, boolean) IS 'internal: an error unless a procedure may commit';

-- The base type of a column; an error if there is none of that name.
CREATE FUNCTION coopembed.column_type(rel regclass, name name) RETURNS regtype
    LANGUAGE plpgsql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found regtype := (SELECT coopembed.base_type(atttypid) FROM pg_attribute
                      WHERE attrelid = rel AND attname = name AND attnum > 0 AND NOT attisdropped);
BEGIN
    IF found IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', name, rel);
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION coopembed.column_type(regclass, name) IS 'internal: the base type of a column, or an error';

-- The tables that store the rows of rel (itself, its partitions, its children), each with the columns of its primary key; or an error
-- that says why rel cannot be embedded.
DROP FUNCTION coopembed.embed_targets(regclass, name, name);
CREATE FUNCTION coopembed.embed_targets(rel regclass, image_column name, emb_column name, box_column name)
    RETURNS TABLE (part regclass, key text[]) LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found regtype;
    kind "char" := (SELECT relkind FROM pg_class WHERE oid = rel);
    is_distributed boolean := false;
BEGIN
    IF rel IS NULL OR image_column IS NULL OR emb_column IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'the table and its columns must not be null';
    ELSIF kind IS NULL OR kind NOT IN ('r', 'p') THEN
        RAISE wrong_object_type USING MESSAGE = format('%s is not a table', rel),
            HINT = 'Name the table that stores the rows. For a view or a foreign table, embed the table behind it.';
    END IF;
    -- By Citus, whose tables store no rows themselves.
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT count(*) > 0 FROM pg_catalog.pg_dist_partition WHERE logicalrelid = $1' INTO is_distributed USING rel;
    END IF;
    IF is_distributed THEN
        RAISE feature_not_supported USING MESSAGE = format('%s is distributed: its rows are stored in shards', rel),
            HINT = format('Embed the shards where they are: SELECT * FROM run_command_on_shards(%L, %L) WHERE NOT success;', rel,
                format('CALL coop_embed_table(''%%s'', %L, %L)', image_column, emb_column));
    END IF;
    PERFORM coopembed.embedding_column(rel, emb_column);
    found := coopembed.column_type(rel, image_column);
    IF found NOT IN ('bytea'::regtype, 'oid'::regtype) THEN
        RAISE datatype_mismatch USING MESSAGE = format('column "%s" of relation %s does not contain images', image_column, rel),
            DETAIL = format('Its type is %s.', found), HINT = 'Name a column of type bytea, or one of type oid with large objects.';
    END IF;
    found := coopembed.column_type(rel, box_column);
    IF found <> 'box'::regtype THEN
        RAISE datatype_mismatch USING MESSAGE = format('column "%s" of relation %s does not contain crop boxes', box_column, rel),
            DETAIL = format('Its type is %s.', found), HINT = 'Name a column of type box. Make one of numbers as box(point(x1, y1), point(x2, y2)).';
    END IF;
    RETURN QUERY
        WITH RECURSIVE tree AS (
            SELECT rel::oid AS tab UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.tab)
        SELECT c.oid::regclass, ARRAY(
            SELECT a.attname::text FROM pg_index i
            CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place)
        FROM tree JOIN pg_class c ON c.oid = tree.tab WHERE c.relkind <> 'p' ORDER BY c.oid;
END $$;
COMMENT ON FUNCTION coopembed.embed_targets(regclass, name, name, name) IS 'internal: the tables that store the rows of a relation, with their primary keys';

-- An error if rows of a table have embeddings of another model in an index, which holds those of one model: said before any image is
-- embedded. Partial indexes may leave such rows out; there the row that is not left out is an error.
CREATE FUNCTION coopembed.embed_check_index(part regclass, emb_column name, fingerprint bigint) RETURNS void
    LANGUAGE plpgsql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    index regclass := (SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = part AND m.amname = 'coop' AND a.attname = emb_column AND i.indpred IS NULL ORDER BY 1 LIMIT 1);
    others bigint;
BEGIN
    IF index IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT count(*) FROM ONLY %1$s WHERE %2$I IS NOT NULL AND coopembed.fingerprint(%2$I) <> %3$s',
        coopembed.qualified(part), emb_column, fingerprint) INTO others;
    IF others > 0 THEN
        RAISE data_exception USING MESSAGE = format('index %s holds embeddings of another model', index),
            DETAIL = format('%s rows of %s have an embedding of another model in column "%s"; an index holds embeddings of one model.', others, part, emb_column),
            HINT = 'Without downtime: add a second column, embed and index that one, and swap the two ("Change the model" in sql/operations.md). Otherwise drop the index, call coop_embed_table() again, and create the index again.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.embed_check_index(regclass, name, bigint) IS 'internal: an error if an index holds embeddings of another model';

-- The number of rows that have an image and no embedding of this model.
CREATE OR REPLACE FUNCTION coopembed.embed_missing(part regclass, image_column name, emb_column name, fingerprint bigint)
    RETURNS bigint LANGUAGE plpgsql STABLE STRICT SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    missing bigint;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = part) <> 'r' THEN
        RAISE wrong_object_type USING MESSAGE = format('partition %s is a foreign table', part),
            HINT = 'Embed the other partitions one by one, and the rows of the foreign table on its own server.';
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM ONLY %1$s WHERE %2$I IS NOT NULL AND (%3$I IS NULL OR coopembed.fingerprint(%3$I) <> %4$s)',
        coopembed.qualified(part), image_column, emb_column, fingerprint) INTO missing;
    IF missing > 0 THEN
        PERFORM coopembed.embed_check_index(part, emb_column, fingerprint);
    END IF;
    RETURN missing;
END $$;
COMMENT ON FUNCTION coopembed.embed_missing(regclass, name, name, bigint) IS 'internal: number of rows with an image and no embedding of a model';
COMMENT ON FUNCTION coopembed.embed_rate(bigint, interval) IS 'internal: rows per second, rounded for messages';

DROP PROCEDURE coop_embed_table(regclass, name, name, text, integer);
CREATE PROCEDURE coop_embed_table(
        rel regclass, image_column name, emb_column name, model text DEFAULT NULL, batch integer DEFAULT 256,
        box_column name DEFAULT NULL)
    LANGUAGE plpgsql AS $$
DECLARE
    chosen pg_catalog.record;
    target pg_catalog.record;
    step pg_catalog.record;
    "position" bigint;
    total bigint;
    done bigint := 0;
    failed bigint := 0;
    locked bigint := 0;
    started pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    told pg_catalog.timestamptz := started;
BEGIN
    IF batch IS NULL OR batch OPERATOR(pg_catalog.<) 1 OR batch OPERATOR(pg_catalog.>) 100000 THEN
        RAISE invalid_parameter_value USING MESSAGE = pg_catalog.format('the batch must be 1 to 100000 rows, not %s', batch);
    END IF;
    SELECT m.name, m.fingerprint INTO chosen FROM coopembed.embed_model(model) m;
    SELECT pg_catalog.sum(coopembed.embed_missing(t.part, image_column, emb_column, chosen.fingerprint)) INTO total
        FROM coopembed.embed_targets(rel, image_column, emb_column, box_column) t;
    PERFORM coopembed.check_commit('coop_embed_table', coopembed.may_commit());
    PERFORM coopembed.embed_begin(rel, chosen.name, coalesce(total, 0));
    COMMIT;
    FOR target IN SELECT t.part, t.key FROM coopembed.embed_targets(rel, image_column, emb_column, box_column) t LOOP
        "position" := 0;
        WHILE "position" IS NOT NULL LOOP
            SELECT s.next, s.done, s.failed, s.locked INTO step
                FROM coopembed.embed_step(target.part, image_column, emb_column, box_column, target.key, chosen.name, "position", batch) s;
            COMMIT;
            "position" := step.next;
            done := done OPERATOR(pg_catalog.+) step.done;
            failed := failed OPERATOR(pg_catalog.+) step.failed;
            locked := locked OPERATOR(pg_catalog.+) step.locked;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) '5 s'::pg_catalog.interval THEN
                told := pg_catalog.clock_timestamp();
                RAISE NOTICE '% of % rows of % embedded, % per second', done, total, rel, coopembed.embed_rate(done, told OPERATOR(pg_catalog.-) started);
            END IF;
        END LOOP;
    END LOOP;
    PERFORM coopembed.embed_end();
    COMMIT;
    told := pg_catalog.clock_timestamp();
    RAISE NOTICE '% rows of % embedded in % s, % per second; % failed; % were locked by other sessions',
        done, rel, pg_catalog.round(pg_catalog.date_part('epoch', told OPERATOR(pg_catalog.-) started)::numeric, 1),
        coopembed.embed_rate(done, told OPERATOR(pg_catalog.-) started), failed, locked;
END $$;
COMMENT ON PROCEDURE coop_embed_table(regclass, name, name, text, integer, name) IS
    'embeds the rows that have an image (bytea, or the oid of a large object) and no embedding of the model (null: the default model), cropped to the box in box_column if it is named, and commits after each batch of rows; images that cannot be decoded are reported as warnings. It can be cancelled and called again at any time';

-- current/shards.sql

-- The columns of a table that make up a row type, in its order: their quoted names, and null for the distance.
CREATE OR REPLACE FUNCTION coopembed.search_columns(row_type regtype, rel regclass) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    columns text[];
    missing text;
BEGIN
    SELECT array_agg(quote_ident(c.attname) ORDER BY a.attnum), string_agg(format('"%s"', a.attname), ', ' ORDER BY a.attnum)
            FILTER (WHERE c.attname IS NULL AND (a.attname, a.atttypid) <> ('distance', 'double precision'::regtype))
        INTO columns, missing
        FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attribute c ON c.attrelid = rel AND c.attname = a.attname AND c.attnum > 0 AND NOT c.attisdropped
        WHERE t.oid = row_type;
    IF columns IS NULL THEN
        RAISE datatype_mismatch USING MESSAGE = format('type %s is not a row type', row_type),
            HINT = 'Pass NULL::name_of_the_table, or NULL of a composite type with some of its columns.';
    ELSIF missing IS NOT NULL THEN
        RAISE undefined_column USING MESSAGE = format('relation %s does not have all columns of type %s', rel, row_type),
            DETAIL = format('It lacks %s.', missing), HINT = 'Only a column "distance" of type double precision is filled in if the table has none.';
    END IF;
    RETURN columns;
END $$;
COMMENT ON FUNCTION coopembed.search_columns(regtype, regclass) IS
    'internal: the columns of a table that coop_search() returns for a row type; null for the distance';

-- The statement that coop_search() runs, with the query as parameter $1. It is parsed with the caller's search_path, for the sake of
-- the filter, so everything else in it is named with its schema.
CREATE FUNCTION coopembed.search_statement(row_type regtype, emb_column name, k bigint, filter text, rel regclass)
    RETURNS text LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    -- The name by which a filter refers to the table.
    alias text := (SELECT quote_ident(relname) FROM pg_class WHERE oid = rel);
    distance text;
BEGIN
    IF rel IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = format('%s is not the row type of a table', row_type), HINT = 'Name the table to search: rel => ...';
    ELSIF emb_column IS NULL OR k IS NULL OR k < 0 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a search needs a column of embeddings and a number of rows, zero or more',
            DETAIL = format('Got column %L and number of rows %L.', emb_column, k),
            HINT = 'Name a column of type coopvec, and the number of rows to return.';
    END IF;
    distance := format('%s.%s OPERATOR(%s.<->) $1', alias, coopembed.embedding_column(rel, emb_column), '@extschema@');
    -- A newline follows the filter, because it may end in a comment.
    RETURN format(E'SELECT %s FROM %s AS %s%s\nORDER BY %s LIMIT %s',
        (SELECT string_agg(COALESCE(alias || '.' || name, distance), ', ' ORDER BY n)
            FROM unnest(coopembed.search_columns(row_type, rel)) WITH ORDINALITY c (name, n)),
        coopembed.qualified(rel), alias, COALESCE(E'\nWHERE (' || filter || E'\n)', ''), distance, k);
END $$;
COMMENT ON FUNCTION coopembed.search_statement(regtype, name, bigint, text, regclass) IS
    'internal: the statement that coop_search() runs, with the query as parameter $1';

-- The statement of a search for variety: of the `n` rows nearest to the query $1, one for each value of a column (rows in which it is null each for
-- themselves), and of these k that differ. With k = 0 it counts instead: the rows, and those that are one for each value. Like the statement
-- above, it names everything but the filter with its schema.
CREATE FUNCTION coopembed.varied_statement(row_type regtype, emb_column name, k bigint, filter text, rel regclass, distinct_on name, n bigint,
        diversity double precision)
    RETURNS text LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    alias text := (SELECT quote_ident(relname) FROM pg_class WHERE oid = rel);
    emb text := alias || '.' || coopembed.embedding_column(rel, emb_column);
    distance text := format('%s OPERATOR(%s.<->) $1', emb, '@extschema@');
    columns text[] := coopembed.search_columns(row_type, rel);
    names text := (SELECT string_agg('c' || i, ', ') FROM generate_series(1, cardinality(columns)) i);
    nearest text;
BEGIN
    IF distinct_on IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = rel AND attname = distinct_on AND attnum > 0 AND NOT attisdropped) THEN
        RAISE undefined_column USING MESSAGE = format('column "%s" of relation %s does not exist', distinct_on, rel),
            HINT = 'distinct_on is the column of which each value is to come once, such as the id of a product that several images show.';
    END IF;
    nearest := format(E'WITH nearest AS MATERIALIZED (SELECT %s, %s AS key, %s AS emb, %s AS d FROM %s AS %s%s\nORDER BY %s LIMIT %s), '
            'ranked AS (SELECT *, pg_catalog.row_number() OVER (ORDER BY d) AS i FROM nearest), '
            'firsts AS (%s)',
        (SELECT string_agg(format('%s AS c%s', COALESCE(alias || '.' || name, distance), i), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY c (name, i)),
        COALESCE(alias || '.' || quote_ident(distinct_on), 'NULL'), emb, distance, coopembed.qualified(rel), alias,
        COALESCE(E'\nWHERE (' || filter || E'\n)', ''), distance, n,
        CASE WHEN distinct_on IS NULL THEN 'SELECT * FROM ranked'
            ELSE 'SELECT DISTINCT ON (key, CASE WHEN key IS NULL THEN i END) * FROM ranked ORDER BY key, CASE WHEN key IS NULL THEN i END, i' END);
    IF k = 0 THEN
        RETURN nearest || ' SELECT (SELECT pg_catalog.count(*) FROM nearest), (SELECT pg_catalog.count(*) FROM firsts)';
    ELSIF diversity = 0 THEN
        RETURN format('%s SELECT %s FROM firsts ORDER BY i LIMIT %s', nearest, names, k);
    END IF;
    -- Rows without an embedding differ from none, and are left out.
    RETURN format('%s, picks AS MATERIALIZED (SELECT coopembed.diverse(pg_catalog.array_agg(emb ORDER BY i), pg_catalog.array_agg(d ORDER BY i), %s, %s) AS p,
            pg_catalog.array_agg(i ORDER BY i) AS numbers FROM firsts WHERE emb IS NOT NULL)
        SELECT %s FROM picks, pg_catalog.unnest(p) WITH ORDINALITY u (pick, place) JOIN firsts ON true
        WHERE firsts.i OPERATOR(pg_catalog.=) numbers[pick] ORDER BY place', nearest, least(k, 2147483647), diversity, names);
END $$;
COMMENT ON FUNCTION coopembed.varied_statement(regtype, name, bigint, text, regclass, name, bigint, double precision) IS
    'internal: the statement that coop_search() runs for variety, with the query as parameter $1';

CREATE FUNCTION coopembed.diverse(embeddings coopvec[], distances double precision[], k integer, diversity double precision) RETURNS integer[]
    AS 'MODULE_PATHNAME', 'coop_diverse_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION coopembed.diverse(coopvec[], double precision[], integer, double precision) IS
    'internal: the numbers of k embeddings that are near a query and far from each other, by maximal marginal relevance';

-- A cursor over a SELECT with the query as $1, in which the given foreign partitions of its table are treated as empty. That holds for
-- this one statement: its plan is made with the caller's rights and not cached.
CREATE FUNCTION coopembed.open_search(statement text, query coopquery, absent oid[]) RETURNS refcursor
    AS 'MODULE_PATHNAME', 'coop_open_search' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION coopembed.open_search(text, coopquery, oid[]) IS
    'internal: a cursor for a search that treats some foreign partitions as empty';

-- The foreign partitions whose servers cannot be reached, with a warning for each. To test one, it runs the statement over the table
-- with all other foreign partitions left out: that opens a connection, or tests the existing one, with no more rights than reading
-- the table takes.
CREATE FUNCTION coopembed.search_unreachable(statement text, query coopquery, rel regclass) RETURNS oid[]
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    elsewhere pg_catalog.oid[] := ARRAY(SELECT c.oid FROM pg_catalog.pg_partition_tree(rel) t
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid::pg_catalog.oid
        WHERE t.isleaf AND c.relkind OPERATOR(pg_catalog.=) 'f' ORDER BY c.oid);
    leaves bigint := (SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_tree(rel) t WHERE t.isleaf);
    unreachable pg_catalog.oid[] := '{}';
    part pg_catalog.regclass;
    nearest pg_catalog.refcursor;
    hit pg_catalog.record;
    reason pg_catalog.text;
BEGIN
    FOREACH part IN ARRAY elsewhere LOOP
        BEGIN
            nearest := coopembed.open_search(statement, query, pg_catalog.array_remove(elsewhere, part::pg_catalog.oid));
            FETCH nearest INTO hit;
            CLOSE nearest;
        EXCEPTION WHEN connection_exception THEN
            reason := SQLERRM;
            RAISE WARNING 'partition % is left out: its server cannot be reached', part USING DETAIL = reason;
            unreachable := pg_catalog.array_append(unreachable, part::pg_catalog.oid);
        END;
    END LOOP;
    IF leaves OPERATOR(pg_catalog.>) 0::bigint AND leaves OPERATOR(pg_catalog.=) pg_catalog.cardinality(unreachable)::bigint THEN
        RAISE sqlclient_unable_to_establish_sqlconnection USING MESSAGE = 'no server of a partition can be reached', DETAIL = reason;
    END IF;
    RETURN unreachable;
END $$;
COMMENT ON FUNCTION coopembed.search_unreachable(text, coopquery, regclass) IS
    'internal: the partitions that coop_search() leaves out, with a warning for each';

-- The k nearest rows, nearest first. A filter is an SQL condition, as in WHERE. Not STRICT, because filter and rel are null by default;
-- and without a search_path of its own, because the filter is parsed with the caller's.
--
-- For variety, as many rows are read as it takes: the nearest few hundred to choose from, and four times as many again and again until there
-- are enough different ones.
CREATE FUNCTION coop_search(row_type anyelement, emb_column name, query coopquery, k bigint DEFAULT 10, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false, distinct_on name DEFAULT NULL, diversity double precision DEFAULT 0)
    RETURNS SETOF anyelement LANGUAGE plpgsql STABLE COST 100000 ROWS 10 AS $$
DECLARE
    row_type_of pg_catalog.regtype := pg_catalog.pg_typeof(row_type);
    tab pg_catalog.regclass := COALESCE(rel, (SELECT c.oid FROM pg_catalog.pg_class c
        WHERE c.reltype OPERATOR(pg_catalog.=) row_type_of AND c.relkind OPERATOR(pg_catalog.<>) 'c'));
    statement pg_catalog.text := coopembed.search_statement(row_type_of, emb_column, k, filter, tab);
    is_varied pg_catalog.bool := distinct_on IS NOT NULL OR (diversity OPERATOR(pg_catalog.=) 0::pg_catalog.float8) IS NOT TRUE;
    absent pg_catalog.oid[];
    nearest pg_catalog.refcursor;
    hit pg_catalog.record;
    -- No table has more rows, and no product below overflows.
    most pg_catalog.int8 := LEAST(k, 1000000000000000);
    wanted pg_catalog.int8;
    n pg_catalog.int8;
    seen pg_catalog.int8;
    different pg_catalog.int8;
BEGIN
    IF (diversity OPERATOR(pg_catalog.>=) 0::pg_catalog.float8 AND diversity OPERATOR(pg_catalog.<=) 1::pg_catalog.float8) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = pg_catalog.format('diversity must be between 0 and 1, not %s', COALESCE(diversity::pg_catalog.text, 'null')),
            HINT = '0 is the nearest rows, 1 rows that are as different as can be; 0.3 is a start.';
    ELSIF query IS NULL OR k OPERATOR(pg_catalog.=) 0::pg_catalog.int8 THEN
        RETURN;
    ELSIF skip_unreachable THEN
        absent := coopembed.search_unreachable(coopembed.search_statement(row_type_of, emb_column, 0, filter, tab), query, tab);
    END IF;
    IF is_varied THEN
        wanted := CASE WHEN diversity OPERATOR(pg_catalog.>) 0::pg_catalog.float8 THEN GREATEST(200::pg_catalog.int8, 10::pg_catalog.int8 OPERATOR(pg_catalog.*) most) ELSE most END;
        n := wanted;
        WHILE distinct_on IS NOT NULL LOOP
            n := 4::pg_catalog.int8 OPERATOR(pg_catalog.*) n;
            statement := coopembed.varied_statement(row_type_of, emb_column, 0, filter, tab, distinct_on, n, diversity);
            IF skip_unreachable THEN
                nearest := coopembed.open_search(statement, query, absent);
                FETCH nearest INTO seen, different;
                CLOSE nearest;
            ELSE
                EXECUTE statement INTO seen, different USING query;
            END IF;
            EXIT WHEN seen OPERATOR(pg_catalog.<) n OR different OPERATOR(pg_catalog.>=) wanted;
        END LOOP;
        statement := coopembed.varied_statement(row_type_of, emb_column, k, filter, tab, distinct_on, n, diversity);
    END IF;
    IF skip_unreachable IS NOT TRUE THEN
        RETURN QUERY EXECUTE statement USING query;
        RETURN;
    END IF;
    nearest := coopembed.open_search(statement, query, absent);
    LOOP
        FETCH nearest INTO hit;
        EXIT WHEN NOT FOUND;
        RETURN NEXT hit;
    END LOOP;
    CLOSE nearest;
END $$;
COMMENT ON FUNCTION coop_search(anyelement, name, coopquery, bigint, text, regclass, boolean, name, double precision) IS
    'the k rows nearest to a query, nearest first; with distinct_on, one for each value of a column; with a diversity between 0 and 1, rows that differ; with skip_unreachable, partitions whose servers are down are left out with a warning';

-- coop_search() of version 0.2.0, to which k was an integer: views of users depend on it. Calls by its name reach the one above.
CREATE OR REPLACE FUNCTION coopembed.coop_search(row_type anyelement, emb_column name, query coopquery, k integer DEFAULT 10, filter text DEFAULT NULL,
        rel regclass DEFAULT NULL, skip_unreachable boolean DEFAULT false)
    RETURNS SETOF anyelement LANGUAGE plpgsql STABLE COST 100000 ROWS 10 AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.coop_search(row_type, emb_column, query, k::pg_catalog.int8, filter, rel, skip_unreachable);
END $$;
COMMENT ON FUNCTION coopembed.coop_search(anyelement, name, coopquery, integer, text, regclass, boolean) IS
    'internal: coop_search() of version 0.2.0, for views that depend on it';

-- current/knn.sql

COMMENT ON TABLE coopembed.knn_graphs IS 'graphs built by coop_build_knn(); coop_knn_graphs() lists them';
COMMENT ON COLUMN coopembed.knn_graphs.graph IS 'the table that stores the graph';
COMMENT ON COLUMN coopembed.knn_graphs.relation IS 'the table whose rows are its images';
COMMENT ON COLUMN coopembed.knn_graphs.id_column IS 'column of that table with the ids';
COMMENT ON COLUMN coopembed.knn_graphs.emb_column IS 'column of that table with the embeddings';
COMMENT ON COLUMN coopembed.knn_graphs.k IS 'number of neighbours of each image';
COMMENT ON COLUMN coopembed.knn_graphs.attribute IS 'the attribute in which distances are measured; null: all attributes';

CREATE FUNCTION coopembed.knn_add_graph(graph regclass, relation regclass, id_column name, emb_column name, k integer, attribute text)
    RETURNS void AS 'MODULE_PATHNAME', 'coop_knn_add_graph' LANGUAGE C VOLATILE;

-- Removes rows whose graph was dropped, whoever built it, and rows of the caller's graphs whose relation was dropped.
CREATE FUNCTION coopembed.knn_remove_gone() RETURNS void
    AS 'MODULE_PATHNAME', 'coop_knn_remove_gone' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION coopembed.knn_add_graph(regclass, regclass, name, name, integer, text) IS
    'internal: adds a table of the caller to the list of graphs';
COMMENT ON FUNCTION coopembed.knn_remove_gone() IS 'internal: removes dropped graphs from the list';
-- The owner of the database may add rows, too, as its pg_restore does: of tables that are its own. Others are left out, so that the restore goes on.
GRANT INSERT ON coopembed.knn_graphs TO pg_database_owner;
CREATE FUNCTION coopembed.knn_check_row() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid IN (NEW.graph, TG_RELID) AND pg_has_role(current_user, relowner, 'USAGE')) THEN
        RETURN NEW;
    END IF;
    RAISE WARNING '% is not added to the list of neighbour graphs', NEW.graph
        USING DETAIL = 'It belongs to another role.', HINT = 'Its owner can drop the table and call coop_build_knn() again.';
    RETURN NULL;
END $$;
COMMENT ON FUNCTION coopembed.knn_check_row() IS 'internal: leaves out rows of the list of graphs whose table is not the inserting role''s';
CREATE TRIGGER check_row BEFORE INSERT ON coopembed.knn_graphs FOR EACH ROW EXECUTE FUNCTION coopembed.knn_check_row();

-- Whether a graph is as coop_build_knn() makes it: an ordinary table of plain columns, with no code attached that would run with the
-- rights of whoever reads or refreshes it. (Index expressions count as well: even planning a query runs their functions.)
CREATE FUNCTION coopembed.is_plain(graph regclass) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT c.relkind = 'r' AND NOT (c.relrowsecurity OR c.relispartition OR pg_is_other_temp_schema(c.relnamespace))
        AND NOT EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid)
        AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent))
        AND NOT EXISTS (SELECT FROM pg_attrdef WHERE adrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype NOT IN ('p', 'n'))
        AND NOT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid
            AND (indexprs IS NOT NULL OR pg_get_expr(indpred, indrelid) <> '(neighbours IS NULL)'))
        AND (SELECT array_agg(a.attname::text ORDER BY a.attnum) = '{id,digest,neighbours,distances}'
                AND bool_and(a.attname <> 'digest' OR a.atttypid = 'bytea'::regtype)
                AND bool_and(a.attname <> 'distances' OR a.atttypid = 'double precision[]'::regtype)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
    FROM pg_class c WHERE c.oid = graph $$;
COMMENT ON FUNCTION coopembed.is_plain(regclass) IS 'internal: whether a graph is a table to which no code is attached';

CREATE FUNCTION coopembed.check_plain(graph regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF coopembed.is_plain(graph) IS NOT TRUE THEN
        RAISE wrong_object_type USING MESSAGE = format('%s is not as coop_build_knn() made it', graph),
            DETAIL = 'A graph is an ordinary table without triggers, rules, policies, defaults, checks, or indexes on expressions.',
            HINT = 'Name another table, or drop this one and build it again.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_plain(regclass) IS 'internal: an error unless a graph is as coop_build_knn() makes it';

-- Whether a table belongs to the caller or to a superuser. To read or write a table of another owner, which the caller has not named,
-- would let that owner decide what the caller does.
CREATE FUNCTION coopembed.is_trusted(rel regclass) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT o.rolname = current_user OR o.rolsuper FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner WHERE c.oid = rel $$;
COMMENT ON FUNCTION coopembed.is_trusted(regclass) IS 'internal: whether a table belongs to the current user or to a superuser';
COMMENT ON FUNCTION coopembed.digest(coopvec) IS 'internal: the first 128 bits of the SHA-256 of an embedding';
COMMENT ON FUNCTION coopembed.any_nearer(coopvec, coopquery[], double precision) IS
    'internal: whether an embedding is nearer than this to one of the targets';

CREATE OR REPLACE FUNCTION coopembed.check_k(k integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    IF k IS NULL OR k NOT BETWEEN 1 AND 1000 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('k must be between 1 and 1000, not %s', COALESCE(k::text, 'null')),
            HINT = 'k is the number of neighbours of each image; the default is 5.';
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_k(integer) IS 'internal: an error unless k is between 1 and 1000';

CREATE OR REPLACE FUNCTION coopembed.check_unique(rel regclass, id_column name, emb text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    twice text;
BEGIN
    EXECUTE format('SELECT %1$I::text FROM %2$s WHERE %1$I IS NOT NULL AND %3$s IS NOT NULL
        GROUP BY %1$I HAVING count(*) > 1 LIMIT 1', id_column, coopembed.qualified(rel), emb) INTO twice;
    IF twice IS NOT NULL THEN
        RAISE unique_violation USING MESSAGE = format('several rows of %s have the id "%s"', rel, twice),
            HINT = format('Name a column that is unique instead of "%s".', id_column);
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_unique(regclass, name, text) IS 'internal: an error if two rows have the same id';
COMMENT ON FUNCTION coopembed.target(text, text[]) IS 'internal: SQL for the point from which distances are measured';

-- SQL for the k rows nearest to `target`, as (id, d). Its LIMIT is a constant, so an index can answer it. `cond` may refer to the row
-- as b.
CREATE OR REPLACE FUNCTION coopembed.nearest(rel regclass, id_column name, emb text, target text, k integer, cond text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT b.%1$I AS id, b.%2$s OPERATOR(%7$s.<->) %3$s AS d FROM %4$s b
        WHERE b.%1$I IS NOT NULL AND b.%2$s IS NOT NULL AND %5$s
        ORDER BY b.%2$s OPERATOR(%7$s.<->) %3$s LIMIT %6$s', id_column, emb, target, coopembed.qualified(rel), cond, k, '@extschema@') $$;
COMMENT ON FUNCTION coopembed.full_name(text) IS 'internal: the table that a name refers to, with its schema';

-- The table of a graph, with its row in coopembed.knn_graphs. Creates both if they do not exist; an error if the name is taken by
-- another graph or table.
CREATE OR REPLACE FUNCTION coopembed.knn_open(rel regclass, id_column name, emb_column name, name text, k integer, attribute text) RETURNS regclass
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    stored regclass;
    known coopembed.knn_graphs;
BEGIN
    IF rel IS NULL OR id_column IS NULL OR emb_column IS NULL OR name IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'table, columns and graph must not be null',
            DETAIL = format('Got table %L, columns %L and %L, graph %L.', rel, id_column, emb_column, name);
    END IF;
    PERFORM coopembed.id_type(rel, id_column), coopembed.check_k(k);
    IF attribute IS NOT NULL THEN
        EXECUTE format('SELECT %3$s.coop_like(%1$s, $1) FROM %2$s WHERE %1$s IS NOT NULL LIMIT 1', emb, coopembed.qualified(rel), '@extschema@') USING attribute;
    END IF;
    -- If two sessions begin at the same time, one of them creates the table.
    PERFORM pg_advisory_xact_lock(hashtext('coop_build_knn'), hashtext(name));
    PERFORM coopembed.knn_remove_gone();
    stored := to_regclass(name);
    SELECT * INTO known FROM coopembed.knn_graphs g WHERE g.graph = stored;
    IF known.graph IS NOT NULL THEN
        IF (known.relation, known.id_column, known.emb_column, known.k) <> (rel, id_column, emb_column, k)
            OR known.attribute IS DISTINCT FROM attribute THEN
            RAISE duplicate_object USING MESSAGE = format('graph %s already exists with other arguments', stored),
                DETAIL = format('It was built for %s (%I, %I), k = %s%s.', known.relation, known.id_column, known.emb_column, known.k,
                    COALESCE(', attribute "' || known.attribute || '"', '')),
                HINT = 'Name another table, or drop this one.';
        END IF;
        PERFORM coopembed.knn_to_refresh(stored);
        RETURN stored;
    ELSIF stored IS NOT NULL THEN
        RAISE duplicate_table USING MESSAGE = format('%s exists and is not a graph of coop_build_knn()', stored),
            HINT = 'Name another table, or drop this one.';
    END IF;
    PERFORM coopembed.check_unique(rel, id_column, emb);
    EXECUTE format('CREATE TABLE %1$s AS SELECT %2$I AS id, NULL::bytea AS digest, ARRAY[%2$I] AS neighbours,
        NULL::double precision[] AS distances FROM %3$s WITH NO DATA', name, id_column, coopembed.qualified(rel));
    stored := to_regclass(name);
    EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (id), ALTER COLUMN digest SET NOT NULL', coopembed.qualified(stored));
    EXECUTE format('CREATE INDEX ON %s (id) WHERE neighbours IS NULL', coopembed.qualified(stored));
    EXECUTE format('COMMENT ON TABLE %s IS %L', coopembed.qualified(stored), format('nearest neighbours of %s, by coop_build_knn()', rel));
    PERFORM coopembed.knn_add_graph(stored, rel, id_column, emb_column, k, attribute);
    RETURN stored;
END $$;
COMMENT ON FUNCTION coopembed.knn_open(regclass, name, name, text, integer, text) IS 'internal: the table of a graph, created if it does not exist';

CREATE OR REPLACE FUNCTION coopembed.knn(graph regclass) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    found coopembed.knn_graphs;
BEGIN
    SELECT g.* INTO found FROM coopembed.knn_graphs g JOIN pg_class c ON c.oid = g.graph JOIN pg_class r ON r.oid = g.relation
        WHERE g.graph = knn.graph;
    IF found.graph IS NULL THEN
        RAISE undefined_table USING MESSAGE = format('the graph %s or its table does not exist', graph),
            DETAIL = 'It was dropped in the meantime.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION coopembed.knn(regclass) IS 'internal: the row of a graph in coopembed.knn_graphs, or an error';

-- The row of a graph in coopembed.knn_graphs, or an error unless the caller may refresh it without running others' code: the graph
-- must be plain, and belong to the caller, to a superuser or to the owner of the table that the caller has named.
CREATE FUNCTION coopembed.knn_to_refresh(graph regclass) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn(graph);
BEGIN
    IF NOT coopembed.is_trusted(graph)
        AND (SELECT c.relowner <> r.relowner FROM pg_class c, pg_class r WHERE c.oid = graph AND r.oid = g.relation) THEN
        RAISE insufficient_privilege USING MESSAGE = format('permission denied for graph %s', graph),
            DETAIL = format('It belongs neither to you nor to the owner of %s.', g.relation), HINT = 'Name another table.';
    END IF;
    PERFORM coopembed.check_plain(graph);
    RETURN g;
END $$;
COMMENT ON FUNCTION coopembed.knn_to_refresh(regclass) IS 'internal: the row of a graph in coopembed.knn_graphs, or an error unless the caller may refresh it';

-- The same, with the graph locked. It is checked again after the lock, since its owner may have changed it until then.
CREATE FUNCTION coopembed.knn_lock(graph regclass, mode text) RETURNS coopembed.knn_graphs
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    PERFORM coopembed.knn_to_refresh(graph);
    EXECUTE format('LOCK TABLE ONLY %s IN %s MODE', coopembed.qualified(graph), mode);
    RETURN coopembed.knn_to_refresh(graph);
END $$;
COMMENT ON FUNCTION coopembed.knn_lock(regclass, text) IS 'internal: locks a graph that the caller may refresh';

-- Removes images that are gone or have another embedding now, those that knn_batch() set aside among them, and sets the lists that name
-- one back to waiting.
CREATE OR REPLACE FUNCTION coopembed.knn_forget(graph regclass) RETURNS void
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET jit TO off AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn_lock(graph, 'SHARE ROW EXCLUSIVE');
    tab text := coopembed.qualified(graph);
    emb text := coopembed.embedding_column(g.relation, g.emb_column);
    gone bigint;
BEGIN
    PERFORM coopembed.check_unique(g.relation, g.id_column, emb);
    EXECUTE format('DELETE FROM %1$s g WHERE NOT EXISTS (
        SELECT FROM %2$s r WHERE r.%3$I = g.id AND coopembed.digest(r.%4$s) = g.digest)', tab, coopembed.qualified(g.relation), g.id_column, emb);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        EXECUTE format('UPDATE %1$s g SET neighbours = NULL, distances = NULL FROM (
            SELECT DISTINCT l.id FROM (SELECT id, unnest(neighbours) AS neighbour FROM %1$s) l
            WHERE NOT EXISTS (SELECT FROM %1$s o WHERE o.id = l.neighbour)) lost WHERE g.id = lost.id', tab);
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.knn_forget(regclass) IS 'internal: removes images from a graph that are gone or changed';

-- Adds new images: all of them if most lists have to be computed again anyway, else at most 500 at a time. Returns whether there are
-- more.
CREATE OR REPLACE FUNCTION coopembed.knn_register(graph regclass) RETURNS boolean
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET jit TO off AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn_lock(graph, 'SHARE ROW EXCLUSIVE');
    tab text := coopembed.qualified(graph);
    emb text := coopembed.embedding_column(g.relation, g.emb_column);
    fresh text := format('SELECT r.%1$I AS id, r.%2$s AS emb FROM %3$s r WHERE r.%1$I IS NOT NULL AND r.%2$s IS NOT NULL
        AND NOT EXISTS (SELECT FROM %4$s g WHERE g.id = r.%1$I)', g.id_column, emb, coopembed.qualified(g.relation), tab);
    listed bigint;
    missing bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s) fresh', fresh) INTO missing;
    EXECUTE format('SELECT count(*) FROM %s WHERE neighbours IS NOT NULL', tab) INTO listed;
    IF missing = 0 THEN
        RETURN false;
    ELSIF 2 * missing >= listed THEN
        -- Hardly any list would stay as it is.
        EXECUTE format('UPDATE %s SET neighbours = NULL, distances = NULL WHERE neighbours IS NOT NULL', tab);
        EXECUTE format('INSERT INTO %s (id, digest) SELECT id, coopembed.digest(emb) FROM (%s) fresh', tab, fresh);
        RETURN false;
    END IF;
    -- One pass over all rows finds the lists in which one of the 500 new images belongs; they have to be computed again. The distances
    -- in a list may have been summed in another order, so a distance that is almost equal counts as nearer.
    EXECUTE format('
        WITH fresh AS MATERIALIZED (%1$s LIMIT 500),
        added AS (INSERT INTO %2$s (id, digest) SELECT id, coopembed.digest(emb) FROM fresh),
        targets AS MATERIALIZED (SELECT array_agg(%3$s) AS targets FROM fresh)
        UPDATE %2$s g SET neighbours = NULL, distances = NULL FROM %4$s r
        WHERE r.%5$I = g.id AND g.neighbours IS NOT NULL AND coopembed.any_nearer(r.%6$s, (SELECT targets FROM targets),
            CASE WHEN cardinality(g.distances) < %7$s THEN ''Infinity'' ELSE g.distances[%7$s] * 1.000001 END)',
        fresh, tab, CASE WHEN g.attribute IS NULL THEN '@extschema@.coop_like(emb)'
            ELSE coopembed.target('emb', ARRAY[g.attribute]) END, coopembed.qualified(g.relation), g.id_column, emb, g.k);
    RETURN missing > 500;
END $$;

-- Computes up to 200 waiting lists that no other session is computing. Returns how many. Lists are exact, whatever the session's settings
-- for approximate scans.
CREATE OR REPLACE FUNCTION coopembed.knn_batch(graph regclass) RETURNS bigint
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp SET jit TO off
    SET coopembed.recall TO 1 SET coopembed.candidates TO 0 SET coopembed.probes TO 0 AS $$
DECLARE
    -- Locked before the next statement takes its snapshot, so that no image is registered after it.
    g coopembed.knn_graphs := coopembed.knn_lock(graph, 'ROW EXCLUSIVE');
    tab text := coopembed.qualified(graph);
    emb text := coopembed.embedding_column(g.relation, g.emb_column);
    taken bigint;
BEGIN
    -- Whether a candidate is registered with its present embedding is tested by a subquery for each candidate, which keeps the order of
    -- the index. The comparison is inside the subquery: the planner expects a subquery as condition to be true for half of the rows,
    -- but `digest = (subquery)` for hardly any, and would then not use the index.
    EXECUTE format('
        WITH taken AS MATERIALIZED (
            SELECT id, digest FROM %1$s WHERE neighbours IS NULL ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED),
        images AS MATERIALIZED (
            SELECT t.id, %2$s AS target FROM taken t JOIN %3$s r ON r.%4$I = t.id AND coopembed.digest(r.%5$s) = t.digest),
        lists AS MATERIALIZED (
            SELECT a.id, l.* FROM images a CROSS JOIN LATERAL (
                SELECT array_agg(n.id ORDER BY n.d) AS neighbours, array_agg(n.d ORDER BY n.d) AS distances FROM (%6$s) n) l)
        -- An image that is gone or changed gets an empty digest, which no embedding has, so that knn_forget() removes it.
        UPDATE %1$s g SET digest = CASE WHEN l.id IS NULL THEN ''''::bytea ELSE g.digest END,
            neighbours = COALESCE(l.neighbours, ''{}''), distances = COALESCE(l.distances, ''{}'')
        FROM taken t LEFT JOIN lists l ON l.id = t.id WHERE g.id = t.id',
        tab, coopembed.target('r.' || emb, CASE WHEN g.attribute IS NOT NULL THEN ARRAY[g.attribute] END),
        coopembed.qualified(g.relation), g.id_column, emb,
        coopembed.nearest(g.relation, g.id_column, emb, 'a.target', g.k, format('b.%1$I <> a.id
            AND (SELECT o.digest = coopembed.digest(b.%2$s) FROM %3$s o WHERE o.id = b.%1$I)', g.id_column, emb, tab)));
    GET DIAGNOSTICS taken = ROW_COUNT;
    RETURN taken;
END $$;
COMMENT ON FUNCTION coopembed.knn_batch(regclass) IS 'internal: computes a batch of waiting lists';

CREATE OR REPLACE FUNCTION coopembed.knn_count(graph regclass, OUT images bigint, OUT waiting bigint)
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE neighbours IS NULL) FROM %s', coopembed.qualified(graph)) INTO images, waiting;
END $$;
COMMENT ON FUNCTION coopembed.knn_count(regclass) IS 'internal: number of images in a graph, and of those whose list waits to be computed';

-- Runs the steps above in transactions of their own. A procedure that commits cannot set a search_path, so everything in it is named
-- with its schema. READ COMMITTED, whatever the default is: each batch has to see what other sessions have committed.
CREATE OR REPLACE PROCEDURE coop_build_knn(rel regclass, id_column name, emb_column name, graph text, k integer DEFAULT 5, attribute text DEFAULT NULL)
    LANGUAGE plpgsql AS $$
DECLARE
    stored pg_catalog.regclass := coopembed.knn_open(rel, id_column, emb_column, coopembed.full_name(graph), k, attribute);
    more boolean;
    told pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    progress pg_catalog.record;
BEGIN
    PERFORM coopembed.check_commit('coop_build_knn', coopembed.may_commit());
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        PERFORM coopembed.knn_forget(stored);
        LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            more := coopembed.knn_register(stored);
            EXIT WHEN NOT more;
        END LOOP;
        progress := coopembed.knn_count(stored);
        more := progress.waiting OPERATOR(pg_catalog.>) 0;
        EXIT WHEN NOT more;
        LOOP
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            more := coopembed.knn_batch(stored) OPERATOR(pg_catalog.>) 0;
            EXIT WHEN NOT more;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) '10 seconds'::pg_catalog.interval THEN
                told := pg_catalog.clock_timestamp();
                progress := coopembed.knn_count(stored);
                RAISE NOTICE 'graph %: % of % images still to be computed', stored, progress.waiting, progress.images;
            END IF;
        END LOOP;
    END LOOP;
    EXECUTE pg_catalog.format('ANALYZE %s', coopembed.qualified(stored));
END $$;
COMMENT ON PROCEDURE coop_build_knn(regclass, name, name, text, integer, text) IS
    'builds or refreshes a table with the k nearest neighbours (1 to 1000) of each row, over all attributes or in one; commits as it goes, resumes after a cancel, and shares work with other sessions that call it';

CREATE OR REPLACE FUNCTION coop_knn_graphs()
    RETURNS TABLE (graph regclass, relation regclass, id_column name, emb_column name, k integer, attribute text, images bigint, waiting bigint)
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    FOR graph, relation, id_column, emb_column, k, attribute IN
        SELECT g.graph, g.relation, g.id_column, g.emb_column, g.k, g.attribute FROM coopembed.knn_graphs g
            JOIN pg_class c ON c.oid = g.graph JOIN pg_class r ON r.oid = g.relation ORDER BY g.graph::text
    LOOP
        images := NULL;
        waiting := NULL;
        -- Counted only for graphs of the caller and of superusers; a graph of others is read only when somebody names it.
        IF coopembed.is_trusted(graph) AND coopembed.is_plain(graph) AND has_table_privilege(graph, 'SELECT')
            AND has_schema_privilege((SELECT relnamespace FROM pg_class WHERE oid = graph), 'USAGE') THEN
            SELECT c.images, c.waiting INTO images, waiting FROM coopembed.knn_count(graph) c;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION coop_knn_graphs() IS
    'the graphs of coop_build_knn(): for which table and columns they were built, the number of their images, and how many lists of neighbours wait to be computed';

-- current/transition.sql

COMMENT ON AGGREGATE coopembed.route(text, text[], double precision[], text, text) IS
    'internal: the shortest path or, if there is none, how many images can be reached';
COMMENT ON FUNCTION coopembed.asked_attributes(coopquery) IS 'internal: the attributes in which a query has a weight; null if in all';
COMMENT ON FUNCTION coopembed.centre(coopquery, text[]) IS 'internal: the target of a query in some attributes, with equal weights';

-- The id as its column writes it ('007' and '7' are the same integer), or an error unless exactly one row has it, and an embedding.
CREATE OR REPLACE FUNCTION coopembed.image_id(rel regclass, id_column name, emb_column name, id text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    rows bigint;
    embeddings bigint;
    written text;
BEGIN
    EXECUTE format('SELECT count(*), count(emb), min(id) FROM (SELECT %1$s AS emb, %2$I::text AS id FROM %3$s WHERE %2$I = $1::%4$s LIMIT 2) t',
        coopembed.embedding_column(rel, emb_column), id_column, coopembed.qualified(rel), coopembed.id_type(rel, id_column))
        INTO rows, embeddings, written USING id;
    IF rows = 0 THEN
        RAISE no_data_found USING MESSAGE = format('no row of %s has the id "%s"', rel, id),
            DETAIL = format('Looked for in column "%s".', id_column), HINT = 'Pass the id of a row of the table.';
    ELSIF rows > 1 THEN
        RAISE unique_violation USING MESSAGE = format('several rows of %s have the id "%s"', rel, id),
            HINT = format('Name a column that is unique instead of "%s".', id_column);
    ELSIF embeddings = 0 THEN
        RAISE null_value_not_allowed USING MESSAGE = format('the row of %s with the id "%s" has no embedding', rel, id),
            HINT = format('Set its "%s" to the coop_embed() of its image.', emb_column);
    END IF;
    RETURN written;
END $$;

-- The stored graph that fits and that the caller may read, if there is one. Any user may build a graph of a table, so only graphs of the
-- caller, of a superuser or of the table's owner are used, and none to which code is attached.
CREATE OR REPLACE FUNCTION coopembed.kept_graph(rel regclass, id_column name, emb_column name, k integer, attributes text[]) RETURNS regclass
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT g.graph FROM coopembed.knn_graphs g
        JOIN pg_class c ON c.oid = g.graph JOIN pg_class t ON t.oid = g.relation JOIN pg_roles owner ON owner.oid = c.relowner
    WHERE g.relation = rel AND g.id_column = kept_graph.id_column AND g.emb_column = kept_graph.emb_column AND g.k >= kept_graph.k
        AND (attributes IS NULL AND g.attribute IS NULL OR attributes = ARRAY[g.attribute])
        AND coopembed.is_plain(c.oid) AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE')
        AND (coopembed.is_trusted(c.oid) OR c.relowner = t.relowner)
    ORDER BY owner.rolname <> current_user, g.k, c.relname LIMIT 1 $$;
COMMENT ON FUNCTION coopembed.kept_graph(regclass, name, name, integer, text[]) IS 'internal: the stored graph that fits, null if there is none';

-- SQL that computes the lists of neighbours of the rows r for which `cond` is true: (id, neighbours, distances).
CREATE OR REPLACE FUNCTION coopembed.lists(rel regclass, id_column name, emb text, attributes text[], k integer, cond text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp AS $$
    SELECT format('SELECT a.id::text, COALESCE(n.neighbours, ''{}''), COALESCE(n.distances, ''{}'')
        FROM (SELECT r.%1$I AS id, %2$s AS target FROM %3$s r WHERE r.%1$I IS NOT NULL AND r.%4$s IS NOT NULL AND %5$s) a
        CROSS JOIN LATERAL (SELECT array_agg(n.id::text ORDER BY n.d) AS neighbours, array_agg(n.d ORDER BY n.d) AS distances
            FROM (%6$s) n) n',
        id_column, coopembed.target('r.' || emb, attributes), coopembed.qualified(rel), emb, cond,
        coopembed.nearest(rel, id_column, emb, 'a.target', k, format('b.%I <> a.id', id_column))) $$;
COMMENT ON FUNCTION coopembed.lists(regclass, name, text, text[], integer, text) IS 'internal: SQL that computes lists of neighbours';

-- The path from one image to another or, if `goal` is null, to the point `target`, measured in some attributes or, if those are null,
-- in all. It only leads through rows that the caller may read, even in a stored graph: its lists are joined with those rows.
CREATE OR REPLACE FUNCTION coopembed.walk(rel regclass, id_column name, emb_column name, start text, goal text, target coopquery, attributes text[],
        k integer, graph regclass)
    RETURNS TABLE (step integer, id text, distance double precision, is_crossing boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp SET jit TO off AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
    id_type text := coopembed.id_type(rel, id_column);
    stored regclass := COALESCE(graph, coopembed.kept_graph(rel, id_column, emb_column, k, attributes));
    -- SQL for (id, neighbours, distances, whether the stored graph lacks the row as it is now; null if no stored graph was used for it)
    lists text;
    outdated bigint;
    used bigint;
    path jsonb;
BEGIN
    IF stored IS NULL THEN
        IF (SELECT reltuples > 20000 FROM pg_class WHERE oid = rel) THEN
            RAISE NOTICE 'no stored graph of % fits, so one is built for this statement alone', rel
                USING HINT = 'CALL coop_build_knn() stores one; coop_knn_graphs() lists the stored graphs.';
        END IF;
        lists := format('SELECT l.*, NULL::boolean FROM (%s) l', coopembed.lists(rel, id_column, emb, attributes, k, 'true'));
    ELSE
        -- Rows that the graph lacks are left out, except for the two ends of the path.
        lists := format('SELECT r.%1$I::text, g.neighbours[:%2$s]::text[], g.distances[:%2$s], g.neighbours IS NULL
            FROM %3$s r LEFT JOIN %4$s g ON g.id = r.%1$I AND g.digest = coopembed.digest(r.%5$s)
            WHERE r.%1$I IS NOT NULL AND r.%5$s IS NOT NULL
            UNION ALL SELECT l.*, NULL FROM (%6$s) l', id_column, k, coopembed.qualified(rel), coopembed.qualified(stored), emb,
            coopembed.lists(rel, id_column, emb, attributes, k, format('r.%1$I IN ($1::%2$s, $2::%2$s) AND NOT EXISTS (SELECT FROM %3$s g
                WHERE g.id = r.%1$I AND g.digest = coopembed.digest(r.%4$s) AND g.neighbours IS NOT NULL)', id_column, id_type, coopembed.qualified(stored), emb)));
    END IF;
    IF goal IS NULL THEN
        lists := lists || format(' UNION ALL SELECT NULL, COALESCE(array_agg(n.id::text ORDER BY n.d), ''{}''),
            COALESCE(array_agg(n.d ORDER BY n.d), ''{}''), NULL FROM (%s) n', coopembed.nearest(rel, id_column, emb, '$3', k, 'true'));
    END IF;
    EXECUTE format('SELECT coopembed.route(id, neighbours, distances, $1, $2), count(*) FILTER (WHERE outdated),
        count(*) FILTER (WHERE NOT outdated) FROM (%s) l (id, neighbours, distances, outdated)', lists)
        INTO path, outdated, used USING start, goal, target;
    IF stored IS NOT NULL THEN
        PERFORM coopembed.tell_outdated(stored, outdated, used);
    END IF;
    IF jsonb_typeof(path) = 'object' THEN
        RAISE no_data_found USING MESSAGE = format('no path leads from "%s" to %s', start, COALESCE('"' || goal || '"', 'the target')),
            DETAIL = format('Of %s images %s can be reached from "%s", and %s from %s.', path ->> 'nodes', path ->> 'from_start', start,
                path ->> 'from_goal', COALESCE('"' || goal || '"', 'the target')),
            HINT = 'Raise k, so that each image has more neighbours.';
    END IF;
    RETURN QUERY SELECT (n - 1)::integer, s ->> 'id', (s ->> 'hop')::double precision, (s ->> 'crossing')::boolean
        FROM jsonb_array_elements(path) WITH ORDINALITY t (s, n) ORDER BY n;
END $$;
COMMENT ON FUNCTION coopembed.walk(regclass, name, name, text, text, coopquery, text[], integer, regclass) IS
    'internal: the path of coop_transition() and coop_transition_to()';

-- A NOTICE if a stored graph is not what a refresh would make it. Rows that the caller may not read do not count as gone.
CREATE OR REPLACE FUNCTION coopembed.tell_outdated(graph regclass, outdated bigint, used bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    g coopembed.knn_graphs := coopembed.knn(graph);
    lists bigint := used;
BEGIN
    IF NOT row_security_active(g.relation) THEN
        EXECUTE format('SELECT count(*) FROM %s WHERE neighbours IS NOT NULL', coopembed.qualified(graph)) INTO lists;
    END IF;
    IF outdated > 0 OR lists > used THEN
        RAISE NOTICE 'the stored graph % is out of date: % rows are new or changed, % of its rows are gone or changed', graph, outdated, lists - used
            USING HINT = format('CALL coop_build_knn(%L, %L, %L, %L, %s%s) refreshes it.', g.relation, g.id_column, g.emb_column, graph, g.k,
                COALESCE(', ' || quote_literal(g.attribute), ''));
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.tell_outdated(regclass, bigint, bigint) IS 'internal: a NOTICE if a stored graph is out of date';

-- Checks the arguments of both functions below; `graph` is null or the graph that the caller named.
CREATE OR REPLACE FUNCTION coopembed.check_walk(rel regclass, id_column name, emb_column name, k integer, attributes text[], graph regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
    emb text := coopembed.embedding_column(rel, emb_column);
BEGIN
    PERFORM coopembed.id_type(rel, id_column), coopembed.check_k(k);
    IF attributes IS NOT NULL THEN
        EXECUTE format('SELECT %3$s.coop_like(%1$s, VARIADIC $1) FROM %2$s WHERE %1$s IS NOT NULL LIMIT 1', emb, coopembed.qualified(rel), '@extschema@')
            USING attributes;
    END IF;
    IF graph IS NOT NULL AND NOT EXISTS (SELECT FROM coopembed.knn_graphs g WHERE g.graph = check_walk.graph AND g.relation = rel
        AND g.id_column = check_walk.id_column AND g.emb_column = check_walk.emb_column AND g.k >= check_walk.k
        AND (attributes IS NULL AND g.attribute IS NULL OR attributes = ARRAY[g.attribute])) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s is not a graph that coop_build_knn() built for these arguments', graph),
            DETAIL = format('The arguments are %s (%I, %I), k = %s%s.', rel, id_column, emb_column, k,
                COALESCE(', attribute "' || array_to_string(attributes, '", "') || '"', '')),
            HINT = 'coop_knn_graphs() lists the graphs. Without this argument, a graph that fits is found or built for the statement.';
    ELSIF graph IS NOT NULL THEN
        PERFORM coopembed.check_plain(graph);
    END IF;
END $$;
COMMENT ON FUNCTION coopembed.check_walk(regclass, name, name, integer, text[], regclass) IS
    'internal: checks the arguments of coop_transition() and coop_transition_to()';
COMMENT ON FUNCTION coop_transition(regclass, name, name, anycompatible, anycompatible, text, integer, regclass) IS
    'the shortest path from one image to another along k nearest neighbours, over all attributes or in one, in a stored graph or one built for the statement; is_crossing marks its longest hop';
COMMENT ON FUNCTION coop_transition_to(regclass, name, name, anycompatible, coopquery, text, integer, regclass) IS
    'the shortest path from an image to the target of a query, such as a category; its last row has no id';

-- current/status.sql

COMMENT ON FUNCTION coop_status() IS
    'counters of the inference service since its model process started, one row for each; only running = 0 before the first image';
COMMENT ON VIEW coop_stat_worker IS
    'the inference service: one row of counters and total times since stats_reset; all columns but running are null before the first image';
COMMENT ON COLUMN coop_stat_worker.running IS 'whether the service runs; reading the view does not start it';
COMMENT ON COLUMN coop_stat_worker.supervisor_pid IS 'process id of the background worker that supervises the model process';
COMMENT ON COLUMN coop_stat_worker.device IS 'device that computes: the name of a GPU, or cpu, with the reason if coopembed.device asks for another';
COMMENT ON COLUMN coop_stat_worker.stats_reset IS 'when the model process started, and its counters from zero';
COMMENT ON COLUMN coop_stat_worker.restarts IS 'model processes that this supervisor replaced, for new settings or by coop_worker_restart()';
COMMENT ON COLUMN coop_stat_worker.crashes IS 'model processes of this supervisor that ended in any other way';
COMMENT ON COLUMN coop_stat_worker.model_bytes IS 'bytes that the models in memory take, including their buffers';
COMMENT ON COLUMN coop_stat_worker.memory_limit IS 'bytes that models may take; 0: no limit';
COMMENT ON COLUMN coop_stat_worker.model_loads IS 'models loaded into memory';
COMMENT ON COLUMN coop_stat_worker.model_evictions IS 'models evicted from memory to make room for others';
COMMENT ON COLUMN coop_stat_worker.queue_length IS 'images waiting in the queue now';
COMMENT ON COLUMN coop_stat_worker.requests IS 'images received';
COMMENT ON COLUMN coop_stat_worker.images IS 'images embedded';
COMMENT ON COLUMN coop_stat_worker.batches IS 'batches that models computed';
COMMENT ON COLUMN coop_stat_worker.largest_batch IS 'number of images in the largest batch';
COMMENT ON COLUMN coop_stat_worker.refused_queue_full IS 'images refused because coopembed.queue_length images were waiting already';
COMMENT ON COLUMN coop_stat_worker.expired_in_queue IS 'images given up after waiting for coopembed.queue_timeout';
COMMENT ON COLUMN coop_stat_worker.cancelled IS 'images whose session no longer waited when their turn came';
COMMENT ON COLUMN coop_stat_worker.errors IS 'images that the model could not embed';
COMMENT ON COLUMN coop_stat_worker.decode_ms IS 'total milliseconds that sessions spent on decoding and resizing images';
COMMENT ON COLUMN coop_stat_worker.queue_ms IS 'total milliseconds that images waited in the queue';
COMMENT ON COLUMN coop_stat_worker.model_ms IS 'total milliseconds that models computed';
COMMENT ON COLUMN coop_stat_worker_batches.size IS 'a power of two: the row counts batches of at most this size and more than half of it';
COMMENT ON COLUMN coop_stat_worker_batches.batches IS 'number of batches of that size';
COMMENT ON COLUMN coop_stat_worker_batches.images IS 'number of images in those batches';
COMMENT ON FUNCTION coop_worker_restart() IS
    'replaces the model process by a new one and returns its process id once it answers; requests under way are answered first. For superusers, until EXECUTE is granted';

-- current/version.sql

COMMENT ON FUNCTION coop_version() IS
    'version of the library that this session runs; a WARNING if the SQL objects of this database (pg_extension.extversion) have another version: then run ALTER EXTENSION coopembed UPDATE, or reconnect';

-- Graphs in the list that no function would read any more.
DELETE FROM coopembed.knn_graphs WHERE coopembed.is_plain(graph) IS NOT TRUE;
