#!/usr/bin/env bash
# Everything that is published of a version, from the last commit, into target/dist or the folder that is named: Debian packages of the
# extension for each PostgreSQL that is installed, and of the program; the sources, once for PGXN; checksums of all. The same commit built
# by the same toolchain gives the same bytes. usage: release.sh [OUT]
source "$(dirname "${BASH_SOURCE[0]}")/../tests/tools/lib.sh"
release=$ROOT/packaging
out=$(realpath -m "${1:-$TARGET/dist}")
name=coopembed-$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -1)

[ -z "$(git -C "$ROOT" status --porcelain)" ] || die "there are changes that are not committed: what is published must be a commit"
"$release/check.py" --release
rm -rf "$out"
mkdir -p "$out"

# In a folder of its own: other flags, so other dependencies than those of daily work. Where things were built is in no product.
export CARGO_TARGET_DIR=$TARGET/release-build PGRX_HOME=$TARGET/release-build/pgrx-home
export RUSTFLAGS="--remap-path-prefix=$ROOT=/coopembed --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct)
export SOURCE_DATE_EPOCH TZ=UTC
cd "$ROOT"

say "sources"
git archive --format=tar --prefix="$name/" HEAD | gzip -9n >"$out/$name.tar.gz"
git archive --format=zip --prefix="$name/" --add-file="$release/META.json" --add-file="$release/LICENSE" \
  --add-file="$release/CHANGELOG.md" -o "$out/$name.zip" HEAD

say "the program"
cargo build --locked --release --bin coopembed --no-default-features --features cli
"$release/deb.sh" program "$CARGO_TARGET_DIR/release/coopembed" "$out"

# Where there are headers to build with, and a feature to build.
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
  # Whose address stands in it is said by DEBEMAIL.
  lintian --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs \
    --allow-root "$out"/*.deb
else
  echo "no lintian: the packages were not looked at"
fi
say "$out"
ls -l "$out"
