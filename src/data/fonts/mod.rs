//! Builds the fonts retrieval set: short words set in many families, from thin to black, roman and italic.
//!
//! An instance is a family; a view is an image of two words in one of its faces; a category is a kind of type, such as serif.
//! Attributes are the weight and style of the face, and what is measured from its outlines. The set depends on nothing but the pinned
//! package versions and the options: building it again gives the same files.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | [`FontArgs`]: the command line |
//! | `build` | [`run`]: all steps of the build |
//! | `catalogue` | the lists of families and of words (`families.txt`, `words.txt`) |
//! | `family`, `typeface` | a fetched family; the outlines of a face |
//! | `glyph_bitmap`, `measurements` | a letter as pixels; what is measured on letters |
//! | `attributes`, `labels` | the table of attributes; from measurements to labels |
//! | `image_plan` | the words, split and file name of each image |
//! | `specimen` | draws an image |
//! | `python_random` | Python's random numbers |

mod args;
mod attributes;
mod build;
mod catalogue;
mod family;
mod glyph_bitmap;
mod image_plan;
mod labels;
mod measurements;
mod python_random;
mod specimen;
#[cfg(test)]
mod tests;
mod typeface;

pub use args::FontArgs;
pub use build::run;
pub use image_plan::InstanceKind;
