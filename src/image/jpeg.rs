//! JPEG: a scan of the markers that says what the file is before anything is allocated, then strict decoding.
//!
//! Left to itself, the `image` crate's decoder fills what a JPEG lacks or garbles with grey, and takes YCCK for its inverse,
//! both without a word; hence the scan, and `zune-jpeg` (which `image` wraps) called directly in its strict mode. What
//! remains unseen, here as in libjpeg, is a cut after which somebody put the end marker back.

use super::decode::{broken, cmyk};
use super::flatten::OUTPUT_BYTES;
use super::limits::Limits;
use crate::error::Result;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

const NAME: &str = "JPEG";

/// The frame header (SOF), and how the scans after it are laid out.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    width: u32,
    height: u32,
    /// Horizontal and vertical sampling factor of each component.
    sampling: Vec<(u64, u64)>,
    /// Whether all coefficients are held until the last scan: progressive, or components in scans of their own.
    buffered: bool,
}

/// Decodes to grey or RGB, and says how to turn it upright.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<(DynamicImage, Orientation)> {
    let frame = scan(bytes).map_err(|words| broken(NAME, words))?;
    limits.check_dimensions(NAME, frame.width, frame.height)?;
    let grey = match frame.sampling.len() {
        1 => true,
        3 => false,
        4 => return Err(cmyk(NAME)),
        n => return Err(broken(NAME, &format!("found {n} colour components, expected 1 or 3"))),
    };
    let (space, channels) = if grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    let decoded = u64::from(frame.width) * u64::from(frame.height) * channels;
    let converted = u64::from(frame.width) * u64::from(frame.height) * OUTPUT_BYTES;
    let needed = decoded + converted.max(frame.coefficient_bytes());
    limits.check_memory(NAME, (frame.width, frame.height), needed)?;

    // Headers may hold odd bytes, as those of cameras do; pixels must be all there.
    let side = limits.max_dimension as usize;
    let options = DecoderOptions::default()
        .set_max_width(side)
        .set_max_height(side)
        .set_strict_mode(false)
        .jpeg_set_out_colorspace(space);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| broken(NAME, &e.to_string()))?;
    decoder.set_options(options.set_strict_mode(true));
    let agrees = decoder.info().is_some_and(|info| {
        (u32::from(info.width), u32::from(info.height)) == (frame.width, frame.height)
            && usize::from(info.components) == frame.sampling.len()
    });
    if !agrees {
        return Err(broken(NAME, "there is more than one frame header"));
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let pixels = decoder.decode().map_err(|e| broken(NAME, &e.to_string()))?;
    let image = if grey {
        GrayImage::from_raw(frame.width, frame.height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(frame.width, frame.height, pixels).map(DynamicImage::ImageRgb8)
    };
    let image = image.ok_or_else(|| broken(NAME, "the pixels do not fill the frame"))?;
    Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
}

impl Frame {
    /// What `zune-jpeg` keeps of a picture whose scans must be combined: 16 bits per sample of whole blocks.
    fn coefficient_bytes(&self) -> u64 {
        if !self.buffered {
            return 0;
        }
        let widest = self.sampling.iter().map(|s| s.0).max().unwrap_or(0).max(1);
        let tallest = self.sampling.iter().map(|s| s.1).max().unwrap_or(0).max(1);
        let units = u64::from(self.width).div_ceil(8 * widest) * u64::from(self.height).div_ceil(8 * tallest);
        self.sampling.iter().map(|(h, v)| units * h * v * 64 * 2).sum()
    }
}

/// Walks all markers from the start of the image to its end: the frame header is there, and nothing is cut off.
fn scan(bytes: &[u8]) -> std::result::Result<Frame, &'static str> {
    const CUT: &str = "the file ends before the end-of-image marker";
    let mut frame: Option<Frame> = None;
    let mut at = 2;
    let mut scanned = false;
    loop {
        at = next_marker(bytes, at).ok_or(CUT)?;
        let marker = bytes[at - 1];
        match marker {
            // The end; some cameras append more after it.
            0xd9 if scanned => return frame.ok_or("a scan comes before the frame header"),
            0xd9 => return Err("the image ends before its first scan"),
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = bytes.get(at..at + 2).ok_or(CUT)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let segment = bytes.get(at + 2..at + length.max(2)).ok_or(CUT)?;
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if frame.is_none() => {
                frame = Some(frame_header(segment, marker).ok_or("the frame header is cut off")?);
            }
            0xda => {
                scanned = true;
                if let (Some(frame), Some(&components)) = (&mut frame, segment.first()) {
                    frame.buffered |= usize::from(components) != frame.sampling.len();
                }
            }
            _ => {}
        }
        at += length.max(2);
    }
}

/// The position after the next marker at or after `at`. Stuffed zeros, fill bytes and restart markers are no markers.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == 0xff)?;
        match *bytes.get(at + 1)? {
            0xff => at += 1,
            0 | 0xd0..=0xd7 => at += 2,
            _ => return Some(at + 2),
        }
    }
}

/// Precision, height, width, then for each component its id, sampling factors and table.
fn frame_header(segment: &[u8], marker: u8) -> Option<Frame> {
    let (fixed, components) = segment.split_at_checked(6)?;
    let components = components.get(..usize::from(fixed[5]) * 3)?;
    Some(Frame {
        height: u32::from(u16::from_be_bytes([fixed[1], fixed[2]])),
        width: u32::from(u16::from_be_bytes([fixed[3], fixed[4]])),
        sampling: components.chunks_exact(3).map(|c| (u64::from(c[1] >> 4), u64::from(c[1] & 15))).collect(),
        buffered: marker == 0xc2,
    })
}
