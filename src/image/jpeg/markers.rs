//! JPEG markers: a walk over all of a file that decodes nothing and finds the frame header (SOF), metadata, the scans, and what
//! decoding them takes in memory and work.

use super::bits::Damage;
use crate::image::exif;

/// The frame header, how the scans after it are laid out, how many there are, and the metadata that matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::image) struct Frame<'a> {
    /// The marker: which process the file was coded with.
    pub(super) process: u8,
    /// Bits of a sample.
    pub(super) precision: u8,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: Vec<Component>,
    /// Whether the decoder holds all coefficients until the last scan: the file is progressive, or has its components in separate
    /// scans.
    buffered: bool,
    /// EXIF metadata: the first segment, as in Pillow and libvips.
    pub(super) exif: Option<&'a [u8]>,
    /// The parts of the colour profile with their numbers.
    pub(super) profile: Vec<(u8, &'a [u8])>,
    /// Whether there is a JFIF segment, which says that three components are YCbCr.
    pub(super) jfif: bool,
    /// The colour transform in Adobe's segment.
    pub(super) adobe_transform: Option<u8>,
    /// Samples that the scans after the first cover, in total.
    repeated_samples: u64,
    /// Markers in the file.
    markers: u64,
    /// Frame headers. The fields above are of the first.
    pub(super) headers: u64,
}

/// A colour component in the frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal and vertical sampling factor.
    pub(super) sampling: (u64, u64),
    /// Number of its quantisation table.
    pub(super) quantisation: u8,
}

impl Frame<'_> {
    /// Whether its scans refine each other.
    pub(super) fn is_progressive(&self) -> bool {
        self.process == 0xc2
    }

    /// Width and height in pixels.
    pub(in crate::image) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Number of colour components: 1 for grey, 3 for RGB or YCbCr, 4 for CMYK.
    pub(in crate::image) fn component_count(&self) -> usize {
        self.components.len()
    }

    /// The greatest horizontal and the greatest vertical sampling factor.
    pub(super) fn max_sampling(&self) -> (u64, u64) {
        let widest = self.components.iter().map(|c| c.sampling.0).max();
        let tallest = self.components.iter().map(|c| c.sampling.1).max();
        (widest.unwrap_or(0).max(1), tallest.unwrap_or(0).max(1))
    }

    /// Memory for the coefficients of an image of several scans: 16 bits per sample, in whole blocks of 8x8.
    pub(in crate::image) fn coefficient_bytes(&self) -> u64 {
        if !self.buffered {
            return 0;
        }
        let (widest, tallest) = self.max_sampling();
        let mcus = u64::from(self.width).div_ceil(8 * widest) * u64::from(self.height).div_ceil(8 * tallest);
        self.components.iter().map(|c| mcus * c.sampling.0 * c.sampling.1 * 64 * 2).sum()
    }

    /// Bytes of the decoded image in the file's own colour space.
    pub(in crate::image) fn decoded_bytes(&self) -> u64 {
        self.pixels() * self.components.len() as u64
    }

    /// See [`Estimate::work`](crate::image::Estimate::work). Markers count because each can be a table of its own.
    pub(in crate::image) fn work(&self) -> u64 {
        self.pixels() + self.repeated_samples / 2 + self.markers.saturating_sub(USUAL_MARKERS) * MARKER_WORK
    }

    /// Samples that a scan covers, by its header. A component that the frame does not have counts as the largest.
    fn samples_of_scan(&self, scan: &[u8]) -> u64 {
        let (widest, tallest) = self.max_sampling();
        let count = usize::from(scan.first().copied().unwrap_or(0));
        let ids = scan.iter().skip(1).step_by(2).take(count);
        let shares = ids.map(|id| {
            let known = self.components.iter().find(|c| c.id == *id);
            known.map_or(widest * tallest, |c| c.sampling.0 * c.sampling.1)
        });
        self.pixels() * shares.sum::<u64>() / (widest * tallest)
    }
}

/// Work of a marker: a Huffman table is some 2,000 entries to fill.
const MARKER_WORK: u64 = 500;
/// Markers that any file may have.
const USUAL_MARKERS: u64 = 1000;

