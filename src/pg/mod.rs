//! The PostgreSQL glue: types, operators, functions, catalogue, worker, settings. Thin: whatever can be said without
//! PostgreSQL is said on the floors below. The only place, with the SIMD kernels, where `unsafe` lives.

mod aggregates;
#[cfg(any(test, feature = "pg_test"))]
mod fixture;
mod fmgr;
mod fold;
mod operators;
mod report;
mod types;
mod varlena;

pub use report::OrReport;
pub use varlena::{CoopQuery, CoopVec};
