//! What tests inside PostgreSQL share.

use pgrx::prelude::*;

/// An `ereport(ERROR)` as a client sees it.
pub struct Failure {
    /// SQLSTATE.
    pub state: String,
    pub message: String,
    /// Empty if there is none.
    pub detail: String,
    /// Empty if there is none.
    pub hint: String,
}

/// Runs a statement that must fail and reports how; the transaction goes on.
pub fn failure(sql: &str) -> Failure {
    Spi::run(
        "CREATE OR REPLACE FUNCTION pg_temp.failure(sql text, OUT state text, OUT message text, OUT detail text,
             OUT hint text) LANGUAGE plpgsql AS $$
         BEGIN
             EXECUTE sql;
         EXCEPTION WHEN OTHERS THEN
             GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                 hint = PG_EXCEPTION_HINT;
         END $$",
    )
    .unwrap();
    Spi::connect(|client| {
        let row = client.select("SELECT * FROM pg_temp.failure($1)", None, &[sql.into()]).unwrap().first();
        let field = |i| row.get::<String>(i).unwrap();
        let state = field(1).unwrap_or_else(|| panic!("no error: {sql}"));
        let rest = |i| field(i).unwrap_or_default();
        Failure { state, message: rest(2), detail: rest(3), hint: rest(4) }
    })
}

/// The one value of a statement, a text.
pub fn text(sql: &str) -> String {
    Spi::get_one(sql).unwrap().unwrap()
}

/// The one value of a statement, a float8.
pub fn number(sql: &str) -> f64 {
    Spi::get_one(sql).unwrap().unwrap()
}

/// The plan of a statement, where the value of `InitPlan 1` is called `$0`, as PostgreSQL 14 to 16 do; later ones say
/// `(InitPlan 1).col1`.
pub fn explain(sql: &str) -> String {
    let plan: String = Spi::connect(|client| {
        let rows = client.select(&format!("EXPLAIN (COSTS off) {sql}"), None, &[]).unwrap();
        rows.map(|row| row.get::<String>(1).unwrap().unwrap() + "\n").collect()
    });
    (1..10).fold(plan, |plan, n| plan.replace(&format!("(InitPlan {n}).col1"), &format!("${}", n - 1)))
}

/// A table `(id int, emb coopvec)` of `rows` pseudo-random 3x4 embeddings, the same each time.
pub fn noise(table: &str, rows: usize) {
    Spi::run(&format!(
        "CREATE TABLE {table} AS
         SELECT id, format('3x4@0000002a:[%s]', (
                 SELECT string_agg(round((hashint4(id * 12 + i) / 2147483648.0)::numeric, 4)::text, ',')
                 FROM generate_series(1, 12) i))::coopvec AS emb
         FROM generate_series(1, {rows}) id"
    ))
    .unwrap();
    Spi::run(&format!("ANALYZE {table}")).unwrap();
}
