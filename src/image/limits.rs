//! Limits on the size of an image and on the memory and work of decoding it, and the estimates that are checked against them.

use crate::error::{Error, Kind, Result};

/// Bounds on one image, checked against its headers before pixels are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels of width, and of height (`coopembed.max_image_dimension`).
    pub max_dimension: u32,
    /// Most bytes of memory that decoding may hold at one time (`coopembed.max_image_memory`): the decoder's own buffers, its
    /// output, and our conversion of that to upright 8-bit RGB. The file's own bytes and up to 2 MiB of tables and row buffers are not counted.
    ///
    /// Per pixel, an image needs its decoded form (3 bytes for RGB, 4 for RGBA, twice that at 16 bits) plus the larger of
    /// 3 bytes (our RGB copy) and the decoder's own buffers: 6 bytes for a progressive JPEG without subsampling, 5 for
    /// GIF, 9 for WebP, 12 for AVIF, 16 for JPEG XL, the largest strip or tile for TIFF. So the default of 512 MiB admits 89
    /// megapixels of baseline JPEG, 59 of progressive, 41 of WebP, 35 of AVIF and 28 of JPEG XL.
    pub max_memory: u64,
    /// Most work that decoding may take, in pixels (`coopembed.max_image_work`); see [`Estimate::work`].
    pub max_work: u64,
}

impl Default for Limits {
    /// 16,384 pixels a side, as WebP allows; 512 MiB; and 1,000 megapixels of work, which is some seconds of one core.
    fn default() -> Self {
        Self { max_dimension: 16_384, max_memory: 512 << 20, max_work: 1_000_000_000 }
    }
}

/// What decoding a file takes, estimated from its headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes held at one time, counted as for [`Limits::max_memory`].
    pub memory: u64,
    /// Pixels that the decoder processes: width x height, times a factor for formats that are slower than 100 megapixels a second
    /// and core. Pixels that are decoded more than once, or outside the image, count too: each scan of a JPEG after the first
    /// (half of the samples that it covers), the padding of tiles, a GIF's frame beside its canvas.
    pub work: u64,
    /// Whether the decoder might end the process on a malicious file, so that a server has to decode it in one of its own.
    pub isolated: bool,
}

impl Limits {
    /// Fails if a header's width or height is zero or over [`Limits::max_dimension`].
    pub(super) fn check_dimensions(&self, format: &str, width: u32, height: u32) -> Result<()> {
        if width == 0 || height == 0 {
            return Err(Error::new(Kind::InvalidImage, format!("the {format} image has no pixels"))
                .detail(format!("Its header says {width}x{height}.")));
        }
        if width.max(height) <= self.max_dimension {
            return Ok(());
        }
        Err(Error::new(Kind::LimitExceeded, format!("the {format} image is too large"))
            .detail(format!(
                "Its header says {width}x{height} pixels, and the limit is {} a side.",
                self.max_dimension
            ))
            .hint("Scale the image down, or raise \"coopembed.max_image_dimension\"."))
    }

    /// Fails if decoding takes more memory or work than the limits allow; width and height go into the message.
    pub(super) fn check(&self, format: &str, (width, height): (u32, u32), estimate: &Estimate) -> Result<()> {
        if estimate.memory > self.max_memory {
            return Err(out_of_memory(format).detail(format!(
                "Decoding its {width}x{height} pixels takes {} kB, and the limit is {} kB.",
                estimate.memory.div_ceil(1024),
                self.max_memory / 1024
            )));
        }
        if estimate.work > self.max_work {
            let message = format!("the {format} image takes too much work to decode");
            return Err(Error::new(Kind::LimitExceeded, message)
                .detail(format!(
                    "Decoding its {width}x{height} pixels is the work of {} megapixels, and the limit is {}.",
                    estimate.work.div_ceil(MEGAPIXEL),
                    self.max_work / MEGAPIXEL
                ))
                .hint("Save the image anew (as a baseline JPEG, for example), scale it down, or raise \"coopembed.max_image_work\"."));
        }
        Ok(())
    }
}

/// The unit of `coopembed.max_image_work`.
pub const MEGAPIXEL: u64 = 1_000_000;

/// The error of an image whose decoding takes more memory than the limit.
pub(super) fn out_of_memory(format: &str) -> Error {
    Error::new(Kind::LimitExceeded, format!("the {format} image takes too much memory to decode"))
        .hint("Scale the image down, or raise \"coopembed.max_image_memory\".")
}
