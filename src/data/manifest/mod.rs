//! Reads labelled data sets: `images.csv` with `attributes.json`, or a published set in its own layout.
//!
//! | file | what is in it |
//! |---|---|
//! | `dataset` | [`Manifest`]: the result, with names resolved to numbers |
//! | `value_set` | [`ValueSet`]: the values of one attribute that an image shows |
//! | `reading` | [`ReadingArgs`]: recognises the layout of a folder and reads it |
//! | `images_csv`, `attributes_json` | read `images.csv` and `attributes.json` |
//! | `in_shop` | reads DeepFashion's In-shop Clothes Retrieval |
//! | `compcars`, `matlab` | reads CompCars, whose names are in MATLAB files |
//! | `label_table` | images labelled by name, as every reader returns them; resolves names and checks the whole set |
//! | `separator` | takes fields with several values apart |
//! | `problems`, `warnings` | collects all errors of a set into one; oddities of a set that can still be used |
//!
//! `images.csv` has the columns `path,instance,category,split` (train, query or gallery); optionally `group` (the same for all
//! variants of one thing, such as a garment in all its colours) and `x1,y1,x2,y2` (the box to crop to, in pixels); then one column
//! per attribute, where an empty field means that the label is absent. `attributes.json` is
//! `{"weight": {"ordered": true, "values": ["100", "200"]}, ...}`; without it an attribute has the values that occur. `"multi": true` in an
//! attribute, or `--multi-separator`, says that an image may show several of its values: `red|white`. `"mirror": false`
//! in an attribute says that images which have a value of it must not be mirrored, and beside the attributes that none must.

mod attributes_json;
mod compcars;
mod dataset;
mod images_csv;
mod in_shop;
mod label_table;
mod matlab;
mod problems;
mod reading;
mod separator;
#[cfg(test)]
mod tests;
mod value_set;
mod warnings;

pub use dataset::{AttributeEntry, ImageEntry, Manifest, Split};
pub use reading::{Format, ReadingArgs};
pub use value_set::ValueSet;
