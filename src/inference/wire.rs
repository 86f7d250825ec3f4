//! What travels over the socket: frames of a type byte, a little-endian `u32` length and a body, both ways.
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
//! As many as `in_flight` pictures may be under way on one connection; their answers come in any order. After `NeedModel`,
//! the others wait for the `Load`. `Goodbye` ends the connection: whatever has no answer by then was not begun, and is to be
//! repeated on a new one.
//!
//! `Hello`, `Goodbye` and `Error` never change, so that a library of any version can talk to a service of any other
//! far enough to have it replaced.

use super::counters::{BatchSize, Status};
use crate::error::{Error, Kind};
use crate::memory;
use crate::model::ModelDigest;
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Raised by one whenever a frame other than `Hello`, `Goodbye` and `Error` changes.
pub const PROTOCOL: u32 = 2;

/// The largest prepared image is 1024 x 1024 x 3 bytes; the rest of a frame is small.
const MAX_BODY: u32 = 4 << 20;
/// Weights are one `bytea`, which PostgreSQL keeps under 1 GB.
const MAX_LOAD: u32 = 1 << 30;

/// Which library a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The crate's version.
    pub version: String,
    /// When the library's file was installed, in nanoseconds since 1970: tells which of two is the newer.
    pub installed: u64,
}

impl Build {
    /// This library, installed at `installed`.
    pub fn this(installed: u64) -> Self {
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned(), installed }
    }

    /// Whether a server of this build serves `client`: the same code, or a newer build of it.
    pub fn serves(&self, client: &Build) -> bool {
        self.protocol == client.protocol
            && self.version == client.version
            && self.installed >= client.installed
    }
}

/// Who goes first when requests queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for this answer.
    Interactive,
    /// One of many in a long statement.
    Bulk,
}

/// One picture to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedRequest {
    /// The model.
    pub model: ModelDigest,
    /// Its class in the queue.
    pub priority: Priority,
    /// How long it may wait in the queue, in milliseconds.
    pub timeout_ms: u32,
    /// How long the client took to decode and prepare the picture, in microseconds; for the statistics.
    pub decode_us: u32,
    /// The prepared picture, `[size, size, 3]`.
    pub pixels: Vec<u8>,
}

impl EmbedRequest {
    /// The frame of the request that its connection calls `id`.
    pub(crate) fn encode(&self, id: u32) -> Vec<u8> {
        let mut body = Body::new(tag::EMBED);
        body.bytes(&id.to_le_bytes());
        body.bytes(&self.model.0);
        body.bytes(&[u8::from(self.priority == Priority::Bulk)]);
        body.bytes(&self.timeout_ms.to_le_bytes());
        body.bytes(&self.decode_us.to_le_bytes());
        body.bytes(&self.pixels);
        body.frame()
    }
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Hello(Build),
    Embed(u32, EmbedRequest),
    Load { config: String, weights: Vec<u8> },
    Status,
    Restart,
}

/// What the server answers.
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

/// A frame's type byte; one set for both directions.
mod tag {
    pub const HELLO: u8 = b'H';
    pub const EMBED: u8 = b'E';
    pub const LOAD: u8 = b'L';
    pub const STATUS: u8 = b'S';
    pub const RESTART: u8 = b'R';
    pub const WELCOME: u8 = b'W';
    pub const EMBEDDING: u8 = b'V';
    pub const FAILED: u8 = b'F';
    pub const NEED_MODEL: u8 = b'N';
    pub const ERROR: u8 = b'X';
    pub const GOODBYE: u8 = b'G';
}

const MAGIC: &[u8; 4] = b"coop";

