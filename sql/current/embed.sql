-- The embedding of one image; src/pg/functions/embed.rs implements it. STABLE, not IMMUTABLE: models can be loaded and dropped.

CREATE FUNCTION coop_embed(image bytea) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_embed_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000
    SUPPORT coop_fold_support;
CREATE FUNCTION coop_embed(image bytea, model text) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_embed_with_wrapper' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000
    SUPPORT coop_fold_support;
-- A box is required where it can be given: with a default, coop_embed(image, model => ...) would fit two functions.
CREATE FUNCTION coop_embed(image bytea, box box, model text DEFAULT NULL) RETURNS coopvec
    AS 'MODULE_PATHNAME', 'coop_embed_box_wrapper' LANGUAGE C STABLE PARALLEL SAFE COST 100000
    SUPPORT coop_fold_support;
COMMENT ON FUNCTION coop_embed(bytea) IS
    'the embedding of an image (JPEG, PNG, WebP, AVIF, JPEG XL, GIF, TIFF, BMP, PNM, ICO) by the default model; errors: 22000 the image cannot be decoded, 54000 it is too large, 53000 the queue of the inference service is full or coopembed.queue_timeout has passed';
COMMENT ON FUNCTION coop_embed(bytea, text) IS 'the embedding of an image by the model of that name; errors as for the default model';
COMMENT ON FUNCTION coop_embed(bytea, box, text) IS
    'the embedding of an image''s part in a box (null: of the whole image), in pixels of the upright image from its top left corner, by a model (null: the default model)';

-- Not an overload of coop_embed(): with coop_embed(oid), PostgreSQL could not tell what coop_embed('\x...') and coop_embed($1) of a driver that
-- names no types mean.
CREATE FUNCTION coop_embed_lo(lo oid, model text DEFAULT NULL, box box DEFAULT NULL) RETURNS coopvec
    LANGUAGE sql STABLE PARALLEL RESTRICTED COST 100000 SUPPORT coop_fold_support
    RETURN coop_embed(pg_catalog.lo_get(lo), box, model);
COMMENT ON FUNCTION coop_embed_lo(oid, text, box) IS
    'the embedding of an image in a large object, which the caller must be allowed to read; model and box as for coop_embed()';
