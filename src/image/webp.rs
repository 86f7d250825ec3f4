//! WebP: checks the sizes in all of a file's chunks. The canvas, the image and each frame of an animation have separate headers,
//! and the decoder allocates by each before it compares them.

use super::decode_error::{corrupt, TRUNCATED};
use super::limits::Limits;
use crate::error::Result;
use crate::memory;
use std::borrow::Cow;

const NAME: &str = "WebP";

/// Position of the flags in a file with more than an image, and two of them.
const FLAGS: usize = 20;
const HAS_ALPHA: u8 = 0x10;
const IS_ANIMATED: u8 = 0x02;

/// The file, with alpha if it is animated: where the first frame does not cover the canvas, this is transparent, and the decoder
/// would drop that and leave black.
///
/// # Errors
/// [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
pub(super) fn with_alpha(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    let flags = bytes.get(FLAGS).copied().unwrap_or(0);
    if bytes.get(12..16) != Some(b"VP8X") || flags & IS_ANIMATED == 0 || flags & HAS_ALPHA != 0 {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut copy = memory::copied(bytes)?;
    copy[FLAGS] |= HAS_ALPHA;
    Ok(Cow::Owned(copy))
}

/// Bytes per pixel that the decoder holds beside its output. Measured: up to 8, for a lossy frame of an animation with alpha
/// (1.5 as luma and chroma, 4 as RGBA, and the alpha plane).
pub(super) const WORKING_BYTES: u64 = 9;

/// Work of a pixel: measured, an image takes 3 (lossless, of one colour) to 4 (lossy) times as long as a baseline JPEG.
pub(super) const WORK: u64 = 3;

/// Checks that the file has all its chunks, and that every size in them is within the limits and the canvas.
///
/// # Errors
/// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for truncated files, and those of the limits.
pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<()> {
    let size = bytes.get(4..8).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let chunks = size.and_then(|size| bytes.get(12..size.saturating_add(8)));
    let chunks = chunks.ok_or_else(|| corrupt(NAME, TRUNCATED))?;
    let mut canvas = None;
    for chunk in riff_chunks(chunks) {
        let (kind, data) = chunk.ok_or_else(|| corrupt(NAME, TRUNCATED))?;
        let frame = if kind == b"ANMF" { data.get(16..).unwrap_or_default() } else { &[] };
        let sizes = std::iter::once(Some((kind, data))).chain(riff_chunks(frame)).flatten();
        for (width, height) in sizes.filter_map(|(kind, data)| dimensions(kind, data)) {
            limits.check_dimensions(NAME, width, height)?;
            let canvas = *canvas.get_or_insert((width, height));
            if width > canvas.0 || height > canvas.1 {
                return Err(corrupt(NAME, "a frame is larger than the canvas"));
            }
        }
    }
    Ok(())
}

/// The chunks of a RIFF list as kind and data; `None` for a truncated one.
fn riff_chunks(mut list: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        if list.is_empty() {
            return None;
        }
        let chunk = list.split_at_checked(8).and_then(|(head, rest)| {
            let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let data = rest.get(..size)?;
            list = rest.get(size + size % 2..).unwrap_or_default();
            Some((&head[..4], data))
        });
        if chunk.is_none() {
            list = &[];
        }
        Some(chunk)
    })
}

/// Width and height in the header of a canvas, a frame, or a lossy or lossless image.
fn dimensions(kind: &[u8], data: &[u8]) -> Option<(u32, u32)> {
    let size24 =
        |at: usize| Some(u32::from_le_bytes([*data.get(at)?, *data.get(at + 1)?, *data.get(at + 2)?, 0]) + 1);
    match kind {
        b"VP8X" => Some((size24(4)?, size24(7)?)),
        b"ANMF" => Some((size24(6)?, size24(9)?)),
        b"VP8 " => {
            let size = |at: usize| {
                Some(u32::from(u16::from_le_bytes([*data.get(at)?, *data.get(at + 1)?]) & 0x3fff))
            };
            Some((size(6)?, size(8)?))
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(data.get(1..5)?.try_into().ok()?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        _ => None,
    }
}
