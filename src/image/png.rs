//! PNG: what the header says before the decoder allocates rows.

use super::decode::broken;
use super::limits::Limits;
use crate::error::Result;

const NAME: &str = "PNG";

/// Checks the header's width and height, and returns the bytes that the decoder may hold beside its output.
///
/// # Errors
/// Those of the limits, and [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for a file without a header.
pub(super) fn allowance(bytes: &[u8], limits: &Limits) -> Result<u64> {
    // Signature (8), length (4), "IHDR", width, height, bits, colour type.
    let header = bytes.get(..26).filter(|h| &h[12..16] == b"IHDR");
    let header = header.ok_or_else(|| broken(NAME, "the file ends in or before its header"))?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (width, height) = (number(16), number(20));
    limits.check_dimensions(NAME, width, height)?;
    // A palette or a transparent colour may add alpha.
    let channels = if matches!(header[25], 0 | 4) { 2 } else { 4 };
    let sample_bytes = if header[24] == 16 { 2 } else { 1 };
    let output = u64::from(width) * u64::from(height) * channels * sample_bytes;
    limits.check_memory(NAME, (width, height), output)?;
    Ok(limits.max_memory - output)
}
