//! A `coopquery`: a target and a weight for each subspace, and one constant.

use super::embedding::{check_length, not_finite};
use super::{squared_l2_f16_f32, EmbeddingRef, Layout};
use crate::error::{Error, Kind, Result};

/// A query that owns its numbers: `distance² = c + Σ_k w_k ‖t_k − e_k‖²`.
///
/// Only subspaces with `w_k > 0` have a target; the others are masked out and cost nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    layout: Layout,
    constant: f64,
    weights: Vec<f32>,
    targets: Vec<f32>,
}

/// A query read in place, wherever its numbers lie.
#[derive(Debug, Clone, Copy)]
pub struct QueryRef<'a> {
    /// Whose space it is in.
    pub layout: Layout,
    /// c ≥ 0: the squared distance that no embedding can avoid.
    pub constant: f64,
    /// `[K]`, each ≥ 0; 0 masks its subspace out.
    pub weights: &'a [f32],
    /// `[active·n]`: the targets of the subspaces of positive weight, in their order.
    pub targets: &'a [f32],
}

impl Query {
    /// Assembles a query from its parts (see [`QueryRef`]).
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for wrong lengths, [`Kind::InvalidParameter`] for NaN, infinity, a negative weight or
    /// constant, or no positive weight at all.
    pub fn from_parts(layout: Layout, constant: f64, weights: Vec<f32>, targets: Vec<f32>) -> Result<Self> {
        if weights.len() != layout.subspaces() {
            return Err(Error::new(
                Kind::Mismatch,
                format!("expected {} weights, not {}", layout.subspaces(), weights.len()),
            ));
        }
        if !(constant.is_finite() && constant >= 0.0) {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("the constant of a query must be finite and not negative, not {constant}"),
            ));
        }
        if let Some(w) = weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("the weights of a query must be finite and not negative, not {w}"),
            ));
        }
        let active = weights.iter().filter(|w| **w > 0.0).count();
        if active == 0 {
            return Err(Error::new(
                Kind::InvalidParameter,
                "a query needs at least one subspace of positive weight",
            ));
        }
        if targets.len() != active * layout.subspace_dim() {
            return Err(Error::new(
                Kind::Mismatch,
                format!("expected {} target numbers, not {}", active * layout.subspace_dim(), targets.len()),
            )
            .detail(format!("{active} subspaces of {} dimensions have a weight.", layout.subspace_dim())));
        }
        if let Some(at) = targets.iter().position(|t| !t.is_finite()) {
            return Err(not_finite(at, &targets[at]));
        }
        // Of the two zeros, the one that text and arithmetic give: -0 + 0 is 0.
        let weights = weights.into_iter().map(|w| w + 0.0).collect();
        Ok(Self { layout, constant: constant + 0.0, weights, targets })
    }

    /// Asks for `target` (`[n]`) in subspace `k` with weight 1; nothing else matters.
    ///
    /// # Errors
    /// As [`Query::from_parts`]; [`Kind::InvalidParameter`] if there is no subspace k.
    pub fn subspace(layout: Layout, k: usize, target: &[f32]) -> Result<Self> {
        let mut weights = vec![0.0; layout.subspaces()];
        layout.check_subspace(k)?;
        weights[k] = 1.0;
        Self::from_parts(layout, 0.0, weights, target.to_vec())
    }

    /// Asks for `targets` (`[K·n]`) in the whole superspace, every weight 1.
    ///
    /// # Errors
    /// As [`Query::from_parts`].
    pub fn superspace(layout: Layout, targets: Vec<f32>) -> Result<Self> {
        check_length(layout, targets.len())?;
        Self::from_parts(layout, 0.0, vec![1.0; layout.subspaces()], targets)
    }

    /// "Like this one" in the given subspaces, each with weight 1; a subspace named twice counts once.
    ///
    /// # Errors
    /// As [`Query::from_parts`].
    pub fn like(embedding: EmbeddingRef<'_>, subspaces: &[usize]) -> Result<Self> {
        let layout = embedding.layout;
        let mut weights = vec![0.0; layout.subspaces()];
        for &k in subspaces {
            layout.check_subspace(k)?;
            weights[k] = 1.0;
        }
        let targets = (0..layout.subspaces())
            .filter(|&k| weights[k] > 0.0)
            .flat_map(|k| embedding.values[layout.range(k)].iter().map(|v| v.to_f32()))
            .collect();
        Self::from_parts(layout, 0.0, weights, targets)
    }

    /// Whose space it is in.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// A view of it.
    pub fn as_ref(&self) -> QueryRef<'_> {
        QueryRef {
            layout: self.layout,
            constant: self.constant,
            weights: &self.weights,
            targets: &self.targets,
        }
    }
}

