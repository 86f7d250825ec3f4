# Sourced by tests/program/*.sh: the program `coopembed`, and a database `shop` with the extension.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

program_cluster() { # [SETTINGS...]
  find_postgres
  (cd "$ROOT" && cargo build -q --no-default-features --features cli --bin coopembed)
  program=$TARGET/debug/coopembed
  scratch_cluster "$@"
  "$BIN/createdb" shop
  export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
}
# fails WHAT PATTERN ARGUMENTS...: the program fails and says why; what it said is in $SCRATCH/error.
fails() {
  local what=$1 pattern=$2
  shift 2
  if timeout 120 "$program" "$@" >"$SCRATCH/error" 2>&1; then fail "$what" "no error, but: $(cat "$SCRATCH/error")"; else expect_in "$what" "$pattern" "$SCRATCH/error"; fi
}
# runs WHAT PATTERN ARGUMENTS...: the program succeeds and says so; what it said is in $SCRATCH/said.
runs() {
  local what=$1 pattern=$2
  shift 2
  if timeout 300 "$program" "$@" >"$SCRATCH/said" 2>&1; then expect_in "$what" "$pattern" "$SCRATCH/said"; else fail "$what" "$(cat "$SCRATCH/said")"; fi
}
# serve_image FILE: a web server on this machine that serves the image in many ways (image_server.py); $port is its port, $SCRATCH/asked has
# the paths that were asked for.
serve_image() {
  : >"$SCRATCH/asked"
  python3 "$ROOT/tests/tools/image_server.py" "$1" "$SCRATCH/asked" >"$SCRATCH/port" &
  at_exit "kill $! 2>/dev/null"
  has_port() { [ -s "$SCRATCH/port" ]; }
  until_true 'the server of images listens' has_port
  port=$(cat "$SCRATCH/port")
}
