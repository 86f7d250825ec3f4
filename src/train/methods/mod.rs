//! The methods: the paper's, and the baselines of its Section 5.4 on the same features.
//!
//! | file | what is in it |
//! |---|---|
//! | `cooperative` | the paper's method: one projection, proxies, all losses together (Eq. 6 and 7) |
//! | `multitask` | baseline: one embedding with a classifier per task |
//! | `separate_embeddings` | baselines: K + 2 embeddings, by concatenation or by modulation |
//! | `triplets` | the triplet loss of the baselines |
//! | `create` | makes a method by its name |

pub mod cooperative;
pub mod create;
pub mod multitask;
pub mod separate_embeddings;
pub mod triplets;

pub use cooperative::Cooperative;
pub use create::create_method;

#[cfg(test)]
mod tests;
