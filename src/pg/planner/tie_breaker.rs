//! Has an index serve `ORDER BY emb <-> query, id`: it returns rows by their distance, and an incremental sort puts those at one distance
//! in order. From version 17 on PostgreSQL finds that itself; before, it wanted all of ORDER BY from the index.

use super::distance_expression::{first_order, is_constant, usable_indexes, Distance};
use super::nodes::items;
use pgrx::is_a;
use pgrx::pg_sys::{self, IndexOptInfo, IndexPath, NodeTag, PlannerInfo, RelOptInfo};

/// Adds the paths of one table, or partition, that return rows in the order of the first of several expressions.
///
/// # Safety
/// `table` must be a base relation of the query that `root` plans, with its other paths.
pub unsafe fn add_paths(root: *mut PlannerInfo, table: *mut RelOptInfo) {
    // SAFETY: as the caller promises.
    unsafe {
        let Some((key, true)) = first_order(root) else { return };
        for index in usable_indexes(table) {
            if has_ordered_path(table, index) {
                continue;
            }
            let of_table = Distance::of_key(index, key).find(|(relations, distance)| {
                pg_sys::bms_equal(*relations, (*table).relids) && is_constant(root, distance.query)
            });
            if let Some((_, distance)) = of_table {
                let path = distance.ordered_path(root, index, key, (*table).lateral_relids);
                pg_sys::add_path(table, path.cast());
            }
        }
    }
}

/// Whether PostgreSQL has made a path in the order of a distance.
///
/// # Safety
/// As [`add_paths`].
unsafe fn has_ordered_path(table: *mut RelOptInfo, index: *mut IndexOptInfo) -> bool {
    // SAFETY: the caller promises a relation with its paths.
    unsafe {
        items::<pg_sys::Path>((*table).pathlist).any(|path| {
            is_a(path.cast(), NodeTag::T_IndexPath) && {
                let path = &*path.cast::<IndexPath>();
                path.indexinfo == index && !path.indexorderbys.is_null()
            }
        })
    }
}
