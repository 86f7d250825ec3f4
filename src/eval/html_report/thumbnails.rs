//! Thumbnails: small images inside the page.

use super::page_data::PageImage;
use crate::data::manifest::{ImageEntry, Manifest};
use crate::error::{Error, Kind, Result};
use crate::image::{decode, CropBox, Limits};
use base64::prelude::{Engine as _, BASE64_STANDARD};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{crop_imm, thumbnail};
use image::RgbImage;
use rayon::prelude::*;
use std::collections::HashMap;

/// Maximum width and height in pixels.
const SIDE: u32 = 88;

/// JPEG quality, of 100.
const QUALITY: u8 = 80;

/// Maximum size of all thumbnails in bytes: the page should open at once and fit into an e-mail.
const BUDGET: usize = 6 << 20;

/// The images that the page shows, each once. If they do not all fit, those requested last are left out.
#[derive(Debug, Default)]
pub struct Thumbnails {
    images: Vec<usize>,
    indices: HashMap<usize, usize>,
}

impl Thumbnails {
    /// The index of a data set's image among the images of the page; adds it if necessary.
    pub fn index_of(&mut self, image: usize) -> usize {
        *self.indices.entry(image).or_insert_with(|| {
            self.images.push(image);
            self.images.len() - 1
        })
    }

    /// The images of the page, as indices into the data set.
    #[cfg(test)]
    pub fn images(&self) -> &[usize] {
        &self.images
    }

    /// Whether the page shows an image already.
    pub fn contains(&self, image: usize) -> bool {
        self.indices.contains_key(&image)
    }

    /// The images of the page, without thumbnails.
    pub fn paths(&self, manifest: &Manifest) -> Vec<PageImage> {
        self.images.iter().map(|&i| PageImage { path: manifest.images[i].path.clone(), src: None }).collect()
    }

    /// Adds the thumbnails to `images`, the result of [`Thumbnails::paths`], as far as they fit into the page. Returns their number.
    ///
    /// # Errors
    /// Those of reading and decoding a file.
    pub fn attach(&self, manifest: &Manifest, images: &mut [PageImage]) -> Result<usize> {
        let entries: Vec<&ImageEntry> = self.images.iter().map(|&i| &manifest.images[i]).collect();
        let uris = entries.par_iter().map(|e| data_uri(manifest, e)).collect::<Result<Vec<String>>>()?;
        let (mut bytes, mut shown) = (0, 0);
        for (image, uri) in images.iter_mut().zip(uris) {
            bytes += uri.len();
            if bytes > BUDGET {
                break;
            }
            image.src = Some(uri);
            shown += 1;
        }
        Ok(shown)
    }
}

/// The image as a `data:` URI, cropped like the input of the network but with its aspect ratio.
fn data_uri(manifest: &Manifest, entry: &ImageEntry) -> Result<String> {
    let path = manifest.file(entry);
    let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
    let whole = decode(&bytes, &Limits::default())
        .map_err(|e| Error { message: format!("\"{}\": {}", entry.path, e.message), ..e })?;
    let small = shrink(&whole, entry.crop);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode_image(&small)
        .map_err(|e| Error::new(Kind::Internal, format!("could not write a JPEG: {e}")))?;
    Ok(format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg)))
}

/// Scales the cropped image down to at most [`SIDE`] pixels; smaller images keep their size.
fn shrink(whole: &RgbImage, crop: Option<CropBox>) -> RgbImage {
    let part = crop.and_then(|c| {
        let (left, top) = (c.x1.max(0) as u32, c.y1.max(0) as u32);
        let (right, bottom) =
            ((c.x2.max(0) as u32).min(whole.width()), (c.y2.max(0) as u32).min(whole.height()));
        (left < right && top < bottom)
            .then(|| crop_imm(whole, left, top, right - left, bottom - top).to_image())
    });
    let part = part.as_ref().unwrap_or(whole);
    let scale = (f64::from(SIDE) / f64::from(part.width().max(part.height()))).min(1.0);
    let scaled = |x: u32| ((f64::from(x) * scale).round() as u32).max(1);
    thumbnail(part, scaled(part.width()), scaled(part.height()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_keep_the_aspect_ratio_and_small_images_their_size() {
        let size = |w, h, crop| shrink(&RgbImage::new(w, h), crop).dimensions();
        assert_eq!(size(880, 220, None), (88, 22));
        assert_eq!(size(30, 20, None), (30, 20));
        assert_eq!(size(4000, 1, None), (88, 1));
        let crop = CropBox { x1: -5, y1: 10, x2: 40, y2: 900 };
        assert_eq!(size(100, 50, Some(crop)), (40, 40));
        let outside = CropBox { x1: 200, y1: 0, x2: 300, y2: 10 };
        assert_eq!(size(20, 20, Some(outside)), (20, 20));
    }

    #[test]
    fn each_image_is_added_once() {
        let mut thumbnails = Thumbnails::default();
        assert_eq!([7, 3, 7].map(|i| thumbnails.index_of(i)), [0, 1, 0]);
        assert!(thumbnails.contains(3) && !thumbnails.contains(0));
    }
}
