//! The memory allocator of the library: the system's, and behind it a reserve.
//!
//! Rust aborts the process whose allocation is refused, and PostgreSQL restarts the whole cluster when a backend aborts. What grows with a
//! user's data is allocated by [`memory`], which makes an error of a refusal. What is left is small and everywhere: a message, a name, a
//! node of a map, the box of a panic. Where the system refuses one of those, it is served from the reserve, [`memory`] is told that memory
//! is short, and the next allocation that may fail is the statement's error, unless there is memory again.

use crate::memory;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(Reserve::new());

/// Bytes of the reserve. Part of the library's zeroed data: address space of every backend, and memory only once it is used.
const RESERVE: usize = 1 << 20;

/// Larger requests than this are not served from it: whatever asks for so much must be able to do without.
const SMALL: usize = RESERVE / 4;

/// The system's allocator with a reserve.
struct Allocator(Reserve);

// SAFETY: every block is either the system's, with whose layout it goes back there, or of the reserve, which never gives out a byte twice.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised to us.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            return self.spare(layout);
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised to us.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            return block;
        }
        let block = self.spare(layout);
        if !block.is_null() {
            // SAFETY: a block of that many bytes.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.0.has(block) {
            return self.0.give_back();
        }
        // SAFETY: not of the reserve, so it is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.0.has(block) {
            // SAFETY: not of the reserve, so it is the system's.
            let larger = unsafe { System.realloc(block, layout, size) };
            if !larger.is_null() {
                return larger;
            }
        }
        // SAFETY: the caller promises a size that makes a layout; the blocks are distinct and as long as what is copied.
        unsafe {
            let larger = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !larger.is_null() {
                larger.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            larger
        }
    }
}

impl Allocator {
    /// A block of the reserve, or null.
    #[cold]
    fn spare(&self, layout: Layout) -> *mut u8 {
        memory::set_short();
        self.0.take(layout)
    }
}

/// Memory that is given out from its start to its end, and taken up again when all of it has come back.
struct Reserve {
    bytes: UnsafeCell<[u8; RESERVE]>,
    /// How many bytes are given out, and above those 32 bits how many blocks.
    state: AtomicU64,
}

const BLOCK: u64 = 1 << 32;

// SAFETY: `state` gives each byte to one owner at a time.
unsafe impl Sync for Reserve {}

impl Reserve {
    const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; RESERVE]), state: AtomicU64::new(0) }
    }

    /// A block, or null if it is not small or does not fit.
    #[cold]
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > SMALL {
            return null_mut();
        }
        let start = self.bytes.get().cast::<u8>();
        let place = |state: u64| {
            let used = (state % BLOCK) as usize;
            used + (start.addr() + used).wrapping_neg() % layout.align()
        };
        let next = |state: u64| {
            let end = place(state) + layout.size();
            (end <= RESERVE).then(|| (state / BLOCK + 1) * BLOCK + end as u64)
        };
        match self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            // SAFETY: within the reserve.
            Ok(state) => unsafe { start.add(place(state)) },
            Err(_) => null_mut(),
        }
    }

    fn has(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.bytes.get().addr()) < RESERVE
    }

    /// Takes a block back, and begins anew if it was the last one.
    #[cold]
    fn give_back(&self) {
        let next = |state: u64| Some(if state < 2 * BLOCK { 0 } else { state - BLOCK });
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_gives_out_aligned_blocks_side_by_side_until_it_is_used_up() {
        let reserve = Reserve::new();
        let mut blocks = Vec::new();
        for i in 0.. {
            let layout = Layout::from_size_align(1 + i * 37 % 5000, 1 << (i % 7)).unwrap();
            let block = reserve.take(layout);
            if block.is_null() {
                break;
            }
            assert!(reserve.has(block) && block.addr().is_multiple_of(layout.align()));
            blocks.push((block.addr(), layout.size()));
        }
        assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        let used: usize = blocks.iter().map(|block| block.1).sum();
        assert!(used > RESERVE * 9 / 10, "{used}");
        blocks.iter().for_each(|_| reserve.give_back());
        assert!(reserve.take(Layout::new::<u64>()).addr() < blocks[1].0, "it begins anew");
    }

    #[test]
    fn what_is_not_small_is_not_served() {
        let reserve = Reserve::new();
        assert!(reserve.take(Layout::from_size_align(SMALL + 1, 1).unwrap()).is_null());
        assert!(
            !reserve.has(null_mut()) && !reserve.has(std::ptr::from_ref(&reserve.state).cast_mut().cast())
        );
    }
}
