//! Cooperative embeddings in PostgreSQL: one vector column that answers instance, attribute and category questions
//! (Thong, Snoek, Smeulders, *Cooperative Embeddings for Instance, Attribute and Category Retrieval*, arXiv 1904.01421).
//!
//! The crate is built in floors; a lower one never uses a higher one. Two products come out of it, chosen by cargo
//! feature: the extension (`pg15` and its siblings) and the offline program (`cli`).
#![warn(missing_docs)]

pub mod error;
#[cfg(feature = "cli")]
pub mod eval;
pub mod graph;
pub mod image;
pub mod index;
#[cfg(feature = "cli")]
pub mod look;
pub mod memory;
pub mod model;
pub mod serve;
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
