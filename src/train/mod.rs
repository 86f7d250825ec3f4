//! Data sets, losses, optimiser and trainer: the offline half of the method.

pub mod emoji;
