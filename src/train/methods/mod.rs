//! The ways to learn an embedding.

pub mod cooperative;
pub mod layers;

pub use cooperative::Cooperative;

#[cfg(test)]
mod parity_tests;
