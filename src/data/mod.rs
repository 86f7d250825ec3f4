//! Data sets: reading, building, and computing features, before any training.
//!
//! | file | what is in it |
//! |---|---|
//! | [`manifest`] | reads labelled images: `images.csv`, In-shop Clothes (`manifest/in_shop.rs`), CompCars |
//! | [`features`] | features of a frozen backbone, computed once per image |
//! | [`lower_maps`] | the maps of its lower part, on which the upper part is trained |
//! | [`row_cache`] | the file that keeps features or maps |
//! | [`view`] | an image as it is, or changed for training |
//! | [`image_loader`] | batches of augmented images for training a backbone |
//! | [`augmentation`] | random changes to them: crops, mirroring, rotation, colours |
//! | [`corruption`] | labels corrupted on purpose (Table 2b) |
//! | [`clothes`], [`emoji`], [`fonts`] | builds the clothes, the emoji and the fonts set |
//! | [`garments`] | draws garments |
//! | [`builder`] | what these builders share |
//! | [`image_source`] | images by path or URL |
//! | [`progress`] | progress bars |
//! | `image_files` | reads the file of an image |

pub mod augmentation;
pub mod builder;
pub mod clothes;
pub mod corruption;
pub mod emoji;
pub mod features;
#[cfg(test)]
pub(crate) mod fixture;
pub mod fonts;
pub mod garments;
mod image_files;
pub mod image_loader;
pub mod image_source;
pub mod lower_maps;
pub mod manifest;
pub mod progress;
pub mod row_cache;
pub mod view;
