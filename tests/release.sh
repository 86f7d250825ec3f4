#!/usr/bin/env bash
# What is published: versions, metadata, licences and documents agree; a Debian package of the installed extension is the same to the byte when
# it is made twice; it installs into an empty system, works there, and leaves nothing behind when it is removed.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
check "versions, metadata, licences and documents agree" "$ROOT/packaging/check.py"

scratch_folder
mkdir "$SCRATCH/files" "$SCRATCH/again" "$SCRATCH/first"
cp "$("$PG_CONFIG" --pkglibdir)/coopembed.so" "$("$PG_CONFIG" --sharedir)"/extension/coopembed* "$SCRATCH/files/"
export COMPRESS=gzip
"$ROOT/packaging/deb.sh" extension "$PGV" "$SCRATCH/files" "$SCRATCH/first" >/dev/null
sleep 1.1
touch "$SCRATCH"/files/*
"$ROOT/packaging/deb.sh" extension "$PGV" "$SCRATCH/files" "$SCRATCH/again" >/dev/null
package=$(cd "$SCRATCH/first" && echo *.deb)
check "the same files make the same package" cmp "$SCRATCH/first/$package" "$SCRATCH/again/$package"

if [ "$(realpath "$("$PG_CONFIG" --bindir)")" != "/usr/lib/postgresql/$PGV/bin" ]; then
  echo "skipped: the package is for Debian's PostgreSQL, and this one lies elsewhere"
  finish
  exit
fi

# A folder with a server in it, as Debian lays it out, and an empty list of packages for dpkg; dependencies are not checked.
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
start_cluster "$SCRATCH" fsync=off
expect "the packaged extension is created" coopembed "$(ask -c 'CREATE EXTENSION coopembed' -c "SELECT extname FROM pg_extension WHERE extname = 'coopembed'")"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -1)
expect "its library has the version of Cargo.toml" "$version" "$(ask -c 'SELECT coop_version()')"
for model in clothes emoji; do
  folder=$system/usr/share/postgresql/$PGV/coopembed/$model
  expect "its model $model can be loaded from the folder of the package" 8 "$(ask -c "SELECT length(coop_load_model('$model', '$folder'))")"
done
stop_cluster "$SCRATCH"

if [ "$(id -u)" = 0 ]; then
  dpkg_ --purge "${package%%_*}"
  expect "it leaves nothing behind" "" "$(diff <(echo "$before") <(files))"
fi
finish
