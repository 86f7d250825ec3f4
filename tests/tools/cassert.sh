#!/usr/bin/env bash
# Tests the installed extension on a PostgreSQL with assertions, which is built from Debian's sources with --enable-cassert: the regression files,
# and the scripts of the folders below. usage: [CASSERT_HOME=FOLDER] cassert.sh
source "$(dirname "$0")/lib.sh"
find_postgres
home=${CASSERT_HOME:-/var/tmp/coopembed-cassert-$PGV}

# Downloads the newest sources that Debian's mirror has, and leaves the package sources of this system as they are.
fetch_sources() {
  local apt version
  mkdir -p "$home/lists/partial"
  sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$home/debian.sources"
  apt=(-o "Dir::Etc::sourcelist=$home/debian.sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::Lists=$home/lists")
  apt-get "${apt[@]}" update -q
  for version in $(apt-cache "${apt[@]}" madison "postgresql-$PGV" | awk '{ print $3 }' | sort -rV); do
    (cd "$home" && apt-get "${apt[@]}" source -q --download-only "postgresql-$PGV=$version") && return
  done
  die "no sources of PostgreSQL $PGV"
}

build_server() {
  [ -n "$(ls "$home"/postgresql-"$PGV"_*.orig.tar.* 2>/dev/null)" ] || fetch_sources
  mkdir -p "$home/source"
  tar -xf "$home"/postgresql-"$PGV"_*.orig.tar.* -C "$home/source" --strip-components=1
  cd "$home/source"
  ./configure -q --enable-cassert --enable-debug --prefix="$home/pg" CFLAGS='-Og -g'
  make -s -j"$(nproc)" install
  make -s -C contrib install
  make -s -C src/test/regress install
}

if [ ! -x "$home/pg/bin/postgres" ]; then
  say "building PostgreSQL $PGV with assertions in $home"
  (build_server)
fi
library=$("$PG_CONFIG" --pkglibdir)/coopembed.so objects=$("$PG_CONFIG" --sharedir)/extension
export PG_CONFIG=$home/pg/bin/pg_config PGRX_HOME=$home/pgrx-home
cp "$library" "$("$PG_CONFIG" --pkglibdir)/"
cp "$objects"/coopembed* "$("$PG_CONFIG" --sharedir)/extension/"
(
  find_postgres
  scratch_cluster
  expect "the server has assertions" on "$(PGDATABASE=postgres ask -c 'SHOW debug_assertions')"
  finish
)
cd "$ROOT"
"$ROOT/tests/tools/run_scripts.sh" tests/tools/regress.sh tests/{index,inference,embedding,graph,dump,shards}/*.sh
