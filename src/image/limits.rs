//! How large an image may be and how much memory decoding it may take.

use crate::error::{Error, Kind, Result};

/// Bounds on one image, checked against its header before pixels are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Greatest width and greatest height, in pixels.
    pub max_dimension: u32,
    /// Greatest memory that decoding may hold at one time, in bytes: the decoder's own buffers, its output, and our
    /// conversion of that to upright 8-bit RGB. The file's own bytes and up to 2 MiB of tables and row buffers are not counted.
    ///
    /// Per pixel, a picture needs its decoded form (3 bytes for RGB, 4 for RGBA, twice that at 16 bits) plus the larger of
    /// 3 bytes (our RGB copy) and what the decoder holds meanwhile: 6 bytes for a progressive JPEG without subsampling, 5 for
    /// GIF, 9 for WebP, the decoded form again for TIFF (and there the largest strip). So the default of 512 MiB admits 89
    /// megapixels of baseline JPEG, 59 of progressive and 41 of WebP.
    pub max_memory: u64,
}

impl Default for Limits {
    /// 16,384 pixels a side, as WebP allows, and 512 MiB.
    fn default() -> Self {
        Self { max_dimension: 16_384, max_memory: 512 << 20 }
    }
}

impl Limits {
    /// Refuses a header's width and height that are zero or over [`Limits::max_dimension`].
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

    /// Refuses `width` x `height` pixels that need `bytes` to decode if that is over [`Limits::max_memory`].
    pub(super) fn check_memory(&self, format: &str, (width, height): (u32, u32), bytes: u64) -> Result<()> {
        if bytes <= self.max_memory {
            return Ok(());
        }
        Err(out_of_memory(format).detail(format!(
            "Decoding its {width}x{height} pixels takes {} kB, and the limit is {} kB.",
            bytes.div_ceil(1024),
            self.max_memory / 1024
        )))
    }
}

/// The error of a decoder that met its allocation limit.
pub(super) fn out_of_memory(format: &str) -> Error {
    Error::new(Kind::LimitExceeded, format!("the {format} image takes too much memory to decode"))
        .hint("Scale the image down, or raise \"coopembed.max_image_memory\".")
}
