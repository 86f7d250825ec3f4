//! Embeddings, the values of `coopvec`: K·n half-precision numbers, each subspace of unit length.

use super::Layout;
use crate::error::{Error, Kind, Result};
use half::f16;

/// An embedding that owns its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    layout: Layout,
    values: Vec<f16>,
}

/// An embedding read in place, for example on a page of PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingRef<'a> {
    /// The space that the embedding is in.
    pub layout: Layout,
    /// `[K·n]`.
    pub values: &'a [f16],
}

impl Embedding {
    /// L2-normalises each subspace of a network's raw output `[K·n]` and rounds it to half precision.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for a wrong length, [`Kind::InvalidParameter`] for NaN or infinity.
    pub fn from_raw(layout: Layout, raw: &[f32]) -> Result<Self> {
        let mut unit = raw.to_vec();
        normalize_subspaces(layout, &mut unit)?;
        Self::from_f32(layout, &unit)
    }

    /// Takes numbers as they are, without normalising; each is rounded to half precision.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for a wrong length, [`Kind::InvalidParameter`] for a number that half precision cannot hold.
    pub fn from_f32(layout: Layout, values: &[f32]) -> Result<Self> {
        let values: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        Self::from_f16(layout, values)
    }

    /// Takes half-precision numbers as they are.
    ///
    /// # Errors
    /// As [`Embedding::from_f32`].
    pub fn from_f16(layout: Layout, values: Vec<f16>) -> Result<Self> {
        check_length(layout, values.len())?;
        match values.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(not_finite(at, &values[at])),
            None => Ok(Self { layout, values }),
        }
    }

    /// The space that the embedding is in.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Borrows the numbers.
    pub fn as_ref(&self) -> EmbeddingRef<'_> {
        EmbeddingRef { layout: self.layout, values: &self.values }
    }
}

impl EmbeddingRef<'_> {
    /// All K·n numbers in single precision.
    pub fn to_f32(&self) -> Vec<f32> {
        self.values.iter().map(|v| v.to_f32()).collect()
    }

    /// A copy with the given subspaces (numbered from 0) taken from `other`.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for an embedding of another model, [`Kind::InvalidParameter`] if there is no such subspace.
    pub fn with_subspaces_of(&self, other: &EmbeddingRef<'_>, subspaces: &[usize]) -> Result<Embedding> {
        self.layout.check_same(&other.layout)?;
        let mut values = self.values.to_vec();
        for &k in subspaces {
            self.layout.check_subspace(k)?;
            values[self.layout.range(k)].copy_from_slice(&other.values[self.layout.range(k)]);
        }
        Embedding::from_f16(self.layout, values)
    }
}

/// Divides each subspace of `values` (`[K·n]`) by its L2 norm; a subspace of zeros stays zeros.
///
/// # Errors
/// [`Kind::Mismatch`] for a wrong length, [`Kind::InvalidParameter`] for NaN or infinity.
pub fn normalize_subspaces(layout: Layout, values: &mut [f32]) -> Result<()> {
    check_length(layout, values.len())?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(not_finite(at, &values[at]));
    }
    values.chunks_exact_mut(layout.subspace_dim()).for_each(normalize);
    Ok(())
}

/// Divides finite numbers by their L2 norm; zeros stay zeros.
pub(super) fn normalize(slice: &mut [f32]) {
    let norm = slice.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 {
        slice.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
    }
}

/// Checks that `found` numbers fill the layout.
pub(super) fn check_length(layout: Layout, found: usize) -> Result<()> {
    if found == layout.dimensions() {
        return Ok(());
    }
    Err(wrong_length(layout, layout.dimensions(), found))
}

/// The error for a number of values that does not fit the model.
pub(super) fn wrong_length(layout: Layout, expected: usize, found: usize) -> Error {
    Error::new(Kind::Mismatch, format!("expected {expected} numbers, not {found}")).detail(format!(
        "Model {layout} has {} subspaces of {}.",
        layout.subspaces(),
        layout.subspace_dim()
    ))
}

/// The error for the number at index `at`, which is NaN, infinite or too large.
pub(super) fn not_finite(at: usize, value: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::InvalidParameter, "numbers must be finite")
        .detail(format!("Number {} is {value} (half precision reaches 65504).", at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subspace_gets_unit_length_and_zeros_stay() {
        let l = Layout::new(3, 2, 0).unwrap();
        let e = Embedding::from_raw(l, &[3.0, 4.0, 0.0, 0.0, -1e-20, 0.0]).unwrap();
        let v = e.as_ref().to_f32();
        assert!((v[0] - 0.6).abs() < 1e-3 && (v[1] - 0.8).abs() < 1e-3);
        assert_eq!(&v[2..], &[0.0, 0.0, -1.0, 0.0]);
    }

    #[test]
    fn wrong_length_nan_and_overflow_are_errors() {
        let l = Layout::new(2, 2, 0).unwrap();
        assert_eq!(Embedding::from_raw(l, &[1.0; 3]).unwrap_err().kind, Kind::Mismatch);
        assert_eq!(
            Embedding::from_raw(l, &[1.0, f32::NAN, 0.0, 0.0]).unwrap_err().kind,
            Kind::InvalidParameter
        );
        assert_eq!(Embedding::from_f32(l, &[1.0, 1e9, 0.0, 0.0]).unwrap_err().kind, Kind::InvalidParameter);
    }
}
