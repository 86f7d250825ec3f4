-- The trigger function that keeps a table embedded; src/pg/functions/embed_trigger.rs implements it.

CREATE FUNCTION coop_embed_trigger() RETURNS trigger
    AS 'MODULE_PATHNAME', 'coop_embed_trigger' LANGUAGE C;
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
