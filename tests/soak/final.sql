-- Raises an error unless every row, every embedding and every index is as it has to be.
CALL coop_embed_table('backlog', 'image', 'emb');
DO $$
DECLARE
    bad bigint;
    i regclass;
BEGIN
    SELECT count(*) INTO bad FROM (SELECT * FROM stock UNION ALL SELECT * FROM split) r WHERE emb IS DISTINCT FROM embedding_of(id, version);
    IF bad > 0 THEN RAISE '% rows have another embedding than they were given', bad; END IF;
    SELECT count(*) INTO bad FROM (SELECT image_id, emb FROM triggered UNION ALL SELECT image_id, emb FROM backlog) s JOIN images p ON p.id = s.image_id
        WHERE s.emb IS DISTINCT FROM p.known;
    IF bad > 0 THEN RAISE '% images have another embedding than at the start', bad; END IF;
    SELECT count(*) INTO bad FROM images WHERE coop_embed(image) <> known;
    IF bad > 0 THEN RAISE '% images are embedded otherwise than at the start', bad; END IF;
    FOR i IN SELECT c.oid FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'coop' AND c.relkind = 'i' LOOP
        IF NOT (SELECT indisvalid FROM pg_index WHERE indexrelid = i) THEN
            -- What REINDEX CONCURRENTLY leaves behind when it is killed.
            EXECUTE 'DROP INDEX ' || i;
            CONTINUE;
        END IF;
        EXECUTE format('SELECT count(*) - coop_index_check(%L) FROM %s', i, (SELECT indrelid::regclass FROM pg_index WHERE indexrelid = i)) INTO bad;
        IF bad <> 0 THEN RAISE 'index % differs from its table by % rows', i, bad; END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_locks WHERE locktype IN ('page', 'advisory')) THEN RAISE 'locks are left'; END IF;
END $$;
SELECT sum(check_functions(500)) + sum(check_queries(100)) FROM generate_series(1, 10);
