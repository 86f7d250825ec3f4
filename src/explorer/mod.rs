//! `coopembed serve`: a local page for people who would rather look than type.
//!
//! It shows a table's pictures, turns what is clicked into SQL, runs that in READ ONLY transactions, and shows both answer
//! and SQL. Everything that the browser loads comes from here: the files in `page/` are part of the program.

mod api;
pub mod args;
mod connection;
mod database;
mod dropped_images;
mod guard;
mod http_error;
mod images;
mod inspection;
mod passfile;
mod query_terms;
mod server;
mod sql_builder;
mod sql_queries;
mod table;
mod tls;
mod vocabulary;

pub use args::ServeArgs;
pub use server::run;
