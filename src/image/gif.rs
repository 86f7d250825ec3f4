//! GIF: the size of the first frame, which need not be that of the canvas, and by which the decoder allocates.

/// Bytes per pixel of the frame that the decoder holds beside its output: indices, and colours where it does not fill the canvas.
pub(super) const FRAME_BYTES: u64 = 5;

/// Pixels of the first frame, if the file has one.
pub(super) fn first_frame(bytes: &[u8]) -> Option<u64> {
    // Signature (6), width, height, flags, background and aspect; then the global palette.
    let mut at = 13 + palette(*bytes.get(10)?);
    loop {
        match *bytes.get(at)? {
            // Left, top, width, height.
            0x2c => {
                let size = bytes.get(at + 5..)?.first_chunk::<4>()?;
                let (width, height) =
                    (u16::from_le_bytes([size[0], size[1]]), u16::from_le_bytes([size[2], size[3]]));
                return Some(u64::from(width) * u64::from(height));
            }
            // An extension: its label, and blocks with their length before them up to an empty one.
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
            // The decoder passes over stray zeros; anything else ends the file.
            0 => at += 1,
            _ => return None,
        }
    }
}

/// Bytes of the palette that these flags announce.
fn palette(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        return 0;
    }
    3 << ((flags & 7) + 1)
}
