//! Draws garments as they lie on a sheet or a floor, and builds sets of them: for the demo, for tests, and beside photographs for training.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | [`GarmentArgs`]: the command line |
//! | `build` | [`run`]: draws a set, or the demo's gallery |
//! | [`drawn_shot`] | shots of drawn garments as images of a set |
//! | `gallery` | chooses the garments of the demo's gallery |
//! | [`attributes`] | the attributes of clothes |
//! | [`vocabulary`] | their words |
//! | [`drawing`] | what a garment looks like, and how it is drawn |

mod args;
pub mod attributes;
mod build;
pub mod drawing;
pub mod drawn_shot;
mod gallery;
#[cfg(test)]
mod tests;
pub mod vocabulary;

pub use args::GarmentArgs;
pub use build::run;
