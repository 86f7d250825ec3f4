//! The rank of the first relevant gallery image of each query: as exact as with exact distances, at the cost of a matrix product.
//!
//! A matrix product in single precision yields every squared distance up to a known error. Only distances within that error of the first
//! relevant image are computed exactly. So the ranks are those of exact distances, ties included (broken by the order of the gallery).

use crate::error::Result;
use crate::space::{squared_l2_f16, Embedding, Part, TaskLayout};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Queries per matrix product: bounds its result to some ten megabytes.
const BATCH: usize = 256;

/// Bound on the error of squared distances from the product, relative to the sum of both squared lengths. It is a hundred times the error
/// observed with 650 dimensions (f32 has 2^-24, and the errors of many terms mostly cancel), and still much smaller than the differences
/// between images.
const ERROR: f32 = 2e-5;

/// For each query, the number of other gallery images that are nearer than the nearest one of its instance; `None` if there is none.
/// Images are given by index, for which `instance` returns the instance. Distances are those in `part` of the embedding.
///
/// # Errors
/// If embeddings are of different shapes.
pub fn first_hit_ranks(
    queries: &[(usize, &Embedding)],
    gallery: &[(usize, &Embedding)],
    part: Part,
    instance: &(dyn Fn(usize) -> u32 + Sync),
) -> Result<Vec<Option<usize>>> {
    let (Some((_, first)), false) = (gallery.first(), queries.is_empty()) else {
        return Ok(vec![None; queries.len()]);
    };
    let layout = first.layout();
    for (_, e) in queries.iter().chain(gallery) {
        layout.check_same(&e.layout())?;
    }
    let range = TaskLayout::cooperative(layout.subspaces(), layout.subspace_dim()).range(part);
    let slice = |e: &'_ Embedding| e.as_ref().values[range.clone()].to_vec();
    let matrix = |of: &[(usize, &Embedding)]| -> Result<(Tensor, Vec<f32>)> {
        let numbers: Vec<f32> = of.iter().flat_map(|(_, e)| slice(e)).map(|x| x.to_f32()).collect();
        let norms = numbers.chunks_exact(range.len()).map(|row| row.iter().map(|x| x * x).sum()).collect();
        Ok((Tensor::from_vec(numbers, (of.len(), range.len()), &Device::Cpu)?, norms))
    };
    let (gallery_rows, gallery_norms) = matrix(gallery)?;
    let columns = gallery_rows.t()?;
    let mut ranks = Vec::with_capacity(queries.len());
    for batch in queries.chunks(BATCH) {
        let (rows, norms) = matrix(batch)?;
        let products: Vec<f32> = rows.matmul(&columns)?.flatten_all()?.to_vec1()?;
        let found = batch.par_iter().zip(norms).zip(products.par_chunks_exact(gallery.len())).map(
            |((&(query, embedding), norm), products)| {
                let candidate = |i: usize| Candidate {
                    squared: norm + gallery_norms[i] - 2.0 * products[i],
                    error: ERROR * (norm + gallery_norms[i]),
                };
                let own = &embedding.as_ref().values[range.clone()];
                let exact = |i: usize| squared_l2_f16(own, &gallery[i].1.as_ref().values[range.clone()]);
                let others = (0..gallery.len()).filter(|&i| gallery[i].0 != query);
                let wanted = instance(query);
                rank_of_first(others, candidate, exact, |i| instance(gallery[i].0) == wanted)
            },
        );
        ranks.par_extend(found);
    }
    Ok(ranks)
}

/// A squared distance and a bound on its error.
#[derive(Clone, Copy)]
struct Candidate {
    squared: f32,
    error: f32,
}

/// How many of `others` are nearer than the nearest relevant one.
fn rank_of_first(
    others: impl Iterator<Item = usize> + Clone,
    candidate: impl Fn(usize) -> Candidate,
    exact: impl Fn(usize) -> f32,
    relevant: impl Fn(usize) -> bool,
) -> Option<usize> {
    let upper = |c: Candidate| c.squared + c.error;
    let lower = |c: Candidate| c.squared - c.error;
    let hits: Vec<usize> = others.clone().filter(|&i| relevant(i)).collect();
    let bound = hits.iter().map(|&i| upper(candidate(i))).min_by(f32::total_cmp)?;
    let (first, distance) = hits
        .into_iter()
        .filter(|&i| lower(candidate(i)) <= bound)
        .map(|i| (i, exact(i)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let before = |i: &usize| {
        let c = candidate(*i);
        upper(c) < distance
            || (lower(c) <= distance && exact(*i).total_cmp(&distance).then(i.cmp(&first)).is_lt())
    };
    Some(others.filter(before).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::metrics::ranking;
    use crate::space::{embedding_distance, Layout};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn ranks_are_those_of_exact_distances() {
        let layout = Layout::new(3, 4, 0).unwrap();
        let mut rng = StdRng::seed_from_u64(2);
        // Few distinct directions, so that distances tie exactly and nearly.
        let mut draw = || -> Embedding {
            let raw: Vec<f32> = (0..12).map(|_| rng.random_range(-1..=1) as f32 + 0.01).collect();
            Embedding::from_raw(layout, &raw).unwrap()
        };
        let embeddings: Vec<Embedding> = (0..700).map(|_| draw()).collect();
        let images: Vec<(usize, &Embedding)> = embeddings.iter().enumerate().collect();
        let instance = |i: usize| (i % 90) as u32;
        let ranks = first_hit_ranks(&images[..300], &images[200..], Part::Superspace, &instance).unwrap();
        for (query, rank) in ranks.iter().enumerate() {
            let gallery: Vec<usize> = (200..700).filter(|&i| i != query).collect();
            let distance =
                |&i: &usize| embedding_distance(embeddings[query].as_ref(), embeddings[i].as_ref()).unwrap();
            let distances: Vec<f64> = gallery.iter().map(distance).collect();
            let hit = |&i: &usize| instance(gallery[i]) == instance(query);
            assert_eq!(*rank, ranking(&distances).iter().position(hit));
        }
        assert!(ranks.iter().flatten().any(|&r| r == 0) && ranks.iter().flatten().any(|&r| r > 5));
    }

    #[test]
    fn only_the_part_is_searched_and_without_a_match_there_is_no_rank() {
        let layout = Layout::new(2, 2, 0).unwrap();
        let e = |v: [f32; 4]| Embedding::from_raw(layout, &v).unwrap();
        let (query, near, far) = (e([1., 0., 1., 0.]), e([0., 1., 1., 0.1]), e([1., 0., 0., 1.]));
        let gallery = [(1, &near), (2, &far)];
        let instance = |i: usize| u32::from(i == 1);
        let rank = |part| first_hit_ranks(&[(0, &query)], &gallery, part, &instance).unwrap();
        assert_eq!(rank(Part::Subspace(1)), [Some(1)]); // image 2 is of instance 0, 1 is nearer
        assert_eq!(rank(Part::Subspace(0)), [Some(0)]);
        assert_eq!(first_hit_ranks(&[(1, &query)], &gallery, Part::Superspace, &instance).unwrap(), [None]);
    }
}
