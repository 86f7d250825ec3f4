#!/usr/bin/env bash
# sqlx needs no adapter: the program of sql/clients.md runs and uses the index. Its crates are built under target/sqlx-client.
source "$(dirname "$0")/../tools/clients_fixture.sh"
find_postgres
crate=$TARGET/sqlx-client
mkdir -p "$crate/src"
cat >"$crate/Cargo.toml" <<'MANIFEST'
[package]
name = "search"
version = "0.0.0"
edition = "2021"
publish = false

[dependencies]
sqlx = { version = "=0.8.6", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "1", features = ["macros", "rt"] }

[profile.dev]
debug = false

[workspace]
MANIFEST
guide_program sqlx >"$crate/src/main.rs"
(cd "$crate" && CARGO_TARGET_DIR=$crate/target RUSTFLAGS=" " cargo build -q) >"$crate/log" 2>&1 || {
  if grep -q 'failed to get\|failed to download' "$crate/log"; then echo "skipped: sqlx cannot be had: $(tail -1 "$crate/log")"; exit; fi
  die "the program does not compile: $(cat "$crate/log")"
}
shop_of_clothes
program_runs sqlx "$crate/target/debug/search"
finish