impl QueryRef<'_> {
    /// `(k, w_k, t_k)` of each subspace of positive weight, in order.
    pub fn active(&self) -> impl Iterator<Item = (usize, f32, &[f32])> + '_ {
        let targets = self.targets.chunks_exact(self.layout.subspace_dim());
        self.weights.iter().enumerate().filter(|(_, w)| **w > 0.0).zip(targets).map(|((k, w), t)| (k, *w, t))
    }

    /// An owned copy.
    pub fn to_query(&self) -> Query {
        Query {
            layout: self.layout,
            constant: self.constant,
            weights: self.weights.to_vec(),
            targets: self.targets.to_vec(),
        }
    }

    /// `q + q'`: both wishes at once. Two targets in one subspace fold into their weighted mean, because
    /// `w‖t−e‖² + w'‖t'−e‖² = (w+w')‖m−e‖² + ww'/(w+w')·‖t−t'‖²`.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for queries of different models, [`Kind::LimitExceeded`] if a weight overflows.
    pub fn plus(&self, other: &QueryRef<'_>) -> Result<Query> {
        self.layout.check_same(&other.layout)?;
        let mut constant = self.constant + other.constant;
        let mut weights = vec![0.0; self.layout.subspaces()];
        let mut targets = Vec::with_capacity(self.targets.len() + other.targets.len());
        let (mut left, mut right) = (self.active().peekable(), other.active().peekable());
        for (k, weight) in weights.iter_mut().enumerate() {
            let a = left.next_if(|(i, ..)| *i == k);
            let b = right.next_if(|(i, ..)| *i == k);
            match (a, b) {
                (Some((_, w, t)), Some((_, v, u))) => {
                    let (w, v) = (f64::from(w), f64::from(v));
                    let mut gap = 0.0;
                    for (&t, &u) in t.iter().zip(u) {
                        let (t, u) = (f64::from(t), f64::from(u));
                        gap += (t - u).powi(2);
                        targets.push(((w * t + v * u) / (w + v)) as f32);
                    }
                    constant += w * v / (w + v) * gap;
                    *weight = (w + v) as f32;
                }
                (Some((_, w, t)), None) | (None, Some((_, w, t))) => {
                    *weight = w;
                    targets.extend_from_slice(t);
                }
                (None, None) => {}
            }
        }
        checked(Query { layout: self.layout, constant, weights, targets })
    }

    /// What each subspace that counts adds to the squared distance of `e`: its number, its weight, and the distance within
    /// it; with the constant, `distance² = c + Σ w_k d_k²`.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if they belong to different models.
    pub fn contributions(&self, e: EmbeddingRef<'_>) -> Result<Vec<(usize, f32, f64)>> {
        self.layout.check_same(&e.layout)?;
        let part = |(k, w, target): (usize, f32, &[f32])| {
            (k, w, f64::from(squared_l2_f16_f32(&e.values[self.layout.range(k)], target)).sqrt())
        };
        Ok(self.active().map(part).collect())
    }

    /// The point that the query's targets name, as a query: each of the `subspaces` with weight 1, no other, and no constant.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] if the query has no target in one of them, or they are none.
    pub fn centre(&self, subspaces: &[usize]) -> Result<Query> {
        let mut weights = vec![0.0; self.layout.subspaces()];
        for &k in subspaces {
            self.layout.check_subspace(k)?;
            if self.weights[k] == 0.0 {
                return Err(Error::new(
                    Kind::InvalidParameter,
                    format!("the query asks for nothing in subspace {k}"),
                ));
            }
            weights[k] = 1.0;
        }
        let asked = |k: usize| weights[k] > 0.0;
        let targets = self.active().filter(|a| asked(a.0)).flat_map(|a| a.2.iter().copied()).collect();
        Query::from_parts(self.layout, 0.0, weights, targets)
    }

    /// `s · q` for s > 0: every squared distance times s.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] unless s is positive and finite, [`Kind::LimitExceeded`] if a weight over- or
    /// underflows.
    pub fn scaled(&self, s: f64) -> Result<Query> {
        if !(s.is_finite() && s > 0.0) {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("a query can be scaled by a positive finite number only, not {s}"),
            )
            .hint("Leave an attribute out of the mix instead of weighting it by zero."));
        }
        let scale = |w: &f32| if *w > 0.0 { (f64::from(*w) * s) as f32 } else { 0.0 };
        let weights: Vec<f32> = self.weights.iter().map(scale).collect();
        if weights.iter().zip(self.weights).any(|(new, old)| *new == 0.0 && *old > 0.0) {
            return Err(out_of_range());
        }
        checked(Query {
            layout: self.layout,
            constant: self.constant * s,
            weights,
            targets: self.targets.to_vec(),
        })
    }
}

