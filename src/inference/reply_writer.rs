//! The write half of a connection, shared by the thread that reads the connection's requests and the batcher's threads, which answer them.

use super::threads::lock;
use super::wire_protocol::Reply;
use crate::error::Result;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a write may block. Answers fit into the socket's buffer, because a client has few requests under way; so a client that
/// lets a write block is not reading.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends replies, and counts the requests that have none yet.
pub(super) struct ReplyWriter {
    state: Mutex<State>,
    /// Set when the client has disconnected: its jobs are skipped.
    pub cancelled: Arc<AtomicBool>,
    max_in_flight: u32,
}

struct State {
    stream: UnixStream,
    /// Requests under way.
    in_flight: u32,
}

impl ReplyWriter {
    /// Writes to a second handle of `stream`.
    ///
    /// # Errors
    /// Those of the system, for want of descriptors.
    pub fn new(stream: &UnixStream, max_in_flight: u32) -> std::io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let state = Mutex::new(State { stream: stream.try_clone()?, in_flight: 0 });
        Ok(Self { state, cancelled: Arc::default(), max_in_flight })
    }

    /// Counts a request as under way. Returns false, and does not count it, if there are too many.
    pub fn begin_request(&self) -> bool {
        let mut state = lock(&self.state);
        let allowed = state.in_flight < self.max_in_flight;
        state.in_flight += u32::from(allowed);
        allowed
    }

    /// Undoes a [`ReplyWriter::begin_request`].
    pub fn withdraw_request(&self) {
        lock(&self.state).in_flight -= 1;
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        lock(&self.state).in_flight > 0
    }

    /// Sends a message that does not answer an image.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn send(&self, reply: &Reply) -> std::io::Result<()> {
        lock(&self.state).stream.write_all(&reply.encode())
    }

    /// Sends the answer to an image under way.
    pub fn answer(&self, id: u32, answer: Result<Vec<f32>>) {
        let reply = answer.map_or_else(|e| Reply::Failed(id, e), |values| Reply::Embedding(id, values));
        let mut state = lock(&self.state);
        state.in_flight -= 1;
        if state.stream.write_all(&reply.encode()).is_err() {
            let _ = state.stream.shutdown(Shutdown::Both);
        }
    }

    /// Says goodbye and ends the connection, unless a request is under way. Returns whether one is.
    pub fn say_goodbye_if_idle(&self) -> bool {
        let mut state = lock(&self.state);
        let busy = state.in_flight > 0;
        if !busy {
            let _ = state.stream.write_all(&Reply::Goodbye.encode());
            let _ = state.stream.shutdown(Shutdown::Both);
        }
        busy
    }

    /// Ends the connection, and cancels the jobs that are under way on it.
    pub fn close(&self) {
        self.cancelled.store(true, SeqCst);
        let _ = lock(&self.state).stream.shutdown(Shutdown::Both);
    }
}
