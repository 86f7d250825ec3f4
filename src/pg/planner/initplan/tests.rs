//! Query functions are evaluated once per statement.

#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::{explain, failure, noise, number, text};
    use pgrx::prelude::*;

    /// A table of 100 rows, and a function that is declared as `coop_attr_query` is and counts its calls.
    fn counting_function() {
        noise("gallery", 100);
        Spi::run(
            "CREATE SEQUENCE calls;
             CREATE TABLE queries (name text, q coopquery);
             INSERT INTO queries SELECT id::text, emb FROM gallery WHERE id <= 3;
             CREATE FUNCTION named_query(name text) RETURNS coopquery STABLE STRICT PARALLEL SAFE LANGUAGE plpgsql
                 SUPPORT coop_fold_support AS $$
             BEGIN
                 PERFORM nextval('calls');
                 IF name = 'none' THEN RAISE 'no such query' USING ERRCODE = 'undefined_object'; END IF;
                 RETURN (SELECT s.q FROM queries s WHERE s.name = named_query.name);
             END $$",
        )
        .unwrap();
    }

    /// How often a statement calls `named_query`.
    fn calls(sql: &str) -> i64 {
        Spi::run("ALTER SEQUENCE calls RESTART").unwrap();
        Spi::run(sql).unwrap();
        Spi::get_one::<i64>("SELECT nextval('calls') - 1").unwrap().unwrap()
    }

    #[pg_test]
    fn a_query_function_is_called_once_for_a_statement() {
        counting_function();
        for once in [
            "SELECT id FROM gallery ORDER BY emb <-> named_query('1')",
            "SELECT id FROM gallery ORDER BY named_query('1') <-> emb LIMIT 3",
            "SELECT count(*) FROM gallery WHERE emb <-> named_query('1') < 1",
            "SELECT id, emb <-> named_query('1') AS d FROM gallery ORDER BY d",
            "SELECT id FROM gallery g, (SELECT named_query('2') AS q) w ORDER BY emb <-> q",
            "WITH w AS (SELECT named_query('2') AS q) SELECT id FROM gallery, w ORDER BY emb <-> q",
            "SELECT id % 2, min(emb <-> named_query('1')) FROM gallery GROUP BY 1",
            "SELECT emb <-> named_query('1'), count(*) FROM gallery GROUP BY 1",
            "SELECT g.id FROM gallery g LEFT JOIN gallery h ON h.emb <-> named_query('1') < 0.5",
            "SELECT id FROM gallery ORDER BY emb <-> named_query((SELECT name FROM queries WHERE name = '3'))",
            "UPDATE gallery SET id = id WHERE emb <-> named_query('1') >= 0",
            "SELECT named_query('1')",
            "INSERT INTO queries VALUES ('new', named_query('1'))",
        ] {
            assert_eq!(calls(once), 1, "{once}");
        }
        // Two calls, each evaluated once, however they are combined.
        for twice in [
            "SELECT id FROM gallery ORDER BY emb <-> 2 * named_query('1') + named_query('2') * 0.5",
            "SELECT id FROM gallery ORDER BY emb <-> (SELECT named_query('1')) + named_query('2')",
            "SELECT id, emb <-> named_query('1') FROM gallery WHERE emb <-> named_query('1') < 9",
            "INSERT INTO queries VALUES ('newer', named_query('1')), ('newest', named_query('1'))",
        ] {
            assert_eq!(calls(twice), 2, "{twice}");
        }
    }

    #[pg_test]
    fn a_call_on_a_column_runs_for_each_row() {
        counting_function();
        assert_eq!(calls("SELECT emb <-> named_query(w.name) FROM gallery g, queries w WHERE g.id = 1"), 3);
        assert_eq!(
            calls(
                "SELECT (SELECT min(emb <-> named_query(w.name)) FROM gallery WHERE id < 3) FROM queries w"
            ),
            6
        );
        assert_eq!(
            calls("SELECT avg(emb) <-> named_query(max(id % 2 + 1)::text) FROM gallery GROUP BY id % 2"),
            2
        );
    }

    #[pg_test]
    fn results_are_those_of_the_plain_function() {
        counting_function();
        let ids = |order: &str| {
            text(&format!(
                "SELECT string_agg(id::text, ',') FROM (SELECT id FROM gallery ORDER BY {order}, id LIMIT 9) t"
            ))
        };
        let q = |name| format!("'{}'", text(&format!("SELECT q::text FROM queries WHERE name = '{name}'")));
        let (one, two) = (q("1"), q("2"));
        assert_eq!(
            ids("emb <-> 2 * named_query('1') + named_query('2') * 0.5"),
            ids(&format!("emb <-> 2 * {one}::coopquery + {two}::coopquery * 0.5"))
        );
        // A common table expression used inside an argument keeps its meaning one query level deeper.
        let mean = "WITH seed AS MATERIALIZED (SELECT emb FROM gallery WHERE id <= 5)
             SELECT string_agg(id::text, ',') FROM (
                 SELECT id FROM gallery
                 ORDER BY emb <-> 2 * (SELECT avg(emb) FROM seed)::coopquery + named_query('1'), id LIMIT 9) t";
        let literal = text("SELECT avg(emb)::text FROM gallery WHERE id <= 5");
        assert_eq!(
            text(mean),
            ids(&format!("emb <-> 2 * '{literal}'::coopvec::coopquery + {one}::coopquery"))
        );
    }

    #[pg_test]
    fn a_constant_that_appears_late_is_computed_in_place() {
        counting_function();
        let arms = "SELECT count(*) FROM (
                 SELECT '1' AS name, emb FROM gallery UNION ALL SELECT '2', emb FROM gallery) t
             WHERE emb <-> named_query(name) < 100";
        assert_eq!(Spi::get_one(arms), Ok(Some(200i64)));
    }

    #[pg_test]
    fn explain_shows_one_subquery_and_calls_nothing() {
        counting_function();
        let sql = "SELECT id FROM gallery ORDER BY emb <-> 2 * named_query('1') + named_query('2')";
        Spi::run("ALTER SEQUENCE calls RESTART").unwrap();
        let plan = explain(sql);
        assert_eq!(plan.matches("InitPlan").count(), 1, "{plan}");
        assert_eq!(Spi::get_one("SELECT nextval('calls')"), Ok(Some(1i64)));
    }

    #[pg_test]
    fn prepared_statements_take_parameters_and_see_changes() {
        counting_function();
        Spi::run("SET LOCAL plan_cache_mode = force_generic_plan").unwrap();
        Spi::run("PREPARE near(text) AS SELECT min(emb <-> 2 * named_query($1)) FROM gallery").unwrap();
        Spi::run("PREPARE fixed AS SELECT min(emb <-> named_query('1')) FROM gallery").unwrap();
        assert_eq!(calls("EXECUTE near('1')"), 1);
        assert_eq!(calls("EXECUTE near('2')"), 1);
        assert_eq!(number("EXECUTE fixed"), 0.0);
        Spi::run("UPDATE queries SET q = (SELECT avg(emb) FROM gallery)").unwrap();
        let mean = number("SELECT min(emb <-> (SELECT avg(emb) FROM gallery)) FROM gallery");
        assert!(mean > 0.0);
        // Parallel workers sum the embeddings in any order, so the last digits of a mean differ from run to run.
        let fixed = number("EXECUTE fixed");
        assert!((fixed - mean).abs() < 1e-6, "{fixed} is not {mean}");
    }

    #[pg_test]
    fn functions_in_plpgsql_evaluate_once_for_each_execution() {
        counting_function();
        Spi::run(
            "CREATE FUNCTION nearest(wanted text) RETURNS float8 STABLE LANGUAGE plpgsql AS $$
             DECLARE best float8;
             BEGIN
                 SELECT min(emb <-> named_query(wanted)) INTO best FROM gallery;
                 RETURN best;
             END $$",
        )
        .unwrap();
        assert_eq!(calls("SELECT nearest(name) FROM queries, generate_series(1, 10)"), 30);
    }

    #[pg_test]
    fn parallel_workers_receive_the_value() {
        counting_function();
        Spi::run(
            "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
             SET LOCAL min_parallel_table_scan_size = 0",
        )
        .unwrap();
        let sql = "SELECT sum(emb <-> named_query('1')) FROM gallery";
        let plan = explain(sql);
        assert!(plan.contains("Parallel Seq Scan"), "{plan}");
        let parallel = number(sql);
        Spi::run("SET LOCAL max_parallel_workers_per_gather = 0").unwrap();
        assert!((parallel - number(sql)).abs() < 1e-9 * parallel);
        assert_eq!(calls(sql), 1);
    }

    #[pg_test]
    fn an_error_of_the_function_is_raised_only_where_it_is_called() {
        counting_function();
        assert_eq!(failure("SELECT id FROM gallery ORDER BY emb <-> named_query('none')").state, "42704");
        let skipped =
            "SELECT count(*) FROM gallery WHERE CASE WHEN id > 0 THEN true ELSE emb <-> named_query('none') < 1 END";
        assert_eq!(Spi::get_one(skipped), Ok(Some(100i64)));
        assert_eq!(Spi::get_one::<f64>("SELECT min(emb <-> named_query(NULL)) FROM gallery"), Ok(None));
    }
}
