//! One connection to a database, for commands that wait for each answer.

use super::parameters::Connection;
use super::server_error::server_error;
use super::tls;
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use std::pin::{pin, Pin};
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSqlOwned, ToSql, Type};
use tokio_postgres::{Client, Row, RowStream};

/// A parameter of a statement, with its type.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection. A transaction that is open when it is dropped is rolled back.
pub struct Session {
    runtime: Runtime,
    client: Client,
    /// The database, for people.
    pub described: String,
    /// Schema of the extension, quoted for SQL; empty if the session does not need the extension.
    pub extension_schema: String,
}

impl Session {
    /// Connects, and finds the extension. The server sees it as a connection of `program`.
    ///
    /// # Errors
    /// Those of [`Connection::new`]; [`Kind::Unavailable`] if the server cannot be reached; [`Kind::InvalidParameter`] if it refuses the
    /// connection, or the database lacks the extension.
    pub fn open(db: Option<&str>, program: &str) -> Result<Self> {
        let mut session = Self::connect(db, program)?;
        session.extension_schema = session.find_extension()?;
        Ok(session)
    }

    /// Connects to a database that need not have the extension.
    ///
    /// # Errors
    /// Those of [`Session::open`], but that of a database without the extension.
    pub fn connect(db: Option<&str>, program: &str) -> Result<Self> {
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
        Ok(Self { runtime, client, described, extension_schema: String::new() })
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

    /// The names and types of the columns that a query returns. It is not run.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub fn columns_of(&self, sql: &str) -> Result<Vec<(String, u32)>> {
        let statement = self.runtime.block_on(self.client.prepare(sql)).map_err(|e| server_error(&e))?;
        Ok(statement.columns().iter().map(|c| (c.name().to_owned(), c.type_().oid())).collect())
    }

    /// Runs one statement whose rows are taken one by one: no more are in memory than were asked for, and a few. No other statement
    /// may run until the last row was taken, or the stream is dropped.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub fn stream(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<RowsOf<'_>> {
        let parameters = parameters.iter().map(|(value, of)| (*value, of.clone()));
        let started = self.client.query_typed_raw(sql, parameters);
        let rows = self.runtime.block_on(started).map_err(|e| server_error(&e))?;
        Ok(RowsOf { session: self, rows: Box::pin(rows) })
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

/// The rows of a statement, as they arrive.
pub struct RowsOf<'s> {
    session: &'s Session,
    rows: Pin<Box<RowStream>>,
}

impl RowsOf<'_> {
    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// Any that PostgreSQL raises, and [`Kind::Unavailable`] if the connection ends.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        self.session.runtime.block_on(self.rows.try_next()).map_err(|e| server_error(&e))
    }
}

/// A column of a row; our own statements decide its type.
///
/// # Errors
/// [`Kind::Internal`] if the column has another type, or is null.
pub fn column<T: FromSqlOwned>(row: &Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|e| Error::new(Kind::Internal, e.to_string()))
}
