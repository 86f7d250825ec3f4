#!/bin/sh
# Prints a Python that has these packages: $PYTHON if it does, otherwise that of an environment under target/, made on first use.
#   python=$(tests/bench/venv.sh torch torchvision)
set -eu
cd "$(dirname "$0")/../.."
has() {
    python=$1
    shift
    for module; do
        "$python" -c "import $module" 2>/dev/null || return 1
    done
}
python=${PYTHON:-python3}
if ! has "$python" "$@"; then
    python=$PWD/target/bench-venv/bin/python
    if ! has "$python" "$@"; then
        [ -x "$python" ] || python3 -m venv target/bench-venv >&2
        # The module PIL comes with the package pillow; psycopg with its own copy of libpq.
        "$python" -m pip install --quiet $(echo "$*" | sed 's/\bPIL\b/pillow/; s/\bpsycopg\b/psycopg[binary]/') >&2
    fi
fi
echo "$python"
