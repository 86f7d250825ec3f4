//! `coopembed experiment`: the paper's tables on a data set of one's own, with features of a frozen backbone.
//!
//! | file | what is in it |
//! |---|---|
//! | `runner` | the command: trains and evaluates what a table lacks, several trainings at a time |
//! | `tables` | the tables, as lists of trainings |
//! | `run_store` | finished runs on disk, so that none is repeated |
//! | `figures` | the figures of a run, and their mean and deviation over seeds |
//! | `summary` | a table with its figures, as text, CSV and JSON |
//! | `plot` | a table as an SVG bar chart |

pub mod figures;
pub mod plot;
pub mod run_store;
pub mod runner;
pub mod summary;
pub mod tables;

pub use runner::{run, ExperimentArgs};
