//! Image files to pixels: decode under limits, turn upright, composite over white, crop, resize. Training and serving share this
//! code, so a model sees in the server exactly the pixels it was trained on.
//!
//! | file | what is in it |
//! |---|---|
//! | `decode` | [`decode()`]: checks limits, calls the format's decoder, converts what it returns |
//! | `recognise` | the format, or the name of what is none |
//! | `jpeg`, `tiff`, `avif`, `jpeg_xl`, `gif` | a decoder each, over libraries where there are good ones |
//! | `library`, with `png`, `webp`, `ico` | formats that the `image` crate decodes, and what to check before it allocates |
//! | `decode_error`, `limits` | errors of all formats; limits on size, memory and work |
//! | `pixels`, `colour`, `exif`, `flatten` | decoded samples; profiles and inks to sRGB; orientation; alpha and any sample type to 8-bit RGB over white |
//! | `prepare`, `preprocessing` | crops and resizes to a network's input; a model's settings for that |
//!
//! What decoding means (a table of all variants is in `sql/image_formats.md`):
//!
//! - **Formats**: JPEG, PNG, WebP, AVIF, JPEG XL, GIF, TIFF, BMP, PNM and ICO, recognised by their content; white space and byte order
//!   marks before it are skipped. Of an animation, the first frame on its canvas. Anything else is refused by its name.
//! - **Orientation** is applied (EXIF in JPEG, PNG and WebP, wherever it is; the tag in TIFF; the properties in AVIF), as viewers do.
//! - **Alpha** is composited over white; premultiplied alpha is recognised. Grey becomes three equal channels.
//! - **Depth**: 16-bit samples are rounded to 8. Float samples are taken as [0, 1], or to 255 or 65,535 if they go there, and clipped.
//! - **Colours** are converted to sRGB by the ICC profile, or by PNG's `cICP`, `gAMA` and `cHRM` and AVIF's code points. Without any, or
//!   with a damaged one, samples are sRGB. Inks without a profile are (1 - ink)(1 - black) of white. Brightness beyond that of paper
//!   (PQ, HLG) is not mapped.
//! - **Damaged and truncated files** are errors, never half-grey images: in JPEG, all that libjpeg warns of in the data of scans.
//!
//! Decoders run on untrusted data. Sizes are read from the headers and checked before any pixel is allocated; memory and work are
//! bounded by [`Limits`]; a failed allocation is an error; and a panic inside a decoder becomes an
//! [`Error`](super::error::Error). This module installs no panic hook; an installed one may log such a panic.

mod avif;
mod colour;
mod decode;
mod decode_error;
mod exif;
mod flatten;
mod gif;
mod ico;
mod jpeg;
mod jpeg_xl;
mod library;
mod limits;
mod pixels;
mod png;
mod prepare;
mod preprocessing;
mod recognise;
mod tiff;
mod webp;

#[cfg(test)]
mod tests;

pub use decode::{decode, estimate};
pub use limits::{Estimate, Limits, MEGAPIXEL};
pub use prepare::{prepare, prepare_image, CropBox, Decoded};
pub use preprocessing::Preprocessing;
#[cfg(feature = "cli")]
pub use recognise::file_extension;
