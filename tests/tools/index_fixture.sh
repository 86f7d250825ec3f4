# Sourced by tests/index/*.sh: a table `items` of random embeddings with an index, and checks that the index is sound and answers what
# a sequential scan answers.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# items_cluster ROWS [settings...]
items_cluster() {
  local rows=$1
  shift
  find_postgres
  scratch_cluster fsync=on full_page_writes=on wal_level=replica max_wal_senders=4 autovacuum=off "$@"
  export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
  ask -v rows="$rows" <<'SQL'
CREATE EXTENSION coopembed;
-- An embedding near one of a few centres, as a trained model makes them.
CREATE FUNCTION random_embedding(seed int) RETURNS coopvec LANGUAGE sql VOLATILE AS $$
    SELECT format('4x16@0000002a:[%s]', (
        SELECT string_agg((hashint4(seed * k % 5 * 64 + k * 16 + i) / 4e9 + (random() - 0.5) / 4)::real::text, ',')
        FROM generate_series(1, 4) k, generate_series(1, 16) i))::coopvec $$;
-- A query for one to four subspaces with random targets, weights and constant.
CREATE FUNCTION random_query() RETURNS coopquery LANGUAGE plpgsql VOLATILE AS $$
DECLARE mask int := 1 + random() * 14;
BEGIN
    RETURN (SELECT format('4x16@0000002a:{%s;%s}', round(random()::numeric, 2), (
        SELECT string_agg(format('%s:%s*[%s]', k, 0.1 + random() * 3, (
            SELECT string_agg(((random() - 0.5))::real::text, ',') FROM generate_series(1, 16))), ';')
        FROM generate_series(0, 3) k WHERE mask >> k & 1 = 1)))::coopquery;
END $$;
-- Answers one random query by the index and by a sequential scan, in one snapshot; raises an error if the distances differ.
CREATE FUNCTION compare(tab text DEFAULT 'items', k int DEFAULT 10) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    q coopquery := random_query(); exact float8[]; found float8[];
    nearest text := format('SELECT array_agg(d) FROM (SELECT emb <-> $1 AS d FROM %s ORDER BY emb <-> $1 LIMIT %s) t', tab, k);
BEGIN
    PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
    EXECUTE nearest INTO exact USING q;
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
    EXECUTE nearest INTO found USING q;
    PERFORM set_config('enable_sort', 'on', true);
    IF exact IS DISTINCT FROM found THEN
        RAISE 'index and table disagree about %: % and %', q, found, exact;
    END IF;
END $$;
CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY, emb coopvec);
INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, :rows) i;
CREATE INDEX items_emb ON items USING coop (emb) WITH (tail_rows = 200);
SQL
}
# Prints t if coop_index_check() finds every row of the table.
sound() { ask -c "SELECT coop_index_check('items_emb') = (SELECT count(*) FROM items)"; }
# Compares index and table for so many random queries, and prints how many those were.
agree() { ask -c "SELECT count(compare()) FROM generate_series(1, ${1:-10})"; }
insert_items() { ask -c "INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, $1) i"; } # HOW-MANY
