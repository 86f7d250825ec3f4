//! The messages between a session and the model process. `frame.rs` has their bytes: a type byte, a little-endian `u32` length and a body,
//! in both directions.
//!
//! ```text
//! client                         server
//! Hello {build}                ->    Welcome {in_flight} | Goodbye | Error
//! Embed {id, model, pixels}    ->    Embedding {id} | Failed {id, error} | NeedModel
//! Load {config, weights}       ->    answers the Embed that needed it
//! Status                       ->    Status {device, counters, batch sizes}
//! Restart                      ->    Goodbye
//! ```
//!
//! Up to `in_flight` images may be under way on one connection, and their answers come in any order. After `NeedModel` the other images
//! wait for the `Load`. `Goodbye` ends the connection: the server has not begun any image without an answer, so the client sends those
//! again on a new connection.
//!
//! `Hello`, `Goodbye` and `Error` never change, so that a session and a model process of any two versions understand each other well
//! enough to have the process replaced.

mod frame;
#[cfg(test)]
mod tests;

use super::counters::{BatchSizeBucket, Status};
use crate::error::{Error, Kind};
use crate::memory;
use crate::model::ModelDigest;
use frame::{malformed, read_body, tag, FrameReader, FrameWriter, MAX_BODY, MAX_LOAD};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Raised by one whenever a message other than `Hello`, `Goodbye` and `Error` changes.
pub const PROTOCOL_VERSION: u32 = 2;

/// Identifies the library file that a process has loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// The crate's version.
    pub version: String,
    /// When the library's file was installed, in nanoseconds since 1970: tells which of two builds is newer.
    pub installed: u64,
}

impl Build {
    /// This library, installed at `installed`.
    pub fn this(installed: u64) -> Self {
        Self { protocol: PROTOCOL_VERSION, version: env!("CARGO_PKG_VERSION").to_owned(), installed }
    }

    /// Whether a server of this build serves `client`: the same code, or a newer build of it.
    pub fn serves(&self, client: &Build) -> bool {
        self.protocol == client.protocol
            && self.version == client.version
            && self.installed >= client.installed
    }
}

/// Which requests are served first when several wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for this answer.
    Interactive,
    /// One of many requests of a long statement.
    Bulk,
}

/// A request to embed one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedRequest {
    /// Digest of the model that embeds it.
    pub model: ModelDigest,
    /// Its priority in the queue.
    pub priority: Priority,
    /// How long it may wait in the queue, in milliseconds.
    pub timeout_ms: u32,
    /// How long the client took to decode and prepare the image, in microseconds; for the statistics.
    pub decode_us: u32,
    /// The prepared image, `[size, size, 3]`.
    pub pixels: Vec<u8>,
}

impl EmbedRequest {
    /// The `Embed` frame. `id` is the number by which the answer on this connection names the request.
    pub(crate) fn encode(&self, id: u32) -> Vec<u8> {
        let mut frame = FrameWriter::new(tag::EMBED);
        frame.bytes(&id.to_le_bytes());
        frame.bytes(&self.model.0);
        frame.bytes(&[u8::from(self.priority == Priority::Bulk)]);
        frame.bytes(&self.timeout_ms.to_le_bytes());
        frame.bytes(&self.decode_us.to_le_bytes());
        frame.bytes(&self.pixels);
        frame.finish()
    }
}

/// A message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Hello(Build),
    Embed(u32, EmbedRequest),
    Load { config: String, weights: Vec<u8> },
    Status,
    Restart,
}

/// A message of the server.
#[derive(Debug)]
pub(crate) enum Reply {
    Welcome { in_flight: u32 },
    Embedding(u32, Vec<f32>),
    Failed(u32, Error),
    NeedModel,
    Status(Status),
    Error(Error),
    Goodbye,
}

