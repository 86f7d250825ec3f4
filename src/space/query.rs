//! Queries, the values of `coopquery`: a target and a weight for each subspace, and one constant.

use super::embedding::{check_length, normalize, not_finite};
use super::{Embedding, EmbeddingRef, Layout};
use crate::error::{Error, Kind, Result};
use half::f16;

#[cfg(test)]
mod tests;

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

/// A query read in place, for example on a page of PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub struct QueryRef<'a> {
    /// The space that the query is in.
    pub layout: Layout,
    /// c ≥ 0: the part of the squared distance that is the same for all embeddings. Sums of queries have one.
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
        // -0 + 0 is 0: text and arithmetic never give -0, so that equal queries have equal bytes.
        let weights = weights.into_iter().map(|w| w + 0.0).collect();
        Ok(Self { layout, constant: constant + 0.0, weights, targets })
    }

    /// A query for `target` (`[n]`) in subspace `k` with weight 1; all other subspaces are masked out.
    ///
    /// # Errors
    /// As [`Query::from_parts`]; [`Kind::InvalidParameter`] if there is no subspace k.
    pub fn subspace(layout: Layout, k: usize, target: &[f32]) -> Result<Self> {
        let mut weights = vec![0.0; layout.subspaces()];
        layout.check_subspace(k)?;
        weights[k] = 1.0;
        Self::from_parts(layout, 0.0, weights, target.to_vec())
    }

    /// A query for `targets` (`[K·n]`) in the whole superspace, every weight 1.
    ///
    /// # Errors
    /// As [`Query::from_parts`].
    pub fn superspace(layout: Layout, targets: Vec<f32>) -> Result<Self> {
        check_length(layout, targets.len())?;
        Self::from_parts(layout, 0.0, vec![1.0; layout.subspaces()], targets)
    }

    /// A query for what an embedding has in the given subspaces, each with weight 1; a subspace named twice counts once.
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

    /// The space that the query is in.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Borrows the numbers.
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

    /// `q + q'`: the sum of both squared distances. Two targets in one subspace combine into their weighted mean, because
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

    /// The query for the same targets in the given `subspaces`, each with weight 1 and without a constant: the point in which
    /// the distance is smallest.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] if the query has no target in one of them, or none is given.
    pub fn centre(&self, subspaces: &[usize]) -> Result<Query> {
        let mut weights = vec![0.0; self.layout.subspaces()];
        for &k in subspaces {
            self.layout.check_subspace(k)?;
            if self.weights[k] == 0.0 {
                return Err(Error::new(
                    Kind::InvalidParameter,
                    format!("the query has no target in subspace {k}"),
                ));
            }
            weights[k] = 1.0;
        }
        let asked = |k: usize| weights[k] > 0.0;
        let targets = self.active().filter(|a| asked(a.0)).flat_map(|a| a.2.iter().copied()).collect();
        Query::from_parts(self.layout, 0.0, weights, targets)
    }

    /// The query for what is least like this one: every target is negated. For embeddings with subspaces of unit length
    /// `‖e + t‖² = 2 + 2‖t‖² − ‖e − t‖²`, so that it puts them in the reverse order.
    pub fn opposite(&self) -> Query {
        let mut query = self.to_query();
        query.targets.iter_mut().for_each(|t| *t = -*t);
        query
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
            .hint(match s < 0.0 {
                true => "For what is least like a query, write coop_not(query).",
                false => "Leave an attribute out of the mix instead of weighting it by zero.",
            }));
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

impl EmbeddingRef<'_> {
    /// A copy with the subspaces that `query` asks for replaced by the query's targets, scaled to unit length.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for a query of another model.
    pub fn with_targets_of(&self, query: &QueryRef<'_>) -> Result<Embedding> {
        self.layout.check_same(&query.layout)?;
        let mut values = self.values.to_vec();
        for (k, _, target) in query.active() {
            let mut unit = target.to_vec();
            normalize(&mut unit);
            values[self.layout.range(k)].iter_mut().zip(unit).for_each(|(v, t)| *v = f16::from_f32(t));
        }
        Embedding::from_f16(self.layout, values)
    }
}

/// Checks that no weight, target or constant has overflowed.
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
