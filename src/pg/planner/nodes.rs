//! Iterators over PostgreSQL's lists (`pg_list.h`).

use pgrx::pg_sys::{self, List};
use std::ptr::null_mut;

/// The cells of a list; a null list has none.
///
/// # Safety
/// `list` must be null or a list of pointers, and must not grow or shrink while the iterator is used.
pub unsafe fn cells(list: *const List) -> impl Iterator<Item = *mut pg_sys::ListCell> {
    let (first, length) = if list.is_null() {
        (null_mut(), 0)
    } else {
        // SAFETY: the caller promises a list, which has `length` cells at `elements`.
        unsafe { ((*list).elements, (*list).length) }
    };
    // SAFETY: `i` is below the list's length, so the cell lies within the array.
    (0..length as usize).map(move |i| unsafe { first.add(i) })
}

/// The pointers in a list.
///
/// # Safety
/// As [`cells`], and the list's elements must be `T`s.
pub unsafe fn items<T>(list: *const List) -> impl Iterator<Item = *mut T> {
    // SAFETY: the caller promises a list.
    let cells = unsafe { cells(list) };
    // SAFETY: cells of a list of pointers hold a `ptr_value`.
    cells.map(|cell| unsafe { (*cell).ptr_value.cast() })
}
