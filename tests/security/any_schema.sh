#!/usr/bin/env bash
# The extension works in a schema that no search_path names and whose name needs quotes: its functions find each other all the same.
source "$(dirname "$0")/../tools/security_fixture.sh"
security_cluster
expected_results
"$BIN/createdb" hidden
ask -d hidden -c 'CREATE SCHEMA "Co-op, 100% ours"'
copy_of_plain hidden 'Co-op, 100% ours'
same_results 'functions that read give the same results' hidden 'Co-op, 100% ours' "''"
expect 'all objects are in that schema or in the extension'"'"'s own' '"Co-op, 100% ours" coopembed' "$(ask -d hidden -c "
  SELECT string_agg(DISTINCT i.schema, ' ' ORDER BY i.schema) FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
  WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed')")"
ask -d hidden >"$SCRATCH/found" <<SQL
SET search_path TO '';
SELECT "Co-op, 100% ours".coop_define_category('mine', "Co-op, 100% ours".avg(emb)) FROM shop.products;
SELECT "Co-op, 100% ours".coop_define_attribute_value('hue', 'mine', "Co-op, 100% ours".avg(emb)) FROM shop.products;
SELECT "Co-op, 100% ours".coop_attr_query('hue', 'mine') IS NOT NULL;
SELECT "Co-op, 100% ours".coop_drop_attribute_value('hue', 'mine'), "Co-op, 100% ours".coop_drop_category('mine');
SELECT "Co-op, 100% ours".coop_index_check('shop.products_emb_idx');
SELECT "Co-op, 100% ours".coop_drop_model('emoji');
SQL
expect 'functions that write work' 't 60' "$(grep . "$SCRATCH/found" | grep -v '^|$' | xargs)"
finish
