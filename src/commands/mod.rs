//! The commands of the offline program: one file or folder each, on top of every floor except `pg`.
//!
//! | file | command |
//! |---|---|
//! | `train/` | `coopembed train` |
//! | `eval` | `coopembed eval` |
//! | `experiment/` | `coopembed experiment` |
//! | `report` | `coopembed report` |
//! | `export` | `coopembed export` |
//! | `embed/` | `coopembed embed` |
//! | `load` | `coopembed load` |
//! | `models` | `coopembed models` |
//! | `dump_model` | `coopembed dump-model` |
//! | `data_table/` | `coopembed data table` |
//! | `image_source_args` | `--root`, `--http` and limits, for the commands that read images by path or URL |
//! | `database_args` | `--db`, for the commands that work on a database |
//! | `import_backbone` | `coopembed import-backbone` |
//! | `evaluate_method` | evaluates what a method has learned, for `train` and `experiment` |
//! | `inputs` | reads data sets and backbones, for several commands |
//! | `shell` | words of command lines that are shown |
//! | `workers` | threads that share a queue of tasks |
//! | `staged_data` | what every stage of a training draws on: a data set, its features and maps |
//!
//! The other commands are thin and live with what they do: `serve` in `explorer/`, `data` in `data/` and `demo/`, `engine` in
//! `inference/`.

pub mod data_table;
mod database_args;
pub mod dump_model;
pub mod embed;
pub mod eval;
mod evaluate_method;
pub mod experiment;
pub mod export;
mod image_source_args;
pub mod import_backbone;
mod inputs;
pub mod load;
pub mod models;
pub mod report;
mod shell;
mod staged_data;
pub mod train;
mod workers;

#[cfg(test)]
pub(crate) mod tests;
