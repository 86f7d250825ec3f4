//! TIFF and BigTIFF: [`open`] reads the first directory, checks and estimates; [`OpenedTiff`] decodes.
//!
//! A decoder of our own over the libraries' decompressors: the `tiff` crate undoes predictors wrongly where there are extra channels,
//! and has neither palettes, YCbCr, Lab, fill orders, most compressions nor odd numbers of bits.
//!
//! | file | what is in it |
//! |---|---|
//! | `directory` | tags and their values |
//! | `layout` | the tags of an image, checked |
//! | `compression`, `ccitt` | strips and tiles decompressed |
//! | `samples` | predictors, and bits to numbers |
//! | `photometric` | palettes, YCbCr, L*a*b* and floats to what everything else takes |

mod ccitt;
mod compression;
mod directory;
mod layout;
mod photometric;
mod samples;

use super::colour::ColourSpace;
use super::decode_error::{corrupt, DAMAGED, TRUNCATED};
use super::flatten::OUTPUT_BYTES;
use super::jpeg;
use super::library::work_per_pixel;
use super::limits::{Estimate, Limits};
use super::pixels::{Opened, Pixels};
use crate::error::{Error, Result};
use crate::memory;
use ::image::metadata::Orientation;
use compression::{decompress, reversed_bits, Compression, Target};
use directory::Directory;
use layout::{Colours, Layout, Numbers};
use std::borrow::Cow;

const NAME: &str = "TIFF";

const ORIENTATION: u16 = 274;
const COLOR_MAP: u16 = 320;
const JPEG_TABLES: u16 = 347;
const ICC_PROFILE: u16 = 34_675;

/// How many times the file's size its strips may add up to. Beyond that, strips overlap so that one part of the file is decoded
/// many times.
const MAX_OVERLAP: u64 = 8;

/// Work of making a decompressor, most of which clear tables of 32 kB.
const CHUNK_WORK: u64 = 500;

/// Work of a byte of JPEG tables: a Huffman table of 20 bytes is some 2,000 entries to fill.
const TABLE_WORK: u64 = 10;

fn damaged() -> Error {
    corrupt(NAME, DAMAGED)
}

fn truncated() -> Error {
    corrupt(NAME, TRUNCATED)
}

/// A file whose first directory has been read and is within the limits.
pub(super) struct OpenedTiff<'a> {
    bytes: &'a [u8],
    directory: Directory<'a>,
    layout: Layout,
    estimate: Estimate,
}

/// Reads the first directory and checks it against the limits.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<OpenedTiff<'a>> {
    let directory = Directory::first(bytes).ok_or_else(|| corrupt(NAME, "the first directory is missing"))?;
    let layout = Layout::read(&directory, bytes, limits)?;
    let mut opened = OpenedTiff { bytes, directory, layout, estimate: Estimate::default() };
    opened.estimate = opened.estimated()?;
    limits.check(NAME, (opened.layout.width, opened.layout.height), &opened.estimate)?;
    Ok(opened)
}

/// All samples of the image that are used, interleaved, not yet converted.
enum Canvas {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
    Floats(Vec<f32>),
}

