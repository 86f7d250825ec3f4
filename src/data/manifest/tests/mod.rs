//! Tiny data sets in every layout.

mod compcars;
mod images_csv;
mod in_shop;
mod several_values;
