//! `coopembed experiment`: the paper's tables on a data set of one's own, over features of a frozen backbone.

pub mod figures;
pub mod plot;
pub mod runner;
pub mod store;
pub mod summary;
pub mod tables;

pub use runner::{run, ExperimentArgs};
