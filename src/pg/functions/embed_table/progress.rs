//! The progress of `coop_embed_table()`: rows of `coopembed.embedding_runs`, one for each session, which `coop_embed_progress` shows.

use super::batch::RowCounts;
use crate::error::Result;
use crate::pg::catalog::execute_as_owner;
use crate::pg::{OrReport, Text};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Records that this session begins to embed a table.
#[pg_extern(sql = false)]
fn embed_begin(table: pg_sys::Oid, model: Text<'_>, total: i64) {
    // Deletes ended runs over this table. The last run of this session, or of an earlier one with the same process id, is overwritten.
    change_runs(
        "WITH gone AS (DELETE FROM coopembed.embedding_runs r
             WHERE r.pid OPERATOR(pg_catalog.<>) $1 AND r.relation OPERATOR(pg_catalog.=) $2 AND (r.finished IS NOT NULL OR
                 NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid OPERATOR(pg_catalog.=) r.pid)))
         INSERT INTO coopembed.embedding_runs AS r (pid, relation, model, total) VALUES ($1, $2, $3, $4)
         ON CONFLICT (pid) DO UPDATE SET relation = excluded.relation, model = excluded.model, total = excluded.total,
             done = 0, failed = 0, locked = 0, started = excluded.started, updated = excluded.updated, finished = NULL",
        vec![table.into(), model.into(), total.into()],
    )
    .or_report()
}

/// Records that this session is done.
#[pg_extern(sql = false)]
fn embed_end() {
    change_runs(
        "UPDATE coopembed.embedding_runs SET finished = pg_catalog.clock_timestamp() WHERE pid OPERATOR(pg_catalog.=) $1",
        vec![],
    )
    .or_report()
}

/// Adds rows to this session's run, for `coopembed embed`, which embeds outside of the server.
#[pg_extern(sql = false)]
fn embed_add(done: i64, failed: i64, locked: i64) {
    let [done, failed, locked] = [done, failed, locked].map(|count| count.max(0).unsigned_abs());
    add(RowCounts { done, failed, locked }).or_report()
}

/// Adds the rows of one batch to this session's run.
pub fn add(counts: RowCounts) -> Result<()> {
    change_runs(
        "UPDATE coopembed.embedding_runs SET done = done OPERATOR(pg_catalog.+) $2,
             failed = failed OPERATOR(pg_catalog.+) $3, locked = locked OPERATOR(pg_catalog.+) $4,
             updated = pg_catalog.clock_timestamp() WHERE pid OPERATOR(pg_catalog.=) $1",
        vec![(counts.done as i64).into(), (counts.failed as i64).into(), (counts.locked as i64).into()],
    )
}

/// Runs a statement on the table of runs, as its owner. `$1` is this session's process id: statements change rows of this session only, and
/// delete rows of ended ones.
fn change_runs(sql: &str, arguments: Vec<DatumWithOid<'_>>) -> Result<()> {
    // SAFETY: reads this process's own number.
    let mut all = vec![unsafe { pg_sys::MyProcPid }.into()];
    all.extend(arguments);
    execute_as_owner(sql, &all)
}
