//! A backend's end of the inference service: connects, starts the service if it is not there, and waits in a way that
//! cancel, `statement_timeout` and shutdown interrupt at once.

use super::socket::SOCKET;
use super::worker::{build, launch};
use crate::error::{Error, Kind, Result};
use crate::inference::{Client, Greeting, Outcome};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long the service may take to greet: its start, and the end of the process that it may have to replace.
const STARTUP: Duration = Duration::from_secs(60);
/// How long all of `max_worker_processes` may be in use before that is an error.
const NO_SLOT: Duration = Duration::from_secs(5);
/// Between two requests for a supervisor.
const RELAUNCH: Duration = Duration::from_secs(1);
/// How long something other than the socket may be in its place before that is an error.
const REPLACED: Duration = Duration::from_secs(5);
/// Between two attempts to connect. The postmaster's news of our worker end the wait earlier.
const POLL: Duration = Duration::from_millis(10);

thread_local! {
    /// The connection of the last request, kept for the next one. Taken out while it is in use: if the statement is
    /// interrupted, it is closed, and no later request can read its answer.
    static KEPT: RefCell<Option<Client<Channel>>> = const { RefCell::new(None) };
}

/// Has what a session keeps noted for dropping while there is memory: see `ereport::rehearse`.
pub fn on_load() {
    KEPT.with(|_| ());
}

/// Runs `request` with a connection to the service, which is started if need be. `patience` bounds each connection's
/// use; `None` is for ever. `request` is repeated on a new connection if it asks for that.
///
/// # Errors
/// Those of `request`; [`Kind::Unavailable`] and [`Kind::Busy`] if the service cannot be reached.
pub fn with_service<T>(
    patience: Option<Duration>,
    request: impl FnMut(&mut Client<Channel>) -> Result<Outcome<T>>,
) -> Result<T> {
    converse(patience, true, request).and_then(|done| done.ok_or_else(no_answer))
}

/// The same, but `None` where the service does not run.
pub fn with_running_service<T>(
    patience: Option<Duration>,
    request: impl FnMut(&mut Client<Channel>) -> Result<Outcome<T>>,
) -> Result<Option<T>> {
    converse(patience, false, request)
}

/// A connection to the service, which is started if need be: the one kept from the last request, or a new one.
///
/// # Errors
/// [`Kind::Unavailable`] and [`Kind::Busy`] if the service cannot be reached.
pub fn connect() -> Result<Client<Channel>> {
    Connector::new(true).kept_or_new()?.ok_or_else(no_answer)
}

/// Keeps a usable connection for the next request.
pub fn keep(client: Client<Channel>) {
    KEPT.set(Some(client));
}

/// Waits, and lets interrupts interrupt.
pub fn pause(time: Duration) {
    wait(None, 0, time);
}

fn converse<T>(
    patience: Option<Duration>,
    start: bool,
    mut request: impl FnMut(&mut Client<Channel>) -> Result<Outcome<T>>,
) -> Result<Option<T>> {
    let mut connector = Connector::new(start);
    loop {
        let Some(mut client) = connector.kept_or_new()? else { return Ok(None) };
        client.stream_mut().set_deadline(patience);
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

/// Attempts to reach the service.
struct Connector {
    start: bool,
    since: Instant,
    launched: Option<Instant>,
    no_slot_since: Option<Instant>,
    /// How the last attempt ended, if nobody listened.
    refused: Option<std::io::Error>,
}

impl Connector {
    fn new(start: bool) -> Self {
        Self { start, since: Instant::now(), launched: None, no_slot_since: None, refused: None }
    }

    /// The connection of the last request if it is still good, or a new one.
    fn kept_or_new(&mut self) -> Result<Option<Client<Channel>>> {
        match KEPT.take().filter(|c| c.stream().is_quiet()) {
            Some(client) => Ok(Some(client)),
            None => self.connect(),
        }
    }

    /// A greeted connection; `None` if the service does not run and is not to be started.
    fn connect(&mut self) -> Result<Option<Client<Channel>>> {
        loop {
            match Channel::connect(self.since + STARTUP) {
                Ok(channel) => {
                    self.refused = None;
                    if let Greeting::Welcome(client) = Client::greet(channel, &build())? {
                        return Ok(Some(client));
                    }
                }
                // Nobody listens.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    if !self.start {
                        return Ok(None);
                    }
                    self.refused = Some(e);
                    self.launch()?;
                }
                // Its backlog is full.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Something else is in the socket's place; the supervisor finds that, too.
                Err(e) if self.start && self.since.elapsed() < REPLACED => self.refused = Some(e),
                Err(e) => {
                    return Err(Error::new(
                        Kind::Unavailable,
                        format!("could not connect to the inference service: {e}"),
                    )
                    .detail(format!("Its socket is \"{SOCKET}\" in the data directory.")))
                }
            }
            self.pause()?;
        }
    }

    /// Asks for a supervisor, now and then.
    fn launch(&mut self) -> Result<()> {
        // SAFETY: plain variables of the server.
        let (has_postmaster, slots) = unsafe { (pg_sys::IsUnderPostmaster, pg_sys::max_worker_processes) };
        if !has_postmaster {
            return Err(Error::new(
                Kind::Unsupported,
                "the inference service cannot run in single-user mode",
            ));
        }
        if self.launched.is_some_and(|at| at.elapsed() < RELAUNCH) {
            return Ok(());
        }
        if launch() {
            self.launched = Some(Instant::now());
            self.no_slot_since = None;
            return Ok(());
        }
        let since = *self.no_slot_since.get_or_insert_with(Instant::now);
        if since.elapsed() < NO_SLOT {
            return Ok(());
        }
        Err(Error::new(Kind::Busy, "the inference service could not be started")
            .detail(format!("All {slots} background worker slots of the server are in use."))
            .hint("Raise max_worker_processes and restart the server, or run the statement again later."))
    }

    fn pause(&mut self) -> Result<()> {
        if self.since.elapsed() > STARTUP {
            return Err(self.timed_out());
        }
        wait(None, 0, POLL);
        Ok(())
    }

    fn timed_out(&self) -> Error {
        let seconds = STARTUP.as_secs();
        match &self.refused {
            None => no_answer().detail(format!("It was waited for for {seconds} s.")),
            Some(e) => Error::new(Kind::Unavailable, "the inference service did not start")
                .detail(format!(
                    "For {seconds} s nobody listened on \"{SOCKET}\" in the data directory ({e}), though a supervisor was asked for."
                ))
                .hint("See the server log. A supervisor that hangs keeps others from starting: end it."),
        }
    }
}

