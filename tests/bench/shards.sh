#!/usr/bin/env bash
# One table on four servers of this machine: what the coordinator adds to the time of the slowest of them. Medians over 50 questions of
# each kind, top 10, warm. usage: tests/bench/shards.sh [ROWS]   (of 8x50, on all servers together)
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
rows=${1:-200000}
[ -n "${INSTALLED:-}" ] || install_extension --release >/dev/null # INSTALLED=1: what is there is measured
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
scratch_cluster
coordinator=$PGHOST
trap 'for n in 1 2 3 4; do [ ! -d "$SCRATCH/shard$n" ] || stop_cluster "$SCRATCH/shard$n"; done; stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
on() { # SERVER ARGUMENTS...
  PGHOST=$1 ask "${@:2}"
}

ask -c 'CREATE EXTENSION coopembed' -c 'CREATE EXTENSION postgres_fdw' -c 'CREATE TYPE hit AS (id int, distance double precision)' \
  -c 'CREATE TABLE gallery (id int, emb coopvec) PARTITION BY HASH (id)'
parallel=$([ "$PGV" -lt 15 ] || echo ", parallel_commit 'true'")
# Every fourth row is a shard's; whether it is where the hash of its id says does not matter to who asks all of them.
awk -v rows="$rows" -f "$ROOT/tests/bench/gallery.awk" | awk -v to="$SCRATCH/rows" '{ print NR "\t" $0 >(to NR % 4 + 1) }'
for n in 1 2 3 4; do
  start_cluster "$SCRATCH/shard$n" fsync=off max_parallel_workers_per_gather=0
  ask -c 'CREATE EXTENSION coopembed' -c 'CREATE TABLE gallery (id int PRIMARY KEY, emb coopvec)' -c "\\copy gallery FROM '$SCRATCH/rows$n'" \
    -c 'CREATE INDEX ON gallery USING coop (emb)' -c 'VACUUM ANALYZE gallery'
  export PGHOST=$coordinator
  ask -c "CREATE SERVER shard$n FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$SCRATCH/shard$n', extensions 'coopembed', async_capable 'true'$parallel)" \
    -c "CREATE USER MAPPING FOR PUBLIC SERVER shard$n OPTIONS (user 'postgres')" \
    -c "CREATE FOREIGN TABLE gallery_$n PARTITION OF gallery FOR VALUES WITH (MODULUS 4, REMAINDER $((n - 1))) SERVER shard$n OPTIONS (table_name 'gallery')"
done
rm "$SCRATCH"/rows[1-4]

# The questions, on every server: one attribute and two like rows of the first shard, and everything.
on "$SCRATCH/shard1" >"$SCRATCH/questions" <<'SQL'
CREATE FUNCTION pg_temp.slice(v real[], k int) RETURNS text LANGUAGE sql AS $$ SELECT array_to_string(v[k * 50 + 1:k * 50 + 50], ',') $$;
CREATE TEMP TABLE sample AS SELECT row_number() OVER (ORDER BY id) AS n, emb::real[] AS v, emb FROM gallery ORDER BY id LIMIT 50;
SELECT format(E'1\tone attribute\t8x50@0000002a:{0;3:1*[%s]}', pg_temp.slice(v, 3)) FROM sample;
SELECT format(E'2\ttwo attributes\t8x50@0000002a:{0;3:1*[%s];6:2*[%s]}', pg_temp.slice(a.v, 3), pg_temp.slice(b.v, 6))
    FROM sample a JOIN sample b ON b.n = a.n % 50 + 1;
SELECT format(E'3\teverything\t%s', emb::coopquery) FROM sample;
SQL
for server in "$coordinator" "$SCRATCH"/shard[1-4]; do
  on "$server" -c 'CREATE TABLE questions (kind int, what text, q coopquery)' -c "\\copy questions FROM '$SCRATCH/questions'"
  on "$server" <<'SQL'
-- Medians in ms by kind; `sql` has the query as its only parameter. The first round warms up.
CREATE FUNCTION measure(sql text) RETURNS TABLE (kind int, ms numeric) LANGUAGE plpgsql AS $$
DECLARE question questions; started timestamptz; rows bigint;
BEGIN
    CREATE TEMP TABLE times (kind int, ms float8);
    FOR round IN 0..3 LOOP
        FOR question IN SELECT * FROM questions LOOP
            started := clock_timestamp();
            EXECUTE sql INTO rows USING question.q;
            IF round > 0 THEN
                INSERT INTO times VALUES (question.kind, extract(epoch FROM clock_timestamp() - started) * 1000);
            END IF;
        END LOOP;
    END LOOP;
    RETURN QUERY SELECT t.kind, percentile_cont(0.5) WITHIN GROUP (ORDER BY t.ms)::numeric FROM times t GROUP BY t.kind ORDER BY t.kind;
END $$;
SQL
done
direct="SELECT * FROM measure('SELECT count(d) FROM (SELECT id, emb, emb <-> \$1 AS d FROM gallery ORDER BY emb <-> \$1 LIMIT 10) t')"
searched="SELECT * FROM measure('SELECT count(distance) FROM coop_search(NULL::hit, ''emb'', \$1, 10, rel => ''gallery'')')"
plain="SELECT * FROM measure('SELECT count(d) FROM (SELECT id, emb <-> \$1 AS d FROM gallery ORDER BY emb <-> \$1 LIMIT 10) t')"
for n in 1 2 3 4; do on "$SCRATCH/shard$n" -c "$direct"; done >"$SCRATCH/alone"
for n in 1 2 3 4; do on "$SCRATCH/shard$n" -c "$direct" >"$SCRATCH/together.$n" & done
wait
ask -c "$searched" >"$SCRATCH/searched"
ask -c "$plain" >"$SCRATCH/plain"
slowest() { sort -t'|' -k1,1n -k2,2gr "$@" | awk -F'|' '!seen[$1]++'; }
paste -d'|' <(slowest "$SCRATCH/alone") <(slowest "$SCRATCH"/together.[1-4]) "$SCRATCH/searched" "$SCRATCH/plain" |
  awk -F'|' -v rows="$rows" 'BEGIN { print "ms, " rows " rows of 8x50 on four servers | slowest server alone | slowest of four asked at once | coop_search | it adds | plain query" }
    { split("one attribute,two attributes,everything", what, ","); printf "%s | %.2f | %.2f | %.2f | %.2f | %.2f\n", what[$1], $2, $4, $6, $6 - $2, $8 }'
