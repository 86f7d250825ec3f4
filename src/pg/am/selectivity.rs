//! How many rows meet `emb <-> query < r`, for the planner.

use super::cost;
use super::relation::IndexRelation;
use crate::index::{DistanceSample, ExpectedQuery, Meta, PageResult};
use crate::memory;
use crate::pg::planner::active_subspaces::active_subspaces;
use crate::pg::{CoopQuery, CoopVec};
use crate::space::Query;
use pgrx::is_a;
use pgrx::pg_sys::{self, Const, Datum, IndexOptInfo, Node, NodeTag, Oid, PlannerInfo};
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};

/// Bytes of samples that a session keeps, at most.
const MAX_KEPT: usize = 16 << 20;

thread_local! {
    /// Samples of indexes, the last used ones at the end.
    static KEPT: RefCell<Vec<(Oid, DistanceSample)>> = const { RefCell::new(Vec::new()) };
    /// How often PostgreSQL has said that an index has changed; `None` before it has been asked to.
    static INVALIDATIONS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Registers the destructor of what is kept, while there is memory for it: see `ereport::rehearse`.
pub fn on_load() {
    KEPT.with(|_| ());
}

/// Whether an index is of this access method.
pub fn is_coop_index(index: &IndexOptInfo) -> bool {
    index.amcostestimate.is_some_and(|estimate| estimate as usize == cost::estimate as *const () as usize)
}

/// The share of an index's rows within the distance `radius` of `query`, as a sample of its rows lets expect. A query that is not known while
/// planning is taken to be like a row of the index; nothing is evaluated. `None` if the radius is not known either, or the index has no sample.
///
/// # Safety
/// `index` must be a coop index of a relation of the query that `root` plans, `query` an expression of type coopvec or coopquery, and
/// `radius` one of type float8.
pub unsafe fn limit_selectivity(
    root: *mut PlannerInfo,
    index: &IndexOptInfo,
    query: *mut Node,
    radius: *mut Node,
) -> Option<f64> {
    // SAFETY: the caller promises these expressions; a constant of a type holds a datum of it.
    unsafe {
        if index.hypothetical || !is_a(radius, NodeTag::T_Const) {
            return None;
        }
        let radius = &*radius.cast::<Const>();
        if radius.constisnull {
            return Some(0.0);
        }
        let limit = f64::from_bits(radius.constvalue.value() as u64);
        if limit.is_nan() {
            return Some(1.0);
        }
        let known;
        let expected = if is_a(query, NodeTag::T_Const) {
            let constant = &*query.cast::<Const>();
            if constant.constisnull {
                return Some(0.0);
            }
            known = constant_query(constant, constant.consttype == *index.opcintype)?;
            ExpectedQuery::Known(known.as_ref())
        } else if pg_sys::exprType(query) == *index.opcintype {
            ExpectedQuery::Unknown(None)
        } else {
            ExpectedQuery::Unknown(active_subspaces(root, query))
        };
        let relation = pg_sys::index_open(index.indexoid, pg_sys::NoLock as i32);
        let share = with_sample(&IndexRelation::new(relation), index.indexoid, |sample| {
            Ok(sample.share_within(expected, limit)?)
        });
        pg_sys::index_close(relation, pg_sys::NoLock as i32);
        // Damage is the scan's to report.
        share.ok().flatten().flatten()
    }
}

/// Calls `f` with the sample of an index, which is read again only after the index has changed; `None` if the index has none.
fn with_sample<T>(
    index: &IndexRelation,
    oid: Oid,
    f: impl FnOnce(&mut DistanceSample) -> PageResult<T>,
) -> PageResult<Option<T>> {
    let before = invalidations();
    let meta = Meta::read(index)?;
    // It is taken out, so that no invalidation finds the list in use.
    let kept = KEPT.with_borrow_mut(|kept| {
        let at = kept.iter().position(|(of, _)| *of == oid)?;
        Some(kept.remove(at).1)
    });
    let sample = match kept.filter(|sample| sample.is_current(&meta)) {
        None => DistanceSample::read(index)?,
        current => current,
    };
    let Some(mut sample) = sample else { return Ok(None) };
    let value = f(&mut sample)?;
    if invalidations() == before && sample.memory() <= MAX_KEPT {
        KEPT.with_borrow_mut(|kept| {
            let mut memory = sample.memory() + kept.iter().map(|(_, sample)| sample.memory()).sum::<usize>();
            while memory > MAX_KEPT && !kept.is_empty() {
                memory -= kept.remove(0).1.memory();
            }
            memory::push(kept, (oid, sample))
        })?;
    }
    Ok(Some(value))
}

/// How often PostgreSQL has said that an index has changed. Asks it to, the first time.
fn invalidations() -> u64 {
    INVALIDATIONS.get().unwrap_or_else(|| {
        // SAFETY: the callback lives as long as the library, which is never unloaded.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), Datum::null()) };
        INVALIDATIONS.set(Some(0));
        0
    })
}

/// Called when a relation has changed: an index has been built anew, say, or is gone. Oid 0 means any.
#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: Datum, relation: Oid) {
    INVALIDATIONS.set(INVALIDATIONS.get().map(|count| count + 1));
    KEPT.with_borrow_mut(|kept| kept.retain(|(of, _)| relation != pg_sys::InvalidOid && *of != relation));
}

/// The query that a constant stands for; `None` if there is no memory for it.
///
/// # Safety
/// The constant must be a coopvec, or else a coopquery, and not null.
unsafe fn constant_query(constant: &Const, is_embedding: bool) -> Option<Query> {
    // SAFETY: as the caller promises.
    unsafe {
        if !is_embedding {
            return Some(CoopQuery::from_raw(constant.constvalue).view().to_query());
        }
        let embedding = CoopVec::from_raw(constant.constvalue);
        let embedding = embedding.view();
        let target = memory::collect(embedding.values.iter().map(|v| v.to_f32())).ok()?;
        Query::superspace(embedding.layout, target).ok()
    }
}