fn no_answer() -> Error {
    Error::new(Kind::Unavailable, "the inference service does not answer").hint("See the server log.")
}

/// A connection that waits with the process's latch.
pub struct Channel {
    stream: UnixStream,
    deadline: Option<Instant>,
    _slot: ExternalFd,
}

impl Channel {
    /// Connects without waiting: a blocking connect to a full backlog could not be interrupted.
    fn connect(deadline: Instant) -> std::io::Result<Self> {
        let slot = ExternalFd::acquire()?;
        // SAFETY: system calls on a local record; the descriptor is owned from the moment it is known.
        let stream = unsafe {
            let fd =
                libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
            if fd < 0 {
                return Err(std::io::Error::last_os_error());
            }
            let stream = UnixStream::from_raw_fd(fd);
            let mut address: libc::sockaddr_un = std::mem::zeroed();
            address.sun_family = libc::AF_UNIX as libc::sa_family_t;
            for (to, from) in address.sun_path.iter_mut().zip(SOCKET.bytes()) {
                *to = from as libc::c_char;
            }
            let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
            if libc::connect(fd, (&raw const address).cast(), length) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            stream
        };
        Ok(Self { stream, deadline: Some(deadline), _slot: slot })
    }

    /// One end of a pair, without a deadline.
    ///
    /// # Errors
    /// Of the system, if this process has too many descriptors.
    pub fn with(stream: UnixStream) -> std::io::Result<Self> {
        let slot = ExternalFd::acquire()?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, deadline: None, _slot: slot })
    }

    /// Bounds the waiting from now on; `None` is for ever.
    pub fn set_deadline(&mut self, patience: Option<Duration>) {
        self.deadline = patience.map(|p| Instant::now() + p);
    }

    /// Whether there is something to read, or the end.
    pub fn is_readable(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one record, and no waiting.
        unsafe { libc::poll(&mut poll, 1, 0) > 0 }
    }

    /// Whether the server neither closed the connection nor said goodbye on it.
    fn is_quiet(&self) -> bool {
        matches!((&self.stream).read(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock)
    }

    /// Waits until the socket is ready for `events`.
    fn wait(&self, events: u32) -> std::io::Result<()> {
        let left = match self.deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return Err(ErrorKind::TimedOut.into()),
            Some(left) => left,
            None => Duration::MAX,
        };
        wait(Some(&self.stream), events, left);
        Ok(())
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(pg_sys::WL_SOCKET_READABLE)?,
                done => return done,
            }
        }
    }
}

impl Write for Channel {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.write(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(pg_sys::WL_SOCKET_WRITEABLE)?,
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits for the latch, `events` on `socket` or the time. An interrupt leaves from here as an error, and on its way out
/// Rust closes what the statement had open.
fn wait(socket: Option<&UnixStream>, events: u32, most: Duration) {
    let always = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH | pg_sys::WL_TIMEOUT;
    let (fd, events) = socket.map_or((pg_sys::PGINVALID_SOCKET, 0), |s| (s.as_raw_fd(), events));
    let milliseconds = most.as_millis().clamp(1, 3_600_000) as std::ffi::c_long;
    // SAFETY: the process's own latch and a socket that is open during the call.
    unsafe {
        let woken = pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            (always | events) as i32,
            fd,
            milliseconds,
            pg_sys::PG_WAIT_EXTENSION,
        );
        if woken as u32 & pg_sys::WL_LATCH_SET != 0 {
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
    }
    pgrx::check_for_interrupts!();
}

/// One of the descriptors that the server lets code like ours have.
struct ExternalFd;

impl ExternalFd {
    fn acquire() -> std::io::Result<Self> {
        // SAFETY: counts.
        if unsafe { pg_sys::AcquireExternalFD() } {
            return Ok(Self);
        }
        Err(std::io::Error::last_os_error())
    }
}

impl Drop for ExternalFd {
    fn drop(&mut self) {
        // SAFETY: counts back what `acquire` counted.
        unsafe { pg_sys::ReleaseExternalFD() }
    }
}
