//! Variety among the rows nearest to a query: maximal marginal relevance (Carbonell and Goldstein, 1998).

use super::distance::embedding_distance;
use super::embedding::EmbeddingRef;
use crate::error::Result;
use crate::memory;

/// Picks `count` of the rows nearest to a query, so that each is near the query and far from those before it. Returns their numbers in the
/// order in which they are picked; the first is the nearest.
///
/// Of the rows that are left, the next is the one with the least `(1 − diversity)·r − diversity·v`: r is its distance from the query, from 0 for
/// the nearest row to 1 for the farthest; v is its distance over the whole superspace from the nearest row that has been picked, in parts of
/// the largest distance from the first. With `diversity` 0 they are the nearest in order, with 1 each is as far as can be from those before.
///
/// `distances` `[rows]` are those from the query.
///
/// # Errors
/// [`crate::error::Kind::Mismatch`] for rows of different models, [`crate::error::Kind::OutOfMemory`].
pub fn diverse(
    rows: &[EmbeddingRef<'_>],
    distances: &[f64],
    count: usize,
    diversity: f64,
) -> Result<Vec<usize>> {
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let range = distances.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    let relative = |distance: f64| if range > 0.0 { (distance - least) / range } else { 0.0 };
    let mut picked: Vec<usize> = memory::with_capacity(count.min(rows.len()))?;
    // `[rows]`: distance from the nearest that has been picked.
    let mut novelty = memory::filled(f64::INFINITY, rows.len())?;
    let mut largest = 1.0;
    while picked.len() < count.min(rows.len()) {
        let score = |&row: &usize| {
            let new = if picked.is_empty() { 0.0 } else { novelty[row] / largest };
            (1.0 - diversity) * relative(distances[row]) - diversity * new
        };
        // Those that have been picked are at no distance from themselves, but so may others be.
        let left = (0..rows.len()).filter(|&row| novelty[row] >= 0.0);
        let next = match picked.is_empty() {
            true => left.min_by(|&a, &b| distances[a].total_cmp(&distances[b])),
            false => left.min_by(|a, b| score(a).total_cmp(&score(b))),
        };
        let Some(next) = next else { break };
        for (row, novelty) in rows.iter().zip(&mut novelty) {
            *novelty = novelty.min(embedding_distance(*row, rows[next])?);
        }
        if picked.is_empty() {
            largest = novelty.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        }
        novelty[next] = f64::NEG_INFINITY;
        picked.push(next);
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Embedding, Layout};

    /// Points on a line at these places, asked for at 0.
    fn picked(places: &[f32], count: usize, diversity: f64) -> Vec<usize> {
        let layout = Layout::new(1, 1, 1).unwrap();
        let rows: Vec<Embedding> =
            places.iter().map(|&x| Embedding::from_f32(layout, &[x]).unwrap()).collect();
        let rows: Vec<EmbeddingRef<'_>> = rows.iter().map(Embedding::as_ref).collect();
        let distances: Vec<f64> = places.iter().map(|&x| f64::from(x.abs())).collect();
        diverse(&rows, &distances, count, diversity).unwrap()
    }

    #[test]
    fn without_diversity_the_nearest_in_order() {
        assert_eq!(picked(&[3.0, 1.0, 2.0, 0.5], 3, 0.0), [3, 1, 2]);
        assert_eq!(picked(&[], 3, 0.0), [0usize; 0]);
        assert_eq!(picked(&[1.0, 1.0, 1.0], 5, 0.0), [0, 1, 2]);
    }

    #[test]
    fn the_more_diversity_the_farther_from_each_other() {
        // Two that are alike are near; one on the other side is a little farther.
        let places = [1.0, 1.01, 1.02, -1.2, 3.0];
        assert_eq!(picked(&places, 2, 0.0), [0, 1]);
        // Worked by hand: after 1.0 the scores of 1.01, 1.02, -1.2 and 3.0 are 0.0021, 0.0043, -0.23 and 0.43.
        assert_eq!(picked(&places, 3, 0.3), [0, 3, 1]);
        assert_eq!(picked(&places, 3, 1.0), [0, 3, 4]);
    }

    #[test]
    fn each_row_is_picked_once() {
        for diversity in [0.0, 0.5, 1.0] {
            let mut all = picked(&[2.0, 2.0, 2.0, 0.0, 0.0, 7.0], 6, diversity);
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5]);
        }
    }
}
