//! The session's end of a connection. It speaks the protocol over any stream; how the stream waits is the stream's business.

use super::counters::Status;
use super::wire_protocol::{
    connection_error, fits_in_load, load_frame_start, Build, EmbedRequest, Reply, Request,
};
use crate::error::{Error, Kind, Result};
use crate::memory;
use std::io::{ErrorKind, Read, Write};

/// A connection that the server has welcomed. After anything but complete answers to all its requests it must be dropped, so that an
/// answer is never taken for that of another request: see [`Client::is_usable`].
pub struct Client<S> {
    stream: S,
    /// Whether the stream stands between two messages. Cleared while one is written or read, and for good if that fails.
    at_frame_boundary: bool,
    /// Requests that have been sent and not been answered.
    unanswered: usize,
    /// How many the server accepts at once.
    max_in_flight: usize,
}

/// Most bytes of a frame besides its pixels or its text.
const FRAME_OVERHEAD: usize = 256;

/// The server's answer to a new connection.
pub enum Greeting<S> {
    /// The connection is ready for requests.
    Welcome(Client<S>),
    /// The model process is being replaced: connect again in a moment.
    Retry,
}

/// How a request ended.
#[derive(Debug, PartialEq)]
pub enum Outcome<T> {
    /// The server answered.
    Done(T),
    /// The server is leaving and has not begun the request: connect again and repeat it.
    Retry,
}

/// A message about the images under way.
#[derive(Debug)]
pub enum Answer {
    /// For the image with this id: its raw embedding `[N]`, or an error.
    Done(u32, Result<Vec<f32>>),
    /// The server needs [`Client::send_model`] before it goes on.
    NeedModel,
    /// The server is leaving and has not begun the images that have no answer: connect again and send them again.
    Goodbye,
}

impl<S: Read + Write> Client<S> {
    /// Says hello on a new connection.
    ///
    /// # Errors
    /// The server's reason to refuse this build, or [`Kind::Unavailable`] when it does not answer in time.
    pub fn greet(stream: S, build: &Build) -> Result<Greeting<S>> {
        let mut client = Self { stream, at_frame_boundary: true, unanswered: 0, max_in_flight: 1 };
        match client.exchange(&Request::Hello(build.clone())) {
            Ok(Reply::Welcome { in_flight }) => {
                client.max_in_flight = in_flight.max(1) as usize;
                Ok(Greeting::Welcome(client))
            }
            Ok(Reply::Goodbye) => Ok(Greeting::Retry),
            Ok(Reply::Error(error)) => Err(error),
            Ok(other) => Err(unexpected(&other)),
            Err(e) if is_gone(&e) => Ok(Greeting::Retry),
            Err(e) => Err(connection_error(&e)),
        }
    }

    /// Whether the connection may be kept for another request.
    pub fn is_usable(&self) -> bool {
        self.at_frame_boundary && self.unanswered == 0
    }

    /// How many images may be under way at once.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// The stream, to see whether the server closed it while it was idle.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream, to set how long it may wait.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends an image. [`Client::receive`] returns its answer under the same `id`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks.
    pub fn send(&mut self, id: u32, request: &EmbedRequest) -> Result<()> {
        memory::headroom(request.pixels.len() + FRAME_OVERHEAD)?;
        self.unanswered += 1;
        self.write(&[&request.encode(id)]).map_err(|e| connection_error(&e))
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks.
    pub fn receive(&mut self) -> Result<Answer> {
        let (id, answer) = match self.read().map_err(|e| connection_error(&e))? {
            Reply::Embedding(id, values) => (id, Ok(values)),
            Reply::Failed(id, error) => (id, Err(error)),
            Reply::NeedModel => return Ok(Answer::NeedModel),
            Reply::Goodbye => {
                self.at_frame_boundary = false;
                return Ok(Answer::Goodbye);
            }
            other => {
                self.at_frame_boundary = false;
                return Err(unexpected(&other));
            }
        };
        self.unanswered = self.unanswered.saturating_sub(1);
        Ok(Answer::Done(id, answer))
    }

    /// Sends the model that the server asked for.
    ///
    /// # Errors
    /// [`Kind::LimitExceeded`] if it does not fit into one message, [`Kind::Unavailable`] if the connection breaks.
    pub fn send_model(&mut self, config: &str, weights: &[u8]) -> Result<()> {
        if !fits_in_load(config, weights.len()) {
            return Err(Error::new(Kind::LimitExceeded, "the model is too large for the inference service"));
        }
        memory::headroom(config.len() + FRAME_OVERHEAD)?;
        self.write(&[&load_frame_start(config, weights.len()), weights]).map_err(|e| connection_error(&e))
    }

    /// The raw embedding `[N]` of one image. `model` returns the model's config and weights; it is called if the server asks for them.
    ///
    /// # Errors
    /// Those of the server and of `model`; [`Kind::Unavailable`] if the connection breaks.
    pub fn embed(
        &mut self,
        request: &EmbedRequest,
        mut model: impl FnMut() -> Result<(String, Vec<u8>)>,
    ) -> Result<Outcome<Vec<f32>>> {
        self.send(0, request)?;
        loop {
            match self.receive()? {
                Answer::Done(_, values) => return values.map(Outcome::Done),
                Answer::Goodbye => return Ok(Outcome::Retry),
                Answer::NeedModel => {
                    let (config, weights) = model()?;
                    self.send_model(&config, &weights)?;
                }
            }
        }
    }

    /// The server's state and counters.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks.
    pub fn status(&mut self) -> Result<Outcome<Status>> {
        match self.exchange(&Request::Status).map_err(|e| connection_error(&e))? {
            Reply::Status(status) => Ok(Outcome::Done(status)),
            Reply::Goodbye => {
                self.at_frame_boundary = false;
                Ok(Outcome::Retry)
            }
            other => {
                self.at_frame_boundary = false;
                Err(unexpected(&other))
            }
        }
    }

    /// Asks the server to have its process replaced by a new one, which ends this connection.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks otherwise than by the server closing it.
    pub fn restart(&mut self) -> Result<Outcome<()>> {
        let reply = self.exchange(&Request::Restart);
        self.at_frame_boundary = false;
        match reply {
            Ok(Reply::Goodbye) => Ok(Outcome::Done(())),
            Ok(other) => Err(unexpected(&other)),
            Err(e) if is_gone(&e) => Ok(Outcome::Done(())),
            Err(e) => Err(connection_error(&e)),
        }
    }

    fn exchange(&mut self, request: &Request) -> std::io::Result<Reply> {
        self.write(&[&request.encode()])?;
        self.read()
    }

    /// Writes a message. If that fails halfway, or unwinds on an interrupt, the connection stays unusable.
    fn write(&mut self, parts: &[&[u8]]) -> std::io::Result<()> {
        let at_boundary = std::mem::take(&mut self.at_frame_boundary);
        for part in parts {
            match self.stream.write_all(part) {
                // The server may have sent a last message, which says more than the failed write: the next read finds it.
                Err(e) if is_gone(&e) => return Ok(()),
                sent => sent?,
            }
        }
        self.at_frame_boundary = at_boundary;
        Ok(())
    }

    /// Reads a message. If that fails halfway, or unwinds on an interrupt, the connection stays unusable.
    fn read(&mut self) -> std::io::Result<Reply> {
        let at_boundary = std::mem::take(&mut self.at_frame_boundary);
        let reply = Reply::read(&mut self.stream)?;
        self.at_frame_boundary = at_boundary;
        Ok(reply)
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(Kind::Internal, "unexpected answer from the inference service")
        .detail(format!("Found {}.", reply.name()))
}
