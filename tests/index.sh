#!/usr/bin/env bash
# The index through crashes, on a replica, under concurrent work, and with damaged pages. usage: index.sh [SECONDS-OF-CONCURRENT-WORK]
source "$(dirname "$0")/tools/lib.sh"
find_postgres
seconds=${1:-20}
scratch_cluster fsync=on full_page_writes=on wal_level=replica max_wal_senders=4 autovacuum=off
mkdir "$SCRATCH/archive"
give_to_server "$SCRATCH/archive"
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"

crash() { # SIGKILL to the postmaster: nothing is written any more, and the WAL has to do
  local postmaster
  postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
  kill -KILL "$postmaster"
  while kill -0 "$postmaster" 2>/dev/null; do sleep 0.1; done
  sleep 1
  wait 2>/dev/null || true
  rm -f "$SCRATCH/data/postmaster.pid"
  start_cluster "$SCRATCH"
}

# From the first restart on, which a crash brings about.
ask -c "ALTER SYSTEM SET archive_mode = on" -c "ALTER SYSTEM SET archive_command = 'cp %p ../archive/%f'"
ask <<'SQL'
CREATE EXTENSION coopembed;
-- Rows around a few centres, as a trained model makes them.
CREATE FUNCTION photo(seed int) RETURNS coopvec LANGUAGE sql VOLATILE AS $$
    SELECT format('4x16@0000002a:[%s]', (
        SELECT string_agg((hashint4(seed * k % 5 * 64 + k * 16 + i) / 4e9 + (random() - 0.5) / 4)::real::text, ',')
        FROM generate_series(1, 4) k, generate_series(1, 16) i))::coopvec $$;
CREATE FUNCTION wish() RETURNS coopquery LANGUAGE plpgsql VOLATILE AS $$
DECLARE mask int := 1 + random() * 14;
BEGIN
    RETURN (SELECT format('4x16@0000002a:{%s;%s}', round(random()::numeric, 2), (
        SELECT string_agg(format('%s:%s*[%s]', k, 0.1 + random() * 3, (
            SELECT string_agg(((random() - 0.5))::real::text, ',') FROM generate_series(1, 16))), ';')
        FROM generate_series(0, 3) k WHERE mask >> k & 1 = 1)))::coopquery;
END $$;
-- Asks one question of index and table in one snapshot; raises an error if they disagree.
CREATE FUNCTION compare(tab text DEFAULT 'photos', k int DEFAULT 10) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    q coopquery := wish(); exact float8[]; found float8[];
    ask text := format('SELECT array_agg(d) FROM (SELECT emb <-> $1 AS d FROM %s ORDER BY emb <-> $1 LIMIT %s) t', tab, k);
BEGIN
    PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
    EXECUTE ask INTO exact USING q;
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
    EXECUTE ask INTO found USING q;
    PERFORM set_config('enable_sort', 'on', true);
    IF exact IS DISTINCT FROM found THEN
        RAISE 'index and table disagree about %: % and %', q, found, exact;
    END IF;
END $$;
CREATE TABLE photos (id bigint GENERATED ALWAYS AS IDENTITY, emb coopvec);
INSERT INTO photos (emb) SELECT photo(i) FROM generate_series(1, 6000) i;
CREATE INDEX photos_emb ON photos USING coop (emb) WITH (tail_rows = 200);
SQL
agree() { ask -c "SELECT count(compare()) FROM generate_series(1, ${1:-10})"; }
check() { ask -c "SELECT coop_index_check('photos_emb') = (SELECT count(*) FROM photos)"; }
expect 'a new index is sound' t "$(check)"
expect 'and agrees with its table, whatever the mask and the weights' 1000 "$(agree 1000)"

# Crashes.
crash
expect 'after a crash the index is as it was' "t 10" "$(check) $(agree)"
for round in 1 2 3; do
  for client in 1 2 3; do
    (while ask -c "INSERT INTO photos (emb) SELECT CASE WHEN i > 4 THEN photo(i) END FROM generate_series(1, 40) i" 2>/dev/null; do :; done) &
  done
  sleep $((round + 1))
  crash
  expect "a crash in a storm of inserts loses nothing ($round)" "t 10" "$(check) $(agree)"
