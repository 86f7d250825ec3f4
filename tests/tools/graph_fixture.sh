# Sourced by tests/graph/*.sh: a table `items` of embeddings of the shipped model's shape, its stored neighbour graph `knn`, and a comparison of the
# graph with all distances.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

graph_cluster() { # ROWS
  find_postgres
  scratch_cluster autovacuum=off
  "$BIN/createdb" shop
  export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
  ask -v model="$(for_server "$SCRATCH" "$ROOT/model/emoji")" -v rows="$1" <<'SQL' >/dev/null
CREATE EXTENSION coopembed;
SELECT coop_load_model('emoji', :'model');
-- Embeddings near a few centres, no two at the same distance.
CREATE FUNCTION made_embedding(seed int) RETURNS coopvec LANGUAGE sql IMMUTABLE AS $$
    SELECT coop_vector(array_agg((sin(seed % 7 * 50 + i) + hashint8(seed::bigint * 1000 + i) / 2147483648.0 / 3)::real ORDER BY i))
    FROM generate_series(1, 650) i $$;
CREATE TABLE items (id int PRIMARY KEY, emb coopvec);
CREATE INDEX items_emb ON items USING coop (emb) WITH (tail_rows = 100);
INSERT INTO items SELECT i, made_embedding(i) FROM generate_series(1, :rows) i;
-- How many lists of a graph differ, in distances, from those that comparing all rows with all rows gives. Ties may be in any order.
CREATE FUNCTION wrong(graph regclass, k int, attribute text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint;
BEGIN
    SET LOCAL enable_indexscan = off;
    EXECUTE format('
        WITH expected AS MATERIALIZED (
            SELECT a.id, ARRAY(SELECT b.emb <-> %s FROM items b WHERE b.id <> a.id AND b.emb IS NOT NULL ORDER BY 1 LIMIT %s) AS distances
            FROM items a WHERE a.emb IS NOT NULL)
        SELECT count(*) FROM expected e FULL JOIN %s g USING (id)
        WHERE e.distances IS DISTINCT FROM g.distances
            OR EXISTS (SELECT FROM unnest(g.neighbours, g.distances) t (neighbour, d) JOIN items a ON a.id = g.id JOIN items b ON b.id = neighbour
                       WHERE b.emb <-> %1$s <> d)',
        CASE WHEN attribute IS NULL THEN 'a.emb' ELSE format('coop_like(a.emb, %L)', attribute) END, k, graph) INTO found;
    RETURN found;
END $$;
SQL
}
build() { ask -c "CALL coop_build_knn('items', 'id', 'emb', 'knn', 4)"; }
wrong() { ask -c "SELECT wrong('knn', 4, NULL)"; }
insert() { ask -c "INSERT INTO items SELECT i, made_embedding(i) FROM generate_series($1, $2) i"; } # FROM TO
