//! The layout of a space: how many subspaces of how many dimensions, and of which model.

use crate::error::{Error, Kind, Result};
use std::fmt;
use std::ops::Range;

/// The largest superspace, N = K·n. An embedding of that size takes 32 kB.
pub const MAX_DIMENSIONS: usize = 16_384;

/// The shape of a model's space and the model's fingerprint. Values of different layouts cannot be compared: trying to is an
/// error that names both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    subspaces: u16,
    subspace_dim: u16,
    fingerprint: u32,
}

impl Layout {
    /// K subspaces of n dimensions each, of the model with this fingerprint.
    ///
    /// # Errors
    /// [`Kind::LimitExceeded`] if K or n is 0 or K·n is over [`MAX_DIMENSIONS`].
    pub fn new(subspaces: usize, subspace_dim: usize, fingerprint: u32) -> Result<Self> {
        let dimensions = subspaces.saturating_mul(subspace_dim);
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(Error::new(
                Kind::LimitExceeded,
                format!("a space of {subspaces} subspaces of {subspace_dim} dimensions is not possible"),
            )
            .detail(format!("Both must be at least 1 and their product at most {MAX_DIMENSIONS}.")));
        }
        Ok(Self { subspaces: subspaces as u16, subspace_dim: subspace_dim as u16, fingerprint })
    }

    /// K, the number of attributes.
    pub fn subspaces(&self) -> usize {
        self.subspaces.into()
    }

    /// n, the dimensions of each subspace.
    pub fn subspace_dim(&self) -> usize {
        self.subspace_dim.into()
    }

    /// N = K·n.
    pub fn dimensions(&self) -> usize {
        self.subspaces() * self.subspace_dim()
    }

    /// The first 32 bits of the model's digest, which tell models of one shape apart.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// The dimensions of subspace k, `[k·n, (k+1)·n)`.
    pub fn range(&self, k: usize) -> Range<usize> {
        k * self.subspace_dim()..(k + 1) * self.subspace_dim()
    }

    /// Checks that there is a subspace k.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`].
    pub fn check_subspace(&self, k: usize) -> Result<()> {
        if k < self.subspaces() {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidParameter, format!("model {self} has no subspace {k}")))
    }

    /// Checks that `other` is the same model's space.
    ///
    /// # Errors
    /// [`Kind::Mismatch`], naming both models by fingerprint and shape.
    #[inline]
    pub fn check_same(&self, other: &Layout) -> Result<()> {
        if self == other {
            return Ok(());
        }
        Err(self.mismatch(other))
    }

    #[cold]
    fn mismatch(&self, other: &Layout) -> Error {
        Error::new(Kind::Mismatch, "embeddings of different models cannot be compared")
            .detail(format!("Left: model {self}. Right: model {other}."))
            .hint("Embed both with the same model; coop_models() lists the models and their fingerprints.")
    }
}

/// `8x50@1a2b3c4d`: K, n and the fingerprint in hexadecimal.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}@{:08x}", self.subspaces, self.subspace_dim, self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subspace_is_a_range() {
        let l = Layout::new(8, 50, 1).unwrap();
        assert_eq!((l.dimensions(), l.range(0), l.range(7)), (400, 0..50, 350..400));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for (k, n) in [(0, 50), (8, 0), (200, 100), (usize::MAX, 2)] {
            assert_eq!(Layout::new(k, n, 0).unwrap_err().kind, Kind::LimitExceeded);
        }
        assert!(Layout::new(128, 128, 0).is_ok());
    }

    #[test]
    fn a_mismatch_names_both_models() {
        let (a, b) = (Layout::new(8, 50, 0xabc).unwrap(), Layout::new(8, 50, 0xdef).unwrap());
        let e = a.check_same(&b).unwrap_err();
        assert_eq!(e.kind, Kind::Mismatch);
        assert!(e.detail.unwrap().contains("8x50@00000abc. Right: model 8x50@00000def"));
    }
}
