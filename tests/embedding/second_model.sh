#!/usr/bin/env bash
# Loading a second model changes nothing for a shop that runs on the first, which is the database's default until coop_set_default_model()
# chooses another; the setting overrides it, all sessions see a change, and two sessions that load the first model at once agree on one.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
default() { ask "$@" -c "SELECT string_agg(name, ' ') FROM coop_models() WHERE is_default"; }
shop() { # what a shop does without naming a model
  ask <<'SQL'
SELECT coop_attr_query('hue', 'green'), coop_category_query('tool');
SELECT coop_embed(image) FROM products WHERE id = 7;
SELECT (emb::real[])::coopvec, coop_vector(emb::real[]) FROM products WHERE id = 7;
BEGIN;
INSERT INTO kept SELECT id, image FROM products WHERE id <= 3;
SELECT emb FROM kept ORDER BY id;
ROLLBACK;
SELECT count(*) FROM coop_attributes();
SQL
}
ask -c 'CREATE TABLE kept (id int, image bytea, emb coopvec)' -c 'CREATE VIEW greens AS SELECT coop_attr_query($$hue$$, $$green$$) AS query' \
  -c "CREATE TRIGGER embed BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" \
  -c "CALL coop_embed_table('products', 'image', 'emb')"
shop >"$SCRATCH/before"
twin=$(twin_of "$SCRATCH/emoji")
ask -c "SELECT coop_load_model('b', '$twin')" >/dev/null
shop >"$SCRATCH/after" 2>&1 || true
expect 'a shop goes on as before when a second model is loaded' '' "$(diff "$SCRATCH/before" "$SCRATCH/after")"
expect 'the first model is the default' emoji "$(default)"
expect 'a setting overrides it, for its session' 'b emoji' "$(default -c "SET coopembed.model = 'b'") $(default)"

open_session other
model_of() { echo "SELECT left(split_part(coop_attr_query('hue', 'green')::text, '@', 2), 8) = (SELECT fingerprint FROM coop_models() WHERE name = '$1')"; }
tell other "PREPARE is_b AS $(model_of b)" >/dev/null
tell other "CREATE FUNCTION is_b() RETURNS boolean LANGUAGE plpgsql STABLE AS \$\$ BEGIN RETURN ($(model_of b)); END \$\$" >/dev/null
expect 'before, other sessions mean the first' 'f f' "$(tell other 'EXECUTE is_b' | xargs) $(tell other 'SELECT is_b()')"
ask -c "SELECT coop_set_default_model('b')" >/dev/null
expect 'a new default takes effect in other sessions, in their prepared statements and functions' 't t' "$(tell other 'EXECUTE is_b') $(tell other 'SELECT is_b()')"
tell other 'BEGIN ISOLATION LEVEL REPEATABLE READ' >/dev/null
expect 'a transaction with one snapshot keeps the default that it began with' t "$(tell other 'EXECUTE is_b')"
ask -c "SELECT coop_set_default_model('emoji')" >/dev/null
expect 'whatever others choose' t "$(tell other 'EXECUTE is_b')"
tell other COMMIT >/dev/null
expect 'and then has the new one' f "$(tell other 'EXECUTE is_b')"
ask -c "BEGIN" -c "SELECT coop_set_default_model('b')" -c ROLLBACK >/dev/null
expect 'a choice that is rolled back is none' emoji "$(default)"

expect_error 'a model that is not loaded cannot be the default' 'model "c" does not exist' -c "SELECT coop_set_default_model('c')"
ask -c 'CREATE ROLE clerk' -c 'CREATE ROLE manager' -c 'GRANT EXECUTE ON FUNCTION coop_set_default_model(text) TO manager'
expect_error 'nor may everybody choose' 'permission denied for function coop_set_default_model' -c 'SET ROLE clerk' -c "SELECT coop_set_default_model('b')"
expect_error 'nor write the row' 'permission denied for table default_model' -c 'SET ROLE clerk' -c "UPDATE coopembed.default_model SET model = 'b'"
ask -c 'SET ROLE manager' -c "SELECT coop_set_default_model('b')" >/dev/null
expect 'whom a superuser grants it may' b "$(default)"

expect_error 'the default is not dropped while there are others' 'model "b" is the default of this database' -v VERBOSITY=verbose -c "SELECT coop_drop_model('b')"
expect_in 'which is an object in use' 'ERROR:  55006' "$SCRATCH/error"
expect_in 'and the error says what to do' "SELECT coop_set_default_model('emoji')" "$SCRATCH/error"
ask -c "SELECT coop_drop_model('emoji')" >/dev/null
expect 'others are' b "$(default)"
ask -c "SELECT coop_drop_model('b')" >/dev/null
expect 'and the last one, with the choice' 0 "$(value 'count(*) FROM coopembed.default_model')"

# Two sessions that load the first model at the same time.
load() { echo "SELECT coop_load_model('$1', '$2')"; }
for level in 'READ COMMITTED' 'REPEATABLE READ'; do
  for end in COMMIT ROLLBACK; do
    ask -c "$(load none "$twin")" -c "SELECT coop_drop_model('none')" >/dev/null
    tell other BEGIN >/dev/null
    tell other "$(load first "$SCRATCH/emoji")" >/dev/null
    PGOPTIONS="$PGOPTIONS -c default_transaction_isolation=${level/ /\\ }" ask -c "$(load second "$twin")" >"$SCRATCH/second" 2>&1 &
    waits() { [ "$(value "count(*) FROM pg_locks WHERE NOT granted AND relation = 'coopembed.models'::regclass")" = 1 ]; }
    until_true 'the second session waits for the first' waits
    tell other "$end" >/dev/null
    case $end in COMMIT) first=first ;; ROLLBACK) first=second ;; esac
    case $level$end in
      REPEATABLE*COMMIT) check 'a snapshot from before the first one loaded is told to try again' eval '! wait $!' ;;
      *) check "the second session loads its model ($level, $end)" wait $! ;;
    esac
    expect "of two sessions that load a first model, the one that commits first decides ($level, $end)" $first "$(default)"
    ask -c "SELECT coop_drop_model(name) FROM (SELECT name FROM coop_models() ORDER BY is_default LIMIT 10) m" >/dev/null
  done
done
close_session other

# What a dump of version 0.2.0 restores: models, and no default.
ask -c "$(load emoji "$SCRATCH/emoji")" -c 'DELETE FROM coopembed.default_model' >/dev/null
expect 'without a choice, the only model is the default' emoji "$(default)"
ask -c "$(load b "$twin")" >/dev/null
expect 'and stays it when another is loaded' emoji "$(default)"
ask -c 'DELETE FROM coopembed.default_model'
expect_error 'of several none is' 'several models are loaded and none is the default' -c "SELECT coop_attr_query('hue', 'green')"
expect_in 'and the error says how to choose' "SELECT coop_set_default_model('...')" "$SCRATCH/error"
ask -c "UPDATE coopembed.models SET name = 'gone' WHERE name = 'emoji'" -c "INSERT INTO coopembed.default_model (model) VALUES ('emoji')"
expect 'a default that was renamed by hand is none' '' "$(default)"
finish
