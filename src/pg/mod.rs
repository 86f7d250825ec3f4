//! The PostgreSQL glue: types, operators, functions, catalogue, worker, settings. Thin: whatever can be said without
//! PostgreSQL is said on the floors below. The only place, with the SIMD kernels, where `unsafe` lives.

mod aggregates;
mod algebra;
mod am;
mod catalog;
mod client;
mod compat;
mod embed;
mod embed_table;
mod engine;
#[cfg(any(test, feature = "pg_test"))]
mod fixture;
mod fmgr;
mod fold;
mod gallery;
mod model_process;
mod nodes;
mod operators;
mod pipeline;
mod queries;
mod report;
mod run_as;
mod settings;
mod shards;
mod status;
mod tags;
mod trigger;
mod types;
mod varlena;
mod version;
mod wander;
mod worker;

pub use report::OrReport;
pub use varlena::{CoopQuery, CoopVec};

/// Runs when a server process loads the library.
#[pgrx::pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    worker::on_load();
    shards::on_load();
}
