-- Casts between embeddings and arrays, and to jsonb, and distances to arrays: what clients without a type of their own for embeddings send
-- and read. src/pg/types/casts.rs implements them.

-- From arrays, on assignment or by an explicit cast: never implicitly, or `numbers = numbers` would have two meanings. The embedding is one
-- of the default model.
CREATE FUNCTION coopvec(numbers real[]) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_vector_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
CREATE FUNCTION coopembed.coop_vector(numbers real[], model text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_vector_of_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    SUPPORT coop_fold_support;
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
CREATE FUNCTION coopvec_to_float4_array(coopvec) RETURNS real[]
    AS 'MODULE_PATHNAME', 'coopvec_to_float4_array_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION coopvec_to_float8_array(coopvec) RETURNS double precision[]
    AS 'MODULE_PATHNAME', 'coopvec_to_float8_array_wrapper' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
CREATE FUNCTION coopvec_to_numeric_array(coopvec) RETURNS numeric[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10
    RETURN coopvec_to_float8_array($1)::numeric[];
CREATE CAST (coopvec AS real[]) WITH FUNCTION coopvec_to_float4_array(coopvec) AS ASSIGNMENT;
CREATE CAST (coopvec AS double precision[]) WITH FUNCTION coopvec_to_float8_array(coopvec) AS ASSIGNMENT;
CREATE CAST (coopvec AS numeric[]) WITH FUNCTION coopvec_to_numeric_array(coopvec) AS ASSIGNMENT;
COMMENT ON FUNCTION coopvec_to_float4_array(coopvec) IS 'the K n numbers of an embedding, subspace after subspace';
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
