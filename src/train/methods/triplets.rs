//! The triplet loss of the baselines, and the choice of triplets in a batch.

use crate::data::manifest::ValueSet;
use crate::error::Result;
use crate::train::pairwise::negative_distances;
use candle_core::{Tensor, D};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Anchor, positive and negative: the anchor should be nearer to the positive than to the negative. Rows of a batch.
pub type Triplet = [u32; 3];

/// The triplet loss: mean over triplets (a, p, q) of rows of `f` (`[batch, d]`) of `max(0, ‖a − p‖² − ‖a − q‖² + margin)`.
///
/// # Errors
/// If a triplet names a row that does not exist.
pub fn triplet_loss(f: &Tensor, triplets: &[Triplet], margin: f64) -> Result<Tensor> {
    let rows = |role: usize| -> Result<Tensor> {
        let index: Vec<u32> = triplets.iter().map(|t| t[role]).collect();
        Ok(f.index_select(&Tensor::new(index, f.device())?, 0)?)
    };
    let (anchor, positive, negative) = (rows(0)?, rows(1)?, rows(2)?);
    let squared = |other: &Tensor| -> Result<Tensor> { Ok((&anchor - other)?.sqr()?.sum(D::Minus1)?) };
    let gap = ((squared(&positive)? - squared(&negative)?)? + margin)?;
    Ok(gap.relu()?.mean_all()?)
}

/// One triplet for each image of the batch that has a positive and a negative. The positive is a random image with the same label, or, where
/// images show several values, with a value in common. The negative has another label, and no value in common; it is random among those that violate the margin, if there are any, and else among all. (Random negatives
/// alone soon teach nothing; the hardest negatives make all embeddings collapse into a point.) Images without a label take no part.
///
/// # Errors
/// If shapes do not fit.
pub fn sample_triplets(
    f: &Tensor,
    labels: &[ValueSet],
    margin: f64,
    rng: &mut StdRng,
) -> Result<Vec<Triplet>> {
    let f = f.detach();
    // −‖a − b‖² without ‖a‖², which is the same for everything that an anchor is compared with.
    let closeness: Vec<Vec<f32>> =
        negative_distances(&f, &f)?.to_dtype(candle_core::DType::F32)?.to_vec2()?;
    let mut triplets = Vec::new();
    for (a, label) in labels.iter().enumerate() {
        if label.is_empty() {
            continue;
        }
        let of = |same: bool| -> Vec<usize> {
            let fits =
                |b: &usize| *b != a && !labels[*b].is_empty() && labels[*b].shares_value(label) == same;
            (0..labels.len()).filter(fits).collect()
        };
        let Some(&p) = of(true).choose(rng) else { continue };
        let negatives = of(false);
        let violates = |q: &&usize| closeness[a][**q] > closeness[a][p] - margin as f32;
        let violating: Vec<&usize> = negatives.iter().filter(violates).collect();
        let Some(&q) = violating.choose(rng).copied().or_else(|| negatives.choose(rng)) else { continue };
        triplets.push([a as u32, p as u32, q as u32]);
    }
    Ok(triplets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use rand::SeedableRng;

    /// ```text
    /// import torch
    /// f = torch.tensor([[0., 1.], [1., 0.], [.6, .8], [-.6, .8]], dtype=torch.float64, requires_grad=True)
    /// a, p, q = [0, 1, 2], [2, 2, 0], [3, 0, 1]
    /// d = lambda x, y: (f[x] - f[y]).pow(2).sum(1)
    /// loss = (d(a, p) - d(a, q) + .2).clamp_min(0).mean(); loss.backward(); print(loss.item(), f.grad.tolist())
    /// ```
    #[test]
    fn the_loss_and_its_gradient_agree_with_pytorch() {
        let f = Var::new(&[[0.0f64, 1.0], [1.0, 0.0], [0.6, 0.8], [-0.6, 0.8]], &Device::Cpu).unwrap();
        let loss = triplet_loss(&f, &[[0, 2, 3], [1, 2, 0], [2, 0, 1]], 0.2).unwrap();
        assert!((loss.to_scalar::<f64>().unwrap() - 0.06666666666666667).abs() < 1e-12);
        let want = [
            [-0.7999999999999999, 0.0],
            [0.0, 0.0],
            [0.39999999999999997, -0.1333333333333333],
            [0.39999999999999997, 0.1333333333333333],
        ];
        let gradient = loss.backward().unwrap().get(&f).unwrap().to_vec2::<f64>().unwrap();
        for (got, want) in gradient.iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() < 1e-12, "{gradient:?}");
        }
    }

    #[test]
    fn triplets_fit_the_labels_and_prefer_negatives_that_violate_the_margin() {
        // Three of label 1 at 0, 0.1 and 0.3; label 2 at 0.4 (near) and 9 (far); one without a label.
        let f = Tensor::new(&[[0.0f32], [0.1], [0.3], [0.4], [9.0], [0.2]], &Device::Cpu).unwrap();
        let labels = [Some(1), Some(1), Some(1), Some(2), Some(2), None].map(ValueSet::from);
        let mut rng = StdRng::seed_from_u64(0);
        for _ in 0..50 {
            let triplets = sample_triplets(&f, &labels, 0.2, &mut rng).unwrap();
            assert_eq!(triplets.iter().map(|t| t[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
            for [a, p, q] in triplets {
                let label = |i: u32| labels[i as usize].single();
                assert!(a != p && label(a) == label(p) && label(q).is_some() && label(q) != label(a));
                // 0.4 is within the margin of every positive pair of label 1; 9 is not.
                assert!(label(a) == Some(2) || q == 3);
            }
        }
    }

    #[test]
    fn of_several_values_one_in_common_makes_a_positive_and_none_a_negative() {
        let f = Tensor::new(&[[0.0f32], [0.1], [0.2], [0.3]], &Device::Cpu).unwrap();
        let sets: [&[u32]; 4] = [&[1, 2], &[2, 3], &[3], &[1]];
        let labels = sets.map(|set| set.iter().copied().collect::<ValueSet>());
        let triplets = sample_triplets(&f, &labels, 0.2, &mut StdRng::seed_from_u64(0)).unwrap();
        assert_eq!(triplets.len(), 4);
        for [a, p, q] in triplets {
            let [a, p, q] = [a, p, q].map(|i| &labels[i as usize]);
            assert!(a.shares_value(p) && !a.shares_value(q), "{a:?} {p:?} {q:?}");
        }
    }

    #[test]
    fn without_positives_or_negatives_there_are_no_triplets() {
        let f = Tensor::new(&[[0.0f32], [1.0], [2.0]], &Device::Cpu).unwrap();
        let mut rng = StdRng::seed_from_u64(0);
        for labels in [[Some(0), Some(1), Some(2)], [Some(0); 3], [None; 3]] {
            let labels = labels.map(ValueSet::from);
            assert!(sample_triplets(&f, &labels, 0.2, &mut rng).unwrap().is_empty());
        }
    }
}
