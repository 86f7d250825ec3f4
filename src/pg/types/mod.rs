//! The SQL types `coopvec`, `coopquery` and `coopembed.ball`.
//!
//! | file | what is in it | declared in |
//! |---|---|---|
//! | `varlena` | how values are stored, and read in place | |
//! | `io` | input, output, receive and send functions | `sql/current/types.sql` |
//! | `operators` | distances `<->`, the algebra `+` and `*`, casts | `sql/current/operators.sql` |
//! | `aggregates` | `avg(coopvec)` | `sql/current/aggregates.sql` |
//! | `ball` | the embeddings within a distance of a query, and the operator `<@` | `sql/current/am.sql` |

mod aggregates;
pub mod ball;
mod io;
pub mod operators;
mod varlena;

pub use varlena::{CoopQuery, CoopVec};
