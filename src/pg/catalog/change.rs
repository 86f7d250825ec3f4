//! What all changes of the catalogue share: the lock, a fresh snapshot, names, INSERT.

use super::owner::{relation_oid, spi_error};
use crate::error::{abridged, Error, Kind, Result};
use crate::pg::CoopQuery;
use crate::space::Query;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

/// The longest name of a model, a value or a category, in bytes: as long as any name in PostgreSQL.
const MAX_NAME: usize = 63;

/// The column `query` of `coopembed.categories`; columns count from 1.
const QUERY_COLUMN: i16 = 5;

/// Lets one transaction at a time change the catalogue: SHARE ROW EXCLUSIVE on `coopembed.models`, held until the transaction ends. It
/// conflicts with itself and not with SELECT, so readers go on. A second writer waits, and then has to read
/// [`with_latest_snapshot`] to see what the first one did. It is the first lock that any change takes.
///
/// # Errors
/// [`Kind::Internal`] if there is no such table.
pub fn lock_catalog() -> Result<()> {
    Spi::run("LOCK TABLE coopembed.models IN SHARE ROW EXCLUSIVE MODE").map_err(spi_error)
}

/// Runs `f` with a snapshot that shows what other transactions committed meanwhile, and what this statement did so far.
pub fn with_latest_snapshot<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: the snapshot that is pushed is popped again. An error in between aborts the transaction, which pops it too.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = f();
        pg_sys::PopActiveSnapshot();
        result
    }
}

/// Fails unless `name` may name `what` ("a model", "a value").
///
/// # Errors
/// [`Kind::InvalidParameter`].
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let fits = (1..=MAX_NAME).contains(&name.len());
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::new(Kind::InvalidParameter, format!("\"{}\" cannot name {what}", abridged(name))).detail(
        format!("A name has 1 to {MAX_NAME} bytes, no control characters, and no space at either end."),
    ))
}

/// Runs an INSERT.
///
/// # Errors
/// [`Kind::Internal`] if it fails.
pub fn insert(client: &mut SpiClient<'_>, sql: &str, row: &[DatumWithOid<'_>]) -> Result<()> {
    client.update(sql, None, row).map(|_| ()).map_err(spi_error)
}

/// A query as a parameter of a statement. The oid of its type is read from the table, because the name `coopquery` could mean another
/// type in the user's search_path.
pub fn query_parameter(query: Option<Query>) -> DatumWithOid<'static> {
    // SAFETY: the column is of type coopquery, which is what a CoopQuery's datum is.
    unsafe {
        let oid = pg_sys::get_atttype(relation_oid(c"categories"), QUERY_COLUMN);
        DatumWithOid::new(query.map(CoopQuery::from), oid)
    }
}