/// A kind's number on the wire is its place here; new ones go to the end.
const KINDS: [Kind; 16] = [
    Kind::Internal,
    Kind::InvalidImage,
    Kind::LimitExceeded,
    Kind::InvalidModel,
    Kind::Unsupported,
    Kind::UnknownName,
    Kind::DuplicateName,
    Kind::Mismatch,
    Kind::InvalidText,
    Kind::InvalidBinary,
    Kind::InvalidParameter,
    Kind::InvalidData,
    Kind::Unavailable,
    Kind::Busy,
    Kind::Io,
    Kind::OutOfMemory,
];

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(build) => {
                let mut body = Body::new(tag::HELLO);
                body.bytes(MAGIC);
                body.bytes(&build.protocol.to_le_bytes());
                body.bytes(&build.installed.to_le_bytes());
                body.text(&build.version);
                body.frame()
            }
            Self::Embed(id, e) => e.encode(*id),
            Self::Load { config, weights } => {
                let mut frame = load_head(config, weights.len());
                frame.extend_from_slice(weights);
                frame
            }
            Self::Status => Body::new(tag::STATUS).frame(),
            Self::Restart => Body::new(tag::RESTART).frame(),
        }
    }

    /// Reads the rest of a frame whose type byte was `tag`.
    pub fn read(tag: u8, stream: &mut impl Read) -> std::io::Result<Self> {
        let limit = if tag == tag::LOAD { MAX_LOAD } else { MAX_BODY };
        let body = read_body(stream, limit)?;
        Self::decode(tag, body).ok_or_else(|| malformed("request"))
    }

    fn decode(tag: u8, mut body: Vec<u8>) -> Option<Self> {
        let mut cursor = Cursor(&body);
        match tag {
            tag::HELLO => {
                (cursor.array()? == *MAGIC).then_some(())?;
                let protocol = cursor.number()?;
                let installed = cursor.long()?;
                Some(Self::Hello(Build { protocol, installed, version: cursor.text()? }))
            }
            tag::EMBED => {
                let id = cursor.number()?;
                let model = ModelDigest(cursor.array()?);
                let [bulk] = cursor.array()?;
                let timeout_ms = cursor.number()?;
                let decode_us = cursor.number()?;
                let priority = if bulk == 0 { Priority::Interactive } else { Priority::Bulk };
                // In place: nothing large is copied.
                body.drain(..body.len() - cursor.0.len());
                Some(Self::Embed(id, EmbedRequest { model, priority, timeout_ms, decode_us, pixels: body }))
            }
            tag::LOAD => {
                let config = cursor.text()?;
                // In place: nothing large is copied.
                body.drain(..body.len() - cursor.0.len());
                Some(Self::Load { config, weights: body })
            }
            tag::STATUS => body.is_empty().then_some(Self::Status),
            tag::RESTART => body.is_empty().then_some(Self::Restart),
            _ => None,
        }
    }
}

/// The start of a `Load` frame; `weights` bytes follow it, sent from where they lie.
pub(crate) fn load_head(config: &str, weights: usize) -> Vec<u8> {
    let mut body = Body::new(tag::LOAD);
    body.text(config);
    body.frame_with(weights)
}

/// Whether a model is small enough to travel.
pub(crate) fn fits(config: &str, weights: usize) -> bool {
    config.len() + weights + 16 <= MAX_LOAD as usize
}

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome { in_flight } => {
                let mut body = Body::new(tag::WELCOME);
                body.bytes(&in_flight.to_le_bytes());
                body.frame()
            }
            Self::Embedding(id, values) => {
                let mut body = Body::new(tag::EMBEDDING);
                body.bytes(&id.to_le_bytes());
                values.iter().for_each(|v| body.bytes(&v.to_le_bytes()));
                body.frame()
            }
            Self::NeedModel => Body::new(tag::NEED_MODEL).frame(),
            Self::Status(status) => {
                let mut body = Body::new(tag::STATUS);
                body.text(&status.device);
                body.bytes(&(status.counters.len() as u32).to_le_bytes());
                for (name, value) in &status.counters {
                    body.text(name);
                    body.bytes(&value.to_le_bytes());
                }
                for size in &status.batch_sizes {
                    [size.size, size.batches, size.images].iter().for_each(|n| body.bytes(&n.to_le_bytes()));
                }
                body.frame()
            }
            Self::Error(e) => {
                let mut body = Body::new(tag::ERROR);
                body.error(e);
                body.frame()
            }
            Self::Failed(id, e) => {
                let mut body = Body::new(tag::FAILED);
                body.bytes(&id.to_le_bytes());
                body.error(e);
                body.frame()
            }
            Self::Goodbye => Body::new(tag::GOODBYE).frame(),
        }
    }

    /// What it is called here, without what is in it.
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
        // The most comes of a list of counters: from 12 bytes on they become 32 and their name, in a vector that doubles.
        memory::headroom(body.len() * 8).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        Self::decode(tag[0], &body).ok_or_else(|| malformed("reply"))
    }

    fn decode(tag: u8, body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        match tag {
            tag::WELCOME => Some(Self::Welcome { in_flight: cursor.number()? }),
            tag::EMBEDDING => {
                let id = cursor.number()?;
                let (numbers, rest) = cursor.0.as_chunks::<4>();
                rest.is_empty()
                    .then(|| Self::Embedding(id, numbers.iter().map(|n| f32::from_le_bytes(*n)).collect()))
            }
            tag::FAILED => Some(Self::Failed(cursor.number()?, cursor.error()?)),
            tag::NEED_MODEL => Some(Self::NeedModel),
            tag::STATUS => {
                let mut status = Status { device: cursor.text()?, ..Status::default() };
                for _ in 0..cursor.number()? {
                    status.counters.push((cursor.text()?, cursor.long()?));
                }
                while !cursor.0.is_empty() {
                    let (size, batches, images) = (cursor.long()?, cursor.long()?, cursor.long()?);
                    status.batch_sizes.push(BatchSize { size, batches, images });
                }
                Some(Self::Status(status))
            }
            tag::ERROR => Some(Self::Error(cursor.error()?)),
            tag::GOODBYE => Some(Self::Goodbye),
            _ => None,
        }
    }
}

