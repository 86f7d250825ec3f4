//! The PostgreSQL glue: types, operators, functions, catalogue, worker, settings. Thin: whatever can be said without
//! PostgreSQL is said on the floors below. The only place, with the SIMD kernels, where `unsafe` lives.
#![allow(unsafe_code)]

mod allocator;
mod am;
mod catalog;
mod compat;
mod encoding;
mod ereport;
#[cfg(any(test, feature = "pg_test"))]
mod fixture;
mod fmgr;
mod functions;
mod guc;
mod inference;
mod planner;
mod run_as;
mod text;
mod types;

pub use ereport::OrReport;
pub use text::Text;
pub use types::{CoopQuery, CoopVec};

/// Runs when a server process loads the library.
#[pgrx::pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    guc::define();
    inference::worker::on_load();
    planner::shards::on_load();
    functions::partial_search::on_load();
    inference::client::on_load();
    ereport::rehearse();
}
