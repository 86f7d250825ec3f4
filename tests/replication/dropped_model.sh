#!/usr/bin/env bash
# A hot standby answers from the models of its primary; a session there that has its statement prepared notices when the model is dropped.
source "$(dirname "$0")/../tools/large_model_fixture.sh"
large_model_cluster wal_level=replica max_wal_senders=2
export PGDATABASE=shop
answers=$(model_answers shop)
start_standby standby
expect 'a standby gives the same answers' "$answers" "$(PGHOST=$SCRATCH/standby model_answers shop)"
PGHOST=$SCRATCH/standby open_session prepared
tell prepared "PREPARE near AS SELECT id FROM products ORDER BY emb <-> coop_attr_query('neckline', 'v-neck'), id LIMIT 1" >/dev/null
expect 'a prepared statement answers there' "$(ask -c 'SELECT id FROM v_necks LIMIT 1')" "$(tell prepared 'EXECUTE near')"
ask -c "SELECT coop_drop_model('garments')" >/dev/null
standby_follows
tell prepared 'EXECUTE near' >"$SCRATCH/error"
expect_in 'after the model is dropped it is an error' 'no model is loaded' "$SCRATCH/error"
close_session prepared
finish