/// Reads length and body. Memory grows with what arrives, not with what the length promises.
fn read_body(stream: &mut impl Read, limit: u32) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > limit {
        return Err(malformed("frame length"));
    }
    let mut body = Vec::new();
    stream.take(length.into()).read_to_end(&mut body)?;
    if body.len() < length as usize {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

fn malformed(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("malformed {what}"))
}

/// A frame under construction.
struct Body(Vec<u8>);

impl Body {
    fn new(tag: u8) -> Self {
        Self(vec![tag, 0, 0, 0, 0])
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u32).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn error(&mut self, error: &Error) {
        let kind = KINDS.iter().position(|k| *k == error.kind).unwrap_or(0);
        self.bytes(&[kind as u8]);
        self.text(&error.message);
        self.text(error.detail.as_deref().unwrap_or(""));
        self.text(error.hint.as_deref().unwrap_or(""));
    }

    fn frame(self) -> Vec<u8> {
        self.frame_with(0)
    }

    fn frame_with(mut self, more: usize) -> Vec<u8> {
        let length = (self.0.len() - 5 + more) as u32;
        self.0[1..5].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

/// A frame's body being taken apart; `None` when it is too short.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn error(&mut self) -> Option<Error> {
        let [kind] = self.array()?;
        let kind = KINDS.get(usize::from(kind)).copied().unwrap_or(Kind::Internal);
        let (message, detail, hint) = (self.text()?, self.text()?, self.text()?);
        let some = |text: String| (!text.is_empty()).then_some(text);
        Some(Error { kind, message, detail: some(detail), hint: some(hint) })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(head.to_vec()).ok()
    }
}

/// Sends an error to another process of ours.
///
/// # Errors
/// The stream's.
pub fn write_error(stream: &mut impl std::io::Write, error: &Error) -> std::io::Result<()> {
    let mut body = Body::new(tag::ERROR);
    body.error(error);
    stream.write_all(&body.frame())
}

/// Receives an error that [`write_error`] sent.
///
/// # Errors
/// The stream's, and `InvalidData` for what is none.
pub fn read_error(stream: &mut impl Read) -> std::io::Result<Error> {
    match Reply::read(stream)? {
        Reply::Error(error) => Ok(error),
        _ => Err(malformed("error")),
    }
}

