//! Small pictures inside the page.

use super::data::Picture;
use crate::data::manifest::{ImageEntry, Manifest};
use crate::error::{Error, Kind, Result};
use crate::image::{decode, CropBox, Limits};
use base64::prelude::{Engine as _, BASE64_STANDARD};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{crop_imm, thumbnail};
use image::RgbImage;
use rayon::prelude::*;
use std::collections::HashMap;

/// The longer side in pixels.
const SIDE: u32 = 88;

/// JPEG quality, of 100.
const QUALITY: u8 = 80;

/// What all pictures may take in the page, in bytes: it shall open at once and go into an e-mail.
const BUDGET: usize = 6 << 20;

/// Pictures wanted; each is there once, those asked for first are the last to be left out.
#[derive(Debug, Default)]
pub struct Gallery {
    wanted: Vec<usize>,
    places: HashMap<usize, usize>,
}

impl Gallery {
    /// The place of an image of the data set among the page's pictures.
    pub fn place(&mut self, image: usize) -> usize {
        *self.places.entry(image).or_insert_with(|| {
            self.wanted.push(image);
            self.wanted.len() - 1
        })
    }

    /// Whether an image is wanted already.
    pub fn has(&self, image: usize) -> bool {
        self.places.contains_key(&image)
    }

    /// The pictures' names.
    pub fn paths(&self, manifest: &Manifest) -> Vec<Picture> {
        self.wanted.iter().map(|&i| Picture { path: manifest.images[i].path.clone(), src: None }).collect()
    }

    /// Draws the pictures into `pictures`, which are [`Gallery::paths`], as far as they fit into the page; says how many do.
    ///
    /// # Errors
    /// Those of reading and decoding a file.
    pub fn attach(&self, manifest: &Manifest, pictures: &mut [Picture]) -> Result<usize> {
        let entries: Vec<&ImageEntry> = self.wanted.iter().map(|&i| &manifest.images[i]).collect();
        let uris = entries.par_iter().map(|e| uri(manifest, e)).collect::<Result<Vec<String>>>()?;
        let (mut bytes, mut shown) = (0, 0);
        for (picture, uri) in pictures.iter_mut().zip(uris) {
            bytes += uri.len();
            if bytes > BUDGET {
                break;
            }
            picture.src = Some(uri);
            shown += 1;
        }
        Ok(shown)
    }
}

/// The image, cropped as the network sees it but not squashed, as a `data:` URI.
fn uri(manifest: &Manifest, entry: &ImageEntry) -> Result<String> {
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

/// At most [`SIDE`] pixels wide and high, never larger than it is.
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
    fn pictures_keep_their_shape_and_small_ones_their_size() {
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
    fn an_image_is_there_once() {
        let mut gallery = Gallery::default();
        assert_eq!([7, 3, 7].map(|i| gallery.place(i)), [0, 1, 0]);
        assert!(gallery.has(3) && !gallery.has(0));
    }
}
