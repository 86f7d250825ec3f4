//! What the data sets that this program builds have in common: fetched packages, the folder they are written to, and the
//! report of what came out.

pub mod output;
pub mod packages;
pub mod row;
pub mod seeded_hash;
pub mod statistics;
