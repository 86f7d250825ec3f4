//! The SQL types `coopvec`, `coopquery` and `coopembed.ball`.
//!
//! | file | what is in it | declared in |
//! |---|---|---|
//! | `varlena` | how values are stored, and read in place | |
//! | `io` | input, output, receive and send functions | `sql/current/types.sql` |
//! | `operators` | distances `<->`, the algebra `+` and `*`, equality and order, the cast to `coopquery` | `sql/current/operators.sql` |
//! | `typmod` | the type modifier of `coopvec(650)` | `sql/current/types.sql` |
//! | `typanalyze` | ANALYZE, without a histogram of values | `sql/current/types.sql` |
//! | `casts` | casts between embeddings, arrays and `jsonb` | `sql/current/casts.sql` |
//! | `aggregates` | `avg(coopvec)`, `sum(coopquery)` | `sql/current/aggregates.sql` |
//! | `ball` | the embeddings within a distance of a query, and the operator `<@` | `sql/current/am.sql` |

mod aggregates;
pub mod ball;
mod casts;
mod io;
pub mod operators;
mod typanalyze;
mod typmod;
mod varlena;

pub use typmod::check_dimensions;
pub use varlena::{CoopQuery, CoopVec};
