//! One connection to a database that has the extension, for commands that wait for each answer.

use super::parameters::Connection;
use super::server_error::server_error;
use super::tls;
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use futures_util::SinkExt as _;
use std::pin::pin;
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSqlOwned, ToSql, Type};
use tokio_postgres::{Client, Row};

/// A parameter of a statement, with its type.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection. A transaction that is open when it is dropped is rolled back.
pub struct Session {
    runtime: Runtime,
    client: Client,
    /// The database, for people.
    pub described: String,
    /// Schema of the extension, quoted for SQL.
    pub extension_schema: String,
}

impl Session {
    /// Connects, and finds the extension. The server sees it as a connection of `program`.
    ///
    /// # Errors
    /// Those of [`Connection::new`]; [`Kind::Unavailable`] if the server cannot be reached; [`Kind::InvalidParameter`] if it refuses the
    /// connection, or the database lacks the extension.
    pub fn open(db: Option<&str>, program: &str) -> Result<Self> {
        let mut connection = Connection::from_environment(db, program)?;
        // What the server's views show of it depends on the name.
        connection.config.application_name(program);
        let tls = tls::connector(&connection.encryption.trust)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| Error::new(Kind::Io, format!("could not start a thread: {e}")))?;
        let (client, driver) =
            runtime.block_on(connection.config.connect(tls)).map_err(|e| server_error(&e))?;
        // It ends with the connection. An error shows in the statement that is running then.
        runtime.spawn(driver);
        let described = connection.describe();
        let mut session = Self { runtime, client, described, extension_schema: String::new() };
        session.extension_schema = session.find_extension()?;
        Ok(session)
    }

    fn find_extension(&self) -> Result<String> {
        let sql = "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e \
                   JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace \
                   WHERE e.extname OPERATOR(pg_catalog.=) 'coopembed'";
        let rows = self.rows(sql, &[])?;
        let row = rows.first().ok_or_else(|| {
            Error::new(Kind::InvalidParameter, format!("{} has no extension coopembed", self.described))
                .hint("CREATE EXTENSION coopembed; or name another database with --db.")
        })?;
        column(row, 0)
    }

    /// Runs statements without parameters.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub fn execute(&self, sql: &str) -> Result<()> {
        self.runtime.block_on(self.client.batch_execute(sql)).map_err(|e| server_error(&e))
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub fn rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        self.runtime.block_on(self.client.query_typed(sql, parameters)).map_err(|e| server_error(&e))
    }

    /// Runs one statement that returns one row.
    ///
    /// # Errors
    /// Any that PostgreSQL raises; [`Kind::Internal`] without a row.
    pub fn row(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row> {
        let rows = self.rows(sql, parameters)?;
        rows.into_iter().next().ok_or_else(|| Error::new(Kind::Internal, "a statement returned no row"))
    }

    /// Runs one statement without parameters and returns how many rows it changed or moved over.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub fn affected(&self, sql: &str) -> Result<u64> {
        self.runtime.block_on(self.client.execute_typed(sql, &[])).map_err(|e| server_error(&e))
    }

    /// Runs `COPY ... FROM STDIN` with these bytes.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub fn copy_in(&self, sql: &str, bytes: Bytes) -> Result<()> {
        let copy = async {
            let mut sink = pin!(self.client.copy_in(sql).await?);
            sink.send(bytes).await?;
            sink.finish().await.map(|_| ())
        };
        self.runtime.block_on(copy).map_err(|e| server_error(&e))
    }
}

/// A column of a row; our own statements decide its type.
///
/// # Errors
/// [`Kind::Internal`] if the column has another type, or is null.
pub fn column<T: FromSqlOwned>(row: &Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|e| Error::new(Kind::Internal, e.to_string()))
}
