//! Finds the photographs in a checkout of their repository, and reads them.

use super::labels::Photograph;
use crate::data::builder::output::jpeg;
use crate::error::{Error, Kind, Result};
use crate::image::{decode, Limits};
use ::image::imageops::FilterType;
use ::image::{DynamicImage, ImageFormat, RgbImage};
use std::path::{Path, PathBuf};

/// How to get the photographs.
const HINT: &str = "Get them with \"git clone --depth 1 https://github.com/alexeygrigorev/clothing-dataset\", and name that folder with --photos.";

/// Quality of images that are encoded anew (0 to 100).
pub const JPEG_QUALITY: u8 = 90;

/// A folder of photographs.
pub struct PhotographFolder(PathBuf);

impl PhotographFolder {
    /// The photographs in `folder`, or in its subfolder `images`, as the repository has them.
    pub fn new(folder: &Path) -> Self {
        let images = folder.join("images");
        Self(if images.is_dir() { images } else { folder.to_owned() })
    }

    /// Removes the photographs that have no file from a list; an error if there are any and they must not be skipped.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if photographs are missing, or all are.
    pub fn retain_existing(&self, photographs: &mut Vec<Photograph>, skip_missing: bool) -> Result<()> {
        let total = photographs.len();
        let mut first_missing = None;
        photographs.retain(|p| {
            let exists = self.file(p).is_file();
            if !exists {
                first_missing.get_or_insert_with(|| p.name.clone());
            }
            exists
        });
        let Some(example) = first_missing else { return Ok(()) };
        let missing = total - photographs.len();
        let report = format!("{missing} of {total} photographs are missing, such as \"{example}.jpg\".");
        if !photographs.is_empty() && skip_missing {
            eprintln!("WARNING:  {report}");
            return Ok(());
        }
        let message = match photographs.is_empty() {
            true => format!("there are no photographs of the clothes set in \"{}\"", self.0.display()),
            false => format!("photographs of the clothes set are missing in \"{}\"", self.0.display()),
        };
        let hint = match photographs.is_empty() {
            true => HINT.to_owned(),
            false => format!("{HINT} Or build with those that there are: --skip-missing."),
        };
        Err(Error::new(Kind::InvalidData, message).detail(report).hint(hint))
    }

    fn file(&self, photograph: &Photograph) -> PathBuf {
        self.0.join(format!("{}.jpg", photograph.name))
    }

    /// Reads a photograph, turns it upright and scales it down to `size` pixels on its longest side. Returns it with its encoding, which
    /// is the file itself where nothing had to be scaled.
    ///
    /// # Errors
    /// [`Kind::Io`] if it cannot be read, those of [`decode`] with its path before the message.
    pub fn read(&self, photograph: &Photograph, size: u32) -> Result<(RgbImage, Vec<u8>)> {
        let path = self.file(photograph);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
        let image = decode(&bytes, &Limits::default())
            .map_err(|e| Error { message: format!("\"{}\": {}", path.display(), e.message), ..e })?;
        let is_jpeg = ::image::guess_format(&bytes).is_ok_and(|format| format == ImageFormat::Jpeg);
        if image.width().max(image.height()) <= size {
            let bytes = if is_jpeg { bytes } else { jpeg(&image, JPEG_QUALITY)? };
            return Ok((image, bytes));
        }
        // `resize` keeps the proportions.
        let scaled = DynamicImage::from(image).resize(size, size, FilterType::Lanczos3).into_rgb8();
        let bytes = jpeg(&scaled, JPEG_QUALITY)?;
        Ok((scaled, bytes))
    }
}
