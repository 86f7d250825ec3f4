# Sourced by tests/dump/restores_models.sh and tests/replication/dropped_model.sh: a database `shop` with a model whose weights are large,
# and what has to be the same in a copy of it.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

large_model_cluster() { # [settings...]
  find_postgres
  scratch_cluster "$@"
  "$BIN/createdb" shop
  ask -d shop -c 'CREATE ROLE plain' -c 'CREATE EXTENSION coopembed' -f "$ROOT/tests/tools/large_model.sql"
}
# Every row of the model's tables.
model_rows() { # DATABASE
  ask -d "$1" -c "SELECT string_agg(md5(row), ' ' ORDER BY row) FROM (
        SELECT t::text AS row FROM coopembed.models t UNION ALL SELECT t::text FROM coopembed.model_weights t
        UNION ALL SELECT t::text FROM coopembed.attributes t UNION ALL SELECT t::text FROM coopembed.attribute_values t
        UNION ALL SELECT t::text FROM coopembed.categories t) catalog"
}
# Answers that come from them.
model_answers() { # DATABASE
  ask -d "$1" -c "SELECT string_agg(id::text, ' ') FROM v_necks;
         SELECT coop_category_query('blouse');
         SELECT coop_like(emb, 'sleeves') FROM products WHERE id = 7"
}
