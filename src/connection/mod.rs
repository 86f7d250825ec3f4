//! Connections of the program to a database, with the same parameters as psql's.
//!
//! | file | what is in it |
//! |---|---|
//! | `parameters` | [`Connection`]: `--db`, the environment, psql's defaults |
//! | `passfile` | the password file |
//! | `tls` | encryption, and whose certificates are accepted |
//! | `session` | [`Session`]: one connection for commands that wait for each answer |
//! | `quoting` | names and values in the text of statements |
//! | `copy_binary` | the binary format of COPY |
//! | `server_error` | PostgreSQL's errors as this crate's |

mod copy_binary;
mod parameters;
mod passfile;
mod quoting;
mod server_error;
mod session;
pub mod tls;

pub use copy_binary::CopyBinary;
pub use parameters::Connection;
pub use quoting::{quote_identifier, quote_literal};
pub use server_error::{is_connection_lost, server_error, with_causes};
pub use session::{column, Parameter, RowsOf, Session};
