//! GIF: the first frame on its canvas. The frame may be larger than the canvas, which then grows, as in Pillow and libvips.

use super::decode_error::{corrupt, DAMAGED, TRUNCATED};
use super::limits::{Estimate, Limits};
use super::pixels::{Opened, Pixels, Samples};
use crate::error::Result;
use crate::memory;
use ::gif::{ColorOutput, DecodeOptions, DecodingError};

const NAME: &str = "GIF";

/// Bytes per pixel of the frame that the decoder holds beside its output: palette indices, and RGBA where the frame does not fill
/// the canvas.
const WORKING_BYTES: u64 = 5;

/// A file whose first frame is known and within the limits.
pub(super) struct OpenedGif<'a> {
    bytes: &'a [u8],
    /// Left, top, width and height of the frame.
    frame: [u32; 4],
    size: (u32, u32),
    estimate: Estimate,
}

/// Finds the first frame and checks it against the limits.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<OpenedGif<'a>> {
    let canvas = bytes.get(6..10).ok_or_else(|| corrupt(NAME, TRUNCATED))?;
    let canvas = [&canvas[..2], &canvas[2..]].map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])));
    let frame = first_frame(bytes).ok_or_else(|| corrupt(NAME, "there is no frame"))?;
    let [left, top, width, height] = frame;
    let size = (canvas[0].max(left + width), canvas[1].max(top + height));
    limits.check_dimensions(NAME, width, height)?;
    limits.check_dimensions(NAME, size.0, size.1)?;
    let pixels = u64::from(size.0) * u64::from(size.1);
    let estimate = Estimate {
        memory: pixels * 4 + pixels * WORKING_BYTES,
        work: pixels + u64::from(width) * u64::from(height),
        isolated: false,
    };
    limits.check(NAME, size, &estimate)?;
    Ok(OpenedGif { bytes, frame, size, estimate })
}

impl Opened for OpenedGif<'_> {
    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn decode(self: Box<Self>, _limits: &Limits) -> Result<Pixels> {
        let failed = |e: DecodingError| match e {
            DecodingError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => corrupt(NAME, TRUNCATED),
            DecodingError::OutOfMemory => memory::out_of_memory(0),
            _ => corrupt(NAME, DAMAGED),
        };
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        let mut decoder = options.read_info(self.bytes).map_err(failed)?;
        let [left, top, width, height] = self.frame;
        let found = decoder.next_frame_info().map_err(failed)?.map(|frame| (frame.width, frame.height));
        if found.map(|(w, h)| (u32::from(w), u32::from(h))) != Some((width, height)) {
            return Err(corrupt(NAME, DAMAGED));
        }
        let mut frame = memory::filled(0, width as usize * height as usize * 4)?;
        decoder.read_into_buffer(&mut frame).map_err(failed)?;
        let fills = (left, top, width, height) == (0, 0, self.size.0, self.size.1);
        let canvas = if fills {
            frame
        } else {
            // What the frame does not cover is transparent.
            let row = self.size.0 as usize * 4;
            let mut canvas = memory::filled(0, row * self.size.1 as usize)?;
            let rows = canvas.chunks_exact_mut(row).skip(top as usize);
            for (row, pixels) in rows.zip(frame.chunks_exact(width as usize * 4)) {
                row[left as usize * 4..][..pixels.len()].copy_from_slice(pixels);
            }
            canvas
        };
        let samples = Samples::of_bytes(canvas, 4, self.size).ok_or_else(|| corrupt(NAME, DAMAGED))?;
        Ok(Pixels::new(samples))
    }
}

/// Left, top, width and height of the first frame, if the file has one.
fn first_frame(bytes: &[u8]) -> Option<[u32; 4]> {
    // Signature (6), width, height, flags, background and aspect; then the global palette.
    let mut at = 13 + palette_bytes(*bytes.get(10)?);
    loop {
        match *bytes.get(at)? {
            0x2c => {
                let (fields, _) = bytes.get(at + 1..)?.first_chunk::<8>()?.as_chunks::<2>();
                return Some(std::array::from_fn(|i| u32::from(u16::from_le_bytes(fields[i]))));
            }
            // An extension: its label, then blocks, each after its length, up to an empty one.
            0x21 => {
                at += 2;
                loop {
                    let length = usize::from(*bytes.get(at)?);
                    at += 1 + length;
                    if length == 0 {
                        break;
                    }
                }
            }
            // The decoder skips stray zeros; anything else ends the file.
            0 => at += 1,
            _ => return None,
        }
    }
}

/// Size in bytes of the palette that these flags announce.
fn palette_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        return 0;
    }
    3 << ((flags & 7) + 1)
}