done
ask -c "DELETE FROM photos WHERE id % 3 = 0"
(ask -c "SET vacuum_cost_delay = 5; SET vacuum_cost_limit = 20; VACUUM photos" 2>/dev/null || true) &
sleep 1
crash
expect 'nor does a crash during VACUUM' "t 10" "$(check) $(agree)"
ask -c "VACUUM photos"
expect 'and VACUUM goes on afterwards' "t 10" "$(check) $(agree)"
(ask -c "CREATE INDEX photos_other ON photos USING coop (emb)" 2>/dev/null || true) &
sleep 0.3
crash
ask -c "DROP INDEX IF EXISTS photos_other"
expect 'a crash during a build leaves the table as it was' "t 10" "$(check) $(agree)"
ask -c "CREATE UNLOGGED TABLE quick AS SELECT emb FROM photos LIMIT 500" -c "CREATE INDEX quick_emb ON quick USING coop (emb)"
crash
expect 'an unlogged index is empty after a crash' "0 0" "$(ask -c "SELECT coop_index_check('quick_emb')") $(ask -c "SELECT count(*) FROM (SELECT FROM quick ORDER BY emb <-> wish()) t")"
ask -c "INSERT INTO quick SELECT emb FROM photos LIMIT 500"
expect 'and works' 500 "$(ask -c "SELECT coop_index_check('quick_emb')")"

# A standby.
mkdir "$SCRATCH/standby"
give_to_server "$SCRATCH/standby"
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/standby/data" -R -c fast --no-sync
trap 'stop_cluster "$SCRATCH"; stop_cluster "$SCRATCH/standby"; rm -rf "$SCRATCH"' EXIT
start_cluster "$SCRATCH/standby" hot_standby_feedback=on
export PGHOST=$SCRATCH
standby() { PGHOST=$SCRATCH/standby ask "$@"; }
caught_up() { [ "$(standby -c "SELECT pg_last_wal_replay_lsn() >= '$1'")" = t ]; }
follow() {
  local lsn
  # VACUUM's last records are not written yet when it returns.
  ask -c CHECKPOINT
  lsn=$(ask -c "SELECT pg_current_wal_lsn()")
  for _ in $(seq 300); do caught_up "$lsn" && return; sleep 0.1; done
  die 'the standby does not follow'
}
(for _ in $(seq 12); do ask -c "INSERT INTO photos (emb) SELECT photo(i) FROM generate_series(1, 250) i" -c "DELETE FROM photos WHERE random() < 0.05" -c "VACUUM photos"; done) &
writer=$!
asked=0
while kill -0 $writer 2>/dev/null; do
  standby -c "SELECT count(compare()) FROM generate_series(1, 3)" >/dev/null || die 'the standby disagrees with itself'
  asked=$((asked + 3))
done
wait $writer
ok "a standby answers while rows move ($asked questions)"
follow
expect 'a standby has the same index' "t 20" "$(standby -c "SELECT coop_index_check('photos_emb') = (SELECT count(*) FROM photos)") $(standby -c "SELECT count(compare()) FROM generate_series(1, 20)")"
stop_cluster "$SCRATCH/standby"
trap 'stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
export PGHOST=$SCRATCH

# Back to a point in time.
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/past/data" -c fast --no-sync
ask -c "INSERT INTO photos (emb) SELECT photo(i) FROM generate_series(1, 700) i" -c "DELETE FROM photos WHERE id % 11 = 0" -c "VACUUM photos"
before=$(ask -c "SELECT count(*) FROM photos" -c "SELECT pg_create_restore_point('before')")
ask -c "DELETE FROM photos WHERE id % 2 = 0" -c "VACUUM photos"
last=$(ask -c "SELECT pg_walfile_name(pg_switch_wal())")
archived() { [ "$(ask -c "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver")" = t ]; }
for _ in $(seq 300); do archived && break; sleep 0.1; done
touch "$SCRATCH/past/data/recovery.signal"
give_to_server "$SCRATCH/past"
trap 'stop_cluster "$SCRATCH"; stop_cluster "$SCRATCH/past"; rm -rf "$SCRATCH"' EXIT
start_cluster "$SCRATCH/past" archive_mode=off recovery_target_name=before recovery_target_action=promote \
  restore_command="'cp ../../archive/%f %p'"
