//! What PostgreSQL has to know about the access method.

use super::{build, cost, insert, reloptions, scan, vacuum};
use pgrx::prelude::*;
use pgrx::{pg_sys, PgBox};

pgrx::extension_sql_file!("../../../sql/current/am.sql", name = "am", requires = ["operators"]);

crate::pg::fmgr::fmgr_functions! {
    /// The handler: capabilities and callbacks.
    fn coop_handler(_call) {
        // SAFETY: allocated by PostgreSQL as a node of this type; all other fields are zero, which means "no".
        let mut am = unsafe { PgBox::<pg_sys::IndexAmRoutine>::alloc_node(pg_sys::NodeTag::T_IndexAmRoutine) };
        am.amsupport = 0;
        am.amcanorderbyop = true;
        // Without it there is no path for a query that has an ORDER BY only.
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

/// Our one operator class is right; others cannot be made, since a `<->` of other types means nothing here.
#[pg_guard]
unsafe extern "C-unwind" fn validate(_class: pg_sys::Oid) -> bool {
    true
}
