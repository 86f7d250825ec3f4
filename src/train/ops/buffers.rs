//! Memory that is used again: a training step needs the same few hundred megabytes each time, and fresh ones cost a page fault
//! every 4 KiB.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Free buffers by length.
#[derive(Debug, Default)]
struct Free(Mutex<HashMap<usize, Vec<Vec<f32>>>>);

/// Gives buffers out; clones share what is free.
#[derive(Debug, Clone, Default)]
pub struct Buffers(Arc<Free>);

/// Numbers that go back where they came from.
#[derive(Debug)]
pub struct Buffer {
    numbers: Vec<f32>,
    home: Buffers,
}

impl Buffers {
    /// `length` numbers of any value.
    pub fn take(&self, length: usize) -> Buffer {
        let found = self.free(|free| free.get_mut(&length).and_then(Vec::pop));
        Buffer { numbers: found.unwrap_or_else(|| vec![0.0; length]), home: self.clone() }
    }

    fn free<T>(&self, f: impl FnOnce(&mut HashMap<usize, Vec<Vec<f32>>>) -> T) -> T {
        // No operation on the map can leave it half done.
        f(&mut self.0 .0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        self.home.free(|free| free.entry(numbers.len()).or_default().push(numbers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let buffers = Buffers::default();
        let mut first = buffers.take(3);
        first[0] = 7.0;
        let address = first.as_ptr();
        let second = buffers.take(3);
        drop(first);
        assert_eq!((buffers.take(3).as_ptr(), buffers.take(4).len()), (address, 4));
        assert_ne!(second.as_ptr(), address);
    }
}
