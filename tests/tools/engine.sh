#!/usr/bin/env bash
# Installs the program that computes on GPUs beside the library of the extension, where it is looked for.
source "$(dirname "$0")/lib.sh"
find_postgres
install -m 755 "$TARGET/release/coopembed-cuda" "$("$PG_CONFIG" --pkglibdir)/coopembed-cuda"
say "installed $("$PG_CONFIG" --pkglibdir)/coopembed-cuda"
