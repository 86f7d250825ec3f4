//! Connections that only read: a small pool, one transaction a request, cancelled when nobody waits for it any more.

use super::connection::Connection;
use super::http_error::Refusal;
use super::sql_builder::Statement;
use super::tls;
use crate::error::{self, Error, Kind};
use deadpool_postgres::{Client, Manager, Pool, Runtime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connections at most: a page's pictures come side by side.
const CONNECTIONS: usize = 4;

/// The pool.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    tls: MakeRustlsConnect,
    begin: String,
}

impl Database {
    /// A pool that has not connected yet. Each of its queries may take `timeout` seconds.
    ///
    /// # Errors
    /// Those of [`tls::connector`].
    pub fn new(connection: &Connection, timeout: u32) -> error::Result<Self> {
        let tls = tls::connector(&connection.encryption.trust)?;
        let mut config = connection.config.clone();
        // The transactions are READ ONLY too: this is for what a later version may forget. Not SET, which in a pool between here
        // and the server would stay with others' connections.
        let given = config.get_options().unwrap_or_default();
        let options =
            format!("{given} -c default_transaction_read_only=on -c idle_in_transaction_session_timeout=60s");
        config.options(options.trim_start());
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{timeout}s'"
        );
        let pool = Pool::builder(Manager::new(config, tls.clone()))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(u64::from(timeout) + 5)))
            .create_timeout(Some(Duration::from_secs(30)))
            .build()
            .map_err(|e| Error::new(Kind::Internal, format!("connection pool: {e}")))?;
        Ok(Self { pool, tls, begin })
    }

    /// A transaction that only reads and sees one state of the database.
    ///
    /// # Errors
    /// A refusal with status 503 if there is no server or no free connection.
    pub async fn read(&self) -> Result<Reading, Refusal> {
        // After a restart of the server every connection of the pool may be dead, which shows when it is used.
        let mut tries = CONNECTIONS;
        loop {
            let mut reading = Reading {
                client: Some(self.pool.get().await?),
                tls: self.tls.clone(),
                running: AtomicBool::new(false),
            };
            match reading.begin(&self.begin).await {
                Ok(()) => return Ok(reading),
                Err(e) => {
                    let refusal = Refusal::from(e);
                    tries -= 1;
                    if tries == 0 || !refusal.is_lost_connection() {
                        return Err(refusal);
                    }
                    drop(reading.client.take().map(Client::take));
                }
            }
        }
    }

    /// The rows of one statement in a transaction of its own.
    ///
    /// # Errors
    /// Those of [`Database::read`] and [`Reading::rows`].
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<Row>, Refusal> {
        let reading = self.read().await?;
        let rows = reading.rows(statement).await;
        reading.end().await;
        rows
    }
}

/// One transaction. It ends when this is dropped; a query that still runs then, because the browser has gone, is cancelled.
pub struct Reading {
    client: Option<Client>,
    tls: MakeRustlsConnect,
    running: AtomicBool,
}

impl Reading {
    async fn begin(&self, begin: &str) -> Result<(), tokio_postgres::Error> {
        match &self.client {
            Some(client) => client.batch_execute(begin).await,
            None => Ok(()),
        }
    }

    /// A statement's rows.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<Row>, Refusal> {
        let Some(client) = &self.client else { return Ok(Vec::new()) };
        self.running.store(true, Ordering::Relaxed);
        let rows = client.query_typed(statement.bound(), &statement.parameters()).await;
        self.running.store(false, Ordering::Relaxed);
        Ok(rows?)
    }

    /// Ends the transaction before anything else happens.
    pub async fn end(mut self) {
        if let Some(client) = self.client.take() {
            roll_back(&client).await;
        }
    }
}

/// If this fails, the connection is lost, and the pool sees that.
async fn roll_back(client: &Client) {
    let _ = client.batch_execute("ROLLBACK").await;
}

impl Drop for Reading {
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
