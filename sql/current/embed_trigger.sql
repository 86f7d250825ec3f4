-- The trigger function that keeps a table embedded; src/pg/functions/embed_trigger.rs implements it.

CREATE FUNCTION coop_embed_trigger() RETURNS trigger
    AS 'MODULE_PATHNAME', 'coop_embed_trigger' LANGUAGE C;
COMMENT ON FUNCTION coop_embed_trigger() IS
    'CREATE TRIGGER ... BEFORE INSERT OR UPDATE ... FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger(image_column, emb_column [, model]): embeds new and changed images';
