//! Allocations whose size depends on a user's data (a text, an image, a model, a graph): if memory is refused, they return an
//! [`Error`].
//!
//! Rust's collections abort the process when memory is refused, and PostgreSQL restarts the whole cluster when a process
//! aborts. So whatever grows with a user's data is allocated with these functions, never with `vec![...]`, `collect` or
//! `to_vec`.

use crate::error::{Error, Kind, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// True after an allocation had to be served from the reserve (`src/pg/allocator.rs`), until memory is available again.
static SHORT: AtomicBool = AtomicBool::new(false);

/// Memory counts as available again once this many bytes can be allocated.
const RECOVERED_BYTES: usize = 1 << 20;

/// Records that an allocation had to be served from the reserve. Until memory is available again, all functions here fail.
pub fn set_short() {
    SHORT.store(true, Ordering::Relaxed);
}

/// Fails while memory is short. For loops that make many small allocations by other means.
///
/// # Errors
/// [`Kind::OutOfMemory`].
#[inline]
pub fn check() -> Result<()> {
    if SHORT.load(Ordering::Relaxed) {
        return recover();
    }
    Ok(())
}

#[cold]
fn recover() -> Result<()> {
    let mut room = Vec::<u8>::new();
    room.try_reserve_exact(RECOVERED_BYTES).map_err(|_| out_of_memory(RECOVERED_BYTES))?;
    // Keeps the compiler from removing the allocation.
    std::hint::black_box(room.as_ptr());
    SHORT.store(false, Ordering::Relaxed);
    Ok(())
}

/// The error for a refused allocation of `bytes`; in PostgreSQL it has the SQLSTATE 53200, `out_of_memory`.
#[cold]
pub fn out_of_memory(bytes: usize) -> Error {
    Error::new(Kind::OutOfMemory, "out of memory")
        .detail(format!("Failed on an allocation of {bytes} bytes."))
        .hint("Give the server more memory, or ask for less of it at once.")
}

/// Makes room for `additional` more items, growing as `Vec::push` does.
///
/// # Errors
/// [`Kind::OutOfMemory`].
#[inline]
pub fn reserve<T>(items: &mut Vec<T>, additional: usize) -> Result<()> {
    check()?;
    let total = items.len().saturating_add(additional);
    items.try_reserve(additional).map_err(|_| out_of_memory(total.saturating_mul(size_of::<T>())))
}

/// Appends an item.
///
/// # Errors
/// [`Kind::OutOfMemory`].
#[inline]
pub fn push<T>(items: &mut Vec<T>, item: T) -> Result<()> {
    if items.len() == items.capacity() {
        reserve(items, 1)?;
    }
    items.push(item);
    Ok(())
}

/// Appends all of a slice.
///
/// # Errors
/// [`Kind::OutOfMemory`].
#[inline]
pub fn extend<T: Copy>(items: &mut Vec<T>, more: &[T]) -> Result<()> {
    reserve(items, more.len())?;
    items.extend_from_slice(more);
    Ok(())
}

/// An empty vector with room for exactly `capacity` items.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn with_capacity<T>(capacity: usize) -> Result<Vec<T>> {
    check()?;
    let mut items = Vec::new();
    items.try_reserve_exact(capacity).map_err(|_| out_of_memory(capacity.saturating_mul(size_of::<T>())))?;
    Ok(items)
}

/// `count` copies of a value.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn filled<T: Clone>(value: T, count: usize) -> Result<Vec<T>> {
    let mut items = with_capacity(count)?;
    items.resize(count, value);
    Ok(items)
}

/// A copy of a slice.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn copied<T: Copy>(slice: &[T]) -> Result<Vec<T>> {
    let mut items = with_capacity(slice.len())?;
    items.extend_from_slice(slice);
    Ok(items)
}

/// The items of an iterator.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn collect<T>(source: impl IntoIterator<Item = T>) -> Result<Vec<T>> {
    let source = source.into_iter();
    let mut items = with_capacity(source.size_hint().0)?;
    for item in source {
        push(&mut items, item)?;
    }
    Ok(items)
}

/// A copy of a text.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn text(text: &str) -> Result<String> {
    check()?;
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| out_of_memory(text.len()))?;
    copy.push_str(text);
    Ok(copy)
}

/// Checks that `bytes` can be allocated now, and frees them again: for libraries that make their own allocations, up to a size
/// that is known beforehand.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn headroom(bytes: usize) -> Result<()> {
    let room = with_capacity::<u8>(bytes)?;
    std::hint::black_box(room.as_ptr());
    Ok(())
}

/// Checks that there is memory to parse JSON of `bytes`, because serde_json makes its own allocations. The worst case is a list
/// of one-digit numbers: two bytes each become a [`serde_json::Value`] of 32, in a vector that doubles its capacity and exists
/// twice while it is moved, which makes 48 times the text.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn headroom_for_json(bytes: usize) -> Result<()> {
    headroom(bytes.saturating_mul(64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_allocation_is_an_error_that_names_its_size() {
        const TOO_MANY: usize = isize::MAX as usize / 4;
        let errors = [
            with_capacity::<u16>(TOO_MANY).unwrap_err(),
            filled(0u16, TOO_MANY).unwrap_err(),
            reserve(&mut vec![0u16; 0], TOO_MANY).unwrap_err(),
            headroom(2 * TOO_MANY).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, Kind::OutOfMemory);
            assert_eq!(error.detail.unwrap(), format!("Failed on an allocation of {} bytes.", 2 * TOO_MANY));
        }
    }

    #[test]
    fn a_granted_allocation_holds_what_was_asked_for() {
        assert_eq!(filled(7, 3).unwrap(), [7, 7, 7]);
        assert_eq!(copied(&[1, 2]).unwrap(), [1, 2]);
        assert_eq!(collect((0..100).filter(|n| n % 7 == 0)).unwrap().len(), 15);
        assert_eq!(text("añil").unwrap(), "añil");
        let mut items = Vec::new();
        (0..9).for_each(|n| push(&mut items, n).unwrap());
        extend(&mut items, &[9]).unwrap();
        assert_eq!(items, (0..10).collect::<Vec<_>>());
        headroom(1 << 20).unwrap();
    }
}
