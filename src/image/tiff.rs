//! TIFF: reads from the first image's directory what the decoder does not report: whether alpha is already multiplied into the
//! colours, and how much more than the image its strips and tiles hold.

use super::jpeg_markers;
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

/// Value of `ExtraSamples`.
const ASSOCIATED_ALPHA: u64 = 1;
/// Value of `Compression`.
const JPEG_COMPRESSION: u64 = 7;

/// How many times the file's size its strips may add up to, with the JPEG tables counted for each. Beyond that, strips overlap
/// so that one part of the file is decoded many times.
const MAX_OVERLAP: usize = 8;
/// An estimate beyond every limit.
const UNBOUNDED: Estimate = Estimate { memory: u64::MAX / 4, work: u64::MAX / 4 };

/// Whether the tag `ExtraSamples` says that alpha is associated (premultiplied).
pub(super) fn is_premultiplied(bytes: &[u8]) -> bool {
    Directory::first(bytes).and_then(|d| d.value(EXTRA_SAMPLES)) == Some(ASSOCIATED_ALPHA)
}

/// The memory and work of strips and tiles beyond the pixels of the image, which has `height` rows and `pixel_bytes` bytes a
/// pixel of output: tiles are padded, samples that nobody uses are read too, and a strip that is a JPEG is decoded at the size in
/// its own header.
pub(super) fn strips_estimate(bytes: &[u8], height: u32, pixel_bytes: u64) -> Estimate {
    let Some(directory) = Directory::first(bytes) else { return Estimate::default() };
    let value = |tag, default| directory.value(tag).unwrap_or(default);
    let width = value(IMAGE_WIDTH, 0);
    let padded = width.next_multiple_of(value(TILE_WIDTH, 1).clamp(1, u32::MAX.into()));
    let row =
        padded.saturating_mul(value(SAMPLES_PER_PIXEL, 1)).saturating_mul(value(BITS_PER_SAMPLE, 8)) / 8;
    let surplus = (row / pixel_bytes.max(1)).saturating_sub(width).saturating_mul(height.into());
    let mut estimate = Estimate { memory: row.min(UNBOUNDED.memory), work: surplus };
    if value(COMPRESSION, 1) == JPEG_COMPRESSION {
        let strips = directory.jpeg_strips();
        estimate.memory += strips.memory;
        estimate.work = estimate.work.saturating_add(strips.work);
    }
    estimate
}

/// The first directory of a file. Each entry has a tag, a type, a count, and the value or its position.
struct Directory<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    /// Position of the first entry.
    at: usize,
    entries: usize,
}

impl<'a> Directory<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let mut directory = Self { bytes, little_endian: bytes.starts_with(b"II"), at: 0, entries: 0 };
        let start = directory.long(4)? as usize;
        directory.entries = usize::from(directory.short(start)?);
        directory.at = start + 2;
        Some(directory)
    }

    fn short(&self, at: usize) -> Option<u16> {
        let b = *self.bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.little_endian { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let b = *self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.little_endian { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    }

    /// The position of a tag's values, the bytes that each takes, and their number.
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

    /// A tag's values, as far as the file has them.
    fn values(&self, tag: u16) -> impl Iterator<Item = u64> + '_ {
        let (at, size, count) = self.find(tag).unwrap_or((0, 1, 0));
        (0..count).map_while(move |i| match size {
            2 => self.short(at + 2 * i).map(u64::from),
            4 => self.long(at + 4 * i).map(u64::from),
            _ => self.bytes.get(at + i).copied().map(u64::from),
        })
    }

    /// A tag's first value.
    fn value(&self, tag: u16) -> Option<u64> {
        self.values(tag).next()
    }

    /// `length` bytes at a position, or fewer at the end of the file.
    fn slice(&self, at: u64, length: u64) -> &'a [u8] {
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = &self.bytes[start..];
        &rest[..usize::try_from(length).unwrap_or(usize::MAX).min(rest.len())]
    }

    /// What decoding strips and tiles takes that are JPEGs: the memory of the largest, the work of all.
    fn jpeg_strips(&self) -> Estimate {
        let tables = self.find(JPEG_TABLES).map(|(at, _, count)| self.slice(at as u64, count as u64));
        let tiled = self.find(TILE_OFFSETS).is_some();
        let (offsets, lengths) =
            if tiled { (TILE_OFFSETS, TILE_BYTES) } else { (STRIP_OFFSETS, STRIP_BYTES) };
        let mut total = Estimate::default();
        let mut bytes_read = 0;
        for (offset, length) in self.values(offsets).zip(self.values(lengths)) {
            let strip = self.slice(offset, length);
            bytes_read += strip.len() + tables.map_or(0, <[u8]>::len);
            if bytes_read > MAX_OVERLAP * self.bytes.len() {
                return UNBOUNDED;
            }
            let estimate = jpeg_strip(tables, strip);
            total.memory = total.memory.max(estimate.memory + 2 * strip.len() as u64);
            total.work = total.work.saturating_add(estimate.work);
        }
        total
    }
}

/// What decoding one strip takes that is a JPEG. One without a frame header takes nothing; the decoder will refuse it.
fn jpeg_strip(tables: Option<&[u8]>, strip: &[u8]) -> Estimate {
    // Joined as the decoder does: the tables without their end marker, the strip without its start marker.
    let joined = match tables {
        Some([tables @ .., _, _]) => [tables, strip.get(2..).unwrap_or_default()].concat(),
        _ => strip.to_vec(),
    };
    match jpeg_markers::read_frame(&joined) {
        Some(frame) if frame.headers > 1 => UNBOUNDED,
        Some(frame) => {
            Estimate { memory: frame.decoded_bytes() + frame.coefficient_bytes(), work: frame.work() }
        }
        None => Estimate::default(),
    }
}
