//! The aggregate `avg(coopvec)`. `sql/current/aggregates.sql` declares it, and `sum(coopquery)`, which needs no code of its own.
//!
//! The state, a running sum, lies in the aggregate's memory context, where PostgreSQL counts it against `work_mem` and frees it with
//! the group, error or not.

use crate::error::{Error, Kind};
use crate::pg::ereport::raise;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::{CoopVec, OrReport};
use crate::space::{EmbeddingMean, Layout};
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;

pgrx::extension_sql_file!(
    "../../../sql/current/aggregates.sql",
    name = "aggregates",
    requires = ["operators"]
);

fmgr_functions! {
    /// SFUNC: adds one row to the state.
    fn coopvec_avg_accum(call) {
        // SAFETY: declared with (internal, coopvec). SQL cannot make an `internal`, so the first is a state of this aggregate or NULL.
        let (state, row) = unsafe { (state(call, 0), call.nullable_arg(1)) };
        match (state, row) {
            (None, None) => call.null(),
            (Some(mean), None) => Datum::from(mean),
            (state, Some(row)) => {
                // SAFETY: the argument is declared coopvec, and is not null.
                let row = unsafe { CoopVec::from_raw(row) };
                let row = row.view();
                let mean = state.unwrap_or_else(|| GroupContext::of(call).empty_state(row.layout));
                // SAFETY: a state of this aggregate, to which nothing else refers during the call.
                unsafe { &mut *mean }.add(row).or_report();
                Datum::from(mean)
            }
        }
    }

    /// COMBINEFUNC: adds another worker's state to a state.
    fn coopvec_avg_combine(call) {
        // SAFETY: declared with (internal, internal); both are states of this aggregate.
        let (left, right) = unsafe { (state(call, 0), state(call, 1)) };
        match (left, right) {
            (None, None) => call.null(),
            (Some(mean), None) => Datum::from(mean),
            (left, Some(right)) => {
                // SAFETY: a state of this aggregate, which outlives the call.
                let right = unsafe { &*right };
                // The right state lies in memory that is freed after this call. The left one stays.
                let left = left.unwrap_or_else(|| GroupContext::of(call).empty_state(right.layout()));
                // SAFETY: a state of this aggregate, and another than `right`.
                unsafe { &mut *left }.merge(right).or_report();
                Datum::from(left)
            }
        }
    }

    /// SERIALFUNC: the state as a worker sends it.
    fn coopvec_avg_serial(call) {
        // SAFETY: declared with a state of this aggregate, and STRICT.
        let bytes = unsafe { state(call, 0).map(|mean| (*mean).to_bytes()) };
        match bytes.into_datum() {
            Some(bytes) => bytes,
            None => call.null(),
        }
    }

    /// DESERIALFUNC: the state as the leader receives it.
    fn coopvec_avg_deserial(call) {
        // SAFETY: declared with a bytea, which outlives the call, and STRICT.
        let bytes: &[u8] = unsafe { <&[u8]>::from_datum(call.arg(0), false) }.unwrap_or_default();
        let context = GroupContext::of(call);
        Datum::from(context.store(EmbeddingMean::from_bytes(bytes, |count| context.zeros(count)).or_report()))
    }

    /// FINALFUNC: the mean; NULL of no rows.
    fn coopvec_avg_final(call) {
        // SAFETY: declared with a state of this aggregate.
        let mean = unsafe { state(call, 0).and_then(|mean| (*mean).finish()) };
        match mean.and_then(|mean| CoopVec::from(mean).into_datum()) {
            Some(mean) => mean,
            None => call.null(),
        }
    }
}

/// The state in argument `i`.
///
/// # Safety
/// The argument must be declared `internal` and hold a state of this aggregate or NULL.
unsafe fn state(call: Call, i: usize) -> Option<*mut EmbeddingMean<'static>> {
    // SAFETY: the caller promises that there is such an argument.
    unsafe { call.nullable_arg(i) }.map(|datum| datum.cast_mut_ptr())
}

/// The memory context of the aggregate, which lives as long as the group's state.
#[derive(Clone, Copy)]
struct GroupContext(pg_sys::MemoryContext);

