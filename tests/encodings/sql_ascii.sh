#!/usr/bin/env bash
# A database in SQL_ASCII, which says nothing about its texts, answers as one in UTF8 where they are UTF-8; other bytes are an error in names, and
# come back as they are in ids.
source "$(dirname "$0")/../tools/encodings_fixture.sh"
encodings_cluster
same_as_utf8 SQL_ASCII 'teinté' '赤' 'thé' 'modèle' 'CC0 😀'
expect_error 'bytes that are not UTF-8 are an error in a name' 'ERROR:  invalid byte sequence for encoding "UTF8": 0xe9' \
  -d sql_ascii -c "SELECT coop_category_query(convert_from('\\xe9', 'SQL_ASCII'))"
expect 'ids of any bytes come back' 1 "$(ask -d sql_ascii <<'SQL'
CREATE VIEW odd AS SELECT convert_from(convert_to("nomodèle", 'SQL_ASCII') || '\xe9ff'::bytea, 'SQL_ASCII') AS id, "emodèle" AS emb FROM "modèle";
SELECT count(*) FROM coop_transition('odd', 'id', 'emb', convert_from('modèle-1'::bytea || '\xe9ff', 'SQL_ASCII'), convert_from('modèle-7'::bytea || '\xe9ff', 'SQL_ASCII')) t
  JOIN odd ON odd.id = t.id WHERE step = 0;
SQL
)"
finish
