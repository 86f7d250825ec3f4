#!/usr/bin/env bash
# pg_dump carries models, their names and queries: a restore, from text or in parallel, gives the same rows, answers and privileges.
source "$(dirname "$0")/../tools/large_model_fixture.sh"
large_model_cluster
rows=$(model_rows shop)
answers=$(model_answers shop)
restore_both_ways shop
for way in text parallel; do
  expect "the rows are the same ($way)" "$rows" "$(model_rows $way)"
  expect "the answers are the same ($way)" "$answers" "$(model_answers $way)"
  expect "an ordinary role may neither read weights nor drop models ($way)" f "$(ask -d $way -c "SELECT has_table_privilege('plain', 'coopembed.model_weights', 'SELECT')
          OR has_function_privilege('plain', 'coop_drop_model(text)', 'EXECUTE')")"
done
finish
