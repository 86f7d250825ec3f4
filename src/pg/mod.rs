//! The PostgreSQL glue: types, operators, functions, catalogue, worker, settings. Thin: whatever can be said without
//! PostgreSQL is said on the floors below. The only place, with the SIMD kernels, where `unsafe` lives.

mod aggregates;
mod algebra;
mod allocator;
mod am;
mod catalog;
mod client;
mod compat;
mod decode_process;
mod embed;
mod embed_table;
mod encoding;
mod engine;
#[cfg(any(test, feature = "pg_test"))]
mod fixture;
mod fmgr;
mod fold;
mod forked;
mod gallery;
mod knn;
mod model_process;
mod nodes;
mod operators;
mod pipeline;
mod queries;
mod report;
mod run_as;
mod search;
mod settings;
mod shards;
mod socket;
mod status;
mod tags;
mod text;
mod trigger;
mod types;
mod varlena;
mod version;
mod wander;
mod worker;

pub use report::OrReport;
pub use text::Text;
pub use varlena::{CoopQuery, CoopVec};

/// Runs when a server process loads the library.
#[pgrx::pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    worker::on_load();
    shards::on_load();
    search::on_load();
    client::on_load();
    report::rehearse();
}
