//! JPEG: [`open`] checks the markers before anything is allocated, [`OpenedJpeg::decode`] decodes.
//!
//! A decoder of our own, because no library in Rust refuses what libjpeg warns of (a scan that ends early, has data left or
//! garbled codes) and fills the picture with grey instead; nor decodes scans of single components with subsampling, or components
//! of any sampling. The pixels are libjpeg's.
//!
//! | file | what is in it |
//! |---|---|
//! | `markers` | frame, scans and metadata, without decoding |
//! | `bits`, `scan` | Huffman codes; scans to coefficients |
//! | `planes`, `kernels`, `idct_avx2` | coefficients to samples, upsampling, colour |
//! | `decoder` | all of it: scans to interleaved samples |

mod bits;
mod decoder;
#[cfg(target_arch = "x86_64")]
mod idct_avx2;
mod kernels;
mod markers;
mod planes;
mod scan;

pub(super) use decoder::Components;
pub(super) use markers::{read_frame, Frame};

use super::colour::ColourSpace;
use super::decode_error::{corrupt, unsupported};
use super::flatten::OUTPUT_BYTES;
use super::limits::{Estimate, Limits};
use super::pixels::{Opened, Pixels};
use super::{exif, MEGAPIXEL};
use crate::error::Result;
use decoder::Failure;

const NAME: &str = "JPEG";

/// A file that has all its markers and is within the limits.
pub(super) struct OpenedJpeg<'a> {
    bytes: &'a [u8],
    frame: Frame<'a>,
    /// Memory and work of decoding, from the frame header and the scans.
    estimate: Estimate,
}

/// Reads all markers of a file and checks it against the limits; decodes nothing.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<OpenedJpeg<'a>> {
    let frame = read_frame(bytes).map_err(|reason| corrupt(NAME, reason))?;
    check_variant(&frame)?;
    limits.check_dimensions(NAME, frame.width, frame.height)?;
    let converted = frame.pixels() * OUTPUT_BYTES;
    let memory = frame.decoded_bytes() + converted.max(frame.coefficient_bytes());
    let profile = frame.profile.iter().map(|(_, part)| part.len() as u64).sum::<u64>();
    let estimate = Estimate { memory, work: frame.work() + profile.min(MEGAPIXEL), isolated: false };
    limits.check(NAME, (frame.width, frame.height), &estimate)?;
    Ok(OpenedJpeg { bytes, frame, estimate })
}

/// Refuses what the decoder does not decode, by name.
pub(super) fn check_variant(frame: &Frame) -> Result<()> {
    let variant = match frame.process {
        0xc0..=0xc2 => None,
        0xc3 => Some("lossless JPEG"),
        0xc5..=0xc7 | 0xcd..=0xcf => Some("hierarchical JPEG"),
        0xc9..=0xcb => Some("arithmetic-coded JPEG"),
        _ => Some("JPEG-LS"),
    };
    if let Some(variant) = variant {
        return Err(unsupported(variant));
    }
    if frame.precision != 8 {
        return Err(unsupported(&format!("{}-bit JPEG", frame.precision))
            .detail(format!("Its samples have {} bits, and 8 were expected.", frame.precision)));
    }
    if frame.headers > 1 {
        return Err(corrupt(NAME, "there is more than one frame header"));
    }
    if frame.height == 0 && frame.width > 0 {
        return Err(unsupported("JPEG that states its height after the scan (DNL)"));
    }
    if !matches!(frame.components.len(), 1 | 3 | 4) {
        let found = frame.components.len();
        return Err(corrupt(NAME, &format!("it has {found} colour components, and 1, 3 or 4 were expected")));
    }
    let (widest, tallest) = frame.max_sampling();
    let factors = |of: &markers::Component| [of.sampling.0, of.sampling.1];
    if frame.components.iter().flat_map(factors).any(|factor| !(1..=4).contains(&factor)) {
        return Err(corrupt(NAME, "a sampling factor is not 1 to 4"));
    }
    if frame.components.iter().any(|c| widest % c.sampling.0 != 0 || tallest % c.sampling.1 != 0) {
        return Err(unsupported("JPEG with fractional sampling"));
    }
    Ok(())
}

/// Decodes one image to interleaved samples, as many as the frame has components.
///
/// # Errors
/// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) where libjpeg warns of corrupt data;
/// [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
pub(super) fn decode_samples(
    bytes: &[u8],
    frame: &Frame,
    tables: Option<&[u8]>,
    components: Components,
) -> Result<Vec<u8>> {
    decoder::decode(bytes, frame, tables, components).map_err(|failure| match failure {
        Failure::Damaged(reason) => corrupt(NAME, reason),
        Failure::Other(error) => error,
    })
}

impl OpenedJpeg<'_> {
    /// Decodes to grey, RGB or inks, with profile and orientation.
    fn decode(self) -> Result<Pixels> {
        let Self { bytes, frame, .. } = self;
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        // As libjpeg decides.
        let components = match (&ids[..], frame.jfif, frame.adobe_transform) {
            ([_, _, _], true, _) | ([_, _, _], _, Some(1..)) => Components::YCbCr,
            ([_, _, _], _, Some(0)) | (b"RGB", _, None) => Components::Plain,
            ([_, _, _], ..) => Components::YCbCr,
            ([_, _, _, _], _, Some(1..)) => Components::Ycck,
            _ => Components::Plain,
        };
        let mut samples = decode_samples(bytes, &frame, None, components)?;
        if ids.len() == 4 && is_paper(&samples, frame.adobe_transform.is_some()) {
            samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
        }
        let pixels = Pixels::from_channels(NAME, (frame.width, frame.height), ids.len(), samples)?;
        Ok(Pixels {
            orientation: frame.exif.and_then(exif::orientation),
            colours: ColourSpace::from_icc(frame.joined_profile()),
            ..pixels
        })
    }
}

/// Whether samples of four channels say how much paper is seen instead of how much ink there is. Files with Adobe's segment do, others do
/// not; but some encoders get this wrong, so a reading by which more than a hundredth of the image is full of all four inks, and less
/// than a tenth of that is blank, is none: no press takes so much ink.
fn is_paper(samples: &[u8], has_adobe_segment: bool) -> bool {
    let (pixels, _) = samples.as_chunks::<4>();
    let all = |test: fn(&u8) -> bool| pixels.iter().filter(|pixel| pixel.iter().all(test)).count();
    let (low, high) = (all(|sample| *sample < 6), all(|sample| *sample > 249));
    let (full, blank) = if has_adobe_segment { (low, high) } else { (high, low) };
    let is_wrong = full > pixels.len() / 100 && blank < full / 10;
    has_adobe_segment != is_wrong
}

impl Opened for OpenedJpeg<'_> {
    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn decode(self: Box<Self>, _limits: &Limits) -> Result<Pixels> {
        (*self).decode()
    }
}