for _ in $(seq 300); do [ "$(ask -c "SELECT pg_is_in_recovery()")" = f ] && break; sleep 0.1; done
expect 'recovery to a point in time brings the index of then' "${before%%$'\n'*} t 20" "$(ask -c "SELECT count(*) FROM photos") $(check) $(agree 20)"
ask -c "INSERT INTO photos (emb) SELECT photo(i) FROM generate_series(1, 700) i"
expect 'and it goes on from there' "t 20" "$(check) $(agree 20)"
stop_cluster "$SCRATCH/past"
trap 'stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
export PGHOST=$SCRATCH

# A disk that is full; only root can mount one so small.
if [ "$(id -u)" = 0 ] && mkdir "$SCRATCH/small" && mount -t tmpfs -o size=300k tmpfs "$SCRATCH/small" 2>/dev/null; then
  trap 'stop_cluster "$SCRATCH"; umount "$SCRATCH/small"; rm -rf "$SCRATCH"' EXIT
  mkdir "$SCRATCH/small/space"
  give_to_server "$SCRATCH/small/space"
  ask -c "CREATE TABLESPACE small LOCATION '$SCRATCH/small/space'"
  full() { # SQL: whether that ends with the error for a full disk
    ask -c '\set VERBOSITY verbose' -c "$1" >"$SCRATCH/found" 2>&1 || true
    ! grep -q 'ERROR:  53100' "$SCRATCH/found" || echo full
  }
  expect 'a build that finds the disk full is an error' full "$(full "CREATE INDEX photos_small ON photos USING coop (emb) TABLESPACE small")"
  expect 'and leaves nothing behind' "0 t" "$(find "$SCRATCH/small" -type f ! -empty -path '*PG_*' | wc -l) $(check)"
  ask -c "CREATE TABLE few (id int, emb coopvec)" -c "CREATE INDEX few_emb ON few USING coop (emb) WITH (tail_rows = 64) TABLESPACE small"
  more="INSERT INTO few SELECT i, photo(i) FROM generate_series(1, 400) i"
  for _ in $(seq 60); do [ "$(full "$more")" != full ] || break; done
  expect 'so is an insert' full "$(full "$more")"
  few() { ask -c "SELECT coop_index_check('few_emb') = (SELECT count(*) FROM few)" -c "SELECT count(compare('few', 20)) FROM generate_series(1, 10)"; }
  expect 'and the index stays as it was' $'t\n10' "$(few)"
  mount -o remount,size=20m "$SCRATCH/small"
  ask -c "$more"
  expect 'and takes rows again when there is room' $'t\n10' "$(few)"
  ask -c "DROP TABLE few" -c "CHECKPOINT" -c "DROP TABLESPACE small"
  umount "$SCRATCH/small"
  trap 'stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
else
  echo 'skipped: full disks (needs root, to mount a small one)'
fi

