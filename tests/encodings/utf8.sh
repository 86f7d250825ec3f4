#!/usr/bin/env bash
# A database in UTF8 keeps names in several alphabets, and characters of four bytes, through dump and restore.
source "$(dirname "$0")/../tools/encodings_fixture.sh"
encodings_cluster
same_as_utf8 UTF8 '色相 é' 'red 🔴' 'thé 🍵' 'modèle 絵' 'CC0'
finish
