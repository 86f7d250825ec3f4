#!/usr/bin/env bash
# node-postgres needs no adapter: the program of sql/clients.md runs and uses the index, and an array without a cast is an error that says what
# to write. Needs Node and npm; installs pg under target/.
source "$(dirname "$0")/../tools/clients_fixture.sh"
find_postgres
scratch_folder
packages=$TARGET/node
{ command -v node && npm install --prefix "$packages" --no-fund --no-audit pg@8; } >"$SCRATCH/npm" 2>&1 || {
  echo "skipped: Node and pg cannot be had: $(tail -1 "$SCRATCH/npm")"
  exit
}
shop_of_clothes
guide_program node-postgres >"$packages/search.mjs"
program_runs node-postgres node "$packages/search.mjs"
cat >"$packages/mistake.mjs" <<'PROGRAM'
import pg from "pg";
const db = new pg.Client();
await db.connect();
const error = await db.query("SELECT id FROM products ORDER BY emb <-> $1 LIMIT 1", [[0.1, 0.2]]).catch(e => e);
console.log(error.code, error.hint);
await db.end();
PROGRAM
expect_in 'an array without a cast is an error with a hint' '^22P02 .*\$1::float8\[\]' <(node "$packages/mistake.mjs" 2>&1)
finish