# Eight clients and VACUUM.
cat >"$SCRATCH/insert.sql" <<'SQL'
INSERT INTO photos (emb) SELECT CASE WHEN i > 2 THEN photo(i) END FROM generate_series(1, 20) i;
SQL
cat >"$SCRATCH/change.sql" <<'SQL'
\set some random(1, 40)
UPDATE photos SET emb = photo(:some) WHERE id % 400 = :some;
DELETE FROM photos WHERE id % 300 = :some;
BEGIN;
SAVEPOINT a;
INSERT INTO photos (emb) SELECT photo(i) FROM generate_series(1, 5) i;
ROLLBACK TO a;
INSERT INTO photos (emb) VALUES (photo(1));
COMMIT;
SQL
cat >"$SCRATCH/ask.sql" <<'SQL'
SELECT compare();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT compare('photos', 3000);
SELECT compare('photos', 1000000);
SELECT compare();
COMMIT;
SQL
chmod a+r "$SCRATCH"/*.sql
(while ask -c "VACUUM photos" 2>/dev/null; do sleep 0.3; done) &
sweeper=$!
"$BIN/pgbench" -n -c 8 -j 2 -T "$seconds" -f "$SCRATCH/insert.sql@1" -f "$SCRATCH/change.sql@1" -f "$SCRATCH/ask.sql@3" >"$SCRATCH/pgbench.log" 2>&1 ||
  die "concurrent work failed: $(grep -v '^progress' "$SCRATCH/pgbench.log" | head -20)"
kill $sweeper 2>/dev/null || true
wait $sweeper 2>/dev/null || true
grep -q 'aborted' "$SCRATCH/pgbench.log" && die "$(cat "$SCRATCH/pgbench.log")"
expect "eight clients for $seconds s: every answer right, and the index sound" t "$(check)"

# Interrupts leave nothing locked.
ask -c "SET statement_timeout = 20; CREATE INDEX photos_other ON photos USING coop (emb)" 2>"$SCRATCH/error" && die 'a build of 20 ms'
grep -q 'statement timeout' "$SCRATCH/error" || die "$(cat "$SCRATCH/error")"
ask -c "SET statement_timeout = 1; SET enable_seqscan = off; SELECT count(*) FROM (SELECT emb FROM photos ORDER BY emb <-> (SELECT emb FROM photos WHERE emb IS NOT NULL LIMIT 1)) t" 2>/dev/null || true
expect 'statement_timeout leaves nothing locked' "0 t" "$(ask -c "SELECT count(*) FROM pg_locks WHERE locktype = 'page'") $(check)"
ask -c "VACUUM photos"
ok 'and nothing pinned'

# Damage, in an index without free pages: an error of PostgreSQL's class for damaged indexes, or the same answer, never a crash.
ask -c "REINDEX INDEX photos_emb"
file=$(ask -c "SELECT pg_relation_filepath('photos_emb')")
blocks=$(ask -c "SELECT pg_relation_size('photos_emb') / 8192")
up_since=$(ask -c 'SELECT pg_postmaster_start_time()')
ask -c "CHECKPOINT"
cp "$SCRATCH/data/$file" "$SCRATCH/sound"
noticed=0
for round in $(seq 40); do
  stop_cluster "$SCRATCH"
  cp "$SCRATCH/sound" "$SCRATCH/data/$file"
  give_to_server "$SCRATCH/data/$file"
  # Somewhere in the payload of some page, the first ones more often than they deserve.
  block=$((round % 4 == 0 ? round % 3 : RANDOM % blocks))
  for _ in $(seq 8); do
    printf "\\x$(printf %02x $((RANDOM % 256)))" | dd of="$SCRATCH/data/$file" bs=1 seek=$((block * 8192 + (block == 0 ? 24 + RANDOM % 64 : 24 + RANDOM % 8168))) conv=notrunc status=none
  done
  start_cluster "$SCRATCH" autovacuum=off
  ask -c "\\set VERBOSITY verbose" -c "SELECT coop_index_check('photos_emb')" >"$SCRATCH/found" 2>&1 || noticed=$((noticed + 1))
  ask -c "SET enable_seqscan = off; SET statement_timeout = '20s'; SELECT count(*) FROM (SELECT emb FROM photos ORDER BY emb <-> (SELECT emb FROM photos WHERE emb IS NOT NULL LIMIT 1)) t" >>"$SCRATCH/found" 2>&1 || true
  ask -c "BEGIN; INSERT INTO photos (emb) SELECT photo(i) FROM generate_series(1, 300) i; ROLLBACK" >>"$SCRATCH/found" 2>&1 || true
  grep -E 'PANIC|panicked|terminated by signal|server closed|Internal' "$SCRATCH/found" "$SCRATCH/server.log" && die "round $round, block $block: $(cat "$SCRATCH/found")"
done
ok "damaged pages are errors (the check noticed $noticed of 40)"
[ "$noticed" -ge 20 ] || die 'the check notices too little'
ask -c "REINDEX INDEX photos_emb"
expect 'and REINDEX repairs them' t "$(check)"
echo "$passed passed, 0 failed"
