//! The SQL types `coopvec` and `coopquery`.
//!
//! | file | what is in it | declared in |
//! |---|---|---|
//! | `varlena` | how values are stored, and read in place | |
//! | `io` | input, output, receive and send functions | `sql/current/types.sql` |
//! | `operators` | distances `<->`, the algebra `+` and `*`, casts | `sql/current/operators.sql` |
//! | `aggregates` | `avg(coopvec)` | `sql/current/aggregates.sql` |

mod aggregates;
mod io;
pub mod operators;
mod varlena;

pub use varlena::{CoopQuery, CoopVec};
