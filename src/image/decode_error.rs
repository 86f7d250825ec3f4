//! The errors of files that cannot be decoded, worded alike for every format.

use super::limits::out_of_memory;
use crate::error::{Error, Kind};
use ::image::ImageError;

/// For hints.
pub(super) const SUPPORTED: &str = "Supported formats are JPEG, PNG, WebP, GIF, BMP and TIFF.";

/// A file that begins like an image of `format` and is damaged, truncated or of an unsupported variant; `reason` is the decoder's
/// message.
pub(super) fn corrupt(format: &str, reason: &str) -> Error {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason: String = reason.trim_end_matches('.').chars().take(300).collect();
    Error::new(Kind::InvalidImage, format!("could not decode the {format} image"))
        .detail(format!("The {format} decoder says: {reason}."))
        .hint(format!("The file may be damaged, truncated or of a rare variant. {SUPPORTED}"))
}

/// An image in the inks of four-colour printing, whose colours only a profile defines.
pub(super) fn cmyk(format: &str) -> Error {
    Error::new(Kind::InvalidImage, format!("CMYK {format} images are not supported"))
        .detail("The image has four colour components (CMYK or YCCK), and 1 or 3 were expected.")
        .hint("Convert it to RGB (sRGB) first.")
}

/// An error of one of the `image` crate's decoders.
pub(super) fn from_image_crate(format: &str, e: &ImageError) -> Error {
    match e {
        ImageError::Limits(_) => out_of_memory(format),
        e => corrupt(format, &e.to_string()),
    }
}