/// The first bytes of `Hello`.
const MAGIC: &[u8; 4] = b"coop";

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(build) => {
                let mut frame = FrameWriter::new(tag::HELLO);
                frame.bytes(MAGIC);
                frame.bytes(&build.protocol.to_le_bytes());
                frame.bytes(&build.installed.to_le_bytes());
                frame.text(&build.version);
                frame.finish()
            }
            Self::Embed(id, e) => e.encode(*id),
            Self::Load { config, weights } => {
                let mut frame = load_frame_start(config, weights.len());
                frame.extend_from_slice(weights);
                frame
            }
            Self::Status => FrameWriter::new(tag::STATUS).finish(),
            Self::Restart => FrameWriter::new(tag::RESTART).finish(),
        }
    }

    /// Reads the rest of a frame whose type byte was `tag`.
    pub fn read(tag: u8, stream: &mut impl Read) -> std::io::Result<Self> {
        let limit = if tag == tag::LOAD { MAX_LOAD } else { MAX_BODY };
        let body = read_body(stream, limit)?;
        Self::decode(tag, body).ok_or_else(|| malformed("request"))
    }

    fn decode(tag: u8, mut body: Vec<u8>) -> Option<Self> {
        let mut reader = FrameReader(&body);
        match tag {
            tag::HELLO => {
                (reader.array()? == *MAGIC).then_some(())?;
                let protocol = reader.u32()?;
                let installed = reader.u64()?;
                Some(Self::Hello(Build { protocol, installed, version: reader.text()? }))
            }
            tag::EMBED => {
                let id = reader.u32()?;
                let model = ModelDigest(reader.array()?);
                let [bulk] = reader.array()?;
                let timeout_ms = reader.u32()?;
                let decode_us = reader.u32()?;
                let priority = if bulk == 0 { Priority::Interactive } else { Priority::Bulk };
                // Moves what follows to the front of the same buffer, instead of copying it to a second one.
                body.drain(..body.len() - reader.0.len());
                Some(Self::Embed(id, EmbedRequest { model, priority, timeout_ms, decode_us, pixels: body }))
            }
            tag::LOAD => {
                let config = reader.text()?;
                // Moves what follows to the front of the same buffer, instead of copying it to a second one.
                body.drain(..body.len() - reader.0.len());
                Some(Self::Load { config, weights: body })
            }
            tag::STATUS => body.is_empty().then_some(Self::Status),
            tag::RESTART => body.is_empty().then_some(Self::Restart),
            _ => None,
        }
    }
}

/// The start of a `Load` frame. The caller sends `weights` bytes after it, straight from where they are.
pub(crate) fn load_frame_start(config: &str, weights: usize) -> Vec<u8> {
    let mut frame = FrameWriter::new(tag::LOAD);
    frame.text(config);
    frame.finish_before(weights)
}