impl OpenedTiff<'_> {
    /// Bytes of a sample in the canvas.
    fn sample_bytes(&self) -> usize {
        match (self.layout.numbers, self.layout.bits) {
            (Numbers::Float, _) => 4,
            (_, ..=8) => 1,
            _ => 2,
        }
    }

    /// What decoding takes: the canvas, one chunk, and what its decoder holds; padding counts as work.
    fn estimated(&self) -> Result<Estimate> {
        let layout = &self.layout;
        let pixels = u64::from(layout.width) * u64::from(layout.height);
        let pixel_bytes = (layout.channels() * self.sample_bytes()) as u64;
        let canvas = pixels * pixel_bytes;
        let (across, down) = layout.grid();
        let padded =
            u64::from(across) * u64::from(layout.chunk.0) * u64::from(down) * u64::from(layout.chunk.1);
        let padded = if layout.tiled { padded } else { pixels };
        // Samples that nobody uses are decompressed, too.
        let stored = layout.samples as u64 * u64::from(layout.bits).div_ceil(8);
        let mut work = padded * work_per_pixel(stored.max(pixel_bytes)) * layout.compression.work();
        // Each further chunk makes a decompressor anew.
        work += (layout.chunks.len() as u64).saturating_sub(1) * CHUNK_WORK;
        let mut chunk = layout.chunk_bytes(layout.chunk.1);
        let (mut read, mut longest) = (0u64, 0);
        for (_, length) in &layout.chunks {
            let length = (*length).min(self.bytes.len() as u64);
            read = read.saturating_add(length);
            longest = longest.max(length);
        }
        if read > MAX_OVERLAP * self.bytes.len() as u64 {
            return Err(corrupt(NAME, "strips or tiles overlap"));
        }
        if layout.reversed {
            chunk += longest;
        }
        if layout.compression == Compression::Jpeg {
            let jpegs = self.jpegs_estimated()?;
            chunk = jpegs.memory;
            // Each reads the tables anew.
            let tables = self.directory.data(JPEG_TABLES).map_or(0, <[u8]>::len) as u64;
            work = work.saturating_add(jpegs.work);
            work = work.saturating_add(layout.chunks.len() as u64 * tables * TABLE_WORK);
        }
        // Decompressors' windows and tables, and WebP's planes.
        chunk += match layout.compression {
            Compression::Lzma | Compression::Zstandard => 16 << 20,
            Compression::WebP => u64::from(layout.chunk.0) * u64::from(layout.chunk.1) * 9,
            _ => 0,
        };
        let converted =
            pixels * OUTPUT_BYTES.max(if layout.numbers == Numbers::Float { pixel_bytes / 2 } else { 0 });
        Ok(Estimate { memory: canvas + converted.max(chunk), work, isolated: false })
    }

    /// What strips and tiles take that are JPEGs: the memory of the largest, the work of all scans after their first.
    fn jpegs_estimated(&self) -> Result<Estimate> {
        let mut total = Estimate::default();
        for (offset, length) in &self.layout.chunks {
            let frame = self.jpeg_frame(self.chunk_data(*offset, *length)?)?;
            let memory = frame.decoded_bytes() + frame.coefficient_bytes();
            total.memory = total.memory.max(memory);
            total.work = total.work.saturating_add(frame.work());
        }
        Ok(total)
    }

    /// The frame of a strip or tile that is a JPEG, no larger than the chunk.
    fn jpeg_frame<'b>(&self, data: &'b [u8]) -> Result<jpeg::Frame<'b>> {
        let frame = jpeg::read_frame(data).map_err(|reason| corrupt(NAME, reason))?;
        jpeg::check_variant(&frame)?;
        let (width, height) = frame.size();
        if frame.component_count() != self.layout.chunk_samples()
            || width > self.layout.chunk.0
            || height > self.layout.chunk.1
            || width == 0
        {
            return Err(corrupt(NAME, "a JPEG in it is not of the size of its strip or tile"));
        }
        Ok(frame)
    }

    /// A chunk's bytes, as far as the file has them.
    fn chunk_data(&self, offset: u64, length: u64) -> Result<&[u8]> {
        let start = usize::try_from(offset).map_err(|_| truncated())?;
        let rest = self.bytes.get(start..).ok_or_else(truncated)?;
        Ok(&rest[..usize::try_from(length).unwrap_or(usize::MAX).min(rest.len())])
    }

    /// Decodes all chunks into a canvas.
    fn canvas(&self) -> Result<Canvas> {
        let layout = &self.layout;
        let count = layout.width as usize * layout.height as usize * layout.channels();
        let mut canvas = match self.sample_bytes() {
            1 => Canvas::Bytes(memory::filled(0, count)?),
            2 => Canvas::Words(memory::filled(0, count)?),
            _ => Canvas::Floats(memory::filled(0.0, count)?),
        };
        let mut buffer = if layout.compression == Compression::Jpeg {
            Vec::new()
        } else {
            memory::filled(0, usize::try_from(layout.chunk_bytes(layout.chunk.1)).map_err(|_| damaged())?)?
        };
        let (across, down) = layout.grid();
        let per_plane = across as usize * down as usize;
        for (i, (offset, length)) in layout.chunks.iter().enumerate() {
            let (plane, place) = (i / per_plane, (i % per_plane) as u32);
            let (x, y) = (place % across * layout.chunk.0, place / across * layout.chunk.1);
            if layout.planar && self.channel_of(plane).is_none() {
                continue;
            }
            let rows = layout.chunk.1.min(layout.height - y);
            let data = self.chunk_data(*offset, *length)?;
            let chunk = Chunk { x, y, rows, plane };
            if layout.compression == Compression::Jpeg {
                self.place_jpeg(data, &chunk, &mut canvas)?;
                continue;
            }
            let data = if layout.reversed { Cow::Owned(reversed_bits(data)?) } else { Cow::Borrowed(data) };
            // Strips end with the image; tiles are whole.
            let stored = if layout.tiled { layout.chunk.1 } else { rows };
            let bytes = &mut buffer[..layout.chunk_bytes(stored) as usize];
            let samples = layout.chunk_samples();
            let options = layout.t4_options;
            let target = Target { bytes: &mut *bytes, width: layout.chunk.0, samples, options };
            decompress(layout.compression, &data, target)?;
            self.place_rows(bytes, &chunk, &mut canvas);
        }
        Ok(canvas)
    }

    /// The place in the canvas of a sample of the file, if it is used.
    fn channel_of(&self, sample: usize) -> Option<usize> {
        let colours = self.layout.colours.samples();
        if sample < colours {
            return Some(sample);
        }
        self.layout.alpha.filter(|alpha| alpha.index == sample).map(|_| colours)
    }

    /// Copies the rows of a decompressed chunk into the canvas.
    fn place_rows(&self, bytes: &mut [u8], chunk: &Chunk, canvas: &mut Canvas) {
        let layout = &self.layout;
        let row_bytes = layout.row_bytes() as usize;
        if layout.subsampling != (1, 1) && !layout.planar {
            if let Canvas::Bytes(canvas) = canvas {
                photometric::place_subsampled(
                    bytes,
                    row_bytes,
                    layout,
                    (chunk.x, chunk.y, chunk.rows),
                    canvas,
                );
            }
            return;
        }
        let (mut floats, mut integers) = (Vec::new(), Vec::new());
        // Indices of palettes are not scaled.
        let is_index = layout.colours == Colours::Palette;
        for (i, row) in bytes.chunks_exact_mut(row_bytes).take(chunk.rows as usize).enumerate() {
            let y = chunk.y + i as u32;
            samples::undo_predictor(row, layout, layout.chunk_samples());
            if layout.bits == 8 && layout.numbers == Numbers::Unsigned {
                self.place_samples(row, chunk, y, canvas.bytes());
                continue;
            }
            samples::unpack(row, layout, &mut floats, &mut integers);
            match canvas {
                Canvas::Floats(canvas) => self.place_samples(&floats, chunk, y, canvas),
                Canvas::Words(canvas) => {
                    let bits = if is_index { 16 } else { layout.bits };
                    let words: Vec<u16> =
                        integers.iter().map(|value| scaled(*value, bits, 16) as u16).collect();
                    self.place_samples(&words, chunk, y, canvas);
                }
                Canvas::Bytes(canvas) => {
                    let bits = if is_index { 8 } else { layout.bits };
                    let bytes: Vec<u8> = integers.iter().map(|value| scaled(*value, bits, 8) as u8).collect();
                    self.place_samples(&bytes, chunk, y, canvas);
                }
            }
        }
    }

    /// Copies the samples of one row of a chunk that are used and within the image to row `y` of the canvas.
    fn place_samples<T: Copy>(&self, row: &[T], chunk: &Chunk, y: u32, canvas: &mut [T]) {
        let layout = &self.layout;
        let (channels, stored) = (layout.channels(), layout.chunk_samples());
        let width = layout.chunk.0.min(layout.width - chunk.x) as usize;
        let start = (y as usize * layout.width as usize + chunk.x as usize) * channels;
        let out = &mut canvas[start..start + width * channels];
        if layout.planar {
            let channel = self.channel_of(chunk.plane).unwrap_or(0);
            out.iter_mut().skip(channel).step_by(channels).zip(row).for_each(|(out, sample)| *out = *sample);
            return;
        }
        let in_order = layout.alpha.is_none_or(|alpha| alpha.index == layout.colours.samples());
        if stored == channels {
            out.copy_from_slice(&row[..width * channels]);
            return;
        }
        for (out, pixel) in out.chunks_exact_mut(channels).zip(row.chunks_exact(stored)) {
            out.copy_from_slice(&pixel[..channels]);
            if let (false, Some(alpha)) = (in_order, layout.alpha) {
                out[channels - 1] = pixel[alpha.index];
            }
        }
    }

    /// Decodes a chunk that is a JPEG into the canvas.
    fn place_jpeg(&self, data: &[u8], chunk: &Chunk, canvas: &mut Canvas) -> Result<()> {
        let layout = &self.layout;
        let frame = self.jpeg_frame(data)?;
        let components = match layout.colours {
            Colours::YCbCr if !layout.planar => jpeg::Components::YCbCr,
            _ => jpeg::Components::Plain,
        };
        let pixels = jpeg::decode_samples(data, &frame, self.directory.data(JPEG_TABLES), components)?;
        let (width, height) = frame.size();
        let needed = layout.chunk.0.min(layout.width - chunk.x);
        if width < needed || height < chunk.rows {
            return Err(corrupt(NAME, "a JPEG in it is not of the size of its strip or tile"));
        }
        let rows = pixels.chunks_exact(width as usize * layout.chunk_samples());
        for (i, row) in rows.take(chunk.rows as usize).enumerate() {
            self.place_samples(row, chunk, chunk.y + i as u32, canvas.bytes());
        }
        Ok(())
    }
}

