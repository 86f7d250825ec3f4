//! Tiny sets in every layout that is read.

mod compcars;
mod images_csv;
mod in_shop;
