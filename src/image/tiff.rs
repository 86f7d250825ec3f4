//! TIFF: what the decoder does not tell of the first picture's directory: whether alpha is already multiplied into the
//! colours, and how much more than the picture its strips and tiles hold.

use super::jpeg;
use super::limits::Estimate;

const IMAGE_WIDTH: u16 = 256;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES_PER_PIXEL: u16 = 277;
const STRIP_BYTES: u16 = 279;
const TILE_WIDTH: u16 = 322;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;
const EXTRA_SAMPLES: u16 = 338;
const JPEG_TABLES: u16 = 347;

const ASSOCIATED_ALPHA: u64 = 1;
const JPEG: u64 = 7;

/// How often a file may have its bytes be part of a strip, tables for each counted.
const OVERLAP: usize = 8;
/// More than any limit allows.
const UNBOUNDED: Estimate = Estimate { memory: u64::MAX / 4, work: u64::MAX / 4 };

/// Whether the tag `ExtraSamples` says that alpha is associated (premultiplied).
pub(super) fn is_premultiplied(bytes: &[u8]) -> bool {
    Directory::first(bytes).and_then(|d| d.value(EXTRA_SAMPLES)) == Some(ASSOCIATED_ALPHA)
}

/// What the decoder holds and does beside reading `height` rows of the picture, with `pixel_bytes` bytes a pixel of output: tiles
/// are padded, samples that are not wanted are read too, and a strip that is a JPEG is decoded as large as itself says.
pub(super) fn beside_the_picture(bytes: &[u8], height: u32, pixel_bytes: u64) -> Estimate {
    let Some(directory) = Directory::first(bytes) else { return Estimate::default() };
    let one = |tag, default| directory.value(tag).unwrap_or(default);
    let width = one(IMAGE_WIDTH, 0);
    let padded = width.next_multiple_of(one(TILE_WIDTH, 1).clamp(1, u32::MAX.into()));
    let row = padded.saturating_mul(one(SAMPLES_PER_PIXEL, 1)).saturating_mul(one(BITS_PER_SAMPLE, 8)) / 8;
    let surplus = (row / pixel_bytes.max(1)).saturating_sub(width).saturating_mul(height.into());
    let mut beside = Estimate { memory: row.min(UNBOUNDED.memory), work: surplus };
    if one(COMPRESSION, 1) == JPEG {
        let strips = directory.jpegs();
        beside.memory += strips.memory;
        beside.work = beside.work.saturating_add(strips.work);
    }
    beside
}

/// The first directory of a file: entries of tag, type, count, and the value or where it is.
struct Directory<'a> {
    bytes: &'a [u8],
    little: bool,
    at: usize,
    entries: usize,
}

impl<'a> Directory<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let mut directory = Self { bytes, little: bytes.starts_with(b"II"), at: 0, entries: 0 };
        let start = directory.long(4)? as usize;
        directory.entries = usize::from(directory.short(start)?);
        directory.at = start + 2;
        Some(directory)
    }

    fn short(&self, at: usize) -> Option<u16> {
        let b = *self.bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let b = *self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    }

    /// Where a tag's values are, how many bytes each takes, and how many there are.
    fn find(&self, tag: u16) -> Option<(usize, usize, usize)> {
        let entry = (0..self.entries).map(|i| self.at + 12 * i).find(|at| self.short(*at) == Some(tag))?;
        let size = match self.short(entry + 2)? {
            3 => 2,
            4 => 4,
            _ => 1,
        };
        let count = self.long(entry + 4)? as usize;
        // Up to four bytes are stored in place.
        let at = if size * count <= 4 { entry + 8 } else { self.long(entry + 8)? as usize };
        Some((at, size, count))
    }

    /// A tag's numbers, as far as the file holds them.
    fn values(&self, tag: u16) -> impl Iterator<Item = u64> + '_ {
        let (at, size, count) = self.find(tag).unwrap_or((0, 1, 0));
        (0..count).map_while(move |i| match size {
            2 => self.short(at + 2 * i).map(u64::from),
            4 => self.long(at + 4 * i).map(u64::from),
            _ => self.bytes.get(at + i).copied().map(u64::from),
        })
    }

    fn value(&self, tag: u16) -> Option<u64> {
        self.values(tag).next()
    }

    fn slice(&self, at: u64, length: u64) -> &'a [u8] {
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = &self.bytes[start..];
        &rest[..usize::try_from(length).unwrap_or(usize::MAX).min(rest.len())]
    }

    /// What decoding takes whose strips and tiles are JPEGs: the memory of the largest, the work of all.
    fn jpegs(&self) -> Estimate {
        let tables = self.find(JPEG_TABLES).map(|(at, _, count)| self.slice(at as u64, count as u64));
        let tiled = self.find(TILE_OFFSETS).is_some();
        let (offsets, lengths) =
            if tiled { (TILE_OFFSETS, TILE_BYTES) } else { (STRIP_OFFSETS, STRIP_BYTES) };
        let mut all = Estimate::default();
        let mut looked_through = 0;
        for (offset, length) in self.values(offsets).zip(self.values(lengths)) {
            let strip = self.slice(offset, length);
            looked_through += strip.len() + tables.map_or(0, <[u8]>::len);
            // Strips lie side by side. One piece of the file as many of them would have it decoded over and over.
            if looked_through > OVERLAP * self.bytes.len() {
                return UNBOUNDED;
            }
            let piece = piece(tables, strip);
            all.memory = all.memory.max(piece.memory + 2 * strip.len() as u64);
            all.work = all.work.saturating_add(piece.work);
        }
        all
    }
}

/// What decoding one strip takes that is a JPEG. The decoder's own error for one that is none.
fn piece(tables: Option<&[u8]>, strip: &[u8]) -> Estimate {
    // As the decoder joins them: tables without their end marker, the strip without its start marker.
    let joined = match tables {
        Some([tables @ .., _, _]) => [tables, strip.get(2..).unwrap_or_default()].concat(),
        _ => strip.to_vec(),
    };
    match jpeg::frame(&joined) {
        Some(frame) if frame.headers > 1 => UNBOUNDED,
        Some(frame) => {
            Estimate { memory: frame.decoded_bytes() + frame.coefficient_bytes(), work: frame.work() }
        }
        None => Estimate::default(),
    }
}
