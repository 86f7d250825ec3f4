# Sourced by the other scripts: finds PostgreSQL, starts and stops throw-away clusters, runs checks and counts them.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PGV=${PGV:-15}
PGRX_VERSION=$(sed -n 's/^pgrx = { version = "=\([0-9.]*\)".*/\1/p' "$ROOT/Cargo.toml")
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}

# Not empty, so that cargo-pgrx does not add a linker flag to every dependency (build.rs gives it to our library
# alone): otherwise each of them is compiled twice.
export RUSTFLAGS="${RUSTFLAGS:- }"
export PGRX_HOME=${PGRX_HOME:-$TARGET/pgrx-home}
export PATH=$TARGET/tools/bin:$PATH USER=${USER:-$(id -un)}
unset RUST_BACKTRACE # a server started with it puts a backtrace into the DETAIL of every ERROR
unset PGHOST PGPORT PGUSER PGDATABASE PGDATA PGOPTIONS

# Runs what at_exit was given, the last first, when the script ends; a script with failed checks fails.
cleanups=() passed=0 failed=0 finished=
at_exit() { cleanups+=("$1"); } # COMMAND
on_exit() {
  local status=$? i
  set +e
  if [ -z "$finished" ] && [ $status != 0 ] && [ -f "${SCRATCH:-}/server.log" ]; then
    echo "the end of the server's log:"
    tail -20 "$SCRATCH/server.log" | sed 's/^/    server: /'
  fi
  for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do eval "${cleanups[i]}"; done
  if [ -z "$finished" ] && [ $((passed + failed)) -gt 0 ]; then
    if [ $status != 0 ]; then
      echo "error: the script stopped before its end, after $passed passed and $failed failed checks"
    elif [ "$failed" -gt 0 ]; then
      echo "$passed passed, $failed failed"
      status=1
    fi
  fi
  exit $status
}
trap on_exit EXIT

declare -A session_input session_pid # of open_session

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# PostgreSQL refuses to run as root: root builds, and the operating-system user `postgres` runs the server.
if [ "$(id -u)" = 0 ]; then
  SERVER_USER=${SERVER_USER:-postgres}
  as_server() { runuser -u "$SERVER_USER" -- "$@"; }
  give_to_server() { chown -R "$SERVER_USER" "$@"; }
else
  SERVER_USER=$(id -un)
  as_server() { "$@"; }
  give_to_server() { :; }
fi

# PostgreSQL as PyPI has it, for versions that Debian lacks (tests/tools/postgresql.sh), in a folder that the server's user may enter.
fetched_postgres() {
  mkdir -p "$TARGET"
  if as_server test -x "$TARGET"; then echo "$TARGET/postgresql/$PGV"; else echo "/var/lib/coopembed-test/postgresql/$PGV"; fi
}

# Root installs the extension into the PostgreSQL of the system; an ordinary user into a private copy of it
# (PostgreSQL is relocatable), so that nothing but the packages needs sudo. PG_CONFIG overrides both.
find_postgres() {
  local system=/usr/lib/postgresql/$PGV copy=$TARGET/pg fetched
  if [ -z "${PG_CONFIG:-}" ]; then
    fetched=$(fetched_postgres)
    if [ ! -x "$system/bin/initdb" ]; then
      [ -x "$fetched/bin/initdb" ] || die "PostgreSQL $PGV is neither in $system nor in $fetched; run 'PGV=$PGV make setup', or set PG_CONFIG"
      PG_CONFIG=$fetched/bin/pg_config
    elif [ "$(id -u)" = 0 ]; then
      PG_CONFIG=$system/bin/pg_config
    else
      PG_CONFIG=$copy/lib/postgresql/$PGV/bin/pg_config
      if [ ! -x "$PG_CONFIG" ]; then
        mkdir -p "$copy"/{lib,share,include}/postgresql
        cp -a "/usr/share/postgresql/$PGV" "$copy/share/postgresql/"
        ln -sfn "/usr/include/postgresql/$PGV" "$copy/include/postgresql/$PGV"
        cp -a "$system" "$copy/lib/postgresql/"
      fi
    fi
  fi
  "$PG_CONFIG" --version | grep -q "^PostgreSQL $PGV[. ]" || die "$PG_CONFIG is of $("$PG_CONFIG" --version), not of PostgreSQL $PGV; set PGV"
  export PG_CONFIG
  BIN=$("$PG_CONFIG" --bindir)
  # Only when it changes: pgrx's bindings are built again whenever this file is touched.
  grep -qs "^pg$PGV = \"$PG_CONFIG\"" "$PGRX_HOME/config.toml" || cargo pgrx init "--pg$PGV" "$PG_CONFIG" --no-run
}

