-- Queries by attribute value, by category and by example, and embeddings from plain numbers; src/pg/functions/queries.rs implements
-- them. COST 1000 stands for a lookup in the catalogue; the support function makes it happen once per statement.
--
-- Queries by value or category are NULL if an argument is, but not STRICT: a constant NULL would vanish while planning, and with it the notice
-- that rows come in no particular order. Functions in SQL around them are not STRICT either, or they would not be inlined.

CREATE FUNCTION coop_attr_query(attribute text, value text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_attr_query_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_attr_query(attribute text, value text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_attr_query_of_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_attr_query(text, text) IS
    'query: this value of this attribute of the default model; all else does not matter. An unknown name is an error (42704) that suggests similar ones';
COMMENT ON FUNCTION coop_attr_query(text, text, text) IS 'query: this value of this attribute of a model; all else does not matter';

-- Values that are numbers need no quotes: a column of any integer type fits, too.
CREATE FUNCTION coop_attr_query(attribute text, value bigint) RETURNS coopquery
    LANGUAGE sql STABLE PARALLEL SAFE RETURN coop_attr_query(attribute, value::text);
CREATE FUNCTION coop_attr_query(attribute text, value bigint, model text) RETURNS coopquery
    LANGUAGE sql STABLE PARALLEL SAFE RETURN coop_attr_query(attribute, value::text, model);
COMMENT ON FUNCTION coop_attr_query(text, bigint) IS 'query: this value, a whole number, of this attribute of the default model';
COMMENT ON FUNCTION coop_attr_query(text, bigint, text) IS 'query: this value, a whole number, of this attribute of a model';

CREATE FUNCTION coop_category_query(category text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_category_query_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_category_query(category text, model text) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_category_query_of_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_category_query(text) IS 'query: this category of the default model';
COMMENT ON FUNCTION coop_category_query(text, text) IS 'query: this category of a model';

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

-- Without attributes: like this embedding in all of them. It does what the cast to coopquery does, under the name people look for.
CREATE FUNCTION coop_like(embedding coopvec) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coopvec_to_query_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_like(embedding coopvec, VARIADIC attributes text[]) RETURNS coopquery
    AS 'MODULE_PATHNAME', 'coop_like_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_like(coopvec) IS 'query: like this embedding in every attribute';
COMMENT ON FUNCTION coop_like(coopvec, text[]) IS 'query: like this embedding in these attributes; all else does not matter';

-- Arrays of all numbers become a double precision[] implicitly. With a second function for real[], an untyped parameter would be ambiguous.
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
