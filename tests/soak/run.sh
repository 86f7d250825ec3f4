#!/usr/bin/env bash
# Runs everything that reads and writes at once, while backends, the model process, its supervisor and the postmaster are killed at random. Each
# answer is compared with the expected one when it is given, and everything once more at the end.
# usage: [SOAK_SECONDS=1200] [SOAK_SEED=...] [INSTALLED=1] run.sh       (INSTALLED=1 tests what is installed)
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
seconds=${SOAK_SECONDS:-1200} seed=${SOAK_SEED:-$RANDOM} clients=${SOAK_CLIENTS:-3} writers=3
here=$ROOT/tests/soak
if [ -z "${INSTALLED:-}" ]; then
  say "building and installing the extension (release)"
  install_extension --release
fi
scratch_cluster fsync=on log_min_messages=warning restart_after_crash=on max_connections=60 shared_buffers=256MB checkpoint_timeout=60s
stop_all() { touch "$SCRATCH/stop"; wait 2>/dev/null || true; stop_cluster "$SCRATCH"; }
# After a failure the output of sessions and server stays in target/soak.
keep_notes() { rm -rf "$TARGET/soak"; mkdir -p "$TARGET/soak"; cp -r "$SCRATCH/notes" "$SCRATCH/server.log" "$TARGET/soak/"; }
at_exit 'stop_all; [ -n "$finished" ] && [ "$failed" = 0 ] || keep_notes'
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
say "seed $seed, $seconds s"
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery") model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
ask -v gallery="$gallery" -v model="$model" -v seed="$seed" -f "$here/schema.sql" >/dev/null
RANDOM=$seed
mkdir "$SCRATCH/notes"

# Everything below goes on when a statement or a connection fails; the notes say what failed, and how.
over() { [ -e "$SCRATCH/stop" ]; }
session() { # NAME: runs statements from standard input in one connection, as long as it lasts
  "$BIN/psql" -X -q -At -v VERBOSITY=verbose >>"$SCRATCH/notes/$1.out" 2>>"$SCRATCH/notes/$1.err" || sleep 0.2
}
repeat() { # NAME TIMES STATEMENT
  until over; do
    # psql may be gone before all is written.
    awk -v seed="$RANDOM" -v times="$2" -v statement="$3" 'BEGIN {
      print "SELECT setseed(" seed " / 32768.0);"
      while (times-- > 0) print statement }' | session "$1" || true
  done
}
# A writer owns its ids. It notes each statement that it is about to run, and then whether the server said that it is committed.
writer() { # NUMBER
  local op table lo hi seq=0
  until over; do
    for _ in $(seq 40); do
      seq=$((seq + 1)) lo=$(($1 * 1000000 + RANDOM % 400)) table=stock op=I
      hi=$((lo + RANDOM % 8))
      [ $((RANDOM % 2)) = 0 ] || table=split
      case $((RANDOM % 10)) in 4 | 5 | 6) op=U ;; 7 | 8) op=D ;; 9) op=R ;; esac
      rows="SELECT i, $seq, embedding_of(i, $seq) FROM generate_series($lo, $hi) i"
      update="UPDATE $table SET version = $seq, emb = embedding_of(id, $seq) WHERE id BETWEEN $lo AND $hi"
      if [ $op = R ]; then
        # Rolled back: it must change nothing.
        echo "BEGIN; SAVEPOINT a; $update; ROLLBACK TO a; DELETE FROM $table WHERE id = $lo; ROLLBACK;"
        continue
      fi
      echo "\\echo A $seq $op $table $lo $hi"
      case $op in
        I) echo "INSERT INTO $table $rows ON CONFLICT (id) DO UPDATE SET version = excluded.version, emb = excluded.emb;" ;;
        U) echo "$update;" ;;
        D) echo "DELETE FROM $table WHERE id BETWEEN $lo AND $hi;" ;;
      esac
      printf '%s\n' '\if :ERROR' "\\echo E $seq" '\else' "\\echo K $seq" '\endif'
    done >"$SCRATCH/notes/writer$1.sql"
    session "writer$1" <"$SCRATCH/notes/writer$1.sql"
    # Statements that were not run are not in the notes, and their numbers are not used again.
  done
}
backlog() {
  until over; do
    echo "INSERT INTO backlog (image_id, image) SELECT id, image FROM images ORDER BY random() LIMIT 60;
          CALL coop_embed_table('backlog', 'image', 'emb', batch => $((1 + RANDOM % 32)));" | session backlog || true
    sleep 1
  done
}
janitor() {
  local n=0 concurrently
  until over; do
    n=$((n + 1)) concurrently=$([ $((RANDOM % 2)) = 0 ] || echo CONCURRENTLY)
    {
      echo 'VACUUM stock; VACUUM split; VACUUM backlog;'
      case $((n % 6)) in
        1) echo "REINDEX INDEX $concurrently stock_emb;" ;;
        # Of one partition: REINDEX of a partitioned index locks one partition after the other, against the order of writers.
        2) echo "REINDEX INDEX $concurrently split_$((RANDOM % 3))_emb_idx;" ;;
        3) echo "SELECT coop_index_check('stock_emb') = (SELECT count(*) FROM stock);" ;;
        4) echo "SELECT coop_index_check('backlog_emb'), coop_index_check('split_1_emb_idx');" ;;
        5) echo 'VACUUM FULL split_2; CHECKPOINT;' ;;
      esac
      # What an interrupted REINDEX CONCURRENTLY leaves.
      echo "SELECT format('DROP INDEX %s;', indexrelid::regclass) FROM pg_index WHERE NOT indisvalid AND indexrelid::regclass::text ~ '_ccnew|_ccold' \\gexec"
    } | session janitor || true
    sleep 2
  done
}

