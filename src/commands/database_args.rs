//! `--db`, for the commands that work on a database.

use crate::connection::Session;
use crate::error::Result;

/// The database of a command.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// Database: postgres://user@host/name, key=value pairs, or a name [default: from PGHOST, PGDATABASE and so on]
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
}

impl DatabaseArgs {
    /// Connects as `program`, such as "coopembed load".
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open(&self, program: &str) -> Result<Session> {
        Session::open(self.db.as_deref(), program)
    }
}
