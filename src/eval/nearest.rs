//! Where the first right answer of each query ranks: exact distances at the price of a matrix product.
//!
//! A product in single precision gives every squared distance to within a known error. Only what lies within that error of
//! the first right answer is measured exactly, so the ranks are those of exact distances, ties included (they go by place
//! in the gallery).

use crate::error::Result;
use crate::space::{squared_l2_f16, Embedding};
use crate::space::{Part, TaskLayout};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Queries that share a product: its result then takes some ten megabytes, whatever their number.
const BATCH: usize = 256;

/// Error of the product's squared distances as a part of both squared lengths: a hundred times what is seen with 650
/// dimensions (float has 2^-24, and errors of so many terms mostly cancel), and still next to nothing between images.
const ERROR: f32 = 2e-5;

/// For each of `queries`, how many of the other images of the gallery are nearer than the nearest one of its instance;
/// `None` if there is none. Images are named by numbers, of which `instance` knows the instances; distances are those in
/// `place`.
///
/// # Errors
/// If embeddings are of different shapes.
pub fn first_hits(
    queries: &[(usize, &Embedding)],
    gallery: &[(usize, &Embedding)],
    place: Part,
    instance: &(dyn Fn(usize) -> u32 + Sync),
) -> Result<Vec<Option<usize>>> {
    let (Some((_, first)), false) = (gallery.first(), queries.is_empty()) else {
        return Ok(vec![None; queries.len()]);
    };
    let layout = first.layout();
    for (_, e) in queries.iter().chain(gallery) {
        layout.check_same(&e.layout())?;
    }
    let range = TaskLayout::cooperative(layout.subspaces(), layout.subspace_dim()).range(place);
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

/// A squared distance to within an error.
#[derive(Clone, Copy)]
struct Candidate {
    squared: f32,
    error: f32,
}

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
        let ranks = first_hits(&images[..300], &images[200..], Part::Superspace, &instance).unwrap();
        for (query, rank) in ranks.iter().enumerate() {
            let gallery: Vec<usize> = (200..700).filter(|&i| i != query).collect();
            let distance =
                |&i: &usize| embedding_distance(embeddings[query].as_ref(), embeddings[i].as_ref()).unwrap();
            let distances: Vec<f64> = gallery.iter().map(distance).collect();
            let hit = |&place: &usize| instance(gallery[place]) == instance(query);
            assert_eq!(*rank, ranking(&distances).iter().position(hit));
        }
        assert!(ranks.iter().flatten().any(|&r| r == 0) && ranks.iter().flatten().any(|&r| r > 5));
    }

    #[test]
    fn a_part_is_searched_alone_and_without_a_match_there_is_no_rank() {
        let layout = Layout::new(2, 2, 0).unwrap();
        let e = |v: [f32; 4]| Embedding::from_raw(layout, &v).unwrap();
        let (query, near, far) = (e([1., 0., 1., 0.]), e([0., 1., 1., 0.1]), e([1., 0., 0., 1.]));
        let gallery = [(1, &near), (2, &far)];
        let instance = |i: usize| u32::from(i == 1);
        let rank = |place| first_hits(&[(0, &query)], &gallery, place, &instance).unwrap();
        assert_eq!(rank(Part::Subspace(1)), [Some(1)]); // image 2 is of instance 0, 1 is nearer
        assert_eq!(rank(Part::Subspace(0)), [Some(0)]);
        assert_eq!(first_hits(&[(1, &query)], &gallery, Part::Superspace, &instance).unwrap(), [None]);
    }
}