# What is done to the server, at random. Each is noted.
note() { echo "$1" >>"$SCRATCH/notes/done"; }
ours() { # Prints the processes that run in the cluster's folder.
  local p
  for p in /proc/[0-9]*; do [ "$(readlink "$p/cwd" 2>/dev/null)" != "$SCRATCH/data" ] || echo "${p#/proc/}"; done
}
nothing_runs() { [ -z "$(ours)" ]; }
some_backends() { # FUNCTION HOW-MANY
  "$BIN/psql" -X -q -At -c "SELECT count(pg_$1_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT $2) p" 2>/dev/null || echo 0
}
pid_of() { "$BIN/psql" -X -q -At -c "$1" 2>/dev/null || true; }
answers() { "$BIN/psql" -X -q -At -c 'SELECT 1' >/dev/null 2>&1; }
restart() {
  until_true 'all processes of the server have ended' nothing_runs
  rm -f "$SCRATCH/data/postmaster.pid"
  start_cluster "$SCRATCH"
}
disturb() {
  local pid chance=$((RANDOM % 100))
  # While the server restarts nothing is answered: at most one restart a minute.
  if [ $chance -ge 87 ]; then
    [ $SECONDS -ge $may_restart ] || return 0
    may_restart=$((SECONDS + 60))
  fi
  case $chance in
    [0-9] | [12][0-9] | 3[0-4]) note "terminated sessions $(some_backends terminate $((1 + RANDOM % 3)))" ;;
    3[5-9] | [45][0-9]) note "cancelled statements $(some_backends cancel $((1 + RANDOM % 3)))" ;;
    6[0-9] | 7[0-9])
      pid=$(pid_of 'SELECT model_process_pid FROM coop_stat_worker')
      [ -z "$pid" ] || { kill -KILL "$pid" 2>/dev/null && note 'killed model processes 1'; } ;;
    8[0-6])
      pid=$(pid_of 'SELECT supervisor_pid FROM coop_stat_worker')
      [ -z "$pid" ] || { kill -TERM "$pid" 2>/dev/null && note 'ended supervisors 1'; } ;;
    8[7-9] | 9[0-2])
      pid=$(pid_of 'SELECT supervisor_pid FROM coop_stat_worker')
      [ -z "$pid" ] || { kill -KILL "$pid" 2>/dev/null && note 'killed supervisors 1'; sleep 1; } ;;
    9[3-5])
      pid=$(pid_of "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1")
      [ -z "$pid" ] || { kill -KILL "$pid" 2>/dev/null && note 'killed backends 1'; sleep 1; } ;;
    *)
      note 'immediate shutdowns 1'
      (cd "$SCRATCH" && as_server "$BIN/pg_ctl" -D "$SCRATCH/data" -m immediate -w -s stop)
      restart ;;
  esac
  until_true 'the server answers again' answers
}
kill_postmaster() {
  local postmaster
  postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
  note 'killed postmasters 1'
  kill -KILL "$postmaster"
  until_true 'the postmaster is gone' gone "$postmaster"
  restart
}

