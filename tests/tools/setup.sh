#!/usr/bin/env bash
# Installs what build and tests need and this machine lacks: Debian packages, PostgreSQL $PGV and the pinned version of cargo-pgrx.
source "$(dirname "$0")/lib.sh"

command -v cargo >/dev/null || die "cargo is missing: install a Rust toolchain (rustup.rs), version 1.95 or newer"

sudo=$([ "$(id -u)" = 0 ] || echo sudo)
# Debian has one version of PostgreSQL; others, which `make test-versions` needs, come from PyPI, with headers.
server=("postgresql-$PGV" "postgresql-server-dev-$PGV")
in_debian() { apt-cache show "${server[0]}" >/dev/null 2>&1; }
if [ ! -x "/usr/lib/postgresql/$PGV/bin/initdb" ] && ! in_debian; then
  [ -x "$(fetched_postgres)/bin/initdb" ] || $sudo apt-get update -q
  in_debian || server=()
fi
missing=()
for package in "${server[@]}" libclang-dev clang build-essential pkg-config curl python3; do
  dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
[ ${#server[@]} -gt 0 ] || python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
# cargo-pgrx starts the server of `cargo pgrx test` as another user through sudo.
[ "$(id -u)" != 0 ] || command -v sudo >/dev/null || missing+=(sudo)
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  # Keeps the package from creating a cluster, which is not needed.
  [ -e /etc/postgresql-common/createcluster.conf ] || {
    $sudo mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
  }
  $sudo apt-get update -q
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

[ ${#server[@]} -gt 0 ] || "$ROOT/tests/tools/postgresql.sh"

if ! cargo pgrx --version 2>/dev/null | grep -q "cargo-pgrx $PGRX_VERSION\$"; then
  say "installing cargo-pgrx $PGRX_VERSION into target/tools"
  # Without optimisation: it mostly waits for rustc, and compiling it is a good part of a first run.
  cargo install cargo-pgrx --debug --version "$PGRX_VERSION" --locked --root "$TARGET/tools"
fi

find_postgres