fn checked(q: Query) -> Result<Query> {
    if q.constant.is_finite() && q.weights.iter().chain(&q.targets).all(|w| w.is_finite()) {
        Ok(q)
    } else {
        Err(out_of_range())
    }
}

fn out_of_range() -> Error {
    Error::new(Kind::LimitExceeded, "a weight of the query is out of range")
        .detail("Weights are single-precision numbers between about 1e-38 and 3e38.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{distance, Embedding};
    use proptest::prelude::*;

    const K: usize = 4;
    const N: usize = 5;

    fn layout() -> Layout {
        Layout::new(K, N, 7).unwrap()
    }

    fn embedding() -> impl Strategy<Value = Embedding> {
        prop::collection::vec(-1.0f32..1.0, K * N).prop_map(|v| Embedding::from_raw(layout(), &v).unwrap())
    }

    fn query() -> impl Strategy<Value = Query> {
        let weight = prop_oneof![Just(0.0f32), 0.01f32..10.0];
        (prop::collection::vec(weight, K), prop::collection::vec(-1.0f32..1.0, K * N), 0.0f64..2.0)
            .prop_filter_map("no weight", |(w, t, c)| {
                let active: Vec<f32> =
                    (0..K).filter(|&k| w[k] > 0.0).flat_map(|k| t[k * N..(k + 1) * N].to_vec()).collect();
                Query::from_parts(layout(), c, w, active).ok()
            })
    }

    fn squared(e: &Embedding, q: &Query) -> f64 {
        distance(e.as_ref(), q.as_ref()).unwrap().powi(2)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-5 * (1.0 + a.abs().max(b.abs()))
    }

    proptest! {
        #[test]
        fn a_sum_adds_squared_distances(e in embedding(), p in query(), q in query()) {
            let sum = p.as_ref().plus(&q.as_ref()).unwrap();
            prop_assert!(close(squared(&e, &sum), squared(&e, &p) + squared(&e, &q)));
        }

        #[test]
        fn sums_commute_and_associate(e in embedding(), p in query(), q in query(), r in query()) {
            let (p, q, r) = (p.as_ref(), q.as_ref(), r.as_ref());
            let pq = p.plus(&q).unwrap();
            prop_assert!(close(squared(&e, &pq), squared(&e, &q.plus(&p).unwrap())));
            let left = pq.as_ref().plus(&r).unwrap();
            let right = p.plus(&q.plus(&r).unwrap().as_ref()).unwrap();
            prop_assert!(close(squared(&e, &left), squared(&e, &right)));
        }

        #[test]
        fn contributions_add_up_to_the_squared_distance(e in embedding(), p in query(), q in query()) {
            let sum = p.as_ref().plus(&q.as_ref()).unwrap();
            let parts = sum.as_ref().contributions(e.as_ref()).unwrap();
            let total = parts.iter().map(|(_, w, d)| f64::from(*w) * d * d).sum::<f64>() + sum.as_ref().constant;
            prop_assert!(close(squared(&e, &sum), total));
        }

        #[test]
        fn a_mix_of_one_is_the_thing_itself(q in query(), s in 0.01f64..100.0) {
            prop_assert_eq!(&q.as_ref().scaled(1.0).unwrap(), &q);
            let half = q.as_ref().scaled(0.5).unwrap();
            let (whole, parts) = (q.as_ref(), half.as_ref().plus(&half.as_ref()).unwrap());
            prop_assert!(close(whole.constant, parts.as_ref().constant));
            prop_assert_eq!(whole.weights, parts.as_ref().weights);
            prop_assert!(whole.targets.iter().zip(parts.as_ref().targets).all(|(a, b)| close((*a).into(), (*b).into())));
            let there_and_back = whole.scaled(s).unwrap().as_ref().scaled(1.0 / s).unwrap();
            prop_assert!(close(there_and_back.as_ref().constant, whole.constant));
        }

        #[test]
        fn a_scale_multiplies_squared_distances(e in embedding(), q in query(), s in 0.01f64..100.0) {
            let scaled = q.as_ref().scaled(s).unwrap();
            prop_assert!(close(squared(&e, &scaled), s * squared(&e, &q)));
        }
    }

    #[test]
    fn like_this_one_is_at_distance_zero_from_it() {
        let e = Embedding::from_raw(layout(), &(0..20).map(|i| i as f32 - 9.0).collect::<Vec<_>>()).unwrap();
        let q = Query::like(e.as_ref(), &[2, 0, 2]).unwrap();
        assert_eq!(q.as_ref().weights, &[1.0, 0.0, 1.0, 0.0]);
        assert_eq!(distance(e.as_ref(), q.as_ref()).unwrap(), 0.0);
    }

    #[test]
    fn the_centre_of_a_mix_is_its_point_without_weights_and_constant() {
        let targets: Vec<f32> = (0..15).map(|i| i as f32).collect();
        let q = Query::from_parts(layout(), 3.0, vec![2.0, 0.0, 0.5, 7.0], targets.clone()).unwrap();
        let centre = q.as_ref().centre(&[3, 0]).unwrap();
        let expected = [&targets[..5], &targets[10..]].concat();
        assert_eq!(centre, Query::from_parts(layout(), 0.0, vec![1.0, 0.0, 0.0, 1.0], expected).unwrap());
        for subspaces in [&[0, 1][..], &[], &[4]] {
            assert_eq!(q.as_ref().centre(subspaces).unwrap_err().kind, Kind::InvalidParameter);
        }
    }

    #[test]
    fn zero_negative_and_absurd_scales_are_errors() {
        let q = Query::subspace(layout(), 1, &[0.5; N]).unwrap();
        for s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(q.as_ref().scaled(s).unwrap_err().kind, Kind::InvalidParameter);
        }
        for s in [1e300, 1e-300] {
            assert_eq!(q.as_ref().scaled(s).unwrap_err().kind, Kind::LimitExceeded);
        }
    }

    #[test]
    fn malformed_parts_are_errors() {
        let l = layout();
        let parts =
            |c, w: &[f32], t: usize| Query::from_parts(l, c, w.to_vec(), vec![0.0; t]).unwrap_err().kind;
        assert_eq!(parts(0.0, &[1.0; 3], 15), Kind::Mismatch);
        assert_eq!(parts(0.0, &[1.0; 4], 15), Kind::Mismatch);
        assert_eq!(parts(0.0, &[0.0; 4], 0), Kind::InvalidParameter);
        assert_eq!(parts(-1.0, &[1.0; 4], 20), Kind::InvalidParameter);
        assert_eq!(parts(0.0, &[1.0, -1.0, 1.0, 1.0], 20), Kind::InvalidParameter);
    }
}
