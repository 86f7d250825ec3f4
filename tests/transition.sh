#!/usr/bin/env bash
# Kept graphs of neighbours: a refresh equals a build from nothing, sessions share a build, one that is cancelled goes on, and a
# dump carries the graph and what it is of. usage: transition.sh [ROUNDS]
source "$(dirname "$0")/tools/lib.sh"
find_postgres
rounds=${1:-6}
scratch_cluster autovacuum=off
"$BIN/createdb" shop
export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")

ask -v model="$model" <<'SQL' >/dev/null
CREATE EXTENSION coopembed;
SELECT coop_load_model('emoji', :'model');
-- Rows of the model's shape around a few centres, no two at one distance.
CREATE FUNCTION photo(seed int) RETURNS coopvec LANGUAGE sql IMMUTABLE AS $$
    SELECT coop_vector(array_agg((sin(seed % 7 * 50 + i) + hashint8(seed::bigint * 1000 + i) / 2147483648.0 / 3)::real ORDER BY i))
    FROM generate_series(1, 650) i $$;
CREATE TABLE photos (id int PRIMARY KEY, emb coopvec);
CREATE INDEX photos_emb ON photos USING coop (emb) WITH (tail_rows = 100);

-- How many lists of a graph are not those that comparing all rows with all rows gives, by distances: ties may be in any order.
CREATE FUNCTION wrong(graph regclass, k int, attribute text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint;
BEGIN
    SET LOCAL enable_indexscan = off;
    EXECUTE format('
        WITH right_ones AS MATERIALIZED (
            SELECT a.id, ARRAY(SELECT b.emb <-> %s FROM photos b WHERE b.id <> a.id AND b.emb IS NOT NULL ORDER BY 1 LIMIT %s) AS distances
            FROM photos a WHERE a.emb IS NOT NULL)
        SELECT count(*) FROM right_ones r FULL JOIN %s g USING (id)
        WHERE r.distances IS DISTINCT FROM g.distances
            OR EXISTS (SELECT FROM unnest(g.neighbours, g.distances) t (neighbour, d) JOIN photos a ON a.id = g.id JOIN photos b ON b.id = neighbour
                       WHERE b.emb <-> %1$s <> d)',
        CASE WHEN attribute IS NULL THEN 'a.emb' ELSE format('coop_like(a.emb, %L)', attribute) END, k, graph) INTO found;
    RETURN found;
END $$;
SQL

build() { ask -c "CALL coop_build_knn('photos', 'id', 'emb', 'knn', 4)"; }
wrong() { ask -c "SELECT wrong('knn', 4, NULL)"; }
build
expect 'the graph of no rows is empty' 0 "$(ask -c 'SELECT count(*) FROM knn')"
ask -c "INSERT INTO photos SELECT i, photo(i) FROM generate_series(1, 3) i" && build
expect 'fewer rows than neighbours' '0 2' "$(wrong) $(ask -c 'SELECT max(cardinality(neighbours)) FROM knn')"
ask -c "INSERT INTO photos SELECT i, photo(i) FROM generate_series(4, 900) i" -c "INSERT INTO photos VALUES (0, NULL)" && build
expect 'a build finds the nearest' 0 "$(wrong)"
ask -c "ANALYZE"
lists="SELECT string_agg(xmin::text || ctid, ' ' ORDER BY id) FROM knn"
before=$(ask -c "$lists")
build
expect 'a refresh without changes changes nothing' "$before" "$(ask -c "$lists")"

# Random changes, some of them all on one row.
for round in $(seq "$rounds"); do
  ask -c "SELECT setseed(0.$round)" \
    -c "DELETE FROM photos WHERE random() < 0.03" \
    -c "UPDATE photos SET emb = photo(id + 1000 * $round) WHERE random() < 0.03" \
    -c "UPDATE photos SET emb = NULL WHERE random() < 0.01" \
    -c "UPDATE photos SET emb = photo(id) WHERE emb IS NULL AND random() < 0.3" \
    -c "INSERT INTO photos SELECT 1000 * $round + i, photo(77 * $round + i) FROM generate_series(1, (random() * 60)::int) i" \
    -c "UPDATE photos SET id = -id WHERE random() < 0.01" >/dev/null
  outdated=$(wrong)
  [ "$outdated" -gt 0 ] || die 'the changes change nothing'
  all=$(ask -c 'SELECT max(xmin::text::bigint) FROM knn')
  build
  expect "a refresh equals a build from nothing ($outdated lists were out of date)" 0 "$(wrong)"
  expect 'and leaves lists alone that stay' t "$(ask -c "SELECT count(*) > 100 FROM knn WHERE xmin::text::bigint <= $all")"
done
ask -c "CALL coop_build_knn('photos', 'id', 'emb', 'hues', 4, 'hue')"
expect 'in one attribute too' 0 "$(ask -c "SELECT wrong('hues', 4, 'hue')")"
ask -c "UPDATE photos SET emb = photo(id + 7) WHERE id % 30 = 0" -c "INSERT INTO photos SELECT i, photo(i) FROM generate_series(20000, 20020) i"
ask -c "CALL coop_build_knn('photos', 'id', 'emb', 'hues', 4, 'hue')"
expect 'and after changes' 0 "$(ask -c "SELECT wrong('hues', 4, 'hue')")"
ask -c "SET coopembed.probes = 1" -c "SET coopembed.candidates = 1" -c "CALL coop_build_knn('photos', 'id', 'emb', 'knn', 4)"
expect 'approximate answers do not get into a graph' 0 "$(wrong)"

# Cancelled, it has done a part; called again, the rest. Rows enough for several batches.
ask -c "DROP TABLE knn" -c "INSERT INTO photos SELECT i, photo(i) FROM generate_series(30000, 31500) i" -c "ANALYZE photos"
build 2>"$SCRATCH/error" &
builder=$!
waiting="SELECT images > 0 AND waiting > 0 AND waiting < images FROM coop_knn_graphs() WHERE graph = to_regclass('knn')"
until [ "$(ask -c "$waiting")" = t ]; do kill -0 $builder || die 'it was too quick to be cancelled'; sleep 0.02; done
expect 'a build is cancelled' t "$(ask -c "SELECT bool_and(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'CALL coop_build_knn%'")"
wait $builder && die 'it went on'
grep -q 'canceling statement due to user request' "$SCRATCH/error" || die "$(cat "$SCRATCH/error")"
expect 'and has done a part' t "$(ask -c "$waiting")"
done_before=$(ask -c "SELECT md5(string_agg(knn::text, ' ' ORDER BY id)) FROM knn WHERE neighbours IS NOT NULL")
ids=$(ask -c "SELECT array_agg(id) FROM knn WHERE neighbours IS NOT NULL")
expect 'whoever asks is told' 'the kept graph public.knn is out of date' \
  "$(PGOPTIONS= ask -c "SELECT FROM coop_transition('photos', 'id', 'emb', 30021, 30028, k => 4)" 2>&1 | grep -o 'the kept graph public.knn is out of date')"
build
expect 'called again, it does the rest' "0 $done_before" "$(wrong) $(ask -c "SELECT md5(string_agg(knn::text, ' ' ORDER BY id)) FROM knn WHERE id = ANY ('$ids')")"

# Three sessions begin at once and share the work, while rows come and go. Who computes lists has this lock.
ask -c 'UPDATE knn SET neighbours = NULL, distances = NULL'
builders() { ask -c "SELECT count(DISTINCT pid) FROM pg_locks WHERE relation = 'knn'::regclass AND mode = 'RowExclusiveLock' AND granted"; }
most=0
for session in 1 2 3; do
  build 2>"$SCRATCH/error$session" &
done
for i in $(seq 10); do
  ask -c "INSERT INTO photos SELECT 40000 + 10 * $i + j, photo(40000 + 10 * $i + j) FROM generate_series(1, 10) j" \
    -c "DELETE FROM photos WHERE id % 200 = $i" -c "UPDATE photos SET emb = photo(id + 3) WHERE id % 200 = 100 + $i"
  for look in 1 2 3 4 5; do
    now=$(builders)
    [ "$now" -le "$most" ] || most=$now
  done
done
wait
for session in 1 2 3; do [ ! -s "$SCRATCH/error$session" ] || die "$(cat "$SCRATCH/error$session")"; done
build
expect 'sessions share a build while rows come and go' 0 "$(wrong)"
expect 'each did a part' 3 "$most"

# The work is the index's.
plan=$(ask -c "EXPLAIN (COSTS off) SELECT FROM photos a, LATERAL (SELECT id FROM photos b WHERE b.id <> a.id ORDER BY b.emb <-> a.emb LIMIT 4) b")
expect 'the nearest of each row come from the index' 1 "$(grep -c 'Index Scan using photos_emb on photos b' <<<"$plan")"
logged() { # SQL: the plans of the statements inside it
  ask -c "LOAD 'auto_explain'" -c "SET auto_explain.log_min_duration = 0" -c "SET auto_explain.log_nested_statements = on" \
    -c "SET client_min_messages = log" -c "$1" 2>&1
}
scans() { grep -c 'Index Scan using photos_emb' <<<"$1" || true; }
ask -c "UPDATE photos SET emb = photo(id + 4) WHERE id % 1000 = 50"
expect 'so do the lists of a kept graph' t "$([ "$(scans "$(logged "CALL coop_build_knn('photos', 'id', 'emb', 'knn', 4)")")" -ge 1 ] && echo t)"
ask -c "ALTER TABLE knn RENAME TO other_name" -c "DELETE FROM coopembed.knn_graphs WHERE graph = 'other_name'::regclass"
expect 'and those of a statement' 1 "$(scans "$(logged "SELECT * FROM coop_transition('photos', 'id', 'emb', 30021, 30028, k => 4)")")"
expect 'and pairs of duplicates' t "$([ "$(scans "$(logged "SELECT * FROM coop_duplicates('photos', 'id', 'emb', 0)")")" -ge 1 ] && echo t)"
ask -c "DROP TABLE other_name" && build

# Dump and restore: the graph, what it is of, and answers from it.
answer="SELECT string_agg(id::text, ' ' ORDER BY step), count(*) FILTER (WHERE is_crossing) FROM coop_transition('photos', 'id', 'emb', 30021, 30028, k => 4)"
found=$(ask -c "$answer" -c "SELECT * FROM coop_knn_graphs()")
ask -c "CREATE TABLE rows AS SELECT * FROM photos WHERE id < 30" -c "CALL coop_build_knn('rows', 'id', 'emb', 'gone')" -c "DROP TABLE gone"
for way in text parallel; do
  "$BIN/createdb" $way
  if [ $way = text ]; then
    "$BIN/pg_dump" shop | PGDATABASE=text ask >/dev/null
  else
    "$BIN/pg_dump" -Fc -f "$SCRATCH/shop.dump" shop
    "$BIN/pg_restore" -e -j 2 -d parallel "$SCRATCH/shop.dump"
  fi
  expect "a dump carries graphs and what they are of ($way)" "$found" "$(PGDATABASE=$way ask -c "$answer" -c "SELECT * FROM coop_knn_graphs()")"
  expect 'but not what was dropped' 2 "$(PGDATABASE=$way ask -c "SELECT count(*) FROM coopembed.knn_graphs")"
done
expect 'a restored graph is fresh' '' "$(PGDATABASE=text PGOPTIONS= ask -c "CALL coop_build_knn('photos', 'id', 'emb', 'knn', 4)" 2>&1)"
echo "$passed passed, 0 failed"
