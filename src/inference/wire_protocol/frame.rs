//! Frames: the bytes of one message. A type byte, the length of the body as a little-endian `u32`, and the body.
//!
//! Numbers in a body are little-endian; a text is its length in bytes as a `u32`, and UTF-8.

use crate::error::{Error, Kind};
use std::io::Read;

/// Most bytes in the body of any frame but `Load`. The largest prepared image is 1024 x 1024 x 3 bytes, and the rest of a frame is small.
pub(super) const MAX_BODY: u32 = 4 << 20;
/// Most bytes in the body of a `Load` frame: weights are one `bytea`, which PostgreSQL limits to 1 GB.
pub(super) const MAX_LOAD: u32 = 1 << 30;

/// The type bytes of frames. No two messages share one, not even in different directions, except `Status` and its answer.
pub(super) mod tag {
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

/// An error kind is sent as its index in this list, so new kinds go to the end.
pub(super) const KINDS: [Kind; 16] = [
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

/// Reads the length and the body of a frame. Memory is allocated for what arrives, not for what the length claims.
///
/// # Errors
/// Those of the stream; `InvalidData` for a length over `limit`, before anything of the body is read.
pub(super) fn read_body(stream: &mut impl Read, limit: u32) -> std::io::Result<Vec<u8>> {
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

/// The error for bytes that are not a valid message.
pub(super) fn malformed(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("malformed {what}"))
}

/// Builds one frame.
pub(super) struct FrameWriter(Vec<u8>);

impl FrameWriter {
    pub fn new(tag: u8) -> Self {
        Self(vec![tag, 0, 0, 0, 0])
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u32).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    pub fn error(&mut self, error: &Error) {
        let kind = KINDS.iter().position(|k| *k == error.kind).unwrap_or(0);
        self.bytes(&[kind as u8]);
        self.text(&error.message);
        self.text(error.detail.as_deref().unwrap_or(""));
        self.text(error.hint.as_deref().unwrap_or(""));
    }

    /// The finished frame.
    pub fn finish(self) -> Vec<u8> {
        self.finish_before(0)
    }

    /// The start of a frame whose body goes on with `more` bytes, which the caller sends.
    pub fn finish_before(mut self, more: usize) -> Vec<u8> {
        let length = (self.0.len() - 5 + more) as u32;
        self.0[1..5].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

/// Reads a frame's body from front to back; its field is what has not been read. Each method returns `None` when the body is too short.
pub(super) struct FrameReader<'a>(pub &'a [u8]);

impl FrameReader<'_> {
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn error(&mut self) -> Option<Error> {
        let [kind] = self.array()?;
        let kind = KINDS.get(usize::from(kind)).copied().unwrap_or(Kind::Internal);
        let (message, detail, hint) = (self.text()?, self.text()?, self.text()?);
        let some = |text: String| (!text.is_empty()).then_some(text);
        Some(Error { kind, message, detail: some(detail), hint: some(hint) })
    }

    pub fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(head.to_vec()).ok()
    }
}
