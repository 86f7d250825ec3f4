//! The type modifier of `coopvec(650)`: how many dimensions the embeddings of a column have. `sql/current/types.sql` declares its functions.

use crate::error::{Error, Kind, Result};
use crate::pg::fmgr::fmgr_functions;
use crate::pg::{CoopVec, OrReport};
use crate::space::{Layout, MAX_DIMENSIONS};
use pgrx::pg_sys::{self, Datum};

/// The modifier of a plain `coopvec`, which takes embeddings of any model.
const ANY: i32 = -1;

fmgr_functions! {
    /// TYPMOD_IN: the modifier that is written in parentheses.
    fn coopvec_typmod_in(call) {
        let mut count = 0;
        // SAFETY: declared STRICT with a cstring[]. PostgreSQL returns `count` numbers, or raises an error for what is no number.
        let written = unsafe {
            let array = pg_sys::pg_detoast_datum(call.arg(0).cast_mut_ptr()).cast();
            let numbers = pg_sys::ArrayGetIntegerTypmods(array, &raw mut count);
            std::slice::from_raw_parts(numbers, count as usize)
        };
        Datum::from(modifier(written).or_report())
    }

    /// The cast from coopvec to coopvec that PostgreSQL applies where a modifier is wanted: the embedding as it is, if it fits.
    fn coopvec_check_dimensions(call) {
        // SAFETY: declared STRICT with a coopvec, an integer and a boolean.
        unsafe {
            let embedding = call.arg(0);
            let layout = CoopVec::from_raw(embedding).view().layout;
            check_dimensions(layout, call.arg(1).value() as i32).or_report();
            embedding
        }
    }
}

/// The modifier for the numbers in the parentheses.
fn modifier(written: &[i32]) -> Result<i32> {
    let error = |message: String| {
        Error::new(Kind::InvalidParameter, message)
            .hint("coopvec(650) is for embeddings of 650 dimensions, K*n of their model; coop_models() lists models.")
    };
    match *written {
        [dimensions] if (1..=MAX_DIMENSIONS as i32).contains(&dimensions) => Ok(dimensions),
        [dimensions] => Err(error(format!(
            "dimensions of type coopvec must be between 1 and {MAX_DIMENSIONS}, not {dimensions}"
        ))),
        _ => Err(error("type coopvec takes one modifier, its dimensions".to_owned())
            .detail(format!("Found {} modifiers.", written.len()))),
    }
}

/// Checks that an embedding fits a column's type modifier.
///
/// # Errors
/// [`Kind::Mismatch`] if it has another number of dimensions.
pub fn check_dimensions(layout: Layout, modifier: i32) -> Result<()> {
    if modifier == ANY || usize::try_from(modifier) == Ok(layout.dimensions()) {
        return Ok(());
    }
    Err(Error::new(Kind::Mismatch, format!("expected {modifier} dimensions, not {}", layout.dimensions()))
        .detail(format!("The embedding is of model {layout}, the type is coopvec({modifier})."))
        .hint("coop_models() lists the models with their shapes."))
}
