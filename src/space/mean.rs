//! The mean of embeddings: a category's query is one, and so is `avg(coopvec)`.

use super::{Embedding, EmbeddingRef, Layout};
use crate::error::{Error, Kind, Result};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Numbers widened at a time: few enough to stay in registers and the nearest cache.
const BLOCK: usize = 64;

/// A running sum of embeddings in double precision, wherever its numbers lie.
///
/// Half-precision numbers are multiples of 2^-24 and double precision has 53 bits, so a sum of numbers of magnitude at
/// most 1 is *exact* up to 2^29 (half a billion) of them: however rows are split over workers, the mean has the same bits.
#[derive(Debug)]
pub struct EmbeddingMean<'a> {
    layout: Layout,
    count: u64,
    sums: &'a mut [f64],
}

impl<'a> EmbeddingMean<'a> {
    /// The mean of nothing yet, kept in `sums` (`[K·n]` zeros).
    pub fn new(layout: Layout, sums: &'a mut [f64]) -> Self {
        debug_assert_eq!(sums.len(), layout.dimensions());
        Self { layout, count: 0, sums }
    }

    /// Whose space it is in.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Counts one embedding in.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it belongs to another model.
    pub fn add(&mut self, e: EmbeddingRef<'_>) -> Result<()> {
        self.check(e.layout)?;
        self.count += 1;
        // By blocks, because half-precision numbers are widened eight at a time, or one by one ten times slower.
        for (sums, values) in self.sums.chunks_mut(BLOCK).zip(e.values.chunks(BLOCK)) {
            let mut wide = [0.0; BLOCK];
            let wide = &mut wide[..values.len()];
            values.convert_to_f32_slice(wide);
            sums.iter_mut().zip(wide).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        Ok(())
    }

    /// Counts in all that `other` has counted.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it belongs to another model.
    pub fn merge(&mut self, other: &EmbeddingMean<'_>) -> Result<()> {
        self.check(other.layout)?;
        self.count += other.count;
        self.sums.iter_mut().zip(&*other.sums).for_each(|(sum, v)| *sum += v);
        Ok(())
    }

    /// The plain mean, rounded once to half precision and *not* normalised again: the mean of unit vectors is at most
    /// 1 long, and how much shorter says how little they agree. `None` if nothing was counted.
    pub fn finish(&self) -> Option<Embedding> {
        let count = self.count as f64;
        let values = self.sums.iter().map(|sum| f16::from_f64(sum / count)).collect();
        Embedding::from_f16(self.layout, values).ok()
    }

    /// What [`EmbeddingMean::from_bytes`] reads on the same machine.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.count.to_ne_bytes().to_vec();
        out.extend((self.layout.subspaces() as u16).to_ne_bytes());
        out.extend((self.layout.subspace_dim() as u16).to_ne_bytes());
        out.extend(self.layout.fingerprint().to_ne_bytes());
        out.extend(self.sums.iter().flat_map(|v| v.to_ne_bytes()));
        out
    }

    /// Goes on from where [`EmbeddingMean::to_bytes`] was called; `allocate` gives as many zeros as it is asked for.
    ///
    /// # Errors
    /// [`Kind::InvalidBinary`] for bytes of another origin.
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

fn first<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8])> {
    bytes.split_first_chunk().map(|(head, rest)| (*head, rest)).ok_or_else(malformed)
}

fn malformed() -> Error {
    Error::new(Kind::InvalidBinary, "malformed state of avg(coopvec)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout() -> Layout {
        Layout::new(2, 2, 7).unwrap()
    }

    fn embedding(values: &[f32]) -> Embedding {
        Embedding::from_f32(layout(), values).unwrap()
    }

    #[test]
    fn the_mean_is_plain_and_not_normalised() {
        let mut sums = [0.0; 4];
        let mut mean = EmbeddingMean::new(layout(), &mut sums);
        assert!(mean.finish().is_none());
        mean.add(embedding(&[1.0, 0.0, 0.5, -1.0]).as_ref()).unwrap();
        mean.add(embedding(&[0.0, 1.0, 0.5, 1.0]).as_ref()).unwrap();
        assert_eq!(mean.finish().unwrap(), embedding(&[0.5, 0.5, 0.5, 0.0]));
    }

    #[test]
    fn other_models_are_refused_and_both_named() {
        let mut sums = [0.0; 4];
        let mut mean = EmbeddingMean::new(layout(), &mut sums);
        let other = Embedding::from_f32(Layout::new(2, 2, 8).unwrap(), &[0.0; 4]).unwrap();
        let e = mean.add(other.as_ref()).unwrap_err();
        assert_eq!(e.kind, Kind::Mismatch);
        let detail = e.detail.unwrap();
        assert!(detail.contains("2x2@00000007") && detail.contains("2x2@00000008"));
    }

    #[test]
    fn a_malformed_state_is_refused() {
        let mut sums = [0.0; 4];
        let bytes = EmbeddingMean::new(layout(), &mut sums).to_bytes();
        for end in 0..bytes.len() {
            assert!(EmbeddingMean::from_bytes(&bytes[..end], |_| unreachable!()).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bits(
            rows in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 4), 1..40),
            split in 0usize..40,
        ) {
            let rows: Vec<Embedding> = rows.iter().map(|r| embedding(r)).collect();
            let split = split.min(rows.len());
            let (mut a, mut b, mut c, mut d) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
            let (mut whole, mut left, mut right) =
                (EmbeddingMean::new(layout(), &mut a), EmbeddingMean::new(layout(), &mut b), EmbeddingMean::new(layout(), &mut c));
            rows.iter().for_each(|r| whole.add(r.as_ref()).unwrap());
            rows[split..].iter().for_each(|r| left.add(r.as_ref()).unwrap());
            rows[..split].iter().for_each(|r| right.add(r.as_ref()).unwrap());
            let sent = EmbeddingMean::from_bytes(&right.to_bytes(), |_| &mut d).unwrap();
            left.merge(&sent).unwrap();
            prop_assert_eq!(left.finish(), whole.finish());
        }
    }
}
