#!/usr/bin/env bash
# What is published: versions, metadata, licences and documents agree; the Debian package of what is installed here is made twice with the
# same bytes, installs into a system of its own, works there, and leaves nothing behind when it is removed.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
"$ROOT/packaging/check.py"
ok "versions, metadata, licences and documents agree"

SCRATCH=$(mktemp -d /tmp/coopembed.XXXXXX)
chmod 755 "$SCRATCH"
trap 'rm -rf "$SCRATCH"' EXIT
mkdir "$SCRATCH/files" "$SCRATCH/again" "$SCRATCH/first"
cp "$("$PG_CONFIG" --pkglibdir)/coopembed.so" "$("$PG_CONFIG" --sharedir)"/extension/coopembed* "$SCRATCH/files/"
export COMPRESS=gzip
"$ROOT/packaging/deb.sh" extension "$PGV" "$SCRATCH/files" "$SCRATCH/first" >/dev/null
sleep 1.1
touch "$SCRATCH"/files/*
"$ROOT/packaging/deb.sh" extension "$PGV" "$SCRATCH/files" "$SCRATCH/again" >/dev/null
package=$(cd "$SCRATCH/first" && echo *.deb)
cmp "$SCRATCH/first/$package" "$SCRATCH/again/$package" || die "the same files make different packages"
ok "the same files make the same package"

if [ "$(realpath "$("$PG_CONFIG" --bindir)")" != "/usr/lib/postgresql/$PGV/bin" ]; then
  echo "skipped: the package is for Debian's PostgreSQL, and this one lies elsewhere"
  echo "release: $passed passed, 0 failed"
  exit
fi

# A system with a server in it, as Debian lays it out, and dpkg's records. Its packages are taken for granted.
system=$SCRATCH/system
mkdir -p "$system"/usr/{lib,share}/postgresql "$system"/var/lib/dpkg/{info,updates,triggers}
touch "$system/var/lib/dpkg/status" "$system/var/lib/dpkg/available"
cp -a "$(dirname "$BIN")" "$system/usr/lib/postgresql/$PGV"
cp -a "$("$PG_CONFIG" --sharedir)" "$system/usr/share/postgresql/$PGV"
find "$system/usr" -name 'coopembed*' -delete
files() { (cd "$system" && find usr | LC_ALL=C sort); }
before=$(files)
dpkg_() { dpkg --root="$system" --force-depends,not-root --log="$SCRATCH/dpkg.log" "$@" >"$SCRATCH/dpkg.out" 2>&1 || die "dpkg $*: $(cat "$SCRATCH/dpkg.out")"; }
# Only root may give files to root.
if [ "$(id -u)" = 0 ]; then
  dpkg_ --install "$SCRATCH/first/$package"
else
  dpkg-deb -x "$SCRATCH/first/$package" "$system"
fi

BIN=$system/usr/lib/postgresql/$PGV/bin
give_to_server "$system/usr"
trap 'stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
start_cluster "$SCRATCH" fsync=off
expect "the packaged extension is created" coopembed "$(ask -c 'CREATE EXTENSION coopembed' -c "SELECT extname FROM pg_extension WHERE extname = 'coopembed'")"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -1)
expect "its library says its version" "$version" "$(ask -c 'SELECT coop_version()')"
model=$system/usr/share/postgresql/$PGV/coopembed/emoji
expect "its model is loaded from where it lies" 8 "$(ask -c "SELECT length(coop_load_model('emoji', '$model'))")"
stop_cluster "$SCRATCH"
trap 'rm -rf "$SCRATCH"' EXIT

if [ "$(id -u)" = 0 ]; then
  dpkg_ --purge "${package%%_*}"
  [ "$(files)" = "$before" ] || die "left behind: $(diff <(echo "$before") <(files))"
  ok "it leaves nothing behind"
fi
echo "release: $passed passed, 0 failed"
