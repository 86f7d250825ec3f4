#!/usr/bin/env bash
# A database in EUC_JP answers as one in UTF8, and an error that a user's trigger raises in it arrives.
source "$(dirname "$0")/../tools/encodings_fixture.sh"
encodings_cluster
same_as_utf8 EUC_JP '色相' '赤' '飲み物' '絵文字' 'CC0 😀'

# pgrx cannot carry text that is not UTF-8, but an error must arrive all the same.
expect_error "an error that a user's trigger raises arrives" 'ERROR:  P0001: no .* here' -d euc_jp -v VERBOSITY=verbose <<'SQL'
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no 絵文字 here' USING HINT = '赤'; END$$;
CREATE TRIGGER refuse BEFORE UPDATE OF "e絵文字" ON "絵文字" FOR EACH ROW WHEN (NEW."no絵文字" = '絵文字-2') EXECUTE FUNCTION refuse();
ALTER TABLE "絵文字" DISABLE TRIGGER refuse;
UPDATE "絵文字" SET "i絵文字" = pg_read_binary_file(current_setting('data_directory') || '/../jpeg_420.jpg'), "e絵文字" = NULL WHERE "no絵文字" = '絵文字-2';
ALTER TABLE "絵文字" ENABLE TRIGGER refuse;
CALL coop_embed_table('"絵文字"', 'i絵文字', 'e絵文字');
SQL
finish
