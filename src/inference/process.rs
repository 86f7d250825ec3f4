//! The life of a process that serves: until it is asked to leave, or has to.

use super::{Loader, Notice, Options, Server};
use crate::error::{Error, Kind, Result};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a process that leaves may take to answer what it has begun on.
pub const DRAIN: Duration = Duration::from_secs(30);

/// How a process came to its end; what its parent has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to leave.
    Left,
    /// A client runs a newer build of the library.
    NewerClient,
    /// Model code panicked, or its device is lost.
    Broken,
    /// It could not start.
    NoStart,
    /// Somebody asked for a new process.
    Restart,
    /// The device that it should compute on cannot be used, or it is a program of another version.
    NoDevice,
}

impl End {
    const CODES: [(Self, i32); 6] = [
        (Self::Left, 0),
        (Self::NewerClient, 10),
        (Self::Broken, 11),
        (Self::NoStart, 12),
        (Self::Restart, 13),
        (Self::NoDevice, 14),
    ];

    /// The exit code that tells it.
    pub fn code(self) -> i32 {
        Self::CODES.iter().find(|(end, _)| *end == self).map_or(1, |(_, code)| *code)
    }

    /// What an exit code tells.
    pub fn of(code: i32) -> Option<Self> {
        Self::CODES.iter().find(|(_, known)| *known == code).map(|(end, _)| *end)
    }
}

/// Serves whoever connects until `leave` returns, which runs on a thread of its own, or until the server has to end; then answers
/// what has been begun.
///
/// # Errors
/// [`Kind::Io`] if the system gives no thread.
pub fn run(
    listener: UnixListener,
    options: Options,
    loader: impl Loader,
    leave: impl FnOnce() + Send + 'static,
) -> Result<End> {
    let (end, ends) = channel();
    let notice = end.clone();
    let server = Server::start(options, loader, move |cause| {
        // Nobody listens any more once there has been one.
        let _ = notice.send(match cause {
            Notice::NewerClient => End::NewerClient,
            Notice::Broken => End::Broken,
            Notice::Restart => End::Restart,
        });
    })?;
    let acceptor = server.clone();
    spawn("accept", move || acceptor.accept(&listener))?;
    spawn("leave", move || {
        leave();
        let _ = end.send(End::Left);
    })?;
    let cause = ends.recv().unwrap_or(End::Left);
    if !server.drain(DRAIN) {
        say("ends with requests unanswered");
    }
    Ok(cause)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).map_err(|e| Error::new(Kind::Io, format!("could not start a thread: {e}")))
}

/// A line for the server's log, which this process's standard error is.
pub fn say(text: &str) {
    // Not eprintln!: it panics when the log is gone.
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "coopembed model process (PID {}): {text}", std::process::id());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_ends_apart() {
        for (end, code) in End::CODES {
            assert_eq!((end.code(), End::of(code)), (code, Some(end)));
        }
        assert_eq!(End::of(1), None);
    }
}
