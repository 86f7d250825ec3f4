# Sourced by tests/clients/*.sh: the demo's table, embedded and with an index that every query uses, and the programs of sql/clients.md.
source "$(dirname "$0")/../tools/lib.sh"

# shop_of_clothes [settings...]: a cluster with 60 rows of the demo.
shop_of_clothes() {
  scratch_cluster "$@"
  export PGDATABASE=postgres
  load_clothes 60
  PGOPTIONS="-c client_min_messages=warning" ask -c "CALL coop_embed_table('products', 'image', 'emb')"
  ask -c 'CREATE INDEX products_emb ON products USING coop (emb)' -c 'ALTER DATABASE postgres SET enable_seqscan = off'
}

# guide_program HEADING: the block of code under this heading of sql/clients.md.
guide_program() {
  awk -v heading="## $1" '/^## /{ inside = $0 == heading } /^```$/{ code = 0 } code && inside; /^```[a-z]/{ code = 1 }' "$ROOT/sql/clients.md"
}

# index_scans: how often the index was scanned; a session counts its scans when it ends.
index_scans() { ask -c "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'products_emb'"; }

# program_runs WHAT COMMAND...: a program of the guide runs, finds the row whose image and embedding it sends, and every one of its searches
# uses the index, of which there are at least two.
program_runs() {
  local what=$1 before
  before=$(index_scans)
  if ! "${@:2}" >"$SCRATCH/out" 2>&1; then fail "$what" "$(tail -5 "$SCRATCH/out")"; return; fi
  expect "$what: the image finds its own row" 41 "$(head -1 "$SCRATCH/out" | grep -o '[0-9]*' | head -1)"
  index_was_used() { [ "$(index_scans)" -ge $((before + 2)) ]; }
  check "$what: its searches use the index" until_true "$what: scans are counted" index_was_used
}
