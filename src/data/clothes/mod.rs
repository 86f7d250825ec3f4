//! Builds the clothes retrieval set: photographs of real garments by some hundred people, labelled by looking at each.
//!
//! The photographs are those of the public repository `alexeygrigorev/clothing-dataset` (CC0) and are read from a checkout of it; the
//! labels are ours and come with the program (README.md beside this file).
//! An instance is a garment, a category a kind of garment. The split is by the person who photographed, so that no background is on both
//! sides. Few garments were photographed twice, so most second shots are made: turned, cropped, in other light.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | [`ClothesArgs`]: the command line |
//! | `build` | [`run`]: all steps of the build |
//! | `labels` | the labels of each photograph (`labels.csv`, `several_colours.csv`, `second_look.csv`, `same_garment.csv`, `test_contributors.txt`) |
//! | `image_plan` | which images there are: their photograph, shot and split |
//! | `photographs` | finds and reads the photographs |
//! | `second_shot` | makes a second shot of a photograph |

mod args;
mod build;
mod image_plan;
mod labels;
mod photographs;
mod second_shot;
#[cfg(test)]
mod tests;

pub use args::ClothesArgs;
pub use build::run;
