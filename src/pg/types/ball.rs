//! `coopembed.ball`: the embeddings within a distance of a query. An index condition `emb <@ ball` stands for `emb <-> query < r`
//! (`planner/distance_limit.rs`). `sql/current/am.sql` declares type and operator.

use crate::pg::fmgr::fmgr_functions;
use crate::pg::{CoopQuery, CoopVec, OrReport};
use crate::space::{distance, Query};
use pgrx::pg_sys::{self, Datum};

/// What the operator allows for rounding: a distance of thousands of dimensions is summed up in single precision, and not by the same kernel
/// in each of the three `<->`.
const MARGIN: f64 = 1e-3;

fmgr_functions! {
    /// `coopvec <@ coopembed.ball`
    fn coop_is_in_ball(call) {
        // SAFETY: declared STRICT with a coopvec and a coopembed.ball.
        let (embedding, ball) = unsafe { (CoopVec::from_raw(call.arg(0)), Ball::from_raw(call.arg(1))) };
        match ball {
            Some(Ball { query, limit }) => {
                Datum::from(distance(embedding.view(), query.view()).or_report() <= limit)
            }
            None => call.null(),
        }
    }
}

/// A ball without nulls, read in place.
pub struct Ball<'a> {
    query: CoopQuery<'a>,
    /// The greatest distance that counts as within: the radius and what rounding may add. A radius of NaN, beyond which there is nothing in
    /// PostgreSQL's order, is infinity.
    pub limit: f64,
}

impl Ball<'_> {
    /// The ball that a datum holds; `None` if its query or its radius is null.
    ///
    /// # Safety
    /// `datum` must be a coopembed.ball that is not null, and live as long as the result.
    pub unsafe fn from_raw(datum: Datum) -> Option<Self> {
        // SAFETY: a composite value is a varlena; the type has these two columns, and only the extension's owner alters it.
        unsafe {
            let row = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
            let (mut no_query, mut no_radius) = (false, false);
            let query = pg_sys::GetAttributeByNum(row, 1, &mut no_query);
            let radius = pg_sys::GetAttributeByNum(row, 2, &mut no_radius);
            if no_query || no_radius {
                return None;
            }
            let radius = f64::from_bits(radius.value() as u64);
            let limit = if radius.is_nan() { f64::INFINITY } else { radius + radius.abs() * MARGIN };
            Some(Self { query: CoopQuery::from_raw(query), limit })
        }
    }

    /// The query.
    pub fn query(&self) -> Query {
        self.query.view().to_query()
    }
}
