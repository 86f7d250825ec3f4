//! `coopembed serve`: a local page for people who would rather look than type.
//!
//! It shows a table's pictures, turns what is clicked into SQL, runs that in READ ONLY transactions, and shows both answer
//! and SQL. Everything that the browser loads comes from here: the files in `page/` are part of the program.

mod api;
mod connection;
mod database;
mod guard;
mod inspect;
pub mod options;
mod passfile;
mod photos;
mod pictures;
mod queries;
mod refusal;
mod server;
mod statement;
mod table;
mod tls;
mod wishes;
mod words;

pub use options::ServeArgs;
pub use server::run;
