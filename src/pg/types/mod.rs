//! `coopvec` and `coopquery`: how they are stored, read and written, and their operators and aggregates.

mod aggregates;
mod io;
pub mod operators;
mod varlena;

pub use varlena::{CoopQuery, CoopVec};
