#!/usr/bin/env bash
# One table on four servers on this machine: how much the coordinator adds to the time of the slowest server. Medians over 50 queries of each kind,
# top 10, warm. usage: [INSTALLED=1] tests/bench/shards.sh [ROWS]   (rows of 8x50 numbers on all servers together)
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
rows=${1:-200000}
[ -n "${INSTALLED:-}" ] || install_extension --release >/dev/null # INSTALLED=1 measures what is installed
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
scratch_cluster
coordinator=$PGHOST
on() { # SERVER ARGUMENTS...
  PGHOST=$1 ask "${@:2}"
}

ask -c 'CREATE EXTENSION coopembed' -c 'CREATE EXTENSION postgres_fdw' -c 'CREATE TYPE hit AS (id int, distance double precision)' \
  -c 'CREATE TABLE gallery (id int, emb coopvec) PARTITION BY HASH (id)'
parallel=$([ "$PGV" -lt 15 ] || echo ", parallel_commit 'true'")
# Every fourth row goes to a shard. It need not be the one that the hash of its id says, as each query goes to all of them.
awk -v rows="$rows" -f "$ROOT/tests/bench/gallery.awk" | awk -v to="$SCRATCH/rows" '{ print NR "\t" $0 >(to NR % 4 + 1) }'
for n in 1 2 3 4; do
  start_cluster "$SCRATCH/shard$n" fsync=off max_parallel_workers_per_gather=0
  ask -c 'CREATE EXTENSION coopembed' -c 'CREATE TABLE gallery (id int PRIMARY KEY, emb coopvec)' -c "\\copy gallery FROM '$SCRATCH/rows$n'" \
    -c 'CREATE INDEX ON gallery USING coop (emb)' -c 'VACUUM ANALYZE gallery'
  export PGHOST=$coordinator
  ask -c "CREATE SERVER shard$n FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$SCRATCH/shard$n', extensions 'coopembed', async_capable 'true', options '-c coopembed.output=hex'$parallel)" \
    -c "CREATE USER MAPPING FOR PUBLIC SERVER shard$n OPTIONS (user 'postgres')" \
    -c "CREATE FOREIGN TABLE gallery_$n PARTITION OF gallery FOR VALUES WITH (MODULUS 4, REMAINDER $((n - 1))) SERVER shard$n OPTIONS (table_name 'gallery')"
done
rm "$SCRATCH"/rows[1-4]

# The same queries on every server: like rows of the first shard, in one attribute, in two, and in everything.
on "$SCRATCH/shard1" >"$SCRATCH/queries" <<'SQL'
CREATE FUNCTION pg_temp.slice(v real[], k int) RETURNS text LANGUAGE sql AS $$ SELECT array_to_string(v[k * 50 + 1:k * 50 + 50], ',') $$;
CREATE TEMP TABLE sample AS SELECT row_number() OVER (ORDER BY id) AS n, emb::real[] AS v, emb FROM gallery ORDER BY id LIMIT 50;
SELECT format(E'1\tone attribute\t8x50@0000002a:{0;3:1*[%s]}', pg_temp.slice(v, 3)) FROM sample;
SELECT format(E'2\ttwo attributes\t8x50@0000002a:{0;3:1*[%s];6:2*[%s]}', pg_temp.slice(a.v, 3), pg_temp.slice(b.v, 6))
    FROM sample a JOIN sample b ON b.n = a.n % 50 + 1;
SELECT format(E'3\teverything\t%s', emb::coopquery) FROM sample;
SQL
for server in "$coordinator" "$SCRATCH"/shard[1-4]; do
  on "$server" -c 'CREATE TABLE queries (kind int, what text, q coopquery)' -c "\\copy queries FROM '$SCRATCH/queries'"
  on "$server" <<'SQL'
