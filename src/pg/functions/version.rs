//! `coop_version()`: which version of the library a session has loaded, and whether the database's SQL objects are of the same version.
//!
//! The two are upgraded separately: a package upgrades the library for the whole server, `ALTER EXTENSION coopembed UPDATE` then upgrades
//! the functions and tables of one database, and a session keeps the library that it has loaded.

use crate::error::{Error, Kind};
use crate::pg::catalog::spi_error;
use crate::pg::ereport::warn;
use crate::pg::OrReport;
use pgrx::prelude::*;

extension_sql_file!("../../../sql/current/version.sql", name = "version", requires = ["types"]);

/// The library's version.
const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// The version of the library that this session has loaded. Warns if the database's SQL objects are of another version.
#[pg_extern(sql = false)]
fn coop_version() -> &'static str {
    let sql =
        "SELECT extversion FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'coopembed'";
    let objects: Option<String> = Spi::get_one(sql).map_err(spi_error).or_report();
    if let Some(objects) = objects.filter(|objects| objects != LIBRARY) {
        warn(
            Error::new(Kind::Mismatch, "library and SQL objects of coopembed are of different versions")
                .detail(format!(
                    "The library of this session is {LIBRARY}, the objects of this database are {objects}."
                ))
                .hint("Run ALTER EXTENSION coopembed UPDATE here; if the library is the older, reconnect first."),
        );
    }
    LIBRARY
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use crate::pg::fixture::text;
    use pgrx::prelude::*;

    #[pg_test]
    fn the_library_has_the_version_of_a_fresh_extension() {
        let objects = text("SELECT extversion FROM pg_extension WHERE extname = 'coopembed'");
        assert_eq!(text("SELECT coop_version()"), objects);
    }
}
