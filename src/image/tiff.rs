//! TIFF: whether alpha is already multiplied into the colours, which the decoder does not tell.

const EXTRA_SAMPLES: u16 = 338;
const ASSOCIATED_ALPHA: u16 = 1;

/// Whether the first picture's tag `ExtraSamples` says that its alpha is associated (premultiplied).
pub(super) fn is_premultiplied(bytes: &[u8]) -> bool {
    first_extra_sample(bytes) == Some(ASSOCIATED_ALPHA)
}

fn first_extra_sample(bytes: &[u8]) -> Option<u16> {
    let little = bytes.starts_with(b"II");
    let short = |at: usize| {
        let b = bytes.get(at..)?.first_chunk::<2>()?;
        Some(if little { u16::from_le_bytes(*b) } else { u16::from_be_bytes(*b) })
    };
    let long = |at: usize| {
        let b = bytes.get(at..)?.first_chunk::<4>()?;
        Some(if little { u32::from_le_bytes(*b) } else { u32::from_be_bytes(*b) })
    };
    let directory = long(4)? as usize;
    let entries = usize::from(short(directory)?);
    // An entry is tag, type, count and value, where up to two 16-bit values are stored in place.
    let entry = (0..entries).map(|i| directory + 2 + 12 * i).find(|at| short(*at) == Some(EXTRA_SAMPLES))?;
    if long(entry + 4)? <= 2 {
        short(entry + 8)
    } else {
        short(long(entry + 8)? as usize)
    }
}
