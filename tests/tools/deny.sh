#!/usr/bin/env bash
# Runs cargo-deny over the dependencies of all features: licences, sources, bans, and security advisories where their database can be fetched.
source "$(dirname "$0")/lib.sh"
command -v cargo-deny >/dev/null || {
  say "installing cargo-deny into target/tools"
  cargo install cargo-deny --debug --locked --root "$TARGET/tools"
}
cd "$ROOT"
deny() { cargo deny --config packaging/deny.toml "$@"; }
deny check licenses bans sources
if deny fetch db >"$TARGET/deny.log" 2>&1; then
  deny check advisories
else
  echo "skipped: the database of security advisories cannot be fetched: $(grep -m 1 -i error "$TARGET/deny.log" || true)"
fi
