//! Cooperative embeddings in PostgreSQL: one vector column that answers instance, attribute and category questions
//! (Thong, Snoek, Smeulders, *Cooperative Embeddings for Instance, Attribute and Category Retrieval*, arXiv 1904.01421).
//!
//! The crate is built in floors; a lower one never uses a higher one. Two products come out of it, chosen by cargo
//! feature: the extension (`pg15` and its siblings) and the offline program (`cli`).
#![warn(missing_docs)]

#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "cli")]
pub mod data;
#[cfg(feature = "cli")]
pub mod demo;
pub mod error;
#[cfg(feature = "cli")]
pub mod eval;
#[cfg(feature = "cli")]
pub mod explorer;
pub mod graph;
pub mod image;
pub mod index;
pub mod inference;
pub mod memory;
pub mod model;
pub mod space;
#[cfg(feature = "cli")]
pub mod train;

#[cfg(feature = "_pg")]
mod pg;

#[cfg(feature = "_pg")]
::pgrx::pg_module_magic!(name, version);

/// Required by `cargo pgrx test`, which looks for it at the root of the crate.
#[cfg(all(test, feature = "pg_test"))]
pub mod pg_test {
    /// Nothing to set up.
    pub fn setup(_options: Vec<&str>) {}

    /// The stock configuration is what users have.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
