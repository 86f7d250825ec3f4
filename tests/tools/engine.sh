#!/usr/bin/env bash
# Puts the program that computes on GPUs where the extension looks for it: beside its library.
source "$(dirname "$0")/lib.sh"
find_postgres
install -m 755 "$TARGET/release/coopembed-cuda" "$("$PG_CONFIG" --pkglibdir)/coopembed-cuda"
say "installed $("$PG_CONFIG" --pkglibdir)/coopembed-cuda"