CREATE TABLE times (n serial, kind int, ms float8);
-- Keeps the milliseconds of each query, in a transaction of its own; `sql` has the query as its only parameter. The first round warms up.
CREATE PROCEDURE measure(sql text) LANGUAGE plpgsql AS $$
DECLARE one queries; started timestamptz; rows bigint;
BEGIN
    TRUNCATE times RESTART IDENTITY;
    FOR round IN 0..3 LOOP
        FOR one IN SELECT * FROM queries LOOP
            COMMIT;
            started := clock_timestamp();
            EXECUTE sql INTO rows USING one.q;
            COMMIT;
            IF round > 0 THEN
                INSERT INTO times (kind, ms) VALUES (one.kind, extract(epoch FROM clock_timestamp() - started) * 1000);
            END IF;
        END LOOP;
    END LOOP;
END $$;
SQL
done
medians="SELECT kind, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric FROM times GROUP BY kind ORDER BY kind"
direct="CALL measure('SELECT count(d) FROM (SELECT id, emb, emb <-> \$1 AS d FROM gallery ORDER BY emb <-> \$1 LIMIT 10) t')"
through="CALL measure('SELECT count(distance) FROM coop_search(NULL::hit, ''emb'', \$1, 10, rel => ''gallery'')')"
plain="CALL measure('SELECT count(d) FROM (SELECT id, emb <-> \$1 AS d FROM gallery ORDER BY emb <-> \$1 LIMIT 10) t')"
for n in 1 2 3 4; do on "$SCRATCH/shard$n" -c "$direct" -c "$medians"; done | sort -t'|' -k1,1n -k2,2gr | awk -F'|' '!seen[$1]++' >"$SCRATCH/alone"
# The processor time of the coordinator's session, in ticks.
ticks="SELECT f[12]::int + f[13]::int FROM string_to_array(regexp_replace(pg_read_file('/proc/self/stat'), '^.*\) ', ''), ' ') f"
on "$coordinator" -c "$ticks" -c "$plain" -c "$ticks" -c "$medians" >"$SCRATCH/all"
tail -n +3 "$SCRATCH/all" >"$SCRATCH/plain"
on "$coordinator" -c "$through" -c "$medians" >"$SCRATCH/through"
# Once more, while each server logs durations: of each query, the time of the slowest server, for its transaction from end to end.
for n in 1 2 3 4; do
  on "$SCRATCH/shard$n" -c "ALTER SYSTEM SET log_min_duration_statement = 0" -c "SELECT pg_reload_conf()" >/dev/null
done
sleep 1
on "$coordinator" -c "$plain"
for n in 1 2 3 4; do
  awk '/START TRANSACTION/ { n++; ms = 0 } match($0, /duration: [0-9.]+/) { ms += substr($0, RSTART + 10, RLENGTH - 10) }
    /COMMIT TRANSACTION/ && n > 150 { print n - 150, ms }' "$SCRATCH/shard$n/server.log" >"$SCRATCH/logged$n"
done
awk '{ if ($2 > most[$1]) most[$1] = $2 } END { for (n in most) print n "\t" most[n] }' "$SCRATCH"/logged[1-4] |
  on "$coordinator" -c 'CREATE TEMP TABLE logged (n int, ms float8)' -c '\copy logged FROM STDIN' \
    -c "SELECT kind, percentile_cont(0.5) WITHIN GROUP (ORDER BY logged.ms)::numeric, percentile_cont(0.5) WITHIN GROUP (ORDER BY times.ms - logged.ms)::numeric
        FROM logged JOIN times USING (n) GROUP BY kind ORDER BY kind" >"$SCRATCH/logged"
paste -d'|' "$SCRATCH/alone" "$SCRATCH/plain" "$SCRATCH/logged" "$SCRATCH/through" |
  awk -F'|' -v rows="$rows" 'BEGIN { print "ms, " rows " rows of 8x50 on four servers | slowest server alone | all four | it adds | slowest server within a query | a query adds | coop_search" }
    { split("one attribute,two attributes,everything", what, ","); printf "%s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f\n", what[$1], $2, $4, $4 - $2, $6, $7, $9 }'
awk -v hz="$(getconf CLK_TCK)" 'NR == 1 { before = $1 } NR == 2 { printf "processor time of the coordinating session: %.2f ms per query\n", ($1 - before) / hz * 1000 / 600; exit }' "$SCRATCH/all"
