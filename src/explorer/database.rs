//! A small pool of connections. Each request runs in one READ ONLY transaction, which is cancelled when the browser goes away.

use super::http_error::HttpError;
use super::sql_builder::Statement;
use crate::connection::{tls, Connection};
use crate::error::{self, Error, Kind};
use axum::http::StatusCode;
use deadpool_postgres::{Client, Manager, Pool, Runtime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::Row;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Most connections; several, because a browser asks for the images of a page in parallel.
const MAX_CONNECTIONS: usize = 4;

/// The connection pool.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    tls: MakeRustlsConnect,
    /// The statements that begin a transaction and set its statement_timeout.
    begin: String,
}

impl Database {
    /// A pool that connects on first use. Each query may take `timeout` seconds.
    ///
    /// # Errors
    /// Those of [`tls::connector`].
    pub fn new(connection: &Connection, timeout: u32) -> error::Result<Self> {
        let tls = tls::connector(&connection.encryption.trust)?;
        let mut config = connection.config.clone();
        // Every transaction is READ ONLY already; this default protects against code that forgets to say so. It is a startup
        // option rather than SET, because SET would leak into other clients' sessions behind a connection pooler.
        let given = config.get_options().unwrap_or_default();
        let options =
            format!("{given} -c default_transaction_read_only=on -c idle_in_transaction_session_timeout=60s");
        config.options(options.trim_start());
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{timeout}s'"
        );
        let pool = Pool::builder(Manager::new(config, tls.clone()))
            .max_size(MAX_CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(u64::from(timeout) + 5)))
            .create_timeout(Some(Duration::from_secs(30)))
            .build()
            .map_err(|e| Error::new(Kind::Internal, format!("connection pool: {e}")))?;
        Ok(Self { pool, tls, begin })
    }

    /// Begins a READ ONLY transaction whose statements all see one snapshot.
    ///
    /// # Errors
    /// Status 503 if there is no server or no free connection.
    pub async fn begin(&self) -> Result<ReadTransaction, HttpError> {
        // After a restart of PostgreSQL every pooled connection may be dead, which shows only when it is used.
        let mut tries = MAX_CONNECTIONS;
        loop {
            let mut transaction = ReadTransaction {
                client: Some(self.pool.get().await?),
                tls: self.tls.clone(),
                running: AtomicBool::new(false),
            };
            match transaction.execute(&self.begin).await {
                Ok(()) => return Ok(transaction),
                Err(e) => {
                    let error = HttpError::from(e);
                    tries -= 1;
                    if tries == 0 || !error.is_lost_connection() {
                        return Err(error);
                    }
                    // Taken out of the pool, and closed.
                    drop(transaction.client.take().map(Client::take));
                }
            }
        }
    }

    /// Runs one statement in a transaction of its own and returns its rows.
    ///
    /// # Errors
    /// Those of [`Database::begin`] and [`ReadTransaction::rows`].
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<Row>, HttpError> {
        let transaction = self.begin().await?;
        let rows = transaction.rows(statement).await;
        transaction.end().await;
        rows
    }
}

/// A READ ONLY transaction. Dropping it rolls back; a query that is still running then (the browser has gone away) is cancelled.
pub struct ReadTransaction {
    /// `None` once the transaction has ended.
    client: Option<Client>,
    tls: MakeRustlsConnect,
    /// Whether a query is running.
    running: AtomicBool,
}

impl ReadTransaction {
    async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        match &self.client {
            Some(client) => client.batch_execute(sql).await,
            None => Ok(()),
        }
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<Row>, HttpError> {
        let Some(client) = &self.client else { return Ok(Vec::new()) };
        self.running.store(true, Ordering::Relaxed);
        let rows = client.query_typed(statement.parameterized(), &statement.parameters()).await;
        self.running.store(false, Ordering::Relaxed);
        Ok(rows?)
    }

    /// Ends the transaction and waits until it has ended; dropping it does not wait.
    pub async fn end(mut self) {
        if let Some(client) = self.client.take() {
            roll_back(&client).await;
        }
    }
}

/// An error here means that the connection is lost, which the pool notices by itself.
async fn roll_back(client: &Client) {
    let _ = client.batch_execute("ROLLBACK").await;
}

impl Drop for ReadTransaction {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let (running, tls) = (self.running.load(Ordering::Relaxed), self.tls.clone());
        tokio::spawn(async move {
            if running {
                // If this fails, statement_timeout ends the query.
                let _ = client.cancel_token().cancel_query(tls).await;
            }
            roll_back(&client).await;
        });
    }
}

/// A column of a row; our own statements decide its type.
///
/// # Errors
/// Status 500 if the column has another type.
pub fn column<T: FromSqlOwned>(row: &Row, index: usize) -> Result<T, HttpError> {
    row.try_get(index).map_err(|e| HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}
