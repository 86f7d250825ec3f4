//! Which subspace tells rows apart best.

use super::distance::squared_l2_f16;
use super::embedding::EmbeddingRef;
use super::layout::Layout;
use crate::error::Result;

/// The subspace in which the fewest pairs of `rows` are within a distance of each other, and of those with as few, the one in which rows are
/// farthest apart. As no distance in a subspace is larger than that over all of them, it leaves the fewest rows to compare with a row.
/// Subspace 0 if there are no pairs.
///
/// # Errors
/// [`crate::error::Kind::Mismatch`] for rows of different models.
pub fn most_selective_subspace(rows: &[EmbeddingRef<'_>], distance: f64) -> Result<usize> {
    let Some(layout) = rows.first().map(|row| row.layout) else { return Ok(0) };
    rows.iter().try_for_each(|row| layout.check_same(&row.layout))?;
    let best =
        (0..layout.subspaces()).map(|k| (pairs_within(rows, layout, k, distance), k)).min_by(|a, b| {
            let ((near, sum), (other_near, other_sum)) = (a.0, b.0);
            near.cmp(&other_near).then(other_sum.total_cmp(&sum))
        });
    Ok(best.map_or(0, |(_, k)| k))
}

/// How many pairs are within a distance in subspace `k`, and the sum of all their squared distances there.
fn pairs_within(rows: &[EmbeddingRef<'_>], layout: Layout, k: usize, distance: f64) -> (usize, f64) {
    let (mut near, mut sum) = (0, 0.0);
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[i + 1..] {
            let squared = f64::from(squared_l2_f16(&a.values[layout.range(k)], &b.values[layout.range(k)]));
            near += usize::from(squared <= distance * distance);
            sum += squared;
        }
    }
    (near, sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Embedding;

    #[test]
    fn the_subspace_with_the_fewest_near_pairs() {
        let layout = Layout::new(3, 1, 1).unwrap();
        let rows = [[0.0, 0.0, 0.0], [0.1, 1.0, 9.0], [0.2, 2.0, 9.1]];
        let rows: Vec<Embedding> = rows.iter().map(|row| Embedding::from_f32(layout, row).unwrap()).collect();
        let rows: Vec<EmbeddingRef<'_>> = rows.iter().map(Embedding::as_ref).collect();
        assert_eq!(most_selective_subspace(&rows, 0.5).unwrap(), 1);
        // None is near in subspaces 1 and 2: they are farther apart in the last.
        assert_eq!(most_selective_subspace(&rows, 0.05).unwrap(), 2);
        assert_eq!(most_selective_subspace(&rows[..1], 0.5).unwrap(), 0);
        assert_eq!(most_selective_subspace(&[], 0.5).unwrap(), 0);
    }
}
