//! The library's memory allocator: the system's, and a reserve for when that fails.
//!
//! Rust aborts a process whose allocation fails, and PostgreSQL restarts the whole cluster when a backend aborts. What grows with a
//! user's data is allocated through [`memory`], which turns a failure into an error. The rest is small and everywhere: a message, a name, a
//! node of a map, the box of a panic. Where the system refuses one of those, it comes from the reserve, and [`memory`] is told that memory
//! is short: from then on its allocations are errors, until the system has memory again.

use crate::memory;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(Reserve::new());

/// Bytes of the reserve. It lies in the library's zeroed data (.bss), so it takes address space of every backend, but memory only when used.
const RESERVE: usize = 1 << 20;

/// The largest allocation that the reserve serves. Whoever allocates more than this must handle a failure.
const MAX_RESERVED_BLOCK: usize = RESERVE / 4;

/// The system's allocator, with a reserve.
struct Allocator(Reserve);

// SAFETY: every block comes either from the system, and goes back there with its layout, or from the reserve, which never hands out a byte
// that is in use.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of more than 0 bytes, as `System` demands.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            return self.alloc_reserved(layout);
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of more than 0 bytes, as `System` demands.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            return block;
        }
        let block = self.alloc_reserved(layout);
        if !block.is_null() {
            // SAFETY: the block has as many bytes as the layout, and nobody else has it. Used once, it is not zero any more.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.0.contains(block) {
            return self.0.free();
        }
        // SAFETY: the block is not in the reserve, so it came from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.0.contains(block) {
            // SAFETY: the block is not in the reserve, so it came from `System`, with this layout.
            let larger = unsafe { System.realloc(block, layout, size) };
            if !larger.is_null() {
                return larger;
            }
        }
        // SAFETY: the caller promises a size that makes a layout. The blocks do not overlap, and each is as long as what is copied.
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
    /// A block of the reserve; null if it has none.
    #[cold]
    fn alloc_reserved(&self, layout: Layout) -> *mut u8 {
        memory::set_short();
        self.0.alloc(layout)
    }
}

/// An arena: blocks are handed out from its start to its end, and it starts over when all of them have been freed.
struct Reserve {
    bytes: UnsafeCell<[u8; RESERVE]>,
    /// Low 32 bits: how many bytes have been handed out. High 32 bits: how many blocks are in use.
    state: AtomicU64,
}

/// One block in [`Reserve::state`].
const ONE_BLOCK: u64 = 1 << 32;

// SAFETY: `state` is atomic, and hands each byte to one owner at a time; `bytes` is never read or written as a whole.
unsafe impl Sync for Reserve {}

impl Reserve {
    const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; RESERVE]), state: AtomicU64::new(0) }
    }

    /// A block; null if it is too large or does not fit.
    #[cold]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MAX_RESERVED_BLOCK {
            return null_mut();
        }
        let start = self.bytes.get().cast::<u8>();
        // Where a block would start: after those handed out, aligned.
        let offset = |state: u64| {
            let used = (state % ONE_BLOCK) as usize;
            used + (start.addr() + used).wrapping_neg() % layout.align()
        };
        let next = |state: u64| {
            let end = offset(state) + layout.size();
            (end <= RESERVE).then(|| (state / ONE_BLOCK + 1) * ONE_BLOCK + end as u64)
        };
        match self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            // SAFETY: the block's end is within the reserve, as `next` has checked.
            Ok(state) => unsafe { start.add(offset(state)) },
            Err(_) => null_mut(),
        }
    }

    fn contains(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.bytes.get().addr()) < RESERVE
    }

    /// Counts a block as freed, and starts over if no other is in use.
    #[cold]
    fn free(&self) {
        let next = |state: u64| Some(if state < 2 * ONE_BLOCK { 0 } else { state - ONE_BLOCK });
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_hands_out_aligned_blocks_side_by_side_until_it_is_full() {
        let reserve = Reserve::new();
        let mut blocks = Vec::new();
        for i in 0.. {
            let layout = Layout::from_size_align(1 + i * 37 % 5000, 1 << (i % 7)).unwrap();
            let block = reserve.alloc(layout);
            if block.is_null() {
                break;
            }
            assert!(reserve.contains(block) && block.addr().is_multiple_of(layout.align()));
            blocks.push((block.addr(), layout.size()));
        }
        assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        let used: usize = blocks.iter().map(|block| block.1).sum();
        assert!(used > RESERVE * 9 / 10, "{used}");
        blocks.iter().for_each(|_| reserve.free());
        assert!(reserve.alloc(Layout::new::<u64>()).addr() < blocks[1].0, "it starts over");
    }

    #[test]
    fn the_reserve_serves_no_large_block() {
        let reserve = Reserve::new();
        assert!(reserve.alloc(Layout::from_size_align(MAX_RESERVED_BLOCK + 1, 1).unwrap()).is_null());
        assert!(
            !reserve.contains(null_mut())
                && !reserve.contains(std::ptr::from_ref(&reserve.state).cast_mut().cast())
        );
    }
}
