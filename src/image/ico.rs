//! ICO: the largest of the images in the file, which is a PNG or a BMP without its file header.

use super::decode_error::{corrupt, TRUNCATED};
use crate::error::Result;
use crate::memory;

/// One image of the file.
pub(super) enum Entry<'a> {
    /// A whole PNG file.
    Png(&'a [u8]),
    /// An ICO file of this image alone, for the `image` crate.
    Bitmap(Vec<u8>),
}

/// Picks the image with the most pixels, and of these the one with the most bits.
///
/// # Errors
/// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for truncated files.
pub(super) fn largest(bytes: &[u8]) -> Result<Entry<'_>> {
    let truncated = || corrupt("ICO", TRUNCATED);
    let (header, entries) = bytes.split_first_chunk::<6>().ok_or_else(truncated)?;
    let count = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let (entries, _) = entries.as_chunks::<16>();
    let entries = entries.get(..count).ok_or_else(truncated)?;
    // Zero stands for 256.
    let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let rank = |e: &&[u8; 16]| (side(e[0]) * side(e[1]), u16::from_le_bytes([e[6], e[7]]));
    let best = entries.iter().max_by_key(rank).ok_or_else(truncated)?;
    let number =
        |at: usize| u32::from_le_bytes([best[at], best[at + 1], best[at + 2], best[at + 3]]) as usize;
    let (length, at) = (number(8), number(12));
    let data = bytes.get(at..).and_then(|rest| rest.get(..length)).ok_or_else(truncated)?;
    if data.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Entry::Png(data));
    }
    const ALONE: usize = 6 + 16;
    let mut file = memory::with_capacity(ALONE + data.len())?;
    file.extend_from_slice(&[0, 0, 1, 0, 1, 0]);
    file.extend_from_slice(&best[..12]);
    file.extend_from_slice(&(ALONE as u32).to_le_bytes());
    file.extend_from_slice(data);
    Ok(Entry::Bitmap(file))
}
