#!/usr/bin/env bash
# Builds what is published of a version, from the last commit: Debian packages of the extension for each installed PostgreSQL and of the program,
# source archives (one of them for PGXN), checksums. The same commit and toolchain give the same bytes. usage: release.sh [OUT]      (target/dist)
source "$(dirname "${BASH_SOURCE[0]}")/../tests/tools/lib.sh"
release=$ROOT/packaging
out=$(realpath -m "${1:-$TARGET/dist}")
name=coopembed-$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -1)

[ -z "$(git -C "$ROOT" status --porcelain)" ] || die "commit the changes first: what is published must be a commit"
"$release/check.py" --release
rm -rf "$out"
mkdir -p "$out"

# In a folder of its own, as the flags differ from those of daily work. The paths of this machine are in no product.
export CARGO_TARGET_DIR=$TARGET/release-build PGRX_HOME=$TARGET/release-build/pgrx-home
export RUSTFLAGS="--remap-path-prefix=$ROOT=/coopembed --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct)
export SOURCE_DATE_EPOCH TZ=UTC
cd "$ROOT"

say "sources"
git archive --format=tar --prefix="$name/" HEAD | gzip -9n >"$out/$name.tar.gz"
git archive --format=zip --prefix="$name/" --add-file="$release/META.json" -o "$out/$name.zip" HEAD

say "the program"
cargo build --locked --release --bin coopembed --no-default-features --features cli
"$release/deb.sh" program "$CARGO_TARGET_DIR/release/coopembed" "$out"

# For each PostgreSQL that has its headers here and a feature in Cargo.toml.
for config in /usr/lib/postgresql/*/bin/pg_config; do
  major=$(basename "$(dirname "$(dirname "$config")")")
  [ -f "$("$config" --includedir-server)/postgres.h" ] && grep -q "^pg$major = " Cargo.toml || continue
  say "the extension for PostgreSQL $major"
  (
    export PGV=$major PG_CONFIG=$config
    find_postgres
    built=$CARGO_TARGET_DIR/package-$major
    rm -rf "$built"
    cargo pgrx package --no-default-features --features "pg$major" --pg-config "$config" --out-dir "$built"
    mkdir "$built/files"
    find "$built/usr" \( -name coopembed.so -o -name 'coopembed.control' -o -name 'coopembed--*.sql' \) -exec cp {} "$built/files/" \;
    "$release/deb.sh" extension "$major" "$built/files" "$out"
  )
done

(cd "$out" && sha256sum ./* >SHA256SUMS)
if command -v lintian >/dev/null; then
  # DEBEMAIL sets the address of the maintainer.
  lintian --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs \
    --allow-root "$out"/*.deb
else
  echo "skipped: lintian is not installed"
fi
say "$out"
ls -l "$out"
