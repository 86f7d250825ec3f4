//! What the builders of the clothes, the garments, the emoji and the fonts set share.
//!
//! | file | what is in it |
//! |---|---|
//! | [`packages`] | fetches npm packages into a cache |
//! | [`output`] | writes a set to its folder: images, `images.csv`, `attributes.json` and more tables |
//! | [`row`] | a row of `images.csv`, an attribute |
//! | [`seeded_hash`] | pseudo-random numbers that depend on names only |
//! | [`statistics`] | counts of a built set for people, and checks |

pub mod output;
pub mod packages;
pub mod row;
pub mod seeded_hash;
pub mod statistics;
