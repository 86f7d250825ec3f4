//! The catalogue: models, their vocabulary and their queries as rows of schema `coopembed` (see `sql/current/catalog.sql`).
//!
//! Everything here reads and writes as the owner of these tables, with statements that name each object and operator
//! by its schema: what a user may see or do is decided by the rights on the SQL functions, never by a `search_path`.

mod define;
mod entry;
mod lists;
mod load;
mod lookup;
mod statement;
#[cfg(any(test, feature = "pg_test"))]
mod tests;

pub use entry::{config, config_text, model, ModelEntry};
pub use load::failed;
pub use lookup::{
    attribute_names, attribute_query, attribute_query_of, category_query, subspaces_of, tagger, with_weights,
};
pub use statement::AsOwner;

use crate::error::{Error, Kind};
use pgrx::pg_sys;
use pgrx::prelude::*;

extension_sql_file!("../../../sql/current/catalog.sql", name = "catalog", requires = ["types"]);

/// The oid of a table of schema `coopembed`.
fn relation(name: &std::ffi::CStr) -> pg_sys::Oid {
    // SAFETY: two lookups in the system caches, by C strings.
    let oid = unsafe {
        let schema = pg_sys::get_namespace_oid(c"coopembed".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    if oid == pg_sys::InvalidOid {
        super::ereport::raise(
            Error::new(Kind::Unavailable, "coopembed's tables are not in this database")
                .hint("Run CREATE EXTENSION coopembed."),
        );
    }
    oid
}