/// The frame of a file from its start marker to its end marker, or as far as it goes if it ends in or after its first scan. Whether its
/// scans are complete is for the decoder to find.
pub(in crate::image) fn read_frame(bytes: &[u8]) -> Result<Frame<'_>, Damage> {
    const TRUNCATED: Damage = "the file ends before its first scan";
    let mut found: Option<Frame> = None;
    let mut metadata = Frame::default();
    let (mut at, mut has_scan, mut markers) = (2, false, 0);
    loop {
        let Some(after) = next_marker(bytes, at) else {
            if has_scan {
                break;
            }
            return Err(TRUNCATED);
        };
        at = after;
        let marker = bytes[at - 1];
        markers += 1;
        match marker {
            // End of image; some cameras append more data after it.
            0xd9 if has_scan => break,
            0xd9 => return Err("the image ends before its first scan"),
            // Markers without a segment.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let segment = match segment(bytes, at) {
            Some(segment) => segment,
            None if has_scan => break,
            None => return Err(TRUNCATED),
        };
        match marker {
            // SOF, and that of JPEG-LS.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7 => match &mut found {
                None => {
                    found = Some(parse_frame_header(segment, marker).ok_or("the frame header is cut off")?)
                }
                Some(frame) => frame.headers += 1,
            },
            // SOS, which begins a scan.
            0xda => {
                let frame = found.as_mut().ok_or("a scan comes before the frame header")?;
                if let Some(&components) = segment.first() {
                    frame.buffered |= usize::from(components) != frame.components.len();
                    if has_scan {
                        frame.repeated_samples =
                            frame.repeated_samples.saturating_add(frame.samples_of_scan(segment));
                    }
                }
                has_scan = true;
            }
            _ if !has_scan => metadata.read_metadata(marker, segment),
            _ => {}
        }
        at += 2 + segment.len();
    }
    let mut frame = found.ok_or(TRUNCATED)?;
    // The sampling factors of an only component mean nothing.
    if let [only] = &mut frame.components[..] {
        only.sampling = (1, 1);
    }
    let Frame { exif, profile, jfif, adobe_transform, .. } = metadata;
    Ok(Frame { exif, profile, jfif, adobe_transform, markers, ..frame })
}

impl<'a> Frame<'a> {
    /// Reads a segment of metadata.
    fn read_metadata(&mut self, marker: u8, segment: &'a [u8]) {
        match marker {
            0xe0 => self.jfif |= segment.starts_with(b"JFIF\0"),
            0xe1 if self.exif.is_none() && segment.starts_with(exif::PREFIX) => self.exif = Some(segment),
            0xe2 => {
                if let Some([number, _, part @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") {
                    self.profile.push((*number, part));
                }
            }
            // "Adobe", version, two flags of 16 bits, the transform.
            0xee if segment.starts_with(b"Adobe") => self.adobe_transform = segment.get(11).copied(),
            _ => {}
        }
    }

    /// The colour profile, joined from its parts.
    pub(super) fn joined_profile(&self) -> Option<Vec<u8>> {
        if self.profile.is_empty() {
            return None;
        }
        let mut parts = self.profile.clone();
        parts.sort_by_key(|(number, _)| *number);
        Some(parts.iter().flat_map(|(_, part)| *part).copied().collect())
    }
}

/// The position after the next marker at or after `at`. Stuffed zeros, fill bytes and restart markers do not count.
pub(super) fn next_marker(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr(0xff, bytes.get(at..)?)?;
        match *bytes.get(at + 1)? {
            0xff => at += 1,
            0 | 0xd0..=0xd7 => at += 2,
            _ => return Some(at + 2),
        }
    }
}

/// The content of the segment whose length is at `at`.
pub(super) fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk::<2>()?));
    bytes.get(at + 2..at + length.max(2))
}

/// Parses a frame header: precision, height, width, then for each component its id, sampling factors and quantisation table.
fn parse_frame_header<'a>(segment: &[u8], marker: u8) -> Option<Frame<'a>> {
    let (fixed, components) = segment.split_at_checked(6)?;
    let components = components.get(..usize::from(fixed[5]) * 3)?;
    Some(Frame {
        process: marker,
        precision: fixed[0],
        height: u32::from(u16::from_be_bytes([fixed[1], fixed[2]])),
        width: u32::from(u16::from_be_bytes([fixed[3], fixed[4]])),
        components: components
            .chunks_exact(3)
            .map(|c| Component {
                id: c[0],
                sampling: (u64::from(c[1] >> 4), u64::from(c[1] & 15)),
                quantisation: c[2],
            })
            .collect(),
        buffered: marker == 0xc2,
        headers: 1,
        ..Frame::default()
    })
}
