//! Numbers that start with a line of the cache: a register's worth that lies across two costs twice.

use super::tile::LINE;
use std::ops::{Deref, DerefMut};

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "only seen as numbers of a slice")] [f32; LINE]);

/// Whole lines of numbers.
#[derive(Default)]
pub struct Buffer(Vec<Line>);

impl Buffer {
    /// At least so many numbers, all zero.
    pub fn zeros(count: usize) -> Self {
        Self(vec![Line([0.0; LINE]); count.div_ceil(LINE)])
    }

    /// Makes sure that there are so many numbers; those that are new are zero.
    pub fn grow(&mut self, count: usize) {
        if self.len() < count {
            self.0.resize(count.div_ceil(LINE), Line([0.0; LINE]));
        }
    }

    /// Line by line.
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
        // SAFETY: a line is as long as it is aligned, so that lines are numbers without gaps.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} numbers", self.len())
    }
}