for n in $(seq "$writers"); do writer "$n" & done
for n in $(seq "$clients"); do repeat "client$n" 100 'SELECT check_queries(20);' & done
repeat functions 50 'SELECT check_functions(40);' &
# Embedding takes a share of the processors; the rest is for queries.
repeat embedder 50 'SELECT check_embedding(8); SELECT pg_sleep(0.5);' &
backlog &
janitor &
at_work=$(jobs -r | wc -l) may_restart=0
end=$((SECONDS + seconds)) postmaster_dies=$((SECONDS + seconds / 2)) told=$SECONDS
total() { cat "$SCRATCH"/notes/$1.out 2>/dev/null | awk '{ n += $1 } END { printf "%d", n }'; }
while [ $SECONDS -lt $end ]; do
  sleep $((2 + RANDOM % 5))
  disturb
  if [ $SECONDS -ge $postmaster_dies ]; then
    postmaster_dies=$((end * 2 + 1))
    kill_postmaster
  fi
  [ "$(jobs -r | wc -l)" = "$at_work" ] || die "a session has stopped working, seed $seed"
  if grep -h WRONG "$SCRATCH"/notes/*.err; then die "a wrong answer, seed $seed"; fi
  if [ $SECONDS -ge $((told + 60)) ]; then
    told=$SECONDS
    echo "$(($(total 'client*') + $(total functions))) queries answered, $(total embedder) images embedded one by one, $((end - SECONDS)) s to go"
  fi
done
touch "$SCRATCH/stop"
wait
say 'the checks at the end'

# Errors other than those that the disturbances explain: cancelled or terminated, the server restarting, the model process gone.
grep -hE '(ERROR|FATAL|PANIC|WARNING|error):' "$SCRATCH"/notes/*.err | sed -E 's/^psql:[^ ]*: //; s/[0-9]{3,}([^0-9:]|$)/N\1/g' | sort | uniq -c | sort -rn >"$SCRATCH/errors" || true
cat "$SCRATCH/errors"
grep -vE '57014: canceling statement due to user request|57P0[123]: |psql: error: connection to server|server closed the connection|connection to server was lost|could not (receive|send)|08006: the model process of the inference service ended' \
  "$SCRATCH/errors" >"$SCRATCH/unexpected" || true
[ ! -s "$SCRATCH/unexpected" ] || die "unexpected errors, seed $seed: $(cat "$SCRATCH/unexpected")"
signalled=$(grep -c 'was terminated by signal 9' "$SCRATCH/server.log" || true)
killed=$(awk '/^killed (supervisors|backends)/ { n += $NF } END { print n + 0 }' "$SCRATCH/notes/done")
grep -hE 'PANIC|panicked|TRAP|terminated by signal ([0-8]|1[0-9])\b|XX00[0-9]' "$SCRATCH/server.log" && die "an unexpected crash, seed $seed"
[ "$signalled" -le "$killed" ] || die "$signalled processes were killed, $killed of them by this script"
ok 'there were no errors and no crashes but the expected ones'

ask -c "SELECT 'T', 'stock', id, version FROM stock UNION ALL SELECT 'T', 'split', id, version FROM split" -F ' ' >"$SCRATCH/notes/found"
awk -f "$here/replay.awk" "$SCRATCH"/notes/writer*.out "$SCRATCH/notes/found" || die "rows are not what their writers wrote, seed $seed"
ok 'every row is as its writer was told'
last=$(ask -f "$here/final.sql") || die "seed $seed"
ok 'every embedding, every index and every answer is right'
embedded=$(ask -c "SELECT (SELECT count(*) FROM backlog)")
stop_cluster "$SCRATCH"
until_true 'all processes of the server have ended' nothing_runs
ok 'no process is left'
awk '{ n = $NF; sub(/ [0-9]+$/, ""); disturbed[$0] += n } END { for (what in disturbed) print "disturbances: " disturbed[what] " " what }' "$SCRATCH/notes/done" | sort
echo "$(($(total 'client*') + $(total functions) + last)) queries answered, $(($(total embedder) + embedded)) images embedded, none wrong (seed $seed, $seconds s)"
finish
