#!/usr/bin/env bash
# An index scan gives the same rows at the same distances as a sequential scan, whatever subspaces and weights a query has.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 6000
expect 'a new index is sound' t "$(sound)"
expect 'a thousand random queries get the answers of a sequential scan' 1000 "$(agree 1000)"
finish
