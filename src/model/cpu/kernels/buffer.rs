//! Buffers of numbers aligned to cache lines: a vector load that crosses two lines costs twice as much.

use super::tile::LINE;
use std::ops::{Deref, DerefMut};

/// One cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "only read through the slice of all numbers")] [f32; LINE]);

/// Numbers in whole cache lines.
#[derive(Default)]
pub struct Buffer(Vec<Line>);

impl Buffer {
    /// At least `count` numbers, all zero.
    pub fn zeros(count: usize) -> Self {
        Self(vec![Line([0.0; LINE]); count.div_ceil(LINE)])
    }

    /// Grows to at least `count` numbers; new ones are zero.
    pub fn grow(&mut self, count: usize) {
        if self.len() < count {
            self.0.resize(count.div_ceil(LINE), Line([0.0; LINE]));
        }
    }

    /// The numbers by cache line.
    pub fn lines(&self) -> &[[f32; LINE]] {
        self.as_chunks().0
    }

    /// Line by line, to write.
    pub fn lines_mut(&mut self) -> &mut [[f32; LINE]] {
        self.as_chunks_mut().0
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is exactly LINE numbers (64 bytes, its alignment), so `len * LINE` initialised numbers follow each other
        // without padding, and `self` is borrowed for as long as the slice.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: `Line` is exactly LINE numbers (64 bytes, its alignment), so `len * LINE` initialised numbers follow each other
        // without padding, and `self` is borrowed mutably for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} numbers", self.len())
    }
}
