//! Clusters of rows that are near each other in the superspace, so that a build can put them into the same groups: most groups are
//! then far from most queries on several subspaces.

use super::k_means::{k_means_tree, nearest, Random};
use crate::error::Result;
use crate::memory;
use crate::space::Layout;
use half::f16;

/// Sampled rows that a cluster has on average at least: a centre of fewer is mostly chance.
const SAMPLE_ROWS: usize = 32;

/// A cluster is to have this share of a group's rows: most groups are then of one cluster or two.
const GROUP_SHARE: f64 = 0.7;

/// The clusters to look for among `rows` rows that make groups of at most `most` rows.
pub fn wanted_clusters(rows: usize, most: usize) -> usize {
    (rows as f64 / (GROUP_SHARE * most as f64)) as usize
}

/// Centres of clusters, as a tree of two levels: a row's cluster is found among as many centres as the square root of all.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// `[branches, K·n]`: what clusters of one branch have in common.
    branches: Vec<f32>,
    /// `[branches]`: the centres of its clusters, `[clusters, K·n]`.
    centres: Vec<Vec<f32>>,
    /// `[branches]`: the number of its first cluster.
    first: Vec<usize>,
    /// The number of all clusters.
    count: usize,
}

impl Clusters {
    /// Finds about `wanted` clusters among sampled rows `[rows, K·n]`, or fewer if these are too few rows for so many. `None` if that leaves no
    /// more than one.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn train(layout: Layout, sample: &[f16], wanted: usize) -> Result<Option<Self>> {
        let n = layout.dimensions();
        let rows: Vec<&[f16]> = memory::collect(sample.chunks_exact(n))?;
        let wanted = wanted.min(rows.len() / SAMPLE_ROWS);
        if wanted <= 1 {
            return Ok(None);
        }
        // A branch gets clusters by its share of the rows, so that clusters hold about as many rows as each other.
        let share = |in_branch: usize| (in_branch * wanted).div_ceil(rows.len()).max(1);
        let (branches, centres) = k_means_tree(n, &rows, wanted.isqrt(), share, &mut Random::new(11))?;
        let (mut first, mut count) = (memory::with_capacity(centres.len())?, 0);
        for of_branch in &centres {
            first.push(count);
            count += of_branch.len() / n;
        }
        Ok(Some(Self { branches, centres, first, count }))
    }

    /// The number of clusters.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The cluster of a row of `[K·n]` numbers. Clusters with neighbouring numbers mostly are near each other.
    pub fn nearest(&self, values: &[f16]) -> usize {
        let branch = nearest(values, &self.branches).0;
        self.first[branch] + nearest(values, &self.centres[branch]).0
    }
}

/// Cuts rows that lie one cluster after the other into groups of at most `most` rows. Returns the rows of each group, which add up to
/// those of all clusters. Cuts are where a cluster ends, unless groups would have less than half of `most` rows.
///
/// # Errors
/// [`crate::error::Kind::OutOfMemory`].
pub fn cut_groups(cluster_rows: impl IntoIterator<Item = usize>, most: usize) -> Result<Vec<usize>> {
    let mut groups = Vec::new();
    let mut open = 0;
    for rows in cluster_rows {
        if open + rows <= most {
            open += rows;
            continue;
        }
        if open >= most.div_ceil(2) {
            memory::push(&mut groups, open)?;
            open = 0;
        }
        // What is open now is more than one group, or a whole cluster: its parts have at least half of `most` rows.
        open += rows;
        let parts = open.div_ceil(most);
        for part in (2..=parts).rev() {
            let rows = open / part;
            memory::push(&mut groups, rows)?;
            open -= rows;
        }
    }
    if open > 0 {
        memory::push(&mut groups, open)?;
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::fixture::clustered;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn groups_are_of_all_rows_and_only_the_last_is_small(
            clusters in prop::collection::vec(0usize..300, 0..40), most in 1usize..120,
        ) {
            let groups = cut_groups(clusters.iter().copied(), most).unwrap();
            prop_assert_eq!(groups.iter().sum::<usize>(), clusters.iter().sum::<usize>());
            for (i, &rows) in groups.iter().enumerate() {
                prop_assert!(rows <= most && rows > 0);
                prop_assert!(rows >= most / 2 || i + 1 == groups.len(), "{groups:?} of {clusters:?}");
            }
        }
    }

    #[test]
    fn groups_end_where_clusters_do() {
        assert_eq!(cut_groups([60, 30, 50, 50, 10], 100).unwrap(), [90, 100, 10]);
        assert_eq!(cut_groups([20, 230, 70], 100).unwrap(), [83, 83, 84, 70]);
    }

    #[test]
    fn rows_of_a_cluster_are_nearer_to_each_other_than_to_others() {
        let layout = Layout::new(2, 8, 7).unwrap();
        let rows = clustered(layout, 4000, 3);
        let sample: Vec<f16> = rows.iter().flatten().copied().collect();
        let clusters = Clusters::train(layout, &sample, 30).unwrap().unwrap();
        assert!((30..=36).contains(&clusters.count()), "{}", clusters.count());
        let numbers: Vec<usize> = rows.iter().map(|row| clusters.nearest(row)).collect();
        assert!(numbers.iter().all(|&number| number < clusters.count()));
        let distance = |a: usize, b: usize| -> f32 {
            rows[a].iter().zip(&rows[b]).map(|(a, b)| (a.to_f32() - b.to_f32()).powi(2)).sum()
        };
        let mean = |same: bool| {
            let pairs = (0..400).flat_map(|a| (0..a).map(move |b| (a, b)));
            let of_kind = pairs.filter(|&(a, b)| (numbers[a] == numbers[b]) == same);
            let distances: Vec<f32> = of_kind.map(|(a, b)| distance(a, b)).collect();
            distances.iter().sum::<f32>() / distances.len() as f32
        };
        assert!(mean(true) < 0.5 * mean(false), "{} within, {} between", mean(true), mean(false));
    }

    #[test]
    fn too_few_rows_have_no_clusters() {
        let layout = Layout::new(1, 4, 7).unwrap();
        assert!(Clusters::train(layout, &[f16::ONE; 4 * 63], 10).unwrap().is_none());
        assert!(Clusters::train(layout, &[], 10).unwrap().is_none());
        let equal = Clusters::train(layout, &[f16::ONE; 4 * 64], 10).unwrap().unwrap();
        assert!(equal.nearest(&[f16::ONE; 4]) < equal.count());
    }
}
