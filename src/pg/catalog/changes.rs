//! Who changes the catalogue makes the plans that hold its query constants outdated.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::convert::Infallible;

/// The trigger function of the catalogue's tables: whatever way their rows change (`coop_load_model`, COPY in a
/// restore, TRUNCATE, by hand), every session plans its statements on `coopembed.models` anew. The message travels with
/// the commit, to replicas too.
#[pg_trigger(sql = false)]
fn coopembed_forget_plans<'a>(
    _trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    // SAFETY: the relation exists: it is looked up first.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(super::models_relation()) };
    Ok(None::<PgHeapTuple<'a, AllocatedByPostgres>>)
}
