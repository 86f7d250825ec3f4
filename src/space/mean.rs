//! The mean of embeddings: what `avg(coopvec)` computes, and what the query of a category or attribute value is.

use super::{Embedding, EmbeddingRef, Layout};
use crate::error::{Error, Kind, Result};
use half::f16;
use half::slice::HalfFloatSliceExt;

#[cfg(test)]
mod tests;

/// Numbers converted to double precision at a time: few enough to stay in the first-level cache.
const BLOCK_NUMBERS: usize = 64;

/// The sum of embeddings in double precision, in memory that the caller provides, and their count.
///
/// Half-precision numbers are multiples of 2^-24 and double precision has 53 bits, so a sum of numbers of magnitude at
/// most 1 is *exact* for up to 2^29 (half a billion) of them: however rows are split over workers, the mean has the same bits.
#[derive(Debug)]
pub struct EmbeddingMean<'a> {
    layout: Layout,
    count: u64,
    sums: &'a mut [f64],
}

impl<'a> EmbeddingMean<'a> {
    /// No embeddings yet; `sums` are `[K·n]` zeros.
    pub fn new(layout: Layout, sums: &'a mut [f64]) -> Self {
        debug_assert_eq!(sums.len(), layout.dimensions());
        Self { layout, count: 0, sums }
    }

    /// The space that the embeddings are in.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Adds an embedding.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it belongs to another model.
    pub fn add(&mut self, e: EmbeddingRef<'_>) -> Result<()> {
        self.check(e.layout)?;
        self.count += 1;
        // In blocks, because the `half` crate converts slices with vector instructions, ten times as fast as one number at a time.
        for (sums, values) in self.sums.chunks_mut(BLOCK_NUMBERS).zip(e.values.chunks(BLOCK_NUMBERS)) {
            let mut wide = [0.0; BLOCK_NUMBERS];
            let wide = &mut wide[..values.len()];
            values.convert_to_f32_slice(wide);
            sums.iter_mut().zip(wide).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        Ok(())
    }

    /// Adds all embeddings that `other` has.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it belongs to another model.
    pub fn merge(&mut self, other: &EmbeddingMean<'_>) -> Result<()> {
        self.check(other.layout)?;
        self.count += other.count;
        self.sums.iter_mut().zip(&*other.sums).for_each(|(sum, v)| *sum += v);
        Ok(())
    }

    /// The mean, rounded once to half precision and *not* normalised again: the mean of unit vectors has at most norm 1, and
    /// the less they agree, the smaller it is. `None` without embeddings.
    pub fn finish(&self) -> Option<Embedding> {
        let count = self.count as f64;
        let values = self.sums.iter().map(|sum| f16::from_f64(sum / count)).collect();
        Embedding::from_f16(self.layout, values).ok()
    }

    /// The state as bytes, for a process on the same machine: numbers are in the processor's byte order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.count.to_ne_bytes().to_vec();
        out.extend((self.layout.subspaces() as u16).to_ne_bytes());
        out.extend((self.layout.subspace_dim() as u16).to_ne_bytes());
        out.extend(self.layout.fingerprint().to_ne_bytes());
        out.extend(self.sums.iter().flat_map(|v| v.to_ne_bytes()));
        out
    }

    /// Reads the bytes of [`EmbeddingMean::to_bytes`]. `allocate` returns as many zeros as it is asked for.
    ///
    /// # Errors
    /// [`Kind::InvalidBinary`] for bytes of the wrong length, and that of [`Layout::new`].
    pub fn from_bytes(bytes: &[u8], allocate: impl FnOnce(usize) -> &'a mut [f64]) -> Result<Self> {
        let (count, rest) = first(bytes)?;
        let (k, rest) = first(rest)?;
        let (n, rest) = first(rest)?;
        let (fingerprint, rest) = first(rest)?;
        let (k, n) = (u16::from_ne_bytes(k), u16::from_ne_bytes(n));
        let layout = Layout::new(k.into(), n.into(), u32::from_ne_bytes(fingerprint))?;
        let (numbers, []) = rest.as_chunks() else { return Err(malformed()) };
        if numbers.len() != layout.dimensions() {
            return Err(malformed());
        }
        let sums = allocate(numbers.len());
        sums.iter_mut().zip(numbers).for_each(|(sum, v)| *sum = f64::from_ne_bytes(*v));
        Ok(Self { layout, count: u64::from_ne_bytes(count), sums })
    }

    fn check(&self, other: Layout) -> Result<()> {
        self.layout
            .check_same(&other)
            .map_err(|e| Error { message: "embeddings of different models cannot be averaged".into(), ..e })
    }
}

/// Splits the first N bytes off.
fn first<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8])> {
    bytes.split_first_chunk().map(|(head, rest)| (*head, rest)).ok_or_else(malformed)
}

fn malformed() -> Error {
    Error::new(Kind::InvalidBinary, "malformed state of avg(coopvec)")
}
