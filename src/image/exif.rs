//! EXIF metadata: the orientation, as files store it and not only as the standard says.

use ::image::metadata::Orientation;

/// The tag `Orientation`.
const ORIENTATION: u16 = 0x0112;

/// What JPEG's EXIF segments begin with. libvips and sharp write it into WebP's and PNG's chunks too.
pub(super) const PREFIX: &[u8] = b"Exif\0\0";

/// The orientation in EXIF metadata, with or without [`PREFIX`]: in the first directory, as BYTE, SHORT or LONG. Anything else means
/// that there is none.
pub(super) fn orientation(exif: &[u8]) -> Option<Orientation> {
    let exif = exif.strip_prefix(PREFIX).unwrap_or(exif);
    let little_endian = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let b = *exif.get(at..)?.first_chunk::<2>()?;
        Some(if little_endian { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    };
    let long = |at: usize| {
        let b = *exif.get(at..)?.first_chunk::<4>()?;
        Some(if little_endian { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    };
    let directory = long(4)? as usize;
    let entries = usize::from(short(directory)?);
    let entry = (0..entries).map(|i| directory + 2 + 12 * i).find(|at| short(*at) == Some(ORIENTATION))?;
    let value = match short(entry + 2)? {
        1 => u32::from(*exif.get(entry + 8)?),
        3 => u32::from(short(entry + 8)?),
        4 => long(entry + 8)?,
        _ => return None,
    };
    Orientation::from_exif(u8::try_from(value).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(kind: u16, value: [u8; 4]) -> Vec<u8> {
        let entry = [&0x0112u16.to_be_bytes()[..], &kind.to_be_bytes(), &[0, 0, 0, 1], &value].concat();
        [b"MM\0*\0\0\0\x08\0\x01", &entry[..], &[0; 4]].concat()
    }

    #[test]
    fn orientation_is_read_as_byte_short_and_long_with_and_without_a_prefix() {
        for (kind, value) in [(1, [6, 0, 0, 0]), (3, [0, 6, 0, 0]), (4, [0, 0, 0, 6])] {
            let exif = exif(kind, value);
            assert_eq!(orientation(&exif), Some(Orientation::Rotate90), "{kind}");
            assert_eq!(orientation(&[PREFIX, &exif].concat()), Some(Orientation::Rotate90), "{kind}");
            for cut in 0..exif.len() - 8 {
                assert_eq!(orientation(&exif[..cut]), None);
            }
        }
        assert_eq!(orientation(&exif(3, [0, 9, 0, 0])), None);
        assert_eq!(orientation(&exif(5, [0, 6, 0, 0])), None);
    }
}
