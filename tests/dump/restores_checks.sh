#!/usr/bin/env bash
# Checks and triggers that ask for a model, in a restore. A check that is NOT VALID is restored after all data, in any order and in parallel; one
# that is valid, or a domain's, needs the data of schema coopembed first, which the error says. A trigger's condition has to name our operators by schema.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
export PGOPTIONS="-c client_min_messages=warning"
shop() { # DATABASE SUFFIX: a table in a schema that is dumped before coopembed, and larger ones, with checks that have this suffix
  "$BIN/createdb" "$1"
  PGDATABASE=$1 load_demo
  PGDATABASE=$1 embed_demo products
  ask -d "$1" <<SQL
CREATE SCHEMA boutique;
CREATE TABLE boutique.rows AS SELECT id, image, emb FROM products;
ALTER TABLE boutique.rows ADD CHECK (emb <-> coop_attr_query('hue', 'green') < 9) $2;
CREATE TABLE rows AS SELECT r.* FROM boutique.rows r, generate_series(1, 4);
ALTER TABLE rows ADD CHECK (emb <-> coop_attr_query('hue', 'green') < 9) $2, ADD CHECK (coop_tags(emb) IS NOT NULL) $2;
CREATE TABLE boutique.named AS SELECT emb FROM products;
ALTER TABLE boutique.named ADD CHECK (emb <-> coop_attr_query('hue', 'green', 'emoji') < 9) $2;
CREATE TABLE boutique.tagged AS SELECT emb FROM products;
ALTER TABLE boutique.tagged ADD CHECK (coop_tags(emb) IS NOT NULL) $2;
SQL
  "$BIN/pg_dump" -Fc -f "$SCRATCH/$1.dump" "$1"
}
rows() { ask -d "$1" -c 'SELECT (SELECT count(*) FROM boutique.rows), (SELECT count(*) FROM rows)'; }
new() { "$BIN/dropdb" --if-exists restored && "$BIN/createdb" restored; }
enforced() { # WHAT
  expect_error "$1" 'violates check constraint' -d restored -c "INSERT INTO boutique.rows SELECT id, image, ('13x50@' || fingerprint || ':[' || repeat('-9,', 649) || '-9]')::coopvec FROM boutique.rows, coop_models() LIMIT 1"
}
shop lazy 'NOT VALID'
for try in 1 2 3; do
  new
  check "NOT VALID: pg_restore -j4, time $try" "$BIN/pg_restore" -e -j 4 -d restored "$SCRATCH/lazy.dump"
  expect "all rows are there, time $try" '60|240' "$(rows restored)"
done
enforced 'and the checks hold for new rows'
new
"$BIN/pg_dump" lazy | ask -d restored >/dev/null
expect 'from text, too' '60|240' "$(rows restored)"

shop eager ''
# Also of a domain. As NOT VALID it would be restored after the data by one job, but several jobs know of no order among them.
ask -d eager -c "CREATE DOMAIN tool AS coopvec CHECK (VALUE <-> coop_category_query('tool') < 9)" -c 'CREATE TABLE boutique.tools AS SELECT id, emb::tool AS tool FROM products'
"$BIN/pg_dump" -Fc -f "$SCRATCH/eager.dump" eager
new
"$BIN/pg_restore" -d restored "$SCRATCH/eager.dump" 2>"$SCRATCH/error" || true
expect_in 'valid: PostgreSQL checks rows before the model is there' 'no model is loaded' "$SCRATCH/error"
expect_in 'and the error says what to do' 'pg_restore --section=data -n coopembed' "$SCRATCH/error"
expect 'each of them does' "$(grep -c 'COPY failed' "$SCRATCH/error")" "$(grep -c 'HINT: .*restore the data of schema coopembed first' "$SCRATCH/error")"
for try in 1 2 3; do
  new
  restore() { "$BIN/pg_restore" -e -d restored "$@" "$SCRATCH/eager.dump"; }
  check "in this order everything is restored, time $try" eval \
    'restore --section=pre-data && restore --section=data -n coopembed && restore --section=data -N coopembed -j 4 && restore --section=post-data -j 4'
  expect "all rows are there, time $try" '60|240' "$(rows restored)"
done
enforced 'and the checks hold'

# A trigger's condition. PostgreSQL dumps IS DISTINCT FROM without the schema of the operator behind it.
ask -d lazy <<'SQL'
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''changed''; END';
CREATE TRIGGER named BEFORE UPDATE ON boutique.rows FOR EACH ROW WHEN (OLD.emb <> NEW.emb OR (OLD.emb IS NULL) <> (NEW.emb IS NULL)) EXECUTE FUNCTION note();
SQL
new
check 'a trigger whose condition is <> is restored' eval '"$BIN/pg_dump" -Fc lazy | "$BIN/pg_restore" -e -d restored'
expect_error 'and fires when the embedding changes' 'changed' -d restored -c 'UPDATE boutique.rows SET emb = NULL WHERE id = 7'
check 'and not otherwise' ask -d restored -c 'UPDATE boutique.rows SET emb = emb, id = id WHERE id = 7'
ask -d lazy -c 'CREATE TRIGGER bare BEFORE UPDATE ON boutique.rows FOR EACH ROW WHEN (OLD.emb IS DISTINCT FROM NEW.emb) EXECUTE FUNCTION note()'
new
"$BIN/pg_dump" -Fc lazy | "$BIN/pg_restore" -d restored 2>"$SCRATCH/error" || true
expect_in 'one with IS DISTINCT FROM is not: it cannot name the schema' 'operator does not exist: public.coopvec = public.coopvec' "$SCRATCH/error"
expect 'all else is' '60|240' "$(rows restored)"
finish
