//! The loops in which training spends its time, with vector instructions where the processor has them.
//!
//! `unsafe` is confined to this folder: vector instructions and maps that several threads write need it. The functions that the rest
//! of the crate calls check their arguments and are safe. Tests compare every instruction set with naive loops.
//!
//! | file | what is in it |
//! |---|---|
//! | `dispatch` | the loops compiled for each instruction set, and the choice among them |
//! | `product` | the inner loop of matrix products |
//! | `transpose` | transposes blocks of a matrix |
//! | `depthwise` | the inner loops of depthwise convolutions |
//! | `tap_plan` | which input numbers depthwise convolutions read |
//! | `passes` | passes over a channel: normalisation, activation, sums |
//! | `shared` | lets several threads write parts of one matrix |
#![allow(unsafe_code)]

mod depthwise;
mod dispatch;
mod passes;
mod product;
mod shared;
mod tap_plan;
mod transpose;

#[cfg(test)]
pub use dispatch::available;
pub use dispatch::{groups, Loops, Product, BEST};
pub use product::{DEPTH, ROW_PITCH};
pub use shared::{for_each_column_block, ColumnBlock};
pub use tap_plan::{TapPlan, TapRuns};
