#!/usr/bin/env bash
# coopembed.recall: a search finds the share of the nearest rows that it promises, for any mask, and goes on for as long as rows are asked for.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 40000
ask <<'SQL'
-- The share of the `k` nearest rows that index scans find for `queries` random queries.
CREATE FUNCTION found_share(queries int, k int) RETURNS numeric LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    q coopquery; farthest float8; found int; total int := 0; promised text := current_setting('coopembed.recall');
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true);
    FOR i IN 1..queries LOOP
        q := random_query();
        PERFORM set_config('coopembed.recall', '1', true);
        SELECT max(d) INTO farthest FROM (SELECT emb <-> q AS d FROM items ORDER BY emb <-> q LIMIT k) t;
        PERFORM set_config('coopembed.recall', promised, true);
        SELECT count(*) INTO found FROM (SELECT emb <-> q AS d FROM items ORDER BY emb <-> q LIMIT k) t WHERE d <= farthest;
        total := total + found;
    END LOOP;
    RETURN total / (queries * k)::numeric;
END $$;
SQL
share() { ask -c "SET coopembed.recall = $1; SELECT found_share($2, $3)" | tail -1; }
at_least() { ask -c "SELECT $1 >= $2"; }
for recall in 0.9 0.99; do
  for k in 1 10 300; do
    found=$(share $recall 100 $k)
    expect "$recall of the $k nearest are found ($found)" t "$(at_least "$found" "$recall - 0.01")"
  done
done
ask -c "INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, 3000) i" -c "DELETE FROM items WHERE id % 3 = 0" -c "VACUUM items"
found=$(share 0.95 100 10)
expect "and when rows have come and gone ($found)" t "$(at_least "$found" 0.94)"
expect 'exact answers are exact again' 50 "$(agree 50)"
expect 'every row comes once' t "$(ask <<'SQL' | tail -1
SET enable_seqscan = off; SET enable_sort = off; SET coopembed.recall = 0.9;
SELECT bool_and((SELECT count(DISTINCT id) = count(*) AND count(*) = (SELECT count(*) FROM items)
    FROM (SELECT id FROM items ORDER BY emb <-> query OFFSET 0) t))
FROM (VALUES (coop_like((SELECT min(emb::text)::coopvec FROM items))), (random_query()), (random_query()), (random_query())) q(query);
SQL
)"
# What the last scan of a query on all subspaces was asked for and did. SETTINGS
last() { ask -c 'SET enable_seqscan = off' ${1:+-c "$1"} -c 'SELECT count(*) FROM (SELECT id FROM items ORDER BY emb <-> (SELECT emb FROM items ORDER BY id LIMIT 1) LIMIT 5) t' \
  -c 'SELECT recall, is_exact, rows_ranked BETWEEN 1000 AND indexed_rows, rows_estimated BETWEEN rows_refined AND indexed_rows / 4 FROM coop_last_scan(), coop_last_scan_recall()' | tail -1; }
expect 'a scan tells its recall and what it looked at' '0.6|f|t|t' "$(last 'SET coopembed.recall = 0.6')"
expect 'an exact one ranks nothing' '1|t|f|f' "$(last '')"
expect 'one for candidates has no recall' '|f' "$(last 'SET coopembed.candidates = 100' | cut -d '|' -f 1,2)"
# The same of a query on the first so many subspaces. SUBSPACES
exact_all_the_same() {
  local target
  target=$(printf '0.25,%.0s' $(seq 16))
  ask -c 'SET enable_seqscan = off' -c 'SET coopembed.recall = 0.9' -c "SELECT count(*) FROM (SELECT id FROM items
    ORDER BY emb <-> '4x16@0000002a:{0;$(for k in $(seq 0 $(($1 - 1))); do printf '%s:1*[%s]\n' "$k" "${target%,}"; done | paste -sd ';')}'::coopquery LIMIT 5) t" \
    -c 'SELECT is_exact FROM coop_last_scan_recall()' | tail -1
}
expect 'one attribute is answered at the recall, two and three are exact' 'f t t' "$(for k in 1 2 3; do exact_all_the_same $k; done | xargs)"
expect_error 'a recall is a share' 'is outside the valid range' -c "LOAD 'coopembed'" -c 'SET coopembed.recall = 1.5'
finish
