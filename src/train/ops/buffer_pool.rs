//! A pool of buffers. Every training step needs the same few hundred megabytes; freshly allocated memory would cost a page fault every
//! 4 KiB.

use crate::model::cpu::kernels::Buffer;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// The free buffers, by length.
#[derive(Debug, Default)]
struct FreeBuffers(Mutex<HashMap<usize, Vec<Buffer>>>);

/// Hands out buffers. Clones of a pool share its free buffers.
#[derive(Debug, Clone, Default)]
pub struct BufferPool(Arc<FreeBuffers>);

/// A buffer that returns to its pool when it is dropped.
#[derive(Debug)]
pub struct PooledBuffer {
    numbers: Buffer,
    length: usize,
    pool: BufferPool,
}

impl BufferPool {
    /// A buffer of `length` numbers with arbitrary values, aligned to a cache line.
    pub fn take(&self, length: usize) -> PooledBuffer {
        let found = self.free(|free| free.get_mut(&length).and_then(Vec::pop));
        let numbers = found.unwrap_or_else(|| Buffer::zeros(length));
        PooledBuffer { numbers, length, pool: self.clone() }
    }

    fn free<T>(&self, f: impl FnOnce(&mut HashMap<usize, Vec<Buffer>>) -> T) -> T {
        // A panic cannot leave the map in an invalid state, so a poisoned lock is not an error.
        f(&mut self.0 .0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Deref for PooledBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[..self.length]
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.length]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        self.pool.free(|free| free.entry(self.length).or_default().push(numbers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = BufferPool::default();
        let mut first = pool.take(3);
        first[0] = 7.0;
        let address = first.as_ptr();
        let second = pool.take(3);
        drop(first);
        assert_eq!((pool.take(3).as_ptr(), pool.take(4).len()), (address, 4));
        assert_ne!(second.as_ptr(), address);
    }
}
