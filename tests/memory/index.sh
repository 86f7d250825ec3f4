#!/usr/bin/env bash
# Where a session is refused memory, index scans, builds, inserts, checks and VACUUM fail with SQLSTATE 53200 and cost no other session
# anything. The session's address space may grow by so many megabytes and no more. usage: index.sh [ROWS]
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster autovacuum=off shared_buffers=64MB jit=off
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
rows=${1:-150000}
ask >/dev/null <<SQL
CREATE EXTENSION coopembed;
CREATE TABLE many AS SELECT i AS id, format('4x4@0000002a:[%s]', (
    SELECT string_agg(round((hashint4(i * 16 + d) / 2147483648.0)::numeric, 3)::text, ',') FROM generate_series(1, 16) d))::coopvec AS emb
    FROM generate_series(1, $rows) i;
CREATE INDEX many_emb ON many USING coop (emb);
CREATE TABLE fresh (LIKE many);
CREATE INDEX fresh_emb ON fresh USING coop (emb);
SQL
up_since=$(ask -c 'SELECT pg_postmaster_start_time()')
query="'4x4@0000002a:{0;1:1*[0.1,0,0,0.2]}'::coopquery"
superspace="'4x4@0000002a:{0;0:1*[0.1,0,0,0.2];1:1*[0,0,0.3,0.2];2:2*[0.1,0.1,0,0];3:1*[0.5,0,0,0.2]}'::coopquery"
all_rows() { echo "SELECT count(*) FROM (SELECT FROM many ORDER BY emb <-> $1) t;"; }
# Only the server's user may limit its processes.
AS_SERVER=
[ "$(id -u)" != 0 ] || AS_SERVER="runuser -u $SERVER_USER --"
# enough_at_last WHAT SQL: tries with ever more memory until it is enough; until then the statement fails with SQLSTATE 53200. What the
# session has loaded before comes on top.
enough_at_last() {
  local what=$1 sql=$2 megabytes errors=0
  for megabytes in 0 1 2 3 4 5 6 8 10 12 16 20 24 32 48 64 96 128; do
    ask -v ON_ERROR_STOP=0 -v VERBOSITY=sqlstate >"$SCRATCH/found" 2>&1 <<SQL || true
SET enable_seqscan = off;
SET max_parallel_maintenance_workers = 0;
SELECT coop_index_check('fresh_emb');
SELECT count(*) FROM (SELECT FROM fresh ORDER BY emb <-> $query) t;
SELECT pg_backend_pid() AS pid \gset
\setenv PID :pid
\! $AS_SERVER prlimit --pid "\$PID" --as=\$((\$(awk '/^VmSize/ { print \$2 }' "/proc/\$PID/status") * 1024 + $megabytes * 1048576))
\echo limited
$sql
\echo ended
SQL
    grep -q '^limited' "$SCRATCH/found" && grep -q '^ended' "$SCRATCH/found" || die "$what with $megabytes MB: $(cat "$SCRATCH/found"); $(tail -5 "$SCRATCH/server.log")"
    [ "$(ask -c 'SELECT pg_postmaster_start_time()')$(crashes)" = "$up_since" ] || die "$what with $megabytes MB: the server restarted; $(tail -20 "$SCRATCH/server.log")"
    ! grep -q prlimit "$SCRATCH/found" || die "$(cat "$SCRATCH/found")"
    if ! grep -q ERROR "$SCRATCH/found"; then
      ok "$what: $megabytes MB are enough; with less it failed $errors times with SQLSTATE 53200"
      return
    fi
    if [ "$(grep ERROR "$SCRATCH/found" | sort -u)" != 'ERROR:  53200' ]; then
      fail "$what with $megabytes MB" "$(cat "$SCRATCH/found")"
      return
    fi
    errors=$((errors + 1))
  done
  fail "$what" 'not even 128 MB are enough'
}
enough_at_last 'all rows by one subspace' "$(all_rows "$query")"
enough_at_last 'all rows by four' "$(all_rows "$superspace")"
enough_at_last 'all rows, approximately' "SET coopembed.probes = 1000; $(all_rows "$superspace")"
enough_at_last 'all rows for a query of another model' "$(all_rows "'4x4@0000002b:{0;1:1*[0.1,0,0,0.2]}'::coopquery" | sed 's/FROM many/FROM many WHERE id < 0/')"
enough_at_last 'CREATE INDEX' 'BEGIN; CREATE INDEX other ON many USING coop (emb); ROLLBACK;'
enough_at_last 'inserts that make a group' 'BEGIN; INSERT INTO fresh SELECT * FROM many LIMIT 12000; ROLLBACK;'
enough_at_last 'a check' "SELECT coop_index_check('many_emb');"
ask -c 'DELETE FROM many WHERE id % 3 <> 0'
enough_at_last VACUUM 'VACUUM many;'
expect 'the index is sound afterwards' t "$(ask -c "SELECT coop_index_check('many_emb') = count(*) FROM many")"
finish
