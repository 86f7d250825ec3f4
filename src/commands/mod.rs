//! The commands of the offline program: one file or folder each, over all floors but `pg`.

pub mod eval;
mod evaluate_method;
pub mod experiment;
pub mod import_backbone;
mod inputs;
pub mod report;
pub mod train;

#[cfg(test)]
pub(crate) mod tests;
