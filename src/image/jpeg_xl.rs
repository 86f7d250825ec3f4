//! JPEG XL, decoded by jxl-rs, the decoder of Chrome and Firefox, in one thread. Of an animation, the first frame.

use super::colour::ColourSpace;
use super::decode_error::{corrupt, unsupported, DAMAGED, TRUNCATED};
use super::limits::{Estimate, Limits};
use super::pixels::{Opened, Pixels, Samples};
use crate::error::Result;
use crate::memory;
use jxl::api::{
    AlphaMode, Event, ExtraChannel, JxlColorType, JxlDataFormat, JxlDecoder, JxlDecoderOptions,
    JxlOutputBuffer, JxlPixelFormat,
};

const NAME: &str = "JPEG XL";

/// Bytes per pixel that the decoder holds beside its output. Measured: 2 to 3 where groups of pixels are decoded one by one; where a
/// transform spans the image, three planes of 32 bits and what is rendered from them.
const WORKING_BYTES: u64 = 16;

/// Work of a pixel. Measured: a lossy image takes 9 times as long as a baseline JPEG, a lossless one up to 30 times.
const WORK: u64 = 20;

/// A file whose header has been read and is within the limits.
pub(super) struct OpenedJpegXl<'a> {
    decoder: JxlDecoder,
    /// What the decoder has not read.
    rest: &'a [u8],
    size: (u32, u32),
    has_alpha: bool,
    extra_channels: usize,
    estimate: Estimate,
}

/// Reads the header and checks it against the limits.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<OpenedJpegXl<'a>> {
    let mut options = JxlDecoderOptions::default();
    options.sample_limit = Some(usize::try_from(limits.max_memory / 4).unwrap_or(usize::MAX));
    options.alpha_mode = AlphaMode::Unpremultiplied;
    let mut decoder = JxlDecoder::new(options);
    let mut rest = bytes;
    match decoder.process(&mut rest, None, None) {
        Ok(Event::BasicInfo) => {}
        Ok(_) => return Err(corrupt(NAME, TRUNCATED)),
        Err(_) => return Err(corrupt(NAME, DAMAGED)),
    }
    let info = decoder.basic_info().ok_or_else(|| corrupt(NAME, DAMAGED))?;
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let size = (side(info.size.0), side(info.size.1));
    limits.check_dimensions(NAME, size.0, size.1)?;
    let extra_channels = info.extra_channels.len();
    let has_alpha = info.extra_channels.iter().any(|c| c.ec_type == ExtraChannel::Alpha);
    if decoder.embedded_color_profile().is_some_and(|profile| profile.is_cmyk()) {
        return Err(unsupported("CMYK JPEG XL"));
    }
    let pixels = u64::from(size.0) * u64::from(size.1);
    let channels = 3 + u64::from(has_alpha);
    let working = WORKING_BYTES + 4 * extra_channels as u64;
    let estimate = Estimate {
        memory: pixels * (channels + working),
        work: pixels * WORK * (3 + extra_channels as u64) / 3,
        isolated: false,
    };
    limits.check(NAME, size, &estimate)?;
    Ok(OpenedJpegXl { decoder, rest, size, has_alpha, extra_channels, estimate })
}

impl Opened for OpenedJpegXl<'_> {
    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn decode(self: Box<Self>, _limits: &Limits) -> Result<Pixels> {
        let Self { mut decoder, mut rest, size, has_alpha, extra_channels, .. } = *self;
        let (color_type, channels) = if has_alpha { (JxlColorType::Rgba, 4) } else { (JxlColorType::Rgb, 3) };
        let format = JxlPixelFormat {
            color_type,
            color_data_format: Some(JxlDataFormat::U8 { bit_depth: 8 }),
            extra_channel_format: vec![None; extra_channels],
        };
        decoder.set_pixel_format(format).map_err(|_| corrupt(NAME, DAMAGED))?;
        let row = size.0 as usize * channels;
        let mut pixels = memory::filled(0, row * size.1 as usize)?;
        loop {
            let mut buffers = [JxlOutputBuffer::new(&mut pixels, size.1 as usize, row)];
            match decoder.process(&mut rest, Some(&mut buffers), None) {
                Ok(Event::FrameComplete { .. }) => break,
                Ok(Event::FrameHeader | Event::BasicInfo) => {}
                Ok(Event::NeedMoreInput { .. }) => return Err(corrupt(NAME, TRUNCATED)),
                Ok(Event::Complete) => return Err(corrupt(NAME, "there is no frame")),
                Err(_) => return Err(corrupt(NAME, DAMAGED)),
            }
        }
        let profile =
            decoder.output_color_profile().and_then(|profile| Some(profile.try_as_icc()?.into_owned()));
        let samples = Samples::of_bytes(pixels, channels, size).ok_or_else(|| corrupt(NAME, DAMAGED))?;
        Ok(Pixels { colours: ColourSpace::from_icc(profile), ..Pixels::new(samples) })
    }
}
