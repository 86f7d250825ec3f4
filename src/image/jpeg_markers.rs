//! JPEG markers: a walk over all of a file that decodes nothing and finds the frame header (SOF), the scans, and what decoding
//! them takes in memory and work.

/// The frame header, how the scans after it are laid out, and how many there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    components: Vec<Component>,
    /// Whether the decoder holds all coefficients until the last scan: the file is progressive, or has its components in separate
    /// scans.
    buffered: bool,
    /// Samples that the scans after the first cover, in total.
    repeated_samples: u64,
    /// Markers in the file.
    markers: u64,
    /// Metadata segments (APP1) among them.
    metadata_segments: u64,
    /// Frame headers. The fields above are of the first; which one a decoder uses if there are several is not known.
    pub(super) headers: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Component {
    id: u8,
    /// Horizontal and vertical sampling factor.
    sampling: (u64, u64),
}

impl Frame {
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Number of colour components: 1 for grey, 3 for RGB or YCbCr, 4 for CMYK.
    pub(super) fn component_count(&self) -> usize {
        self.components.len()
    }

    /// The greatest horizontal and the greatest vertical sampling factor.
    fn max_sampling(&self) -> (u64, u64) {
        let widest = self.components.iter().map(|c| c.sampling.0).max();
        let tallest = self.components.iter().map(|c| c.sampling.1).max();
        (widest.unwrap_or(0).max(1), tallest.unwrap_or(0).max(1))
    }

    /// Memory in which `zune-jpeg` collects the coefficients of an image of several scans: 16 bits per sample, in whole blocks of
    /// 8x8.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        if !self.buffered {
            return 0;
        }
        let (widest, tallest) = self.max_sampling();
        let mcus = u64::from(self.width).div_ceil(8 * widest) * u64::from(self.height).div_ceil(8 * tallest);
        self.components.iter().map(|c| mcus * c.sampling.0 * c.sampling.1 * 64 * 2).sum()
    }

    /// Bytes of the decoded image in the file's own colour space.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.pixels() * self.components.len() as u64
    }

    /// See [`Estimate::work`](super::Estimate::work). Metadata counts because the decoder goes through all segments again at each later marker.
    pub(super) fn work(&self) -> u64 {
        self.pixels() + self.repeated_samples / 2 + self.markers * self.metadata_segments
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

/// The frame of a file that may be truncated or damaged after its frame header, for a decoder that accepts such files (TIFF's).
pub(super) fn read_frame(bytes: &[u8]) -> Option<Frame> {
    let mut frame = None;
    // Any error is for the decoder to report.
    let _ = walk_markers(bytes, &mut frame);
    frame
}

/// The frame of a file that is complete, from its start marker to its end marker.
pub(super) fn read_whole_frame(bytes: &[u8]) -> std::result::Result<Frame, &'static str> {
    let mut frame = None;
    walk_markers(bytes, &mut frame)?;
    frame.ok_or("a scan comes before the frame header")
}

/// Walks all markers from the start of the image to its end, and fills `frame` as far as it gets.
fn walk_markers(bytes: &[u8], frame: &mut Option<Frame>) -> std::result::Result<(), &'static str> {
    const TRUNCATED: &str = "the file ends before the end-of-image marker";
    let (mut at, mut has_scan) = (2, false);
    let (mut markers, mut metadata_segments) = (0, 0);
    loop {
        at = next_marker(bytes, at).ok_or(TRUNCATED)?;
        let marker = bytes[at - 1];
        markers += 1;
        match marker {
            // End of image; some cameras append more data after it.
            0xd9 if has_scan => return Ok(()),
            0xd9 => return Err("the image ends before its first scan"),
            // Markers without a segment.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = bytes.get(at..at + 2).ok_or(TRUNCATED)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let segment = bytes.get(at + 2..at + length.max(2)).ok_or(TRUNCATED)?;
        match marker {
            // SOF.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => match frame {
                None => {
                    *frame = Some(parse_frame_header(segment, marker).ok_or("the frame header is cut off")?)
                }
                Some(frame) => frame.headers += 1,
            },
            // SOS, which begins a scan.
            0xda => {
                if let (Some(frame), Some(&components)) = (&mut *frame, segment.first()) {
                    frame.buffered |= usize::from(components) != frame.components.len();
                    if has_scan {
                        frame.repeated_samples =
                            frame.repeated_samples.saturating_add(frame.samples_of_scan(segment));
                    }
                }
                has_scan = true;
            }
            // APP1: EXIF and XMP.
            0xe1 => metadata_segments += 1,
            _ => {}
        }
        if let Some(frame) = frame {
            (frame.markers, frame.metadata_segments) = (markers, metadata_segments);
        }
        at += length.max(2);
    }
}

/// The position after the next marker at or after `at`. Stuffed zeros, fill bytes and restart markers do not count.
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

/// Parses a frame header: precision, height, width, then for each component its id, sampling factors and quantisation table.
fn parse_frame_header(segment: &[u8], marker: u8) -> Option<Frame> {
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
