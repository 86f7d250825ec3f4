//! The extension: what PostgreSQL sees. Thin glue: whatever does not need PostgreSQL is on the floors below. Besides the SIMD kernels, this is
//! the only place with `unsafe` code.
//!
//! | folder | what is in it |
//! |---|---|
//! | `types` | the SQL types `coopvec` and `coopquery`, their operators and aggregates |
//! | `functions` | the SQL functions |
//! | `planner` | what happens while a query is planned: query functions as InitPlans, searches over shards |
//! | `am` | the index access method `coop` |
//! | `catalog` | models and their vocabulary, in the extension's tables |
//! | `inference` | the inference service: the background worker that starts it, and sessions as its clients |
//! | `fixture` | what tests inside PostgreSQL share |
//!
//! | file | what is in it |
//! |---|---|
//! | `guc` | the settings `coopembed.*` |
//! | `ereport` | errors as `ereport(ERROR)` |
//! | `encoding`, `text` | conversion between the database's encoding and UTF-8; SQL's `text` and `jsonb` |
//! | `fmgr` | functions that PostgreSQL calls directly, without pgrx's conversion of arguments |
//! | `run_as` | runs code as another role |
//! | `spi_row`, `prepared_statement` | a row of an SPI result; a statement that runs for each of many rows |
//! | `crop_box` | SQL's `box` as the part of an image |
//! | `statement` | which statement the session runs |
//! | `allocator` | the memory allocator, with a reserve for when memory is short |
//! | `compat` | what differs between PostgreSQL's versions |
#![allow(unsafe_code)]

mod allocator;
mod am;
mod catalog;
mod compat;
mod crop_box;
mod encoding;
mod ereport;
#[cfg(any(test, feature = "pg_test"))]
mod fixture;
mod fmgr;
mod functions;
mod guc;
mod inference;
mod planner;
mod prepared_statement;
mod run_as;
mod spi_row;
mod statement;
mod text;
mod types;

pub use ereport::OrReport;
pub use text::Text;
pub use types::{CoopQuery, CoopVec};

/// PostgreSQL calls this when a server process loads the library: it defines settings and installs hooks.
#[pgrx::pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    guc::define();
    inference::worker::on_load();
    am::on_load();
    planner::shards::on_load();
    planner::skipped_partitions::on_load();
    planner::index_paths::on_load();
    inference::service_connection::on_load();
    ereport::rehearse();
}
