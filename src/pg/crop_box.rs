//! SQL's type `box` as the part of an image.

use crate::error::{Error, Kind, Result};
use crate::image::CropBox;
use pgrx::pg_sys;

/// The part of an image in a box, in pixels of the upright image from its top left corner, widened to whole pixels as training does it.
///
/// # Errors
/// [`Kind::InvalidParameter`] for a box without area, and for corners that no image has.
pub fn crop_box(area: pg_sys::BOX) -> Result<CropBox> {
    let (low, high) = (area.low, area.high);
    CropBox::from_corners([low.x, low.y, high.x, high.y]).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "invalid crop box")
            .detail(format!(
                "The box is ({:?}, {:?}) to ({:?}, {:?}), expected x1 < x2 and y1 < y2, less than 10^9 pixels away.",
                low.x, low.y, high.x, high.y
            ))
            .hint("A box is '(x1,y1),(x2,y2)' in pixels of the upright image, counted from its top left corner.")
    })
}
