#!/usr/bin/env bash
# Installs what the build and the tests need and this machine lacks: Debian packages and the pinned cargo-pgrx.
source "$(dirname "$0")/lib.sh"

command -v cargo >/dev/null || die "cargo is missing: install a Rust toolchain (rustup.rs), version 1.95 or newer"

missing=()
for package in "postgresql-$PGV" "postgresql-server-dev-$PGV" libclang-dev clang build-essential pkg-config curl python3; do
  dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
# cargo-pgrx starts the server of `cargo pgrx test` as another user through sudo.
[ "$(id -u)" != 0 ] || command -v sudo >/dev/null || missing+=(sudo)
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  # The packages' own cluster is neither needed nor touched.
  [ -e /etc/postgresql-common/createcluster.conf ] || {
    $sudo mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
  }
  $sudo apt-get update -q
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

if ! cargo pgrx --version 2>/dev/null | grep -q "cargo-pgrx $PGRX_VERSION\$"; then
  say "installing cargo-pgrx $PGRX_VERSION into target/tools"
  # Unoptimised: it mostly waits for rustc, and compiling it is a good part of a first run.
  cargo install cargo-pgrx --debug --version "$PGRX_VERSION" --locked --root "$TARGET/tools"
fi

find_postgres
