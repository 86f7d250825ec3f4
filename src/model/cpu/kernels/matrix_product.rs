//! Matrix products over slices, for the convolutions of training. (Inference has its own loops in [`super::tile`].)
//!
//! A safe interface to the gemm crate: constructors check that a matrix lies within its slice.

use gemm::Parallelism;

/// A matrix in a slice, to read.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    numbers: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix `[rows, columns]` whose rows follow each other without gaps.
    pub fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::within(numbers, [rows, columns], columns)
    }

    /// A matrix `[rows, columns]` whose rows begin `pitch` numbers apart.
    ///
    /// # Panics
    /// If it does not lie within the slice.
    pub fn within(numbers: &'a [f32], shape: [usize; 2], pitch: usize) -> Self {
        assert!(fits(numbers.len(), shape, pitch), "a matrix beyond the end of its slice");
        Self { numbers, shape, strides: [pitch, 1] }
    }

    /// The transpose, without moving numbers.
    pub fn transposed(self) -> Self {
        let ([r, c], [rs, cs]) = (self.shape, self.strides);
        Self { numbers: self.numbers, shape: [c, r], strides: [cs, rs] }
    }
}

/// A matrix in a slice, to write.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    numbers: &'a mut [f32],
    shape: [usize; 2],
    pitch: usize,
}

impl<'a> MatrixMut<'a> {
    /// A matrix `[rows, columns]` whose rows follow each other without gaps.
    pub fn new(numbers: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::within(numbers, [rows, columns], columns)
    }

    /// A matrix `[rows, columns]` whose rows begin `pitch` numbers apart.
    ///
    /// # Panics
    /// If it does not lie within the slice.
    pub fn within(numbers: &'a mut [f32], shape: [usize; 2], pitch: usize) -> Self {
        assert!(fits(numbers.len(), shape, pitch), "a matrix beyond the end of its slice");
        Self { numbers, shape, pitch }
    }

    /// Borrows the matrix again, so that several products can be written to it one after the other.
    pub fn reborrow(&mut self) -> MatrixMut<'_> {
        MatrixMut { numbers: self.numbers, shape: self.shape, pitch: self.pitch }
    }
}

/// Whether all numbers of a matrix lie within a slice and none belongs to two rows.
fn fits(length: usize, [rows, columns]: [usize; 2], pitch: usize) -> bool {
    rows == 0 || columns == 0 || (columns <= pitch && (rows - 1) * pitch + columns <= length)
}

/// `to = a·b`, or with `add` `to += a·b`, on all threads of rayon's pool.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn matrix_product(to: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    let ([m, k], [rows, n]) = (a.shape, b.shape);
    assert!(
        to.shape == [m, n] && rows == k,
        "a product of {:?} and {:?} for {:?}",
        a.shape,
        b.shape,
        to.shape
    );
    if m == 0 || n == 0 {
        return;
    }
    let signed = |strides: [usize; 2]| strides.map(|s| s as isize);
    let ([a_row, a_column], [b_row, b_column]) = (signed(a.strides), signed(b.strides));
    // SAFETY: the constructors have checked that every element of the three matrices lies within its slice, the assertion above
    // that the shapes fit each other, and `to` is borrowed mutably, so nothing else reads or writes it.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            to.numbers.as_mut_ptr(),
            1,
            to.pitch as isize,
            add,
            a.numbers.as_ptr(),
            a_column,
            a_row,
            b.numbers.as_ptr(),
            b_column,
            b_row,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, -1.0, 2.0, 0.5, 1.0]);
        let mut c = [9.0; 6];
        matrix_product(
            MatrixMut::within(&mut c, [2, 2], 3),
            Matrix::new(&a, 2, 3),
            Matrix::new(&b, 3, 2),
            false,
        );
        assert_eq!(c, [0.5, 7.0, 9.0, 2.0, 16.0, 9.0]);
        matrix_product(
            MatrixMut::within(&mut c, [2, 2], 3),
            Matrix::new(&a, 3, 2).transposed(),
            Matrix::new(&b, 3, 2),
            true,
        );
        // [[1, 3, 5], [2, 4, 6]] b = [[0.5, 11], [1, 14]]
        assert_eq!(c, [1.0, 18.0, 9.0, 3.0, 30.0, 9.0]);
    }

    #[test]
    #[should_panic(expected = "beyond the end")]
    fn a_matrix_stays_in_its_slice() {
        Matrix::within(&[0.0; 5], [2, 2], 4);
    }
}
