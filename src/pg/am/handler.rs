//! The handler of the access method: its capabilities and callbacks.

use super::{build, cost, insert, reloptions, scan, vacuum};
use pgrx::prelude::*;
use pgrx::{pg_sys, PgBox};

pgrx::extension_sql_file!("../../../sql/current/am.sql", name = "am", requires = ["operators", "catalog"]);

crate::pg::fmgr::fmgr_functions! {
    /// Returns an IndexAmRoutine.
    fn coop_handler(_call) {
        // SAFETY: PostgreSQL allocates a node of this type and zeroes it; zero means "no" in every field that is not set below.
        let mut am = unsafe { PgBox::<pg_sys::IndexAmRoutine>::alloc_node(pg_sys::NodeTag::T_IndexAmRoutine) };
        am.amsupport = 0;
        am.amcanorderbyop = true;
        // Otherwise the planner makes no path for a query that has an ORDER BY but no condition on the column.
        am.amoptionalkey = true;
        am.amusemaintenanceworkmem = false;
        am.amkeytype = pg_sys::InvalidOid;
        am.ambuild = Some(build::build);
        am.ambuildempty = Some(build::build_empty);
        am.aminsert = Some(insert::insert);
        am.ambulkdelete = Some(vacuum::bulk_delete);
        am.amvacuumcleanup = Some(vacuum::cleanup);
        am.amcostestimate = Some(cost::estimate);
        am.amoptions = Some(reloptions::parse);
        am.ambuildphasename = Some(build::phase_name);
        am.amvalidate = Some(validate);
        am.ambeginscan = Some(scan::begin);
        am.amrescan = Some(scan::rescan);
        am.amgettuple = Some(scan::next);
        am.amendscan = Some(scan::end);
        pg_sys::Datum::from(am.into_pg())
    }
}

/// amvalidate: accepts any operator class. `coopvec_ops` is right, and an operator class for other types has no `<->` to name.
#[pg_guard]
unsafe extern "C-unwind" fn validate(_class: pg_sys::Oid) -> bool {
    true
}
