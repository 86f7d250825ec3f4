//! Lets several threads write blocks of columns of one matrix.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Some columns of a matrix `[rows, pitch]`, for one task alone.
#[derive(Debug)]
pub struct ColumnBlock<'a> {
    to: *mut f32,
    rows: usize,
    pitch: usize,
    columns: Range<usize>,
    matrix: PhantomData<&'a mut [f32]>,
}

impl ColumnBlock<'_> {
    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers from one row of the matrix to the next.
    pub fn pitch(&self) -> usize {
        self.pitch
    }

    /// The columns of the block.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// The offset within the matrix, and the address, of a rectangle of the block.
    ///
    /// # Panics
    /// If the rectangle does not lie within the block.
    pub(super) fn pointer(&mut self, rows: Range<usize>, columns: Range<usize>) -> (usize, *mut f32) {
        assert!(
            rows.end <= self.rows
                && rows.start < rows.end
                && columns.start >= self.columns.start
                && columns.start < columns.end
                && columns.end <= self.columns.end,
            "a rectangle beyond its block"
        );
        let at = rows.start * self.pitch + columns.start;
        // SAFETY: the rectangle lies within the block and so within the matrix.
        (at, unsafe { self.to.add(at) })
    }
}

/// The address of a matrix that tasks write disjoint blocks of.
#[derive(Clone, Copy)]
struct Address(*mut f32);

// SAFETY: `for_each_column_block` gives every task a block of its own, and no two blocks share a number.
unsafe impl Send for Address {}
// SAFETY: see `Send`.
unsafe impl Sync for Address {}

impl Address {
    fn get(self) -> *mut f32 {
        self.0
    }
}

/// Calls `f` with blocks of `width` columns of a matrix `[rows, pitch]`, on all threads of rayon's pool.
///
/// # Panics
/// If the matrix does not have that shape.
pub fn for_each_column_block(
    to: &mut [f32],
    [rows, pitch]: [usize; 2],
    width: usize,
    f: impl Fn(ColumnBlock<'_>) + Sync + Send,
) {
    assert!(to.len() == rows * pitch && width > 0, "a matrix of another shape");
    let address = Address(to.as_mut_ptr());
    (0..pitch.div_ceil(width)).into_par_iter().for_each(|block| {
        let columns = block * width..((block + 1) * width).min(pitch);
        f(ColumnBlock { to: address.get(), rows, pitch, columns, matrix: PhantomData });
    });
}
