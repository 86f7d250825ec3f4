//! The errors of files that cannot be decoded, worded alike for every format.

use super::limits::out_of_memory;
use crate::error::{Error, Kind};
use ::image::ImageError;

/// For hints.
pub(super) const SUPPORTED: &str =
    "Supported formats are JPEG, PNG, WebP, AVIF, JPEG XL, GIF, TIFF, BMP, PNM and ICO.";

/// A file that begins like an image of `format` and is damaged, truncated or of an unsupported variant; `reason` completes "In this
/// file, ...".
pub(super) fn corrupt(format: &str, reason: &str) -> Error {
    Error::new(Kind::InvalidImage, format!("could not decode the {format} image"))
        .detail(format!("In this file, {reason}."))
        .hint(format!("The file may be damaged or truncated: get it anew, or save it again. {SUPPORTED}"))
}

/// A variant of a format that is known and not decoded, such as "arithmetic-coded JPEG".
pub(super) fn unsupported(variant: &str) -> Error {
    Error::new(Kind::InvalidImage, format!("{variant} is not supported"))
        .hint("Save the image as a baseline JPEG, PNG or WebP.")
}

/// What every format says of a file that is too short.
pub(super) const TRUNCATED: &str = "the data ends before the last pixel";
/// What every format says where the decoder does not tell more.
pub(super) const DAMAGED: &str = "the data contradicts itself";

/// An error of one of the `image` crate's decoders. Their own words name types and states of the decoder, and say nothing to users.
pub(super) fn from_image_crate(format: &str, e: &ImageError) -> Error {
    match e {
        ImageError::Limits(_) => out_of_memory(format),
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => corrupt(format, TRUNCATED),
        ImageError::Unsupported(_) => unsupported(&format!("this variant of {format}")),
        e if is_truncation(e) => corrupt(format, TRUNCATED),
        _ => corrupt(format, DAMAGED),
    }
}

/// Whether an error was caused by the end of the data.
fn is_truncation(e: &ImageError) -> bool {
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        let io = cause.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof) {
            return true;
        }
        source = cause.source();
    }
    false
}
