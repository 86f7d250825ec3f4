#!/usr/bin/env bash
# Settings that others rely on are a superuser's, even where a value was given before the library was loaded; no setting makes rows disappear;
# the others are everybody's, for a session.
source "$(dirname "$0")/../tools/security_fixture.sh"
# As somebody may start a server of theirs.
export RUST_BACKTRACE=1
security_cluster
expect 'errors have no backtrace' 'ERROR:  value "redd" does not exist
DETAIL:  The attribute is "hue" of model "emoji".' "$(as_clerk plain -c "SELECT coop_attr_query('hue', 'redd')" 2>&1 | grep -v HINT)"
load="SELECT coop_category_query('tool') IS NOT NULL"
for setting in max_image_dimension max_image_memory queue_length max_batch memory_limit threads device engine; do
  before=$(ask -d plain -c "LOAD 'coopembed'" -c "SHOW coopembed.$setting")
  clerk_error "a clerk does not set $setting" 'permission denied\|cannot be changed now' "$load; SET coopembed.$setting = '7777'"
  expect "nor $setting before the library is loaded" "$before" "$(as_clerk plain -c "SET coopembed.$setting = '7777'" \
    -c "$load" -c 'SET SESSION AUTHORIZATION postgres' -c "SHOW coopembed.$setting" 2>/dev/null | tail -1)"
done
clerk_error 'a clerk does not see which program computes' 'must be\|permission denied\|pg_read_all_settings' "SELECT coop_category_query('tool'); SHOW coopembed.engine"
# Version 0.2.0 had a setting that made any table empty for any SELECT: a foreign key's check, a policy, a plan that is kept.
expect 'no setting makes rows disappear' '60 60 60 t' "$(as_clerk plain -c "$load" -c "SET coopembed.left_out = '$(ask -d plain -c "SELECT 'shop.products'::regclass::oid")'" \
  -c 'SELECT count(*) FROM shop.products' -c 'PREPARE s AS SELECT count(*) FROM shop.products' -c 'EXECUTE s' \
  -c "SELECT count(*) FROM coop_search(NULL::shop.products, 'emb', coop_category_query('tool'), 100, skip_unreachable => true)" -c "$load" | sed 1d | xargs)"
check 'the other settings are everybody'"'"'s for a session' as_clerk plain -o "$SCRATCH/found" -c "SET coopembed.recall = 0.9" -c "SET coopembed.probes = 7" -c "SET coopembed.model = 'emoji'" \
  -c "SET coopembed.queue_timeout = '5s'" -c "SELECT coop_category_query('tool')"
finish
