//! The explorer: the web page of `coopembed serve`, for searching a table by clicking instead of typing SQL.
//!
//! The page shows a table's images, turns clicks into one SQL query, runs it in a READ ONLY transaction, and shows the rows, why
//! each matches, and the SQL. Browsers load everything from this server: the files in `page/` are compiled into the program.
//!
//! A search goes through these files in order: `page/query_terms.js` (what the user clicked) → `server` (routes) → `guard`
//! (is it this server's own page?) → `api` (handlers) → `query_terms` (JSON to a `coopquery` expression) → `sql_queries` with
//! `sql_builder` (the SQL) → `database` (the transaction) → `page/results.js`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`args`] | the command line |
//! | `server` | start, routes, shutdown |
//! | `guard` | refuses requests of other sites |
//! | `api` | one handler per address |
//! | `query_terms` | a search in JSON, and its `coopquery` expression in SQL |
//! | `sql_queries` | the statements that the page runs |
//! | `sql_builder` | the SQL builder: each statement with numbered parameters, and as one would type it |
//! | `table` | the columns by role, and how names are written in SQL |
//! | `inspection` | finds extension, model, table and columns at start |
//! | `vocabulary` | attributes, values and categories that the page offers |
//! | `images`, `dropped_images` | thumbnails and image responses; images that users dropped on the page |
//! | `database` | the connection pool |
//! | `http_error` | errors as HTTP responses |
//! | `page/` | HTML, CSS and JavaScript |

mod api;
pub mod args;
mod database;
mod dropped_images;
mod guard;
mod http_error;
mod images;
mod inspection;
mod query_terms;
mod server;
mod sql_builder;
mod sql_queries;
mod table;
mod vocabulary;

pub use args::ServeArgs;
pub use server::run;