impl GroupContext {
    /// Raises an error if the function is not called within an aggregate.
    fn of(call: Call) -> Self {
        let mut context = std::ptr::null_mut();
        // SAFETY: the call is PostgreSQL's; `context` is written if it belongs to an aggregate.
        let kind = unsafe { pg_sys::AggCheckCallContext(call.0, &mut context) };
        if kind == 0 {
            raise(Error::new(
                Kind::InvalidParameter,
                "a part of avg(coopvec) was called outside of an aggregate",
            ));
        }
        Self(context)
    }

    fn zeros(self, count: usize) -> &'static mut [f64] {
        // SAFETY: the allocation returns `count` zeros, aligned to 8, or raises an error. It outlives every use: PostgreSQL frees it together
        // with the state that refers to it.
        unsafe {
            let sums = pg_sys::MemoryContextAllocZero(self.0, count * size_of::<f64>()).cast();
            std::slice::from_raw_parts_mut(sums, count)
        }
    }

    fn store(self, mean: EmbeddingMean<'static>) -> *mut EmbeddingMean<'static> {
        // SAFETY: the allocation has room for one and is aligned to 8. The context frees it without a drop, which it does not need.
        unsafe {
            let state = pg_sys::MemoryContextAlloc(self.0, size_of::<EmbeddingMean>())
                .cast::<EmbeddingMean<'static>>();
            state.write(mean);
            state
        }
    }

    fn empty_state(self, layout: Layout) -> *mut EmbeddingMean<'static> {
        self.store(EmbeddingMean::new(layout, self.zeros(layout.dimensions())))
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use crate::pg::fixture::{explain, failure, noise, text};
    use pgrx::prelude::*;

    #[pg_test]
    fn the_mean_skips_nulls_and_is_not_normalised() {
        let rows = "(VALUES ('1x2@00000007:[1,0]'::coopvec), (NULL), ('1x2@00000007:[0,1]')) AS t(emb)";
        assert_eq!(text(&format!("SELECT avg(emb)::text FROM {rows}")), "1x2@00000007:[0.5,0.5]");
    }

    #[pg_test]
    fn the_mean_of_nothing_is_null() {
        assert_eq!(Spi::get_one::<String>("SELECT avg(NULL::coopvec)::text"), Ok(None));
        let none = "SELECT avg(emb)::text FROM (SELECT NULL::coopvec AS emb) t WHERE false";
        assert_eq!(Spi::get_one::<String>(none), Ok(None));
    }

    #[pg_test]
    fn a_mean_over_two_models_is_an_error_that_names_both() {
        let e = failure(
            "SELECT avg(emb) FROM (VALUES ('1x1@00000001:[1]'::coopvec), ('1x1@00000002:[1]')) AS t(emb)",
        );
        assert_eq!(
            (e.state.as_str(), e.message.as_str()),
            ("22000", "embeddings of different models cannot be averaged")
        );
        assert!(e.detail.contains("1x1@00000001") && e.detail.contains("1x1@00000002"));
    }

    #[pg_test]
    fn parallel_workers_find_the_same_bits() {
        noise("gallery", 3000);
        let sql = "SELECT avg(emb)::text FROM gallery";
        Spi::run("SET LOCAL max_parallel_workers_per_gather = 0").unwrap();
        let serial = text(sql);
        Spi::run(
            "SET LOCAL max_parallel_workers_per_gather = 2; SET LOCAL parallel_setup_cost = 0;
             SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;
             SET LOCAL parallel_leader_participation = off",
        )
        .unwrap();
        assert!(explain(sql).contains("Partial Aggregate"));
        assert_eq!(text(sql), serial);
    }

    #[pg_test]
    fn groups_windows_and_filters_have_means_of_their_own() {
        noise("gallery", 100);
        Spi::run("SET LOCAL enable_sort = off").unwrap();
        let grouped = "SELECT id % 3 AS part, avg(emb) AS mean FROM gallery GROUP BY 1";
        assert!(explain(grouped).contains("HashAggregate"));
        let same = format!(
            "SELECT count(*) FROM ({grouped}) g
             WHERE mean = (SELECT avg(emb) FROM gallery WHERE id % 3 = part)
             AND mean = (SELECT avg(emb) FILTER (WHERE id % 3 = part) FROM gallery)
             AND mean = (SELECT avg(emb) OVER () FROM gallery WHERE id % 3 = part LIMIT 1)"
        );
        assert_eq!(Spi::get_one(&same), Ok(Some(3i64)));
    }
}
