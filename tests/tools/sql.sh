#!/usr/bin/env bash
# Installs the extension and tests it from outside: the regression files, and each script under tests/ (not those in tools, bench, soak and
# fuzz). usage: sql.sh [SCRIPT...]
source "$(dirname "$0")/lib.sh"
find_postgres
say "installing the extension (dev profile)"
install_extension
cd "$ROOT"
if [ $# = 0 ]; then
  mapfile -t scripts < <(find tests -mindepth 1 -maxdepth 2 -name '*.sh' -not -path 'tests/tools/*' -not -path 'tests/bench/*' \
    -not -path 'tests/soak/*' -not -path 'tests/fuzz/*' | LC_ALL=C sort)
  set -- tests/tools/regress.sh "${scripts[@]}"
fi
tests/tools/run_scripts.sh "$@"
