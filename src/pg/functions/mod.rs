//! The functions of the extension; `sql/current/` declares each under the name of its file here.

pub mod algebra;
pub mod embed;
pub mod embed_table;
mod knn;
pub mod partial_search;
pub mod queries;
mod retrieval;
pub mod tags;
pub mod transition;
mod trigger;
mod version;
