//! Shots of drawn garments as images of a set.

use super::attributes::{values, Values};
use super::drawing::{draw, Garment, Shot};
use crate::data::builder::output::{jpeg, OutputFolder};
use crate::data::builder::row::BuiltRow;
use crate::data::progress::progress_bar;
use crate::error::Result;
use rayon::prelude::*;

/// Quality of the images (0 to 100).
const JPEG_QUALITY: u8 = 85;

/// A shot to draw.
pub struct DrawnShot<'a> {
    /// What is drawn.
    pub garment: &'a Garment,
    /// Name of the garment.
    pub instance: &'a str,
    /// Number among its shots.
    pub number: u64,
    /// Its values, in the order of [`ATTRIBUTES`](super::attributes::ATTRIBUTES).
    pub values: Values,
}

impl<'a> DrawnShot<'a> {
    /// So many shots of each garment; garments come with their names.
    pub fn of_all(garments: &'a [(String, Garment)], shots: u64) -> Vec<Self> {
        let shots_of = |(instance, garment): &'a (String, Garment)| {
            (0..shots).map(move |number| DrawnShot { garment, instance, number, values: values(garment) })
        };
        garments.iter().flat_map(shots_of).collect()
    }

    /// Path of the image in the set's folder.
    pub fn path(&self) -> String {
        format!("images/{}", self.file_name())
    }

    fn file_name(&self) -> String {
        format!("{}-{}.jpg", self.instance, self.number)
    }

    /// The row of `images.csv`.
    pub fn row(&self, split: &'static str) -> BuiltRow<'_> {
        BuiltRow {
            path: self.path(),
            instance: self.instance.to_owned(),
            group: "",
            category: self.garment.category.word(),
            split,
            values: &self.values,
        }
    }

    fn jpeg(&self, size: u32) -> Result<Vec<u8>> {
        // Shots of one garment, and garments of neighbouring numbers, differ.
        let seed = self.garment.seed.wrapping_mul(1000).wrapping_add(self.number);
        jpeg(&draw(self.garment, &Shot::suiting(self.garment, seed), size), JPEG_QUALITY)
    }
}

/// Draws all shots as images of `size` x `size` pixels, and writes them.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) if one cannot be written.
pub fn draw_all(shots: &[DrawnShot], size: u32, output: &OutputFolder) -> Result<()> {
    let progress = progress_bar("drawing", shots.len());
    let drawn = shots.par_iter().try_for_each(|shot| {
        output.write_image(&shot.file_name(), &shot.jpeg(size)?)?;
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    drawn
}
