//! A Unix socket whose reads and writes wait with the process's latch, so that cancel, `statement_timeout` and shutdown interrupt them.

use super::endpoint::SOCKET_PATH;
use pgrx::pg_sys;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A non-blocking socket and the deadline of its waits. An interrupt leaves a read or write as a PostgreSQL error, which pgrx raises as a
/// panic; the sockets of the statement are closed as it unwinds.
pub struct LatchSocket {
    stream: UnixStream,
    deadline: Option<Instant>,
    _descriptor: ExternalDescriptor,
}

impl LatchSocket {
    /// Connects to the inference service without waiting: a blocking connect to a full backlog could not be interrupted.
    ///
    /// # Errors
    /// Those of connect; `WouldBlock` if the backlog is full.
    pub fn connect_to_service(deadline: Instant) -> std::io::Result<Self> {
        let descriptor = ExternalDescriptor::acquire()?;
        // SAFETY: system calls. `stream` owns the descriptor from the moment it is known; the address is a local record of plain data,
        // for which all zeros is valid, and SOCKET_PATH is shorter than its path.
        let stream = unsafe {
            let fd =
                libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
            if fd < 0 {
                return Err(std::io::Error::last_os_error());
            }
            let stream = UnixStream::from_raw_fd(fd);
            let mut address: libc::sockaddr_un = std::mem::zeroed();
            address.sun_family = libc::AF_UNIX as libc::sa_family_t;
            for (to, from) in address.sun_path.iter_mut().zip(SOCKET_PATH.bytes()) {
                *to = from as libc::c_char;
            }
            let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
            if libc::connect(fd, (&raw const address).cast(), length) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            stream
        };
        Ok(Self { stream, deadline: Some(deadline), _descriptor: descriptor })
    }

    /// Wraps one end of a socket pair, without a deadline.
    ///
    /// # Errors
    /// Those of the system, if this process has too many descriptors.
    pub fn from_stream(stream: UnixStream) -> std::io::Result<Self> {
        let descriptor = ExternalDescriptor::acquire()?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, deadline: None, _descriptor: descriptor })
    }

    /// Limits all waits from now on, together, to `timeout`; `None` is no limit.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.deadline = timeout.map(|t| Instant::now() + t);
    }

    /// Whether a read would return at once: bytes have arrived, or the other end was closed.
    pub fn is_readable(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: a system call on one local record, without waiting.
        unsafe { libc::poll(&mut poll, 1, 0) > 0 }
    }

    /// Whether the connection is open and nothing has arrived on it. Consumes a byte if something has: the connection is then not to be
    /// used again.
    pub fn is_open_and_idle(&self) -> bool {
        matches!((&self.stream).read(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock)
    }

    /// Waits until the socket is ready for `events`, `TimedOut` after the deadline. It may return early: the caller tries again.
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

impl Read for LatchSocket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(pg_sys::WL_SOCKET_READABLE)?,
                done => return done,
            }
        }
    }
}

impl Write for LatchSocket {
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

/// Sleeps for at most `time`, interruptibly. Anything that sets the latch ends it early.
pub fn sleep(time: Duration) {
    wait(None, 0, time);
}

/// Waits for the latch, for `events` on `socket`, or for `timeout`, whichever comes first, and then handles interrupts.
fn wait(socket: Option<&UnixStream>, events: u32, timeout: Duration) {
    let always = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH | pg_sys::WL_TIMEOUT;
    let (fd, events) = socket.map_or((pg_sys::PGINVALID_SOCKET, 0), |s| (s.as_raw_fd(), events));
    let milliseconds = timeout.as_millis().clamp(1, 3_600_000) as std::ffi::c_long;
    // SAFETY: waits for and resets this process's own latch, which lives as long as the process; the socket is borrowed, and so open,
    // during the call.
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

/// A descriptor reserved with the server, which limits how many a process has open.
struct ExternalDescriptor;

impl ExternalDescriptor {
    fn acquire() -> std::io::Result<Self> {
        // SAFETY: increments a counter of this process, closing cached files of the server if there are too many.
        if unsafe { pg_sys::AcquireExternalFD() } {
            return Ok(Self);
        }
        Err(std::io::Error::last_os_error())
    }
}

impl Drop for ExternalDescriptor {
    fn drop(&mut self) {
        // SAFETY: decrements the counter that `acquire` incremented.
        unsafe { pg_sys::ReleaseExternalFD() }
    }
}