/// Whether a model fits into a `Load` frame.
pub(crate) fn fits_in_load(config: &str, weights: usize) -> bool {
    config.len() + weights + 16 <= MAX_LOAD as usize
}

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome { in_flight } => {
                let mut frame = FrameWriter::new(tag::WELCOME);
                frame.bytes(&in_flight.to_le_bytes());
                frame.finish()
            }
            Self::Embedding(id, values) => {
                let mut frame = FrameWriter::new(tag::EMBEDDING);
                frame.bytes(&id.to_le_bytes());
                values.iter().for_each(|v| frame.bytes(&v.to_le_bytes()));
                frame.finish()
            }
            Self::NeedModel => FrameWriter::new(tag::NEED_MODEL).finish(),
            Self::Status(status) => {
                let mut frame = FrameWriter::new(tag::STATUS);
                frame.text(&status.device);
                frame.bytes(&(status.counters.len() as u32).to_le_bytes());
                for (name, value) in &status.counters {
                    frame.text(name);
                    frame.bytes(&value.to_le_bytes());
                }
                for bucket in &status.batch_sizes {
                    [bucket.size, bucket.batches, bucket.images]
                        .iter()
                        .for_each(|n| frame.bytes(&n.to_le_bytes()));
                }
                frame.finish()
            }
            Self::Error(e) => {
                let mut frame = FrameWriter::new(tag::ERROR);
                frame.error(e);
                frame.finish()
            }
            Self::Failed(id, e) => {
                let mut frame = FrameWriter::new(tag::FAILED);
                frame.bytes(&id.to_le_bytes());
                frame.error(e);
                frame.finish()
            }
            Self::Goodbye => FrameWriter::new(tag::GOODBYE).finish(),
        }
    }

    /// The message's name, for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "Welcome",
            Self::Embedding(..) => "Embedding",
            Self::Failed(..) => "Failed",
            Self::NeedModel => "NeedModel",
            Self::Status(_) => "Status",
            Self::Error(_) => "Error",
            Self::Goodbye => "Goodbye",
        }
    }

    /// Reads one frame.
    pub fn read(stream: &mut impl Read) -> std::io::Result<Self> {
        let mut tag = [0];
        stream.read_exact(&mut tag)?;
        let body = read_body(stream, MAX_BODY)?;
        // A list of counters grows most when it is decoded: a counter of 12 bytes or more becomes 32 bytes and its name, in a vector that
        // doubles its capacity.
        memory::headroom(body.len() * 8).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        Self::decode(tag[0], &body).ok_or_else(|| malformed("reply"))
    }

    fn decode(tag: u8, body: &[u8]) -> Option<Self> {
        let mut reader = FrameReader(body);
        match tag {
            tag::WELCOME => Some(Self::Welcome { in_flight: reader.u32()? }),
            tag::EMBEDDING => {
                let id = reader.u32()?;
                let (numbers, rest) = reader.0.as_chunks::<4>();
                rest.is_empty()
                    .then(|| Self::Embedding(id, numbers.iter().map(|n| f32::from_le_bytes(*n)).collect()))
            }
            tag::FAILED => Some(Self::Failed(reader.u32()?, reader.error()?)),
            tag::NEED_MODEL => Some(Self::NeedModel),
            tag::STATUS => {
                let mut status = Status { device: reader.text()?, ..Status::default() };
                for _ in 0..reader.u32()? {
                    status.counters.push((reader.text()?, reader.u64()?));
                }
                while !reader.0.is_empty() {
                    let (size, batches, images) = (reader.u64()?, reader.u64()?, reader.u64()?);
                    status.batch_sizes.push(BatchSizeBucket { size, batches, images });
                }
                Some(Self::Status(status))
            }
            tag::ERROR => Some(Self::Error(reader.error()?)),
            tag::GOODBYE => Some(Self::Goodbye),
            _ => None,
        }
    }
}

/// Sends an error to another process of this library, as an `Error` frame.
///
/// # Errors
/// Those of the stream.
pub fn write_error(stream: &mut impl std::io::Write, error: &Error) -> std::io::Result<()> {
    let mut frame = FrameWriter::new(tag::ERROR);
    frame.error(error);
    stream.write_all(&frame.finish())
}

/// Receives an error that [`write_error`] sent.
///
/// # Errors
/// Those of the stream, and `InvalidData` for anything but an `Error` frame.
pub fn read_error(stream: &mut impl Read) -> std::io::Result<Error> {
    match Reply::read(stream)? {
        Reply::Error(error) => Ok(error),
        _ => Err(malformed("error")),
    }
}

/// The user's [`Error`] for a broken connection to the model process.
pub(crate) fn connection_error(error: &std::io::Error) -> Error {
    use std::io::ErrorKind as E;
    let (message, hint) = match error.kind() {
        E::OutOfMemory => return memory::out_of_memory(MAX_BODY as usize),
        E::UnexpectedEof | E::ConnectionReset | E::BrokenPipe => (
            "the model process of the inference service ended during the request".to_owned(),
            "Run the statement again: a new process is being started. The server log says how the last one ended.",
        ),
        E::TimedOut => (
            "the inference service does not answer".to_owned(),
            "Run the statement again, and look at the server log. The service restarts when its model process is killed.",
        ),
        _ => (format!("the inference service could not be used: {error}"), "See the server log."),
    };
    Error::new(Kind::Unavailable, message).hint(hint)
}
