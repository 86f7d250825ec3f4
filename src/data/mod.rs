//! Data sets: reading, building, and computing features, before any training.
//!
//! | file | what is in it |
//! |---|---|
//! | [`manifest`] | reads labelled images: `images.csv`, In-shop Clothes (`manifest/in_shop.rs`), CompCars |
//! | [`features`] | features of a frozen backbone, computed once per image |
//! | [`feature_cache`] | the file that keeps them |
//! | [`image_loader`] | batches of augmented images for training a backbone |
//! | [`corruption`] | labels corrupted on purpose (Table 2b) |
//! | [`emoji`], [`fonts`], [`builder`] | builds the emoji and the fonts set; what both builders share |
//! | [`progress`] | progress bars |
//! | `image_files` | reads the file of an image |

pub mod builder;
pub mod corruption;
pub mod emoji;
pub mod feature_cache;
pub mod features;
#[cfg(test)]
pub(crate) mod fixture;
pub mod fonts;
mod image_files;
pub mod image_loader;
pub mod manifest;
pub mod progress;
