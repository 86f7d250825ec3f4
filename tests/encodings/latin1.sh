#!/usr/bin/env bash
# A database in LATIN1 answers as one in UTF8; a model with a name that LATIN1 cannot write is an error that says so.
source "$(dirname "$0")/../tools/encodings_fixture.sh"
encodings_cluster
same_as_utf8 LATIN1 'teinté' 'écarlate' 'thé à la menthe' 'modèle' 'CC0 – année 2026'

model_with model_kanji hue red '日本語' CC0
expect_error 'a name that cannot be written is an error' 'ERROR:  22P05: "\\u65e5\\u672c\\u8a9e" cannot be written in the encoding of this database' \
  -d latin1 -v VERBOSITY=verbose -c "SELECT coop_load_model('m', '$SCRATCH/model_kanji')"
expect_in 'the DETAIL says which character' 'DETAIL:  LATIN1 lacks the character U+65E5' "$SCRATCH/error"
expect_in 'the HINT says what to do' 'HINT:  Use a database in UTF8' "$SCRATCH/error"
expect 'nothing of the model is stored' 0 "$(ask -d latin1 -c "SELECT count(*) FROM coop_models() WHERE name = 'm'")"
finish
