//! The other end of the socket, over a stream that knows how to wait.

use super::counters::Status;
use super::wire::{broken, fits, load_head, Build, EmbedRequest, Reply, Request};
use crate::error::{Error, Kind, Result};
use crate::memory;
use std::io::{ErrorKind, Read, Write};

/// A greeted connection. It is dropped, never used again, after anything but whole answers to all its requests, so that
/// answers cannot be taken for those of other requests.
pub struct Client<S> {
    stream: S,
    whole: bool,
    unanswered: usize,
    in_flight: usize,
}

/// What a frame has beside its pixels or its text, at most.
const FRAME: usize = 256;

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

/// What the server said to the requests under way.
#[derive(Debug)]
pub enum Answer {
    /// The answer to the request of this id: raw values `[N]`, or why there are none.
    Done(u32, Result<Vec<f32>>),
    /// It wants [`Client::bring`] before it goes on.
    NeedModel,
    /// It left before it began on those that have no answer: connect again and repeat them.
    Goodbye,
}

impl<S: Read + Write> Client<S> {
    /// Says hello on a fresh connection.
    ///
    /// # Errors
    /// What the server has against this build, or [`Kind::Unavailable`] when it does not answer in time.
    pub fn greet(stream: S, build: &Build) -> Result<Greeting<S>> {
        let mut client = Self { stream, whole: true, unanswered: 0, in_flight: 1 };
        match client.exchange(&Request::Hello(build.clone())) {
            Ok(Reply::Welcome { in_flight }) => {
                client.in_flight = in_flight.max(1) as usize;
                Ok(Greeting::Welcome(client))
            }
            Ok(Reply::Goodbye) => Ok(Greeting::Retry),
            Ok(Reply::Error(error)) => Err(error),
            Ok(other) => Err(unexpected(&other)),
            Err(e) if is_gone(&e) => Ok(Greeting::Retry),
            Err(e) => Err(broken(&e)),
        }
    }

    /// Whether the connection may be kept for another request.
    pub fn is_usable(&self) -> bool {
        self.whole && self.unanswered == 0
    }

    /// How many pictures may be under way at once.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The stream, to look whether the server closed it while it was idle.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream, to set how long it may wait.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends a picture; [`Client::receive`] has its answer, which carries its `id`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks.
    pub fn send(&mut self, id: u32, request: &EmbedRequest) -> Result<()> {
        memory::headroom(request.pixels.len() + FRAME)?;
        self.unanswered += 1;
        self.write(&[&request.encode(id)]).map_err(|e| broken(&e))
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks.
    pub fn receive(&mut self) -> Result<Answer> {
        let (id, answer) = match self.read().map_err(|e| broken(&e))? {
            Reply::Embedding(id, values) => (id, Ok(values)),
            Reply::Failed(id, error) => (id, Err(error)),
            Reply::NeedModel => return Ok(Answer::NeedModel),
            Reply::Goodbye => {
                self.whole = false;
                return Ok(Answer::Goodbye);
            }
            other => {
                self.whole = false;
                return Err(unexpected(&other));
            }
        };
        self.unanswered = self.unanswered.saturating_sub(1);
        Ok(Answer::Done(id, answer))
    }

    /// Brings the model that the server asked for.
    ///
    /// # Errors
    /// [`Kind::LimitExceeded`] if it is too large to travel, [`Kind::Unavailable`] if the connection breaks.
    pub fn bring(&mut self, config: &str, weights: &[u8]) -> Result<()> {
        if !fits(config, weights.len()) {
            return Err(Error::new(Kind::LimitExceeded, "the model is too large for the inference service"));
        }
        memory::headroom(config.len() + FRAME)?;
        self.write(&[&load_head(config, weights.len()), weights]).map_err(|e| broken(&e))
    }

    /// Raw values of one picture, `[N]`. `model` brings config and weights if the server asks for them.
    ///
    /// # Errors
    /// The server's, `model`'s, or [`Kind::Unavailable`] if the connection breaks.
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
                    self.bring(&config, &weights)?;
                }
            }
        }
    }

    /// What the server is doing.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks.
    pub fn status(&mut self) -> Result<Outcome<Status>> {
        match self.exchange(&Request::Status).map_err(|e| broken(&e))? {
            Reply::Status(status) => Ok(Outcome::Done(status)),
            Reply::Goodbye => {
                self.whole = false;
                Ok(Outcome::Retry)
            }
            other => {
                self.whole = false;
                Err(unexpected(&other))
            }
        }
    }

    /// Has the server's process replaced by a new one. This connection ends.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the connection breaks in another way than by the server's leaving.
    pub fn restart(&mut self) -> Result<Outcome<()>> {
        let reply = self.exchange(&Request::Restart);
        self.whole = false;
        match reply {
            Ok(Reply::Goodbye) => Ok(Outcome::Done(())),
            Ok(other) => Err(unexpected(&other)),
            Err(e) if is_gone(&e) => Ok(Outcome::Done(())),
            Err(e) => Err(broken(&e)),
        }
    }

    fn exchange(&mut self, request: &Request) -> std::io::Result<Reply> {
        self.write(&[&request.encode()])?;
        self.read()
    }

    /// Until all of it is sent, the connection counts as lost.
    fn write(&mut self, parts: &[&[u8]]) -> std::io::Result<()> {
        let whole = std::mem::take(&mut self.whole);
        for part in parts {
            match self.stream.write_all(part) {
                // The server's last word, if it left one, says more than the failed write.
                Err(e) if is_gone(&e) => return Ok(()),
                sent => sent?,
            }
        }
        self.whole = whole;
        Ok(())
    }

    /// Until the answer is known to be whole, the connection counts as lost.
    fn read(&mut self) -> std::io::Result<Reply> {
        let whole = std::mem::take(&mut self.whole);
        let reply = Reply::read(&mut self.stream)?;
        self.whole = whole;
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
