//! Builds the emoji retrieval set: the same emoji drawn by up to nine designers.
//!
//! An instance is one emoji with its gender and skin tone; a view is one designer's drawing of it; a category is a Unicode subgroup.
//! Attributes come from the Unicode name and from the images; an emoji has only those that it shows. The set depends on nothing but
//! the pinned package versions and the options: building it again gives the same files.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | [`EmojiArgs`]: the command line |
//! | `build` | [`run`]: all steps of the build |
//! | `designers`, `attributes` | the tables of designers and packages; of attributes, labels and categories |
//! | `sequences`, `codes` | the list of all emoji; normal forms and concepts of code point sequences |
//! | `drawings`, `ordered_map` | finds a designer's drawing of an emoji in a package |
//! | `render` | renders a drawing |
//! | `name_labels`, `image_labels` | labels from the name; labels measured from an image |
//! | `instances`, `split` | which emoji are in the set; train, query and gallery |
//! | `csv_tables` | the tables beside `images.csv` |

mod args;
mod attributes;
mod build;
mod codes;
mod csv_tables;
mod designers;
mod drawings;
mod image_labels;
mod instances;
mod name_labels;
mod ordered_map;
mod render;
mod sequences;
mod split;
#[cfg(test)]
mod tests;

pub use args::{CategoryKind, EmojiArgs};
pub use build::run;
