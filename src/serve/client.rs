//! The other end of the socket: one request at a time over a stream that knows how to wait.

use super::protocol::{broken, fits, load_head, Build, EmbedRequest, Reply, Request};
use crate::error::{Error, Kind, Result};
use std::io::{ErrorKind, Read, Write};

/// A greeted connection. It is dropped, never used again, after anything but a whole answer, so that answers cannot be
/// taken for those of other requests.
pub struct Client<S> {
    stream: S,
    usable: bool,
}

/// What a server said to a new connection.
pub enum Greeting<S> {
    /// Ready.
    Welcome(Client<S>),
    /// The process behind it is being replaced: connect again in a moment.
    Retry,
}

/// How a request ended.
#[derive(Debug, PartialEq)]
pub enum Outcome<T> {
    /// The answer.
    Done(T),
    /// The server left before it began on the request: connect again and repeat it.
    Retry,
}

impl<S: Read + Write> Client<S> {
    /// Says hello on a fresh connection.
    ///
    /// # Errors
    /// What the server has against this build, or [`Kind::Unavailable`] when it does not answer in time.
    pub fn greet(stream: S, build: &Build) -> Result<Greeting<S>> {
        let mut client = Self { stream, usable: false };
        match client.exchange(&[&Request::Hello(build.clone()).encode()]) {
            Ok(Reply::Welcome) => {
                client.usable = true;
                Ok(Greeting::Welcome(client))
            }
            Ok(Reply::Goodbye) => Ok(Greeting::Retry),
            Ok(other) => Err(client.refusal(other)),
            Err(e) if is_gone(&e) => Ok(Greeting::Retry),
            Err(e) => Err(broken(&e)),
        }
    }

    /// Whether the connection may be kept for another request.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// The stream, to look whether the server closed it while it was idle.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream, to set how long it may wait.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Raw values of one picture, `[N]`. `model` brings config and weights if the server asks for them.
    ///
    /// # Errors
    /// The server's, `model`'s, or [`Kind::Unavailable`] if the connection breaks.
    pub fn embed(
        &mut self,
        request: &EmbedRequest,
        model: impl FnOnce() -> Result<(String, Vec<u8>)>,
    ) -> Result<Outcome<Vec<f32>>> {
        match self.request(&[&request.encode()])? {
            Reply::Embedding(values) => self.done(values),
            Reply::Goodbye => Ok(Outcome::Retry),
            Reply::NeedModel => {
                let (config, weights) = model()?;
                if !fits(&config, weights.len()) {
                    return Err(Error::new(
                        Kind::LimitExceeded,
                        "the model is too large for the inference service",
                    ));
                }
                match self.request(&[&load_head(&config, weights.len()), &weights])? {
                    Reply::Embedding(values) => self.done(values),
                    other => Err(self.refusal(other)),
                }
            }
            other => Err(self.refusal(other)),
        }
    }

    /// Names and values of the server's counters.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks.
    pub fn status(&mut self) -> Result<Outcome<Vec<(String, u64)>>> {
        match self.request(&[&Request::Status.encode()])? {
            Reply::Status(counters) => self.done(counters),
            Reply::Goodbye => Ok(Outcome::Retry),
            other => Err(self.refusal(other)),
        }
    }

    /// Sends and receives, or says how the connection broke.
    fn request(&mut self, parts: &[&[u8]]) -> Result<Reply> {
        self.exchange(parts).map_err(|e| broken(&e))
    }

    /// Sends and receives; until the answer is known to be whole, the connection counts as lost.
    fn exchange(&mut self, parts: &[&[u8]]) -> std::io::Result<Reply> {
        self.usable = false;
        for part in parts {
            match self.stream.write_all(part) {
                // The server's last word, if it left one, says more than the failed write.
                Err(e) if is_gone(&e) => break,
                sent => sent?,
            }
        }
        Reply::read(&mut self.stream)
    }

    fn done<T>(&mut self, value: T) -> Result<Outcome<T>> {
        self.usable = true;
        Ok(Outcome::Done(value))
    }

    /// The error in a reply that is not the one asked for.
    fn refusal(&mut self, reply: Reply) -> Error {
        match reply {
            Reply::Error(error) => {
                self.usable = true;
                error
            }
            other => unexpected(&other),
        }
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(Kind::Internal, "unexpected answer from the inference service")
        .detail(format!("Found {reply:?}."))
}
