//! Cooperative embeddings in PostgreSQL: one vector column and one index that answer instance, attribute and category
//! queries, and any weighted mix of them (Thong, Snoek, Smeulders, *Cooperative Embeddings for Instance, Attribute and
//! Category Retrieval*, arXiv 1904.01421).
//!
//! One crate makes two products, chosen by cargo feature: `pg15` (or 14, 16, 17, 18) the extension, `cli` the offline
//! program `coopembed`. The extension embeds images and answers queries; the program builds data sets, trains, evaluates,
//! and serves a page to explore a table with.
//!
//! # Where things are
//!
//! The crate is built in floors. A module uses those above it in this table, never those below.
//!
//! | module | what is in it |
//! |---|---|
//! | [`error`], [`memory`] | the error type; allocation that can be refused |
//! | [`space`] | subspaces, embeddings, queries and their algebra, the masked distance |
//! | [`image`] | bytes to pixels: decoders under limits, orientation, crop, resize |
//! | [`model`] | the model directory, backbones, inference kernels, prototypes, tags |
//! | [`index`] | codes with lower bounds, and the best-first search over them |
//! | [`graph`] | shortest paths in a graph of nearest neighbours |
//! | [`pairs`] | all pairs of embeddings within a distance |
//! | [`inference`] | the inference service: queue, batches, models in memory, wire protocol |
//! | `data` (`cli`) | data sets: manifests, builders, cached features |
//! | `train`, `eval` (`cli`) | losses, methods, optimiser, trainer; metrics, retrieval protocols, reports |
//! | `pg` (`pgNN`) | PostgreSQL: types, operators, functions, planner, access method, background worker |
//! | `connection` (`cli`) | connections to a database, as psql makes them |
//! | `explorer` (`cli`) | the page of `coopembed serve` |
//! | `commands`, `demo` (`cli`) | the program's commands; the demonstration's gallery |
//!
//! # Start reading
//!
//! - A query's distance from an embedding: [`space::distance`].
//! - One image through the house: [`image::prepare`] decodes it, [`inference::Client`] sends the pixels,
//!   [`model::Model::embed`] computes, [`space::Embedding::from_raw`] normalises.
//! - One query: `pg::functions::queries` makes it, `pg::planner::initplan` has it evaluated once per statement,
//!   `pg::am::scan` asks [`index::Cursor`] for rows in the order of lower bounds, and PostgreSQL computes true distances.
//! - One training: `commands::train` reads a data set, `train::trainer` runs the loop, `train::losses` has Eq. 1 to 5.
#![warn(missing_docs)]

#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "cli")]
pub mod connection;
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
pub mod pairs;
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
