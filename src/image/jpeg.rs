//! JPEG: a scan of the markers that says what the file is before anything is allocated, then strict decoding.
//!
//! Left to itself, the `image` crate's decoder fills what a JPEG lacks or garbles with grey, and takes YCCK for its inverse,
//! both without a word; hence the scan, and `zune-jpeg` (which `image` wraps) called directly in its strict mode. What
//! remains unseen, here as in libjpeg, is a cut after which somebody put the end marker back.

use super::decode::{broken, cmyk};
use super::flatten::OUTPUT_BYTES;
use super::limits::{Estimate, Limits};
use crate::error::Result;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

const NAME: &str = "JPEG";

/// The frame header (SOF), how the scans after it are laid out, and how many there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    width: u32,
    height: u32,
    components: Vec<Component>,
    /// Whether all coefficients are held until the last scan: progressive, or components in scans of their own.
    buffered: bool,
    /// Samples that the scans after the first go over.
    repeated: u64,
    /// Markers, and segments of metadata (APP1) among them.
    markers: u64,
    metadata: u64,
    /// Frame headers. The first one counts; what a decoder takes of several is not foreseen.
    pub(super) headers: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Component {
    id: u8,
    /// Horizontal and vertical sampling factor.
    sampling: (u64, u64),
}

/// A file whose markers are whole and within the limits.
pub(super) struct Opened<'a> {
    bytes: &'a [u8],
    frame: Frame,
    grey: bool,
    /// Memory and work of decoding, by the frame header and the scans that follow it.
    pub(super) estimate: Estimate,
}

/// Walks all markers of a file, and decodes nothing: what its frame and scans say, and what decoding them takes.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Opened<'a>> {
    let frame = scan(bytes).map_err(|words| broken(NAME, words))?;
    limits.check_dimensions(NAME, frame.width, frame.height)?;
    let grey = match frame.components.len() {
        1 => true,
        3 => false,
        4 => return Err(cmyk(NAME)),
        n => return Err(broken(NAME, &format!("found {n} colour components, expected 1 or 3"))),
    };
    let decoded = frame.pixels() * if grey { 1 } else { 3 };
    let converted = frame.pixels() * OUTPUT_BYTES;
    let memory = decoded + converted.max(frame.coefficient_bytes());
    let estimate = Estimate { memory, work: frame.work() };
    limits.check(NAME, (frame.width, frame.height), &estimate)?;
    Ok(Opened { bytes, frame, grey, estimate })
}

impl Opened<'_> {
    /// Decodes to grey or RGB, and says how to turn it upright.
    ///
    /// # Errors
    /// As [`decode`](super::decode()).
    pub(super) fn decode(self, limits: &Limits) -> Result<(DynamicImage, Orientation)> {
        let Self { bytes, frame, grey, .. } = self;
        // Headers may hold odd bytes, as those of cameras do; pixels must be all there.
        let side = limits.max_dimension as usize;
        let options = DecoderOptions::default()
            .set_max_width(side)
            .set_max_height(side)
            .set_strict_mode(false)
            // How many there may be is a matter of their work.
            .jpeg_set_max_scans(usize::MAX)
            .jpeg_set_out_colorspace(if grey { ColorSpace::Luma } else { ColorSpace::RGB });
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|e| broken(NAME, &e.to_string()))?;
        decoder.set_options(options.set_strict_mode(true));
        let agrees = decoder.info().is_some_and(|info| {
            (u32::from(info.width), u32::from(info.height)) == (frame.width, frame.height)
                && usize::from(info.components) == frame.components.len()
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
}

impl Frame {
    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The greatest horizontal and the greatest vertical sampling factor.
    fn most(&self) -> (u64, u64) {
        let widest = self.components.iter().map(|c| c.sampling.0).max();
        let tallest = self.components.iter().map(|c| c.sampling.1).max();
        (widest.unwrap_or(0).max(1), tallest.unwrap_or(0).max(1))
    }

    /// What `zune-jpeg` keeps of a picture whose scans must be combined: 16 bits per sample of whole blocks.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        if !self.buffered {
            return 0;
        }
        let (widest, tallest) = self.most();
        let units = u64::from(self.width).div_ceil(8 * widest) * u64::from(self.height).div_ceil(8 * tallest);
        self.components.iter().map(|c| units * c.sampling.0 * c.sampling.1 * 64 * 2).sum()
    }

    /// Bytes of the decoded form in the file's own colours.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.pixels() * self.components.len() as u64
    }

    /// See [`Estimate::work`]. The decoder looks through all of its metadata again at each marker after them.
    pub(super) fn work(&self) -> u64 {
        self.pixels() + self.repeated / 2 + self.markers * self.metadata
    }

    /// Samples that a scan of these components goes over. Of one that the frame lacks, as if of the largest.
    fn samples(&self, scan: &[u8]) -> u64 {
        let (widest, tallest) = self.most();
        let count = usize::from(scan.first().copied().unwrap_or(0));
        let named = scan.iter().skip(1).step_by(2).take(count);
        let share = named.map(|id| {
            let known = self.components.iter().find(|c| c.id == *id);
            known.map_or(widest * tallest, |c| c.sampling.0 * c.sampling.1)
        });
        self.pixels() * share.sum::<u64>() / (widest * tallest)
    }
}

/// The frame of a file, however it goes on: for those who decode it less strictly.
pub(super) fn frame(bytes: &[u8]) -> Option<Frame> {
    let mut frame = None;
    // What is wrong with it is for its decoder to say.
    let _ = walk(bytes, &mut frame);
    frame
}

/// The frame of a file that nothing is cut off from.
fn scan(bytes: &[u8]) -> std::result::Result<Frame, &'static str> {
    let mut frame = None;
    walk(bytes, &mut frame)?;
    frame.ok_or("a scan comes before the frame header")
}

/// Walks all markers from the start of the image to its end.
fn walk(bytes: &[u8], frame: &mut Option<Frame>) -> std::result::Result<(), &'static str> {
    const CUT: &str = "the file ends before the end-of-image marker";
    let (mut at, mut scanned) = (2, false);
    let (mut markers, mut metadata) = (0, 0);
    loop {
        at = next_marker(bytes, at).ok_or(CUT)?;
        let marker = bytes[at - 1];
        markers += 1;
        match marker {
            // The end; some cameras append more after it.
            0xd9 if scanned => return Ok(()),
            0xd9 => return Err("the image ends before its first scan"),
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = bytes.get(at..at + 2).ok_or(CUT)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let segment = bytes.get(at + 2..at + length.max(2)).ok_or(CUT)?;
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => match frame {
                None => *frame = Some(frame_header(segment, marker).ok_or("the frame header is cut off")?),
                Some(frame) => frame.headers += 1,
            },
            0xda => {
                if let (Some(frame), Some(&components)) = (&mut *frame, segment.first()) {
                    frame.buffered |= usize::from(components) != frame.components.len();
                    if scanned {
                        frame.repeated = frame.repeated.saturating_add(frame.samples(segment));
                    }
                }
                scanned = true;
            }
            0xe1 => metadata += 1,
            _ => {}
        }
        if let Some(frame) = frame {
            (frame.markers, frame.metadata) = (markers, metadata);
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
        components: components
            .chunks_exact(3)
            .map(|c| Component { id: c[0], sampling: (u64::from(c[1] >> 4), u64::from(c[1] & 15)) })
            .collect(),
        buffered: marker == 0xc2,
        headers: 1,
        ..Frame::default()
    })
}
