//! Data sets: what is read, built and computed before anything learns.
//!
//! | file | idea |
//! |---|---|
//! | `manifest/` | labelled images: `images.csv`, In-Shop Clothes and CompCars, read and checked |
//! | `features.rs` | features of a frozen backbone, each image once |
//! | `feature_cache.rs` | the file in which they are kept |
//! | `image_loader.rs` | batches of augmented images, made ahead of a backbone that learns |
//! | `corruption.rs` | labels made worse on purpose (Table 2b) |
//! | `emoji/`, `fonts/` | the two sets that this program builds, and what their builders share (`builder/`) |

pub mod builder;
pub mod corruption;
pub mod emoji;
pub mod feature_cache;
pub mod features;
#[cfg(test)]
pub(crate) mod fixture;
pub mod fonts;
pub mod image_loader;
pub mod manifest;
