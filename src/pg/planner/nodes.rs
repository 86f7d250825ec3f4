//! PostgreSQL's lists of nodes.

use pgrx::pg_sys::{self, List};
use std::ptr::null_mut;

/// The cells of a list of nodes; none of a null list.
///
/// # Safety
/// `list` must be null or a list of nodes, and stay as it is.
pub unsafe fn cells(list: *const List) -> impl Iterator<Item = *mut pg_sys::ListCell> {
    // SAFETY: a List has `length` cells at `elements`.
    let (first, length) =
        if list.is_null() { (null_mut(), 0) } else { unsafe { ((*list).elements, (*list).length) } };
    // SAFETY: within the list.
    (0..length as usize).map(move |i| unsafe { first.add(i) })
}

/// The nodes of a list.
///
/// # Safety
/// As [`cells`].
pub unsafe fn items<T>(list: *const List) -> impl Iterator<Item = *mut T> {
    // SAFETY: a list of nodes holds pointers to them.
    unsafe { cells(list) }.map(|cell| unsafe { (*cell).ptr_value.cast() })
}
