-- Times queries by the index of `gallery(id, emb)`, and measures the recall of approximate ones. Variables: rows; scans, how many queries of each
-- kind a sequential scan answers too, to compare; probes, how many rows an approximate scan examines closely; peer, whether the queries go to
-- `peer(id, v)` instead, which has pgvector's indexes of everything and of the attribute `hue`, whose first dimension is `slice`.
\set ON_ERROR_STOP on
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET client_min_messages = warning;
CREATE TEMP TABLE queries (kind int, query text, n int, q text, a text, b text, v text);
\ir queries_real.sql
DELETE FROM queries WHERE n > 50;
CREATE TEMP TABLE answers (kind int, n int, how text, ms float8, answer float8[]);
CREATE PROCEDURE pg_temp.run(how text, kinds int[], most int, sql text) LANGUAGE plpgsql AS $$
DECLARE one record; started timestamptz; command text; answer float8[];
BEGIN
    FOR one IN SELECT *, row_number() OVER (PARTITION BY kind ORDER BY n) AS place FROM queries WHERE kind = ANY (kinds) ORDER BY kind, n LOOP
        CONTINUE WHEN one.place > most;
        command := format('SELECT array_agg(d) FROM (' || sql || ') t', one.q);
        IF how <> 'truth' THEN
            EXECUTE command INTO answer;
        END IF;
        started := clock_timestamp();
        EXECUTE command INTO answer;
        INSERT INTO answers VALUES (one.kind, one.n, how, extract(epoch FROM clock_timestamp() - started) * 1000, answer);
    END LOOP;
END $$;
\if :peer
    -- Of the same queries, those that an index of one vector can answer; truth is a sequential scan of the same numbers.
    CREATE TEMP TABLE peers AS SELECT kind, query, n, CASE kind WHEN 5 THEN peer.v::text ELSE subvector(peer.v, :slice, 50)::text END AS v
        FROM queries JOIN peer ON id = n WHERE kind IN (2, 5);
    UPDATE queries q SET q = p.v FROM peers p WHERE p.kind = q.kind AND p.n = q.n;
    DELETE FROM queries WHERE kind NOT IN (2, 5);
    SET hnsw.ef_search = 200;
    \set whole 'SELECT v <-> %1$L::halfvec AS d FROM peer ORDER BY v <-> %1$L::halfvec LIMIT 10'
    \set part 'SELECT subvector(v, :slice, 50)::halfvec(50) <-> %1$L::halfvec AS d FROM peer ORDER BY subvector(v, :slice, 50)::halfvec(50) <-> %1$L::halfvec LIMIT 10'
    SELECT replace(:'part', ':slice', :'slice') AS part \gset
    SET enable_seqscan = off;
    CALL pg_temp.run('HNSW, ef_search = 200', '{5}', 50, :'whole');
    CALL pg_temp.run('HNSW of that attribute alone, ef_search = 200', '{2}', 50, :'part');
    SET enable_seqscan = on;
    SET enable_indexscan = off;
    -- On 5,000,000 rows, 20 queries, which take seconds each.
    SELECT least(50, 100000000 / :rows) AS truths \gset
    CALL pg_temp.run('truth', '{5}', :truths, :'whole');
    CALL pg_temp.run('truth', '{2}', :truths, :'part');
    SELECT format('%s rows, %s, pgvector''s %s: %s ms median, recall %s', :rows, query, a.how,
        round(percentile_cont(0.5) WITHIN GROUP (ORDER BY a.ms)::numeric, 2),
        round(avg((SELECT count(*) FROM unnest(a.answer) d WHERE d <= e.answer[10] + 1e-5) / 10.0), 3))
    FROM answers a JOIN queries USING (kind, n) JOIN answers e USING (kind, n) WHERE e.how = 'truth' AND a.how <> 'truth' GROUP BY kind, query, a.how;
\else
    \set coop 'SELECT emb <-> %1$L::coopquery AS d FROM gallery ORDER BY emb <-> %1$L::coopquery LIMIT 10'
    SET enable_seqscan = off;
    CALL pg_temp.run('index', '{1,2,3,4,5}', 50, :'coop');
    SET coopembed.probes = :probes;
    CALL pg_temp.run('index, probes = ' || :probes, '{4,5}', 50, :'coop');
    SELECT :rows / 250 AS more \gset
    SET coopembed.probes = :more;
    CALL pg_temp.run('index, probes = rows / 250', '{4,5}', 50, :'coop');
    RESET coopembed.probes;
    SET enable_seqscan = on;
    SET enable_indexscan = off;
    CALL pg_temp.run('sequential scan', '{1,2,3,4,5}', :scans, :'coop');
    RESET enable_indexscan;
    SELECT format('%s rows, wrong answers: %s of %s', :rows, count(*) FILTER (WHERE s.answer <> i.answer), count(*))
    FROM answers s JOIN answers i USING (kind, n) WHERE s.how = 'sequential scan' AND i.how = 'index';
    SELECT format('%s rows, %s, %s: %s ms median, %s ms worst%s', :rows, query, how,
        round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 2), round(max(ms)::numeric, 2),
        CASE WHEN how ~ 'probes' THEN ', recall ' || round(avg((SELECT count(*) FROM unnest(a.answer) d WHERE d <= e.answer[10] + 1e-5) / 10.0), 3) END)
    FROM answers a JOIN queries USING (kind, n)
    JOIN (SELECT kind, n, answer FROM answers WHERE how = 'index') e USING (kind, n) GROUP BY kind, query, how ORDER BY kind, how;
\endif