# install_extension [--release]: builds and installs into the PostgreSQL of PG_CONFIG, earlier versions' scripts with it:
# cargo-pgrx itself takes along what leads from one version to another, and not what a first version is created by.
install_extension() {
  (cd "$ROOT" && cargo pgrx install "$@" --no-default-features --features "pg$PGV" --pg-config "$PG_CONFIG")
  cp "$ROOT"/sql/coopembed--*.sql "$("$PG_CONFIG" --sharedir)/extension/"
}

# start_cluster DIR [initial settings...]: a cluster in DIR/data, reachable through the socket in DIR only. SERVER_MEMORY is the
# address space, in kB, that each of its processes may have. CLUSTER_TEMPLATE, if set, is a folder that keeps what initdb makes, for the
# scripts of one run to copy.
start_cluster() {
  local dir=$1 settings="-k $1 -c listen_addresses=''" libraries
  shift
  # PyPI's server would load the system's libpq, which may be older than itself.
  libraries=$("$BIN/pg_config" --libdir)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  for s in "$@"; do settings+=" -c $s"; done
  if [ ! -f "$dir/data/PG_VERSION" ]; then
    mkdir -p "$dir"
    give_to_server "$dir"
    if [ -n "${CLUSTER_TEMPLATE:-}" ]; then
      [ -f "$CLUSTER_TEMPLATE/data/PG_VERSION" ] || init_cluster "$CLUSTER_TEMPLATE"
      as_server cp -R "$CLUSTER_TEMPLATE/data" "$dir/data"
      as_server chmod 700 "$dir/data"
    else
      init_cluster "$dir"
    fi
  fi
  # The server must not inherit the input of open sessions, which would then never end.
  (for s in "${session_input[@]}"; do exec {s}>&-; done
    ulimit -v "${SERVER_MEMORY:-unlimited}" && cd "$dir" && as_server env LD_LIBRARY_PATH="$libraries" "$BIN/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -s -o "$settings" start) \
    || die "the server did not start: $(tail -20 "$dir/server.log")"
  export PGHOST=$dir PGUSER=postgres
}
init_cluster() { # DIR [OPTIONS...]
  as_server "$BIN/initdb" -D "$1/data" -U postgres -A trust --no-sync --locale=C.UTF-8 --encoding=UTF8 "${@:2}" >"$1/initdb.log" \
    || die "initdb failed: $(cat "$1/initdb.log")"
}

# Stops the cluster in a folder, if it runs. KEEP_LOG is a file for its server's log.
stop_cluster() {
  [ -z "${KEEP_LOG:-}" ] || [ ! -f "$1/server.log" ] || cp "$1/server.log" "$KEEP_LOG"
  [ -f "$1/data/postmaster.pid" ] || return 0
  (cd "$1" && as_server "$BIN/pg_ctl" -D "$1/data" -m fast -w -s stop) || true
}

# scratch_folder: a new folder, $SCRATCH, that is gone when the script ends, with all clusters in it.
scratch_folder() {
  SCRATCH=$(mktemp -d /tmp/coopembed.XXXXXX)
  chmod 755 "$SCRATCH"
  at_exit remove_scratch
}
remove_scratch() {
  local dir
  for dir in "$SCRATCH"/*/ "$SCRATCH/"; do stop_cluster "${dir%/}"; done
  rm -rf "$SCRATCH"
}

# scratch_cluster [settings...]: a cluster in $SCRATCH.
scratch_cluster() {
  scratch_folder
  start_cluster "$SCRATCH" fsync=off "$@"
}

# start_standby NAME [settings...]: a hot standby of the scratch cluster, in $SCRATCH/NAME, with a replication slot. $PGHOST stays.
start_standby() {
  local name=$1 host=$PGHOST
  shift
  mkdir "$SCRATCH/$name"
  give_to_server "$SCRATCH/$name"
  as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/$name/data" -R -C -S "$name" -c fast --no-sync
  start_cluster "$SCRATCH/$name" "$@"
  export PGHOST=$host
}
on_standby() { PGHOST=$SCRATCH/standby ask "$@"; }
# Waits until the standby has replayed what the scratch cluster has written.
standby_follows() {
  local lsn
  # VACUUM's last records are not written yet when it returns.
  ask -c CHECKPOINT
  lsn=$(ask -c 'SELECT pg_current_wal_lsn()')
  caught_up() { [ "$(on_standby -c "SELECT pg_last_wal_replay_lsn() >= '$lsn'")" = t ]; }
  until_true 'the standby follows' caught_up
}

# crash_cluster: SIGKILL to the scratch cluster's postmaster, and a new start: nothing is written after the kill, and recovery has to do.
crash_cluster() {
  local postmaster
  postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
  kill -KILL "$postmaster"
  while kill -0 "$postmaster" 2>/dev/null; do sleep 0.1; done
  sleep 1
  rm -f "$SCRATCH/data/postmaster.pid"
  start_cluster "$SCRATCH"
}

# A copy of a file or folder of ours that the server may read, wherever this checkout lies.
for_server() {
  local to=$1/$(basename "$2")
  [ "$to" != "$1/data" ] || die "$to is the cluster's own"
  rm -rf "$to"
  cp -R "$2" "$to"
  chmod -R a+rX "$to"
  give_to_server "$to"
  echo "$to"
}

psql_() { "$BIN/psql" -X -q -v ON_ERROR_STOP=1 "$@"; }
ask() { psql_ -At "$@"; }

# load_demo [ROWS]: the demo's table `products` in $PGDATABASE, its first 60 (or so many) rows, not embedded; extension and model with it.
load_demo() {
  [ -d "$SCRATCH/gallery" ] || for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery" >/dev/null
  [ -d "$SCRATCH/emoji" ] || for_server "$SCRATCH" "$ROOT/model/emoji" >/dev/null
  psql_ -v gallery="$SCRATCH/gallery" -v model="$SCRATCH/emoji" -f "$ROOT/src/demo/emoji/load.sql"
  ask -c "DELETE FROM products WHERE id > ${1:-60}"
}
# load_clothes [ROWS]: the same of the demo of clothes, all rows by default. Its gallery and model are in $gallery and $model.
load_clothes() {
  gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/clothes/gallery")
  model=$(for_server "$SCRATCH" "$ROOT/model/clothes")
  PGOPTIONS="-c client_min_messages=warning" psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/clothes/load.sql"
  [ -z "${1:-}" ] || ask -c "DELETE FROM products WHERE id > $1"
}
# embed_demo TABLE: embeds such rows. Scripts of one run share the embeddings, as computing them takes seconds.
embed_demo() {
  local embeddings
  embeddings=${CLUSTER_TEMPLATE:-$SCRATCH}/embeddings-of-$(ask -c "SELECT count(*) FROM $1")-rows
  if [ -f "$embeddings" ]; then
    ask -c 'CREATE TEMP TABLE embeddings (id int, emb coopvec)' -c "\\copy embeddings FROM '$embeddings'" \
      -c "UPDATE $1 t SET emb = e.emb FROM embeddings e WHERE e.id = t.id"
  else
    ask -c "CALL coop_embed_table('$1', 'image', 'emb')" -c "\\copy (SELECT id, emb FROM $1 ORDER BY id) TO '$embeddings.$$'"
    mv "$embeddings.$$" "$embeddings" # at once: other scripts may run at the same time
  fi
}

# Restores a dump of a database into the databases `text`, from SQL text, and `parallel`, by pg_restore with several jobs.
restore_both_ways() { # DATABASE
  "$BIN/createdb" text
  "$BIN/pg_dump" "$1" | ask -d text >/dev/null
  "$BIN/createdb" parallel
  "$BIN/pg_dump" -Fc -f "$SCRATCH/$1.dump" "$1"
  "$BIN/pg_restore" -e -j 4 -d parallel "$SCRATCH/$1.dump"
}

# Checks. Each prints "ok: WHAT" or "FAILED: WHAT", and the script goes on; finish, its last command, says how many there were of each,
# and fails if any failed. die() is for what makes going on pointless.
ok() { passed=$((passed + 1)); echo "ok: $1"; }
fail() { failed=$((failed + 1)); echo "FAILED: $1: $2"; } # WHAT WHY
finish() {
  finished=yes
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] || exit 1
}
check() { # WHAT COMMAND...: the command succeeds
  local what=$1
  shift
  if "$@"; then ok "$what"; else fail "$what" "$*"; fi
}
expect() { # WHAT EXPECTED FOUND
  if [ "$2" = "$3" ]; then
    ok "$1"
  else
    fail "$1" "expected '$2', found '$3'"
    tail -5 "$SCRATCH/server.log" 2>/dev/null | sed 's/^/    server: /' || true
  fi
}
expect_in() { # WHAT PATTERN FILE
  if grep -q -- "$2" "$3"; then ok "$1"; else fail "$1" "'$2' is not in: $(cat "$3")"; fi
}
# expect_error WHAT PATTERN PSQL-ARGUMENTS...: the statements fail with such a message; what psql said is in $SCRATCH/error.
expect_error() {
  local what=$1 pattern=$2
  shift 2
  if ask "$@" >"$SCRATCH/error" 2>&1; then fail "$what" "no error, but: $(cat "$SCRATCH/error")"; else expect_in "$what" "$pattern" "$SCRATCH/error"; fi
}
until_true() { # WHAT COMMAND...: waits for it, up to 30 seconds
  local what=$1 i
  shift
  for i in $(seq 300); do "$@" && return; sleep 0.1; done
  die "never: $what"
}
# Lines of a server's log that say that one of its processes crashed. pg_postmaster_start_time() does not tell: the postmaster lives on.
crashes() { LC_ALL=C grep -a 'was terminated by signal\|reinitializing\|terminating any other' "${1:-$SCRATCH/server.log}" || true; }
gone() { ! kill -0 "$1" 2>/dev/null; }

# Sessions that stay open: a psql that takes its statements one by one.
open_session() { # NAME [PSQL-ARGUMENTS...]
  local name=$1 input
  shift
  mkfifo "$SCRATCH/$name.in"
  psql_ -At -v ON_ERROR_STOP=0 "$@" <"$SCRATCH/$name.in" >"$SCRATCH/$name.out" 2>&1 &
  session_pid[$name]=$!
  exec {input}>"$SCRATCH/$name.in"
  session_input[$name]=$input
}
send() { echo "$2;" >&"${session_input[$1]}"; } # NAME SQL: without waiting
tell() { # NAME SQL: waits, and prints what the session says to it
  local from mark
  mark=done:$(date +%s%N)
  from=$(wc -c <"$SCRATCH/$1.out")
  printf '%s;\n\\echo %s\n' "$2" "$mark" >&"${session_input[$1]}"
  for _ in $(seq 600); do grep -q "^$mark" "$SCRATCH/$1.out" && break; sleep 0.05; done
  tail -c "+$((from + 1))" "$SCRATCH/$1.out" | grep -v "^$mark" || true
}
close_session() { # NAME: the status of its psql
  local input=${session_input[$1]}
  exec {input}>&-
  unset "session_input[$1]"
  rm "$SCRATCH/$1.in"
  wait "${session_pid[$1]}"
}

# The inference service of the scratch cluster.
column() { ask -c "SELECT $1 FROM coop_stat_worker"; }
# configure NAME=VALUE...: sets these and no others, and waits for the process that has them.
configure() {
  local old setting
  old=$(column model_process_pid)
  ask -c 'ALTER SYSTEM RESET ALL'
  for setting; do ask -c "LOAD 'coopembed'" -c "ALTER SYSTEM SET coopembed.${setting%%=*} = '${setting#*=}'"; done
  ask -c 'SELECT pg_reload_conf()' >/dev/null
  is_new() { [ "$(column model_process_pid)" != "$old" ]; }
  until_true 'a process with the new settings' is_new
}
# A copy of a model directory that the server may read, with one bit of the weights the other way: another model. Prints where it is.
twin_of() { # MODEL-DIRECTORY
  local twin=$SCRATCH/twin at byte
  cp -R "$1" "$twin"
  at=$(($(stat -c %s "$twin/model.safetensors") / 2 & ~1))
  byte=$(od -An -tu1 -j $at -N 1 "$twin/model.safetensors")
  printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$twin/model.safetensors" bs=1 seek=$at conv=notrunc status=none
  chown --reference="$1" -R "$twin"
  echo "$twin"
}
