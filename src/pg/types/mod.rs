//! The SQL types `coopvec` and `coopquery`.
//!
//! | file | what is in it | declared in |
//! |---|---|---|
//! | `varlena` | how values are stored, and read in place | |
//! | `io` | input, output, receive and send functions | `sql/current/types.sql` |
//! | `operators` | distances `<->`, the algebra `+` and `*`, equality and order, the cast to `coopquery` | `sql/current/operators.sql` |
//! | `typmod` | the type modifier of `coopvec(650)` | `sql/current/types.sql` |
//! | `casts` | casts between embeddings, arrays and `jsonb` | `sql/current/casts.sql` |
//! | `aggregates` | `avg(coopvec)`, `sum(coopquery)` | `sql/current/aggregates.sql` |

mod aggregates;
mod casts;
mod io;
pub mod operators;
mod typmod;
mod varlena;

pub use typmod::check_dimensions;
pub use varlena::{CoopQuery, CoopVec};
