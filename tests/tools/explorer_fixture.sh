# Sourced by tests/explorer/*.sh: a database `shop` with rows of the demo, embedded, the page of `coopembed serve` on it, and requests to the page.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# shop_cluster ROWS: so many rows of the demo, and a role `reader`, which may read the table.
shop_cluster() {
  find_postgres
  (cd "$ROOT" && cargo build -q --no-default-features --features cli --bin coopembed)
  program=$TARGET/debug/coopembed
  scratch_cluster
  at_exit stop_page
  "$BIN/createdb" shop
  export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
  load_demo "$1"
  embed_demo products
  ask -c 'CREATE ROLE reader LOGIN' -c 'GRANT SELECT ON products TO reader'
}

# serve OPTIONS...: starts the page on a free port; $url is its address, $page its process.
page=
serve() {
  stop_page
  : >"$SCRATCH/page.log" # before the program has opened it, too
  "$program" serve --listen 127.0.0.1:0 "$@" >"$SCRATCH/page.log" 2>&1 &
  page=$!
  for _ in $(seq 200); do
    url=$(grep -om1 'http://[^ ]*' "$SCRATCH/page.log" || true)
    [ -z "$url" ] || return 0
    kill -0 "$page" 2>/dev/null || die "the page did not start: $(cat "$SCRATCH/page.log")"
    sleep 0.05
  done
  die "the page does not print its address: $(cat "$SCRATCH/page.log")"
}
stop_page() { [ -z "$page" ] || { kill -TERM "$page" && wait "$page"; } 2>/dev/null || true; page=; }
does_not_start() { # WHAT PATTERN OPTIONS...: and the program says why
  local what=$1 pattern=$2
  shift 2
  if timeout 30 "$program" serve "$@" >"$SCRATCH/error" 2>&1; then fail "$what" 'it started'; else expect_in "$what" "$pattern" "$SCRATCH/error"; fi
}

# get PATH [CURL-OPTIONS...]: prints the status; the response's body is in $SCRATCH/body.
get() { curl -s -o "$SCRATCH/body" -D "$SCRATCH/headers" -w '%{http_code}' "${@:2}" "$url$1"; }
post() { get "$1" -H 'Content-Type: application/json' --data-binary "$2"; }
search() { post /api/search "{\"terms\":[$1],\"limit\":5}"; } # QUERY-TERMS
header() { sed -n "s/^$1: \(.*\)\r$/\1/Ip" "$SCRATCH/headers"; }
# json SQL: with the body as the psql variable `body`.
json() { printf '\\set body `cat %s`\nSELECT %s;\n' "$SCRATCH/body" "$1" | ask; }
field() { json ":'body'::jsonb #>> '{$1}'"; } # PATH, as PostgreSQL writes paths
length() { json "jsonb_array_length(:'body'::jsonb -> '$1')"; }
ids() { json "string_agg(r ->> 'id', ',') FROM jsonb_array_elements(:'body'::jsonb -> 'rows') r"; }
# The ids that the SQL shown on the page returns when it is typed into psql.
typed_ids() { field sql >"$SCRATCH/typed.sql"; (cd "$SCRATCH" && ask -F '|' -f typed.sql | cut -d'|' -f1 | sed 's/ *$//' | paste -sd,); }
same_as_typed() { expect "$1: the SQL shown returns the rows shown" "$(ids)" "$(typed_ids)"; }
pool_ball='{"kind":"like","id":"41"}'
