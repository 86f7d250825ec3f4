//! GIF: finds the size of the first frame. The decoder allocates by it, and it may be larger than the canvas.

/// Bytes per pixel of the frame that the decoder holds beside its output: palette indices, and RGBA where the frame does not fill
/// the canvas.
pub(super) const WORKING_BYTES: u64 = 5;

/// Number of pixels of the first frame, if the file has one.
pub(super) fn first_frame_pixels(bytes: &[u8]) -> Option<u64> {
    // Signature (6), width, height, flags, background and aspect; then the global palette.
    let mut at = 13 + palette_bytes(*bytes.get(10)?);
    loop {
        match *bytes.get(at)? {
            // Left, top, width, height.
            0x2c => {
                let size = bytes.get(at + 5..)?.first_chunk::<4>()?;
                let (width, height) =
                    (u16::from_le_bytes([size[0], size[1]]), u16::from_le_bytes([size[2], size[3]]));
                return Some(u64::from(width) * u64::from(height));
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
