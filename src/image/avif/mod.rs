//! AVIF: still images in a HEIF container, decoded by rav1d (dav1d in Rust) with its bounds checked: no assembler, one thread.
//!
//! Its functions have the C calling convention, so a panic in one ends the process. That is why
//! [`Estimate::isolated`](super::Estimate::isolated) is set: the server decodes such a file in a process of its own.

mod container;
mod yuv;

use super::colour::ColourSpace;
use super::decode_error::{corrupt, unsupported, DAMAGED, TRUNCATED};
use super::limits::{Estimate, Limits};
use super::pixels::{Opened, Pixels, Samples};
use crate::error::{Error, Result};
use crate::memory;
use ::image::metadata::Orientation;
use container::{Container, Item};
use re_rav1d::dav1d::pixel::{MatrixCoefficients, YUVRange};
use re_rav1d::dav1d::{Decoder, Picture, Settings};
use yuv::Conversion;

const NAME: &str = "AVIF";

/// Bytes per pixel that the decoder holds beside its output. Measured: 2 for 8 bits and 4:2:0, 7 for 10 bits and 4:4:4; film grain
/// is applied to a copy of the picture.
const WORKING_BYTES: u64 = 12;

/// Work of a pixel. Measured, without assembler: 8 bits take 8 to 14 times as long as a baseline JPEG, 10 bits twice that.
const WORK: u64 = 15;

fn damaged() -> Error {
    corrupt(NAME, DAMAGED)
}

fn truncated() -> Error {
    corrupt(NAME, TRUNCATED)
}

/// A file whose container has been read and is within the limits.
pub(super) struct OpenedAvif<'a> {
    container: Container<'a>,
    size: (u32, u32),
    estimate: Estimate,
}

/// Reads the container and checks it against the limits.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<OpenedAvif<'a>> {
    let container = Container::read(bytes)?;
    let image = container.primary()?;
    match &image.kind {
        b"av01" | b"grid" => {}
        b"hvc1" | b"hev1" => return Err(unsupported("a HEIC image").hint("Export it as JPEG.")),
        _ => return Err(unsupported("AVIF of an unknown kind")),
    }
    let size = container.size(image)?;
    limits.check_dimensions(NAME, size.0, size.1)?;
    let pixels = u64::from(size.0) * u64::from(size.1);
    let alpha = u64::from(container.alpha(image).is_some());
    let output = pixels * (3 + alpha);
    let memory = output + pixels * WORKING_BYTES;
    let estimate = Estimate { memory, work: pixels * WORK * (1 + alpha), isolated: true };
    limits.check(NAME, size, &estimate)?;
    Ok(OpenedAvif { container, size, estimate })
}

impl Opened for OpenedAvif<'_> {
    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn decode(self: Box<Self>, _limits: &Limits) -> Result<Pixels> {
        let Self { container, size, .. } = &*self;
        let image = container.primary()?;
        let alpha = container.alpha(image);
        let channels = if alpha.is_some() { 4 } else { 3 };
        let mut pixels = memory::filled(255u8, size.0 as usize * size.1 as usize * channels)?;
        let width = size.0 as usize;
        // The container's description of colours counts before the stream's own.
        let nclx = container.properties(image, b"colr").find_map(|c| c.strip_prefix(b"nclx"));
        let icc = container
            .properties(image, b"colr")
            .find_map(|c| c.strip_prefix(b"prof").or_else(|| c.strip_prefix(b"rICC")));
        let mut stream_colours = None;
        self.for_each_picture(image, |picture, (left, top)| {
            let (matrix, range) = match nclx {
                Some([_, _, _, _, _, matrix, range, ..]) => (
                    matrix_by_code(*matrix),
                    if range >> 7 == 1 { YUVRange::Full } else { YUVRange::Limited },
                ),
                _ => (picture.matrix_coefficients(), picture.color_range()),
            };
            let conversion = Conversion::new(matrix, range);
            let conversion = conversion.ok_or_else(|| unsupported("AVIF with this matrix of colours"))?;
            stream_colours.get_or_insert((
                picture.color_primaries() as usize as u8,
                picture.transfer_characteristic() as usize as u8,
            ));
            yuv::to_rgb(picture, &conversion, |y, row| {
                let Some(out) = row_from(&mut pixels, width, channels, left, top + y) else { return };
                out.chunks_exact_mut(channels).zip(row).for_each(|(out, rgb)| out[..3].copy_from_slice(rgb));
            });
            Ok(())
        })?;
        if let Some(alpha) = alpha {
            if container.size(alpha)? != *size {
                return Err(unsupported("AVIF whose alpha is of another size"));
            }
            self.for_each_picture(alpha, |picture, (left, top)| {
                let conversion = Conversion::new(MatrixCoefficients::Unspecified, picture.color_range());
                let conversion = conversion.ok_or_else(damaged)?;
                yuv::to_alpha(picture, &conversion, |y, row| {
                    let Some(out) = row_from(&mut pixels, width, 4, left, top + y) else { return };
                    out.chunks_exact_mut(4).zip(row).for_each(|(out, alpha)| out[3] = *alpha);
                });
                Ok(())
            })?;
        }
        let colours = match (icc, nclx) {
            (Some(icc), _) => ColourSpace::from_icc(Some(memory::copied(icc)?)),
            (_, Some([_, primaries, _, transfer, ..])) => {
                ColourSpace::from_code_points(*primaries, *transfer)
            }
            _ => stream_colours.map_or(ColourSpace::Srgb, |(p, t)| ColourSpace::from_code_points(p, t)),
        };
        let premultiplied = alpha
            .is_some_and(|alpha| container.referenced(*b"prem", image.id).any(|item| item.id == alpha.id));
        let samples = Samples::of_bytes(pixels, channels, *size).ok_or_else(damaged)?;
        Ok(Pixels {
            colours,
            premultiplied,
            orientation: Some(self.orientation(image)),
            ..Pixels::new(samples)
        })
    }
}

