//! A session's connection to the inference service: the one kept from the last request, or a new one. If nobody listens, the session has
//! the postmaster start the supervisor.

use super::endpoint::SOCKET_PATH;
use super::latch_socket::{sleep, LatchSocket};
use super::library_build::library_build;
use super::worker::launch;
use crate::error::{Error, Kind, Result};
use crate::inference::{Client, Greeting, Outcome};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// A session's connection to the inference service.
pub type ServiceClient = Client<LatchSocket>;

/// How long the service may take to welcome a session: that includes its start, and the end of a process that it has to replace.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long all of `max_worker_processes` may be in use before that is an error.
const NO_WORKER_SLOT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two requests for a supervisor.
const RELAUNCH_PAUSE: Duration = Duration::from_secs(1);
/// How long something other than the socket may be at its path before that is an error. The supervisor restores the socket sooner.
const WRONG_FILE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts to connect. The postmaster sets the latch when the worker has started, which ends the pause early.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

thread_local! {
    /// The connection of the last request, kept for the next one. It is taken out while in use: if the statement is interrupted, the
    /// connection is closed, so that no later request can read its answer.
    static KEPT: RefCell<Option<ServiceClient>> = const { RefCell::new(None) };
}

/// Registers the destructor of this file's thread-local variable while there is memory for it: see `ereport::rehearse`.
pub fn on_load() {
    KEPT.with(|_| ());
}

/// Runs `request` with a connection to the service, which is started if need be. `timeout` limits the waits of each call of `request`;
/// `None` is no limit. `request` is called again with a new connection when it returns [`Outcome::Retry`].
///
/// # Errors
/// Those of `request`; [`Kind::Unavailable`] and [`Kind::Busy`] if the service cannot be reached.
pub fn with_service<T>(
    timeout: Option<Duration>,
    request: impl FnMut(&mut ServiceClient) -> Result<Outcome<T>>,
) -> Result<T> {
    run_request(timeout, true, request).and_then(|done| done.ok_or_else(no_answer))
}

/// Like [`with_service`], but returns `None` if the service does not run.
///
/// # Errors
/// As [`with_service`].
pub fn with_running_service<T>(
    timeout: Option<Duration>,
    request: impl FnMut(&mut ServiceClient) -> Result<Outcome<T>>,
) -> Result<Option<T>> {
    run_request(timeout, false, request)
}

/// A connection to the service, which is started if need be: the one kept from the last request, or a new one.
///
/// # Errors
/// [`Kind::Unavailable`] and [`Kind::Busy`] if the service cannot be reached.
pub fn connect() -> Result<ServiceClient> {
    Connector::new(true).kept_or_new()?.ok_or_else(no_answer)
}

/// Keeps a connection for the next request.
pub fn keep(client: ServiceClient) {
    KEPT.set(Some(client));
}

fn run_request<T>(
    timeout: Option<Duration>,
    start: bool,
    mut request: impl FnMut(&mut ServiceClient) -> Result<Outcome<T>>,
) -> Result<Option<T>> {
    let mut connector = Connector::new(start);
    loop {
        let Some(mut client) = connector.kept_or_new()? else { return Ok(None) };
        client.stream_mut().set_timeout(timeout);
        let outcome = request(&mut client);
        if client.is_usable() {
            keep(client);
        }
        match outcome? {
            Outcome::Done(value) => return Ok(Some(value)),
            Outcome::Retry => connector.pause()?,
        }
    }
}

/// The attempts of one request to reach the service.
struct Connector {
    /// Whether to have the service started if it does not run.
    start: bool,
    since: Instant,
    /// When a supervisor was last asked for.
    launched: Option<Instant>,
    /// Since when all worker slots have been in use.
    no_slot_since: Option<Instant>,
    /// The error of the last attempt, if nobody listened.
    last_error: Option<std::io::Error>,
}

impl Connector {
    fn new(start: bool) -> Self {
        Self { start, since: Instant::now(), launched: None, no_slot_since: None, last_error: None }
    }

    /// The connection of the last request if it is still good, or a new one.
    fn kept_or_new(&mut self) -> Result<Option<ServiceClient>> {
        match KEPT.take().filter(|c| c.stream().is_open_and_idle()) {
            Some(client) => Ok(Some(client)),
            None => self.connect(),
        }
    }

    /// A new connection that the service has welcomed; `None` if the service does not run and is not to be started.
    fn connect(&mut self) -> Result<Option<ServiceClient>> {
        loop {
            match LatchSocket::connect_to_service(self.since + CONNECT_TIMEOUT) {
                Ok(socket) => {
                    self.last_error = None;
                    if let Greeting::Welcome(client) = Client::greet(socket, &library_build())? {
                        return Ok(Some(client));
                    }
                }
                // Nobody listens.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    if !self.start {
                        return Ok(None);
                    }
                    self.last_error = Some(e);
                    self.launch()?;
                }
                // The backlog of the socket is full.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Something else is at the socket's path. The supervisor will find that too, and restore the socket.
                Err(e) if self.start && self.since.elapsed() < WRONG_FILE_TIMEOUT => {
                    self.last_error = Some(e)
                }
                Err(e) => {
                    return Err(Error::new(
                        Kind::Unavailable,
                        format!("could not connect to the inference service: {e}"),
                    )
                    .detail(format!("Its socket is \"{SOCKET_PATH}\" in the data directory.")))
                }
            }
            self.pause()?;
        }
    }

    /// Asks the postmaster for a supervisor, unless that was done a moment ago.
    fn launch(&mut self) -> Result<()> {
        // SAFETY: reads a flag of this process, and a setting that does not change while the server runs.
        let (has_postmaster, slots) = unsafe { (pg_sys::IsUnderPostmaster, pg_sys::max_worker_processes) };
        if !has_postmaster {
            return Err(Error::new(
                Kind::Unsupported,
                "the inference service cannot run in single-user mode",
            ));
        }
        if self.launched.is_some_and(|at| at.elapsed() < RELAUNCH_PAUSE) {
            return Ok(());
        }
        if launch() {
            self.launched = Some(Instant::now());
            self.no_slot_since = None;
            return Ok(());
        }
        let since = *self.no_slot_since.get_or_insert_with(Instant::now);
        if since.elapsed() < NO_WORKER_SLOT_TIMEOUT {
            return Ok(());
        }
        Err(Error::new(Kind::Busy, "the inference service could not be started")
            .detail(format!("All {slots} background worker slots of the server are in use."))
            .hint("Raise max_worker_processes and restart the server, or run the statement again later."))
    }

    fn pause(&mut self) -> Result<()> {
        if self.since.elapsed() > CONNECT_TIMEOUT {
            return Err(self.timed_out());
        }
        sleep(RETRY_PAUSE);
        Ok(())
    }

    fn timed_out(&self) -> Error {
        let seconds = CONNECT_TIMEOUT.as_secs();
        match &self.last_error {
            None => no_answer().detail(format!("It did not answer for {seconds} s.")),
            Some(e) => Error::new(Kind::Unavailable, "the inference service did not start")
                .detail(format!(
                    "For {seconds} s nothing listened on \"{SOCKET_PATH}\" in the data directory ({e}), although a supervisor was asked for."
                ))
                .hint("See the server log. A supervisor that hangs keeps others from starting: end it."),
        }
    }
}

fn no_answer() -> Error {
    Error::new(Kind::Unavailable, "the inference service does not answer").hint("See the server log.")
}
