//! Runs a server from its start to its end, and tells the parent process by an exit code why it ended.

use super::model_loader::LoadModel;
use super::server_log::log_line;
use super::socket_server::{EndRequest, Server, ServerOptions};
use super::threads::spawn;
use crate::error::Result;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a process that ends may take to answer the requests that it has begun.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Why a model process ended; the supervisor acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// The supervisor asked it to end.
    AskedToEnd,
    /// A client runs a newer build of the library.
    NewerClient,
    /// Model code panicked, or its device is lost.
    Broken,
    /// It could not start.
    StartFailed,
    /// A client asked for a new process: `coop_worker_restart()`.
    RestartRequested,
    /// The device that it should compute on cannot be used, or the separate program does not fit the library.
    DeviceUnusable,
}

impl ExitReason {
    const CODES: [(Self, i32); 6] = [
        (Self::AskedToEnd, 0),
        (Self::NewerClient, 10),
        (Self::Broken, 11),
        (Self::StartFailed, 12),
        (Self::RestartRequested, 13),
        (Self::DeviceUnusable, 14),
    ];

    /// The exit code for this reason.
    pub fn code(self) -> i32 {
        Self::CODES.iter().find(|(reason, _)| *reason == self).map_or(1, |(_, code)| *code)
    }

    /// The reason for an exit code; `None` for codes that no model process uses.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::CODES.iter().find(|(_, known)| *known == code).map(|(reason, _)| *reason)
    }
}

/// Serves whoever connects to `listener` until the server has to end, or until `wait_for_end` returns, which runs on a thread of its
/// own. Then answers the requests that it has begun, within [`DRAIN`].
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) if the system refuses a thread.
pub fn serve(
    listener: UnixListener,
    options: ServerOptions,
    loader: impl LoadModel,
    wait_for_end: impl FnOnce() + Send + 'static,
) -> Result<ExitReason> {
    let (sender, reasons) = channel();
    let from_server = sender.clone();
    let server = Server::start(options, loader, move |request| {
        // Sending fails once an earlier reason has been acted on.
        let _ = from_server.send(match request {
            EndRequest::NewerClient => ExitReason::NewerClient,
            EndRequest::Broken => ExitReason::Broken,
            EndRequest::Restart => ExitReason::RestartRequested,
        });
    })?;
    let acceptor = server.clone();
    spawn("accept", move || acceptor.accept(&listener))?;
    spawn("wait for end", move || {
        wait_for_end();
        let _ = sender.send(ExitReason::AskedToEnd);
    })?;
    let reason = reasons.recv().unwrap_or(ExitReason::AskedToEnd);
    if !server.drain(DRAIN) {
        log_line("ends with requests unanswered");
    }
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_reasons_apart() {
        for (reason, code) in ExitReason::CODES {
            assert_eq!((reason.code(), ExitReason::from_code(code)), (code, Some(reason)));
        }
        assert_eq!(ExitReason::from_code(1), None);
    }
}
