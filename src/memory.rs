//! Allocations whose size somebody else chose (a text, an image, a model, a graph), made so that a failure is an [`Error`].
//!
//! Rust's collections abort the process where memory is refused, and PostgreSQL restarts the whole cluster where a process
//! aborts. So whatever grows with a user's data is allocated by these, and never by `vec![...]`, `collect` or `to_vec`.

use super::error::{Error, Kind, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an allocation had to be served from a reserve.
static SHORT: AtomicBool = AtomicBool::new(false);

/// As much as this must be had again before memory counts as being there.
const ENOUGH: usize = 1 << 20;

/// Says that an allocation had to be served from a reserve. Until there is memory again, every allocation here is refused.
pub fn set_short() {
    SHORT.store(true, Ordering::Relaxed);
}

/// An error if memory is short: for loops that allocate little and often.
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
    room.try_reserve_exact(ENOUGH).map_err(|_| out_of_memory(ENOUGH))?;
    // Seen by nobody, it would be optimised away.
    std::hint::black_box(room.as_ptr());
    SHORT.store(false, Ordering::Relaxed);
    Ok(())
}

/// The error of an allocation of `bytes` that was refused; in PostgreSQL it has the SQLSTATE 53200, `out_of_memory`.
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

/// Makes sure that `bytes` could be allocated now, and lets go of them: for libraries that allocate by themselves, up to a size that
/// is known beforehand.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn headroom(bytes: usize) -> Result<()> {
    let room = with_capacity::<u8>(bytes)?;
    std::hint::black_box(room.as_ptr());
    Ok(())
}

/// Makes sure that JSON of `bytes` can be parsed: serde_json allocates by itself. The most comes of the least text where a list of small numbers
/// becomes [`serde_json::Value`]s: two bytes each turn into 32, in a vector that doubles, and is there twice while it is moved: 48 times the text.
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
    fn what_cannot_be_had_is_an_error_that_says_how_much_it_was() {
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
    fn what_can_be_had_is_what_was_asked_for() {
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