/// The part of row `y` from `left` on, if the image has it.
fn row_from(pixels: &mut [u8], width: usize, channels: usize, left: usize, y: usize) -> Option<&mut [u8]> {
    let row = pixels.chunks_exact_mut(width * channels).nth(y)?;
    row.get_mut(left * channels..)
}

impl OpenedAvif<'_> {
    /// Decodes an item's pictures: one, or those of a grid, each with its place.
    fn for_each_picture(
        &self,
        item: &Item,
        mut then: impl FnMut(&Picture, (usize, usize)) -> Result<()>,
    ) -> Result<()> {
        if item.kind == *b"av01" {
            let size = self.container.size(item)?;
            return then(&decode_item(self.container.data(item)?, size)?, (0, 0));
        }
        if item.kind != *b"grid" {
            return Err(damaged());
        }
        let grid = self.container.data(item)?;
        let [_, _, rows, columns, ..] = grid[..] else { return Err(damaged()) };
        let (rows, columns) = (usize::from(rows) + 1, usize::from(columns) + 1);
        let tiles: Vec<&Item> = self.container.referenced(*b"dimg", item.id).collect();
        let size = self.container.size(tiles.first().copied().ok_or_else(damaged)?)?;
        let whole = self.container.size(item)?;
        let covers = |tile: u32, count: usize, whole: u32| {
            let all = u64::from(tile) * count as u64;
            (u64::from(whole)..u64::from(whole) + u64::from(tile)).contains(&all)
        };
        if tiles.len() != rows * columns
            || !covers(size.0, columns, whole.0)
            || !covers(size.1, rows, whole.1)
        {
            return Err(damaged());
        }
        for (i, tile) in tiles.iter().enumerate() {
            if self.container.size(tile)? != size || tile.kind != *b"av01" {
                return Err(damaged());
            }
            let place = (i % columns * size.0 as usize, i / columns * size.1 as usize);
            then(&decode_item(self.container.data(tile)?, size)?, place)?;
        }
        Ok(())
    }

    /// Rotation and mirroring, in this order, as properties of the image. EXIF does not count in this format.
    fn orientation(&self, image: &Item) -> Orientation {
        let first = |kind| self.container.properties(image, kind).next().and_then(|content| content.first());
        let turns = first(b"irot").map_or(0, |angle| angle & 3);
        // The image's upper and lower half are exchanged, or its left and right.
        let mirror = first(b"imir").map(|axis| axis & 1);
        match (turns, mirror) {
            (0, None) => Orientation::NoTransforms,
            (1, None) => Orientation::Rotate270,
            (2, None) => Orientation::Rotate180,
            (_, None) => Orientation::Rotate90,
            (0, Some(0)) | (2, Some(1)) => Orientation::FlipVertical,
            (0, Some(_)) | (2, Some(_)) => Orientation::FlipHorizontal,
            (1, Some(0)) | (3, Some(1)) => Orientation::Rotate90FlipH,
            (_, Some(_)) => Orientation::Rotate270FlipH,
        }
    }
}

/// Decodes the one picture of an item, which must be of this size.
fn decode_item(data: Vec<u8>, (width, height): (u32, u32)) -> Result<Picture> {
    let mut settings = Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_all_layers(false);
    settings.set_frame_size_limit(width.checked_mul(height).ok_or_else(damaged)?);
    let mut decoder = Decoder::with_settings(&settings).map_err(|_| memory::out_of_memory(0))?;
    match decoder.send_data(data, None, None, None) {
        Ok(()) | Err(re_rav1d::dav1d::Error::Again) => {}
        Err(_) => return Err(damaged()),
    }
    let picture = decoder.get_picture().map_err(|_| damaged())?;
    if (picture.width(), picture.height()) != (width, height) {
        return Err(damaged());
    }
    Ok(picture)
}

fn matrix_by_code(code: u8) -> MatrixCoefficients {
    use MatrixCoefficients as M;
    match code {
        0 => M::Identity,
        1 => M::BT709,
        2 => M::Unspecified,
        4 => M::BT470M,
        5 => M::BT470BG,
        6 => M::ST170M,
        7 => M::ST240M,
        9 => M::BT2020NonConstantLuminance,
        // None of those that are converted.
        _ => M::Reserved,
    }
}