/// Where a chunk is: its first pixel, the rows of it that are in the image, and its plane.
struct Chunk {
    x: u32,
    y: u32,
    rows: u32,
    plane: usize,
}

impl Canvas {
    /// The samples of a canvas of bytes.
    fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &mut [],
        }
    }
}

/// An integer of `from` bits as one of `to`, so that the greatest becomes the greatest.
fn scaled(value: u32, from: u16, to: u16) -> u32 {
    if from == to {
        return value;
    }
    let most = |bits: u16| (1u64 << bits) - 1;
    ((u64::from(value) * most(to) + most(from) / 2) / most(from)) as u32
}

impl Opened for OpenedTiff<'_> {
    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn decode(self: Box<Self>, _limits: &Limits) -> Result<Pixels> {
        let canvas = self.canvas()?;
        let map = memory::collect(self.directory.values(COLOR_MAP).take(3 << self.layout.bits.min(16)))?;
        let samples = photometric::convert(canvas, &self.layout, &map)?;
        let orientation = self.directory.value(ORIENTATION).and_then(|value| u8::try_from(value).ok());
        let is_lab = matches!(self.layout.colours, Colours::Lab { .. });
        let profile = self.directory.data(ICC_PROFILE).filter(|_| !is_lab);
        let profile = profile.map(memory::copied).transpose()?;
        Ok(Pixels {
            premultiplied: self.layout.alpha.is_some_and(|alpha| alpha.associated),
            orientation: orientation.and_then(Orientation::from_exif),
            colours: ColourSpace::from_icc(profile),
            ..Pixels::new(samples)
        })
    }
}