/// An [`Error`] for the user out of a broken connection.
pub(crate) fn broken(error: &std::io::Error) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn reread(request: &Request) -> Request {
        let frame = request.encode();
        Request::read(frame[0], &mut &frame[1..]).unwrap()
    }

    fn embed() -> Request {
        let (model, priority) = (ModelDigest([7; 32]), Priority::Bulk);
        let (timeout_ms, decode_us, pixels) = (2500, 1234, vec![1, 2, 3]);
        Request::Embed(9, EmbedRequest { model, priority, timeout_ms, decode_us, pixels })
    }

    #[test]
    fn requests_come_back_as_they_were_sent() {
        let load = Request::Load { config: "{\"é\": 1}".to_owned(), weights: vec![0, 255, 3] };
        for request in [Request::Hello(Build::this(5)), embed(), load, Request::Status, Request::Restart] {
            assert_eq!(reread(&request), request);
        }
    }

    #[test]
    fn replies_come_back_as_they_were_sent() {
        let error = Error::new(Kind::Busy, "full").hint("Wait.");
        let status = Status {
            device: "cpu".into(),
            counters: vec![("batches".to_owned(), 3), ("images".to_owned(), u64::MAX)],
            batch_sizes: vec![BatchSize { size: 4, batches: 2, images: 7 }],
        };
        for reply in [
            Reply::Welcome { in_flight: 32 },
            Reply::Embedding(3, vec![1.5, -0.25, f32::MIN_POSITIVE]),
            Reply::Failed(4, error.clone()),
            Reply::NeedModel,
            Reply::Status(status),
            Reply::Error(error),
            Reply::Goodbye,
        ] {
            let again = Reply::read(&mut reply.encode().as_slice()).unwrap();
            assert_eq!(format!("{again:?}"), format!("{reply:?}"));
        }
    }

    #[test]
    fn every_kind_of_error_survives_the_wire() {
        for kind in KINDS {
            let frame = Reply::Error(Error::new(kind, "m")).encode();
            let Reply::Error(e) = Reply::read(&mut frame.as_slice()).unwrap() else { panic!("not an error") };
            assert_eq!(e.kind, kind);
        }
    }

    #[test]
    fn every_truncation_of_a_request_is_refused() {
        for request in
            [Request::Hello(Build::this(5)), embed(), Request::Load { config: "{}".into(), weights: vec![9] }]
        {
            let frame = request.encode();
            for cut in 1..frame.len() {
                assert!(Request::read(frame[0], &mut &frame[1..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn lengths_over_the_limit_are_refused_before_the_body() {
        let mut frame = vec![tag::EMBED];
        frame.extend((MAX_BODY + 1).to_le_bytes());
        let error = Request::read(frame[0], &mut &frame[1..]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }

    #[test]
    fn memory_grows_with_what_arrives_and_not_with_what_a_length_promises() {
        for (tag, length) in [(tag::EMBED, MAX_BODY), (tag::LOAD, MAX_LOAD)] {
            let mut frame = vec![tag];
            frame.extend(length.to_le_bytes());
            frame.extend([7; 100]);
            let error = Request::read(tag, &mut &frame[1..]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        }
        // A million counters, and none there.
        let frame = [&[tag::STATUS, 8, 0, 0, 0, 0, 0, 0, 0][..], &u32::MAX.to_le_bytes()].concat();
        assert_eq!(Reply::read(&mut frame.as_slice()).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        let frame = [&[tag::EMBEDDING][..], &(MAX_BODY + 1).to_le_bytes(), &[0; 9]].concat();
        assert_eq!(Reply::read(&mut frame.as_slice()).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    }

    #[test]
    fn texts_longer_than_their_frame_and_foreign_types_are_refused() {
        let lies = [
            vec![tag::LOAD, 4, 0, 0, 0, 255, 255, 255, 255],
            vec![b'?', 0, 0, 0, 0],
            vec![tag::STATUS, 1, 0, 0, 0, 0],
        ];
        for frame in lies {
            assert!(Request::read(frame[0], &mut &frame[1..]).is_err());
        }
    }

    #[test]
    fn a_newer_build_of_the_same_version_serves_an_older_client_only() {
        let (old, new) = (Build::this(1), Build::this(2));
        assert!(new.serves(&old) && old.serves(&old) && !old.serves(&new));
        assert!(!Build { protocol: PROTOCOL + 1, ..new.clone() }.serves(&new));
        assert!(!Build { version: "9.9.9".to_owned(), ..new.clone() }.serves(&new));
    }
}
