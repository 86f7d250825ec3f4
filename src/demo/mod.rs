//! The demonstration: a few hundred images of the emoji set as a shop's table.

pub mod gallery;
