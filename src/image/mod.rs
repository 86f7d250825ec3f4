//! Image files to pixels: decode under limits, turn upright, composite over white, crop, resize. Training and serving share this
//! code, so a model sees in the server exactly the pixels it was trained on.
//!
//! | file | what is in it |
//! |---|---|
//! | `decode` | [`decode()`]: recognises the format, checks limits, calls the format's decoder |
//! | `jpeg`, `jpeg_markers` | decodes JPEG; finds its frame and scans before that |
//! | `png`, `webp`, `gif`, `tiff` | per format: what to check before the decoder allocates |
//! | `decode_error`, `limits` | errors of all formats; limits on size, memory and work |
//! | `flatten` | any sample type and alpha to 8-bit RGB over white |
//! | `prepare`, `preprocessing` | crops and resizes to a network's input; a model's settings for that |
//!
//! What decoding means:
//!
//! - **Formats**: JPEG, PNG, WebP, GIF, BMP and TIFF, recognised by their content. Of an animation, the first frame.
//! - **Orientation** is applied (EXIF in JPEG, PNG and WebP, the tag in TIFF), as viewers do.
//! - **Alpha** is composited over white; premultiplied TIFF is recognised. Grey becomes three equal channels.
//! - **Depth**: 16-bit samples are rounded to 8; float samples are taken as [0, 1] and clipped.
//! - **Colour profiles** (ICC, PNG `gAMA` and `cHRM`) are ignored: samples are taken as sRGB. CMYK needs a profile to mean
//!   a colour and is refused.
//! - **Truncated files** are errors, never half-grey images.
//!
//! Decoders run on untrusted data. Sizes are read from the headers and checked before any pixel is allocated; memory and work are
//! bounded by [`Limits`]; a failed allocation is an error; and a panic inside a decoder becomes an
//! [`Error`](super::error::Error). This module installs no panic hook; an installed one may log such a panic.

mod decode;
mod decode_error;
mod flatten;
mod gif;
mod jpeg;
mod jpeg_markers;
mod limits;
mod png;
mod prepare;
mod preprocessing;
mod tiff;
mod webp;

#[cfg(test)]
mod tests;

pub use decode::{decode, estimate};
pub use limits::{Estimate, Limits, MEGAPIXEL};
pub use prepare::{prepare, prepare_image, CropBox};
pub use preprocessing::Preprocessing;
