//! Pairs of training images that look alike: nearest neighbours in untrained features.

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::eval::label_issues::unit_rows;
use candle_core::Tensor;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// At most so many images are asked for their nearest neighbour, and at most so many are searched: this bounds the time to seconds.
const QUERIES: usize = 2_000;
const SEARCHED: usize = 10_000;
/// Images per product of matrices.
const BATCH: usize = 256;
/// The part of the pairs of nearest neighbours, the nearest ones, that counts as alike.
const ALIKE: f64 = 0.1;

/// Pairs of training images of `manifest`, as indices of its images, that are nearest neighbours by the cosine of their features (`rows`,
/// `[images, F]` for all images of `manifest`), and nearer than nine tenths of such pairs. Both are of different groups of instances, as
/// variants of one thing look alike and have different labels by design.
///
/// # Errors
/// If the features are not a matrix with a row for each image.
pub fn alike_pairs(rows: &Tensor, manifest: &Manifest) -> Result<Vec<(usize, usize)>> {
    let searched = evenly(&manifest.split(Split::Train), SEARCHED);
    let queries = evenly(&searched, QUERIES);
    let group = |image: usize| manifest.instance_group[manifest.images[image].instance as usize];
    let columns = unit_rows(rows, &searched)?.t()?;
    let mut nearest: Vec<(f32, usize, usize)> = Vec::with_capacity(queries.len());
    for batch in queries.chunks(BATCH) {
        let cosines: Vec<f32> = unit_rows(rows, batch)?.matmul(&columns)?.flatten_all()?.to_vec1()?;
        let found =
            batch.par_iter().zip(cosines.par_chunks_exact(searched.len())).filter_map(|(&image, cosines)| {
                let others = searched.iter().zip(cosines).filter(|(&other, _)| group(other) != group(image));
                let (&other, &cosine) = others.max_by(|a, b| a.1.total_cmp(b.1))?;
                Some((cosine, image.min(other), image.max(other)))
            });
        nearest.par_extend(found);
    }
    nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut seen = BTreeSet::new();
    nearest.retain(|&(_, a, b)| seen.insert((a, b)));
    nearest.truncate((nearest.len() as f64 * ALIKE).ceil() as usize);
    Ok(nearest.into_iter().map(|(_, a, b)| (a, b)).collect())
}

/// At most `count` of the images, at even distances.
fn evenly(images: &[usize], count: usize) -> Vec<usize> {
    images.iter().step_by(images.len().div_ceil(count).max(1)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::manifest;
    use candle_core::Device;

    /// Features on a circle: the images `i` and `i + 75` at nearly the same angle.
    fn circle(images: usize) -> Tensor {
        let angle = |i: usize| if i < 75 { i as f32 * 0.04 } else { (i - 75) as f32 * 0.04 + 0.01 };
        let rows: Vec<f32> = (0..images).flat_map(|i| [angle(i).cos() * 5.0, angle(i).sin() * 5.0]).collect();
        Tensor::from_vec(rows, (images, 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn the_nearest_tenth_of_the_neighbours_of_other_groups_is_alike() {
        let mut m = manifest();
        let pairs = alike_pairs(&circle(150), &m).unwrap();
        // Of 100 training images, each has its nearest neighbour 75 images away: 50 different pairs.
        assert_eq!(pairs.len(), 5);
        assert!(pairs.iter().all(|(a, b)| b - a == 75 && m.images[*a].split == Split::Train), "{pairs:?}");
        // Images of one group are no pair.
        for (a, b) in pairs.clone() {
            m.instance_group[m.images[a].instance as usize] = m.instance_group[m.images[b].instance as usize];
        }
        let others = alike_pairs(&circle(150), &m).unwrap();
        assert!(!others.is_empty() && others.iter().all(|pair| !pairs.contains(pair)));
    }

    #[test]
    fn large_sets_are_thinned_out_evenly() {
        let images: Vec<usize> = (0..25).collect();
        assert_eq!(evenly(&images, 10), [0, 3, 6, 9, 12, 15, 18, 21, 24]);
        assert_eq!(evenly(&images, 100), images);
        assert!(evenly(&[], 3).is_empty());
    }
}
