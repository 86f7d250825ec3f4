-- The embedding of one image; src/pg/functions/embed.rs implements it. STABLE, not IMMUTABLE: models can be loaded and dropped.

CREATE FUNCTION coop_embed(image bytea) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_embed_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_embed(image bytea, model text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_embed_with_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_embed(bytea) IS
    'the embedding of an image (JPEG, PNG, WebP, AVIF, JPEG XL, GIF, TIFF, BMP, PNM, ICO) by the default model; errors: 22000 the image cannot be decoded, 54000 it is too large, 53000 the queue of the inference service is full or coopembed.queue_timeout has passed';
COMMENT ON FUNCTION coop_embed(bytea, text) IS 'the embedding of an image by the model of that name; errors as for the default model';
