//! The offline program: data sets, training and evaluation.
fn main() {}
