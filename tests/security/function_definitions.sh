#!/usr/bin/env bash
# No SQL function of the extension runs with its owner's rights, and each finds what it calls whatever the caller's search_path is: it has a
# search_path of its own, or was bound when it was created, or names everything by schema.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
ask -d postgres -c 'CREATE EXTENSION coopembed'
members="pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed')"
expect 'no function is SECURITY DEFINER' 0 "$(ask -d postgres -c "SELECT count(*) FROM $members AND p.prosecdef")"
expect 'the functions that name everything by schema are these' \
  'coop_build_knn coop_embed_table coop_search coop_search full_name search_unreachable' "$(ask -d postgres -c "
  SELECT string_agg(proname, ' ' ORDER BY proname) FROM $members AND prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))
  AND prosqlbody IS NULL AND NOT coalesce(proconfig::text ~ 'search_path=pg_catalog, pg_temp', false)")"
finish
