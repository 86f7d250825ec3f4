#!/usr/bin/env bash
# coopembed load, models and dump-model: a model goes into a database over a connection and comes back, in one transaction, with the rights that
# coop_load_model() needs.
source "$(dirname "$0")/../tools/program_fixture.sh"
program_cluster
emoji=$ROOT/model/emoji
fails 'a database without the extension is an error that says what to do' 'CREATE EXTENSION coopembed' load --name shop "$emoji"
ask -c 'CREATE SCHEMA "Coop ext"' -c 'CREATE EXTENSION coopembed SCHEMA "Coop ext"'
runs 'without models there is nothing to list' 'no model is loaded' models
fails 'a directory that does not exist is an error' 'there is no directory' load --name shop "$SCRATCH/none"
twin=$(twin_of "$(for_server "$SCRATCH" "$emoji")")
head -c 1000000 "$emoji/model.safetensors" >"$SCRATCH/cut"
cp -R "$emoji" "$SCRATCH/damaged"
mv "$SCRATCH/cut" "$SCRATCH/damaged/model.safetensors"
fails 'a damaged model is refused before the database is asked' 'ERROR' load --db 'postgres:///nowhere?host=/tmp/coopembed-nowhere' --name shop "$SCRATCH/damaged"
fails 'a server that is not there is an error' 'onnect' load --db 'postgres:///nowhere?host=/tmp/coopembed-nowhere' --name shop "$emoji"
fails 'a name that cannot be one is refused' 'cannot name a model' load --name ' shop' "$emoji"
runs 'a model is loaded' 'loaded model "shop" (13x50' load --name shop "$emoji"
expect 'as coop_load_model() would: the same parts, nothing else' '1 12608700' \
  "$(ask -F ' ' -c "SELECT count(*), sum(octet_length(bytes)) FROM coopembed.model_weights WHERE model = 'shop'")"
runs 'it is listed' '^shop  .*yes  *13  *650  *13' models
runs 'and as JSON' '"name":"shop"' models --json
fails 'a name that is taken is refused' 'already exists' load --name shop "$twin"
expect_in 'with the way to change the model' 'Change the model' "$SCRATCH/error"

# Replace.
ask -c "SELECT \"Coop ext\".coop_define_synonym('crimson', 'hue', 'red')" >/dev/null
runs 'the same model is left as it is' 'is this model already' load --name shop --replace "$emoji"
expect 'with its synonyms, and nothing is left over' '1 1' "$(ask -F ' ' -c 'SELECT (SELECT count(*) FROM coopembed.synonyms), (SELECT count(*) FROM coopembed.model_weights)')"
runs 'another takes its place' 'NOTICE:  embeddings of model .* stay as they are' load --name shop --replace "$twin"
expect_in 'it says what goes with the old one' '1 values, categories and synonyms' "$SCRATCH/said"
expect 'the name is still the default' 'shop t' "$(ask -F ' ' -c 'SELECT name, is_default FROM "Coop ext".coop_models()')"
runs 'beside another' 'loaded model "second"' load --name second --default "$emoji"
expect 'which is the default then' 'second t' "$(ask -F ' ' -c 'SELECT name, is_default FROM "Coop ext".coop_models() WHERE is_default')"

# Rights.
ask -c 'CREATE ROLE clerk LOGIN' -c 'CREATE ROLE team LOGIN' -c 'CREATE ROLE chief LOGIN' -c 'ALTER DATABASE shop OWNER TO chief' -c 'GRANT USAGE ON SCHEMA "Coop ext" TO PUBLIC'
fails 'a role without rights loads nothing' 'permission denied' load --db 'user=clerk dbname=shop' --name x "$emoji"
fails 'nor reads weights' 'permission denied' dump-model --db 'user=clerk dbname=shop' shop "$SCRATCH/stolen"
check 'nothing of it is written' test ! -e "$SCRATCH/stolen"
runs 'but lists the models' '^shop' models --db 'user=clerk dbname=shop'
ask -c 'GRANT EXECUTE ON FUNCTION coopembed.stage_weights(integer, bytea), coopembed.load_staged(text, text, boolean) TO team'
runs 'a role that was granted it loads' 'loaded model "theirs"' load --db 'user=team dbname=shop' --name theirs "$emoji"
runs 'the owner of the database gets a model back' "wrote $SCRATCH/back: model 13x50" dump-model --db 'user=chief dbname=shop' shop "$SCRATCH/back"
check 'its weights are those that were loaded' cmp "$SCRATCH/back/model.safetensors" "$twin/model.safetensors"
check 'and so is its config' cmp "$SCRATCH/back/config.json" "$twin/config.json"
fails 'a directory with a model is not overwritten' 'has a model already' dump-model shop "$SCRATCH/back"
fails 'a name that does not exist is an error that lists those that do' 'Known: "shop", "second", "theirs"' dump-model shpo "$SCRATCH/other"

# What is left when something goes wrong.
part() { echo "SELECT coopembed.stage_weights($1, decode(repeat('00', $2), 'hex'))"; }
expect_error 'parts have a limit' 'not a part of a model' -c "$(part 1 16777217)"
expect_error 'and a number' 'not a part of a model' -c "$(part 0 1)"
expect_error 'staged bytes that are no model are refused' 'weights\|config' -c 'BEGIN' -c "$(part 1 100)" -c "SELECT coopembed.load_staged('x', '{}', false)"
expect 'and nothing of them stays' 0 "$(ask -c "SELECT count(*) FROM coopembed.model_weights WHERE model !~ '^[a-z]+$'")"
ask -c "UPDATE coopembed.model_weights SET bytes = set_byte(bytes, 6000000, get_byte(bytes, 6000000) # 1) WHERE model = 'theirs'"
fails 'a damaged model in the database is not written out' 'does not match its digest' dump-model theirs "$SCRATCH/other"
check 'nothing of it' test ! -e "$SCRATCH/other"
expect 'nothing crashed' '' "$(crashes)"
finish
