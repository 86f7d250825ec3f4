//! The losses of the paper (Eq. 1 to 7) as candle expressions; autograd gives their gradients.
//!
//! Every softmax here is over `-D(f, p_z)`, the negative squared Euclidean distances to proxies. Since
//! `-D = 2 f·p − ‖p‖² − ‖f‖²` and the last part is the same for every z, logits leave it out: one matrix product, no
//! `[batch, proxies, N]` intermediate, and the very same softmax and gradient.

use crate::error::Result;
use candle_core::{Device, Tensor, Var, D};
use serde::{Deserialize, Serialize};

/// What each part of the objective weighs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// λ of the instance loss, Eq. 1.
    pub instance: f64,
    /// λ of the attribute losses, Eq. 2; divided by K.
    pub attribute: f64,
    /// λ of the category loss, Eq. 5.
    pub category: f64,
    /// λ of `‖f(x)‖²`, summed over dimensions and averaged over the batch.
    pub regularization: f64,
    /// λ of the order regulariser of ordered attributes, Eq. 3; 0 leaves it out.
    pub order: f64,
    /// σ of Eq. 4, in ranks.
    pub order_sigma: f64,
}

/// How distances become logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Geometry {
    /// The paper's: squared distances of raw embeddings and proxies.
    Raw,
    /// Beyond the paper: every subspace of embeddings and proxies at unit length, and `scale` times the mean over the
    /// subspaces of the squared distance.
    Normalized {
        /// The inverse temperature of the softmax.
        scale: f64,
    },
}

/// What the trainer learns: the projection and all proxies.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// `[N, F]`.
    pub projection_weight: Var,
    /// `[N]`.
    pub projection_bias: Var,
    /// `[P, N]`, one proxy per training instance.
    pub instance_proxies: Var,
    /// K of `[V_k, n]`, one proxy per value.
    pub attribute_proxies: Vec<Var>,
}

impl Parameters {
    /// Raw embeddings f(x) of backbone features: `[batch, F]` to `[batch, N]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn embed(&self, features: &Tensor) -> Result<Tensor> {
        let f = features.matmul(&self.projection_weight.t()?)?;
        Ok(f.broadcast_add(&self.projection_bias)?)
    }
}

/// The labels of a batch.
#[derive(Debug, Clone)]
pub struct BatchLabels {
    /// `[batch]`, rows of the instance proxies.
    pub instances: Tensor,
    /// `[batch]`, rows of the category means.
    pub categories: Tensor,
    /// Per attribute; `None` where no image of the batch has a value.
    pub attributes: Vec<Option<AttributeLabels>>,
}

/// Which images of a batch show which value of one attribute.
#[derive(Debug, Clone)]
pub struct AttributeLabels {
    /// `[batch]`, rows of the value proxies; anything valid where the attribute is absent.
    pub values: Tensor,
    /// `[batch]`: 1/m for the m images that have a value, 0 for the others.
    pub share: Tensor,
}

impl AttributeLabels {
    /// Labels from one optional value per image; `None` if all are absent.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(values: &[Option<u32>], like: &Tensor) -> Result<Option<Self>> {
        let shown = values.iter().flatten().count();
        if shown == 0 {
            return Ok(None);
        }
        let share = |v: &Option<u32>| if v.is_some() { 1.0 / shown as f64 } else { 0.0 };
        let rows: Vec<u32> = values.iter().map(|v| v.unwrap_or(0)).collect();
        let shares: Vec<f64> = values.iter().map(share).collect();
        Ok(Some(Self {
            values: Tensor::new(rows, like.device())?,
            share: Tensor::new(shares, like.device())?.to_dtype(like.dtype())?,
        }))
    }
}

/// Each term of one batch before its λ (scalars), and their weighted sum.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Eq. 1.
    pub instance: Tensor,
    /// Eq. 2 for each attribute; `None` where no image of the batch has a value.
    pub attributes: Vec<Option<Tensor>>,
    /// Eq. 5.
    pub category: Tensor,
    /// `‖f(x)‖²`, mean over the batch.
    pub regularization: Tensor,
    /// Eq. 3 summed over the ordered attributes, if it takes part.
    pub order: Option<Tensor>,
    /// Eq. 7.
    pub total: Tensor,
}

/// Eq. 7 for one data set.
#[derive(Debug, Clone)]
pub struct Objective {
    weights: LossWeights,
    geometry: Geometry,
    /// `[C, P]`: row y averages the proxies of the instances of category y.
    category_means: Tensor,
    /// Per attribute, Eq. 4's target similarities `[V_k, V_k]`; `None` for unordered ones.
    order_targets: Vec<Option<Tensor>>,
}

impl Objective {
    /// An objective over proxies like `proxies` (`[P, N]`; gives device and number type).
    ///
    /// `instance_category` names, for each of the P instances, the row of its category; `categories` is how many rows.
    /// `attributes` gives each attribute's number of values, and whether they are ordered.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(
        weights: LossWeights,
        geometry: Geometry,
        instance_category: &[u32],
        categories: usize,
        attributes: &[(usize, bool)],
        proxies: &Tensor,
    ) -> Result<Self> {
        let (device, dtype) = (proxies.device(), proxies.dtype());
        let means = averaging(instance_category, categories, device)?.to_dtype(dtype)?;
        let order_targets = attributes
            .iter()
            .map(|&(values, ordered)| {
                // One value has nothing to be ordered against, and the norm of its zero difference has no gradient.
                let takes_part = ordered && values > 1 && weights.order > 0.0;
                let target = || rank_similarities(values, weights.order_sigma, device)?.to_dtype(dtype);
                Ok(takes_part.then(target).transpose()?)
            })
            .collect::<Result<_>>()?;
        Ok(Self { weights, geometry, category_means: means, order_targets })
    }

    /// All terms for raw embeddings `f` (`[batch, N]`).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn terms(&self, f: &Tensor, parameters: &Parameters, labels: &BatchLabels) -> Result<Terms> {
        let w = &self.weights;
        let k = parameters.attribute_proxies.len();
        let n = f.dim(1)? / k;
        let proxies = self.shaped(&parameters.instance_proxies, k)?;
        let unit = self.shaped(f, k)?;

        let instance = mean_cross_entropy(&self.logits(&unit, &proxies, k)?, &labels.instances)?;
        // Recomputed each step with gradient: categories have no proxies of their own, only instances learn.
        let centres = self.shaped(&self.category_means.matmul(&proxies)?, k)?;
        let category = mean_cross_entropy(&self.logits(&unit, &centres, k)?, &labels.categories)?;
        let regularization = (f.sqr()?.sum_all()? / f.dim(0)? as f64)?;
        let mut total = ((&instance * w.instance)? + (&category * w.category)?)?;
        total = (total + (&regularization * w.regularization)?)?;

        let mut attributes = Vec::with_capacity(k);
        for (i, (labels, proxies)) in labels.attributes.iter().zip(&parameters.attribute_proxies).enumerate()
        {
            let Some(labels) = labels else {
                attributes.push(None);
                continue;
            };
            let logits = self.logits(&unit.narrow(1, i * n, n)?, &self.shaped(proxies, 1)?, 1)?;
            let loss = (cross_entropy(&logits, &labels.values)? * &labels.share)?.sum_all()?;
            total = (total + (&loss * (w.attribute / k as f64))?)?;
            attributes.push(Some(loss));
        }
        let order = self.order(parameters)?;
        if let Some(order) = &order {
            total = (total + (order * w.order)?)?;
        }
        Ok(Terms { instance, attributes, category, regularization, order, total })
    }

    /// `x` (`[rows, subspaces·n]`) as distances are taken of it: as it is, or each subspace at unit length.
    fn shaped(&self, x: &Tensor, subspaces: usize) -> Result<Tensor> {
        match self.geometry {
            Geometry::Raw => Ok(x.clone()),
            Geometry::Normalized { .. } => {
                let (rows, dims) = x.dims2()?;
                let x = x.reshape((rows, subspaces, dims / subspaces))?;
                Ok(unit_rows(&x)?.reshape((rows, dims))?)
            }
        }
    }

    /// `[batch, Z]`: the negative distances of `f` to each of `proxies`, less what is the same for all z.
    fn logits(&self, f: &Tensor, proxies: &Tensor, subspaces: usize) -> Result<Tensor> {
        let norms = proxies.sqr()?.sum(D::Minus1)?;
        let logits = (f.matmul(&proxies.t()?)? * 2.0)?.broadcast_sub(&norms)?;
        match self.geometry {
            Geometry::Raw => Ok(logits),
            Geometry::Normalized { scale } => Ok((logits * (scale / subspaces as f64))?),
        }
    }

    /// Σ_k ‖S − P_k‖ of Eq. 3 (the Frobenius norm, not squared) over the ordered attributes.
    fn order(&self, parameters: &Parameters) -> Result<Option<Tensor>> {
        let mut sum: Option<Tensor> = None;
        for (target, proxies) in self.order_targets.iter().zip(&parameters.attribute_proxies) {
            let Some(target) = target else { continue };
            let unit = unit_rows(proxies)?;
            let norm = (unit.matmul(&unit.t()?)? - target)?.sqr()?.sum_all()?.sqrt()?;
            sum = Some(match sum {
                Some(sum) => (sum + norm)?,
                None => norm,
            });
        }
        Ok(sum)
    }
}

/// `x / ‖x‖` along the last dimension; the floor under the norm keeps a row of zeros (and its gradient) finite.
fn unit_rows(x: &Tensor) -> Result<Tensor> {
    let norm = (x.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    Ok(x.broadcast_div(&norm)?)
}

/// `[batch]`: `log Σ_z exp(logit_z) − logit_target`.
fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    // The largest logit only keeps the exponentials in range; its gradient cancels, so none is taken.
    let largest = logits.max_keepdim(1)?.detach();
    let shifted = logits.broadcast_sub(&largest)?;
    let normalizer = shifted.exp()?.sum_keepdim(1)?.log()?;
    let picked = shifted.gather(&target.unsqueeze(1)?, 1)?;
    Ok((normalizer - picked)?.squeeze(1)?)
}

fn mean_cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(cross_entropy(logits, target)?.mean_all()?)
}

/// `[C, P]`: 1/|y| where the column's instance is of the row's category y.
fn averaging(instance_category: &[u32], categories: usize, device: &Device) -> Result<Tensor> {
    let instances = instance_category.len();
    let mut sizes = vec![0usize; categories];
    instance_category.iter().for_each(|&c| sizes[c as usize] += 1);
    let mut means = vec![0f64; categories * instances];
    for (i, &c) in instance_category.iter().enumerate() {
        means[c as usize * instances + i] = 1.0 / sizes[c as usize] as f64;
    }
    Ok(Tensor::from_vec(means, (categories, instances), device)?)
}

/// Eq. 4, `[values, values]`: exp(−(rank_v − rank_u)² / 2σ²).
fn rank_similarities(values: usize, sigma: f64, device: &Device) -> candle_core::Result<Tensor> {
    let gap = |i: usize| (i / values) as f64 - (i % values) as f64;
    let p: Vec<f64> = (0..values * values).map(|i| (-gap(i).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    Tensor::from_vec(p, (values, values), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;
    use serde_json::Value;

    // Random inputs, and what PyTorch makes of them in float64: `python tests/fixtures/losses.py`.
    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/losses.json")).unwrap()
    }

    fn numbers(v: &Value) -> Vec<f64> {
        match v {
            Value::Array(a) => a.iter().flat_map(numbers).collect(),
            v => vec![v.as_f64().unwrap()],
        }
    }

    fn shape(v: &Value) -> Vec<usize> {
        match v {
            Value::Array(a) => [vec![a.len()], a.first().map_or(vec![], shape)].concat(),
            _ => vec![],
        }
    }

    fn tensor(v: &Value) -> Tensor {
        Tensor::from_vec(numbers(v), shape(v), &Device::Cpu).unwrap()
    }

    fn indices(v: &Value) -> Vec<u32> {
        numbers(v).iter().map(|&x| x as u32).collect()
    }

    fn agree(what: &str, ours: &Tensor, theirs: &Value) {
        let ours: Vec<f64> = ours.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let theirs = numbers(theirs);
        assert_eq!(ours.len(), theirs.len(), "{what}");
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{what}: {a} is not {b}");
        }
    }

    fn check(geometry: Geometry, order: f64, expected: &str) {
        let j = fixture();
        let var = |v: &Value| Var::from_tensor(&tensor(v)).unwrap();
        let parameters = Parameters {
            projection_weight: var(&j["weight"]),
            projection_bias: var(&j["bias"]),
            instance_proxies: var(&j["instance_proxies"]),
            attribute_proxies: j["attribute_proxies"].as_array().unwrap().iter().map(var).collect(),
        };
        let like = tensor(&j["features"]);
        let optional = |v: &Value| -> Vec<Option<u32>> {
            numbers(v).iter().map(|&x| (x >= 0.0).then_some(x as u32)).collect()
        };
        let labels = BatchLabels {
            instances: Tensor::new(indices(&j["instances"]), &Device::Cpu).unwrap(),
            categories: Tensor::new(indices(&j["categories"]), &Device::Cpu).unwrap(),
            attributes: (j["values"].as_array().unwrap().iter())
                .map(|v| AttributeLabels::new(&optional(v), &like).unwrap())
                .collect(),
        };
        let sizes: Vec<(usize, bool)> = parameters
            .attribute_proxies
            .iter()
            .zip(j["ordered"].as_array().unwrap())
            .map(|(p, o)| (p.dim(0).unwrap(), o.as_bool().unwrap()))
            .collect();
        let weights = LossWeights {
            instance: 0.7,
            attribute: 1.3,
            category: 0.9,
            regularization: 0.5,
            order,
            order_sigma: 1.5,
        };
        let objective =
            Objective::new(weights, geometry, &indices(&j["instance_category"]), 3, &sizes, &like).unwrap();
        let terms = objective.terms(&parameters.embed(&like).unwrap(), &parameters, &labels).unwrap();
        let want = &j[expected];
        agree("Eq. 1", &terms.instance, &want["instance"]);
        for (k, loss) in terms.attributes.iter().enumerate() {
            match loss {
                Some(loss) => agree("Eq. 2", loss, &want["attributes"][k]),
                None => assert!(want["attributes"][k].is_null()),
            }
        }
        agree("Eq. 5", &terms.category, &want["category"]);
        agree("the norm", &terms.regularization, &want["regularization"]);
        if let Some(order) = &terms.order {
            agree("Eq. 3", order, &want["order"]);
        }
        agree("Eq. 7", &terms.total, &want["total"]);
        let gradients = terms.total.backward().unwrap();
        let gradient = |v: &Var| gradients.get(v).unwrap().clone();
        agree("d weight", &gradient(&parameters.projection_weight), &want["d_weight"]);
        agree("d bias", &gradient(&parameters.projection_bias), &want["d_bias"]);
        agree("d instance proxies", &gradient(&parameters.instance_proxies), &want["d_instance_proxies"]);
        for (k, p) in parameters.attribute_proxies.iter().enumerate() {
            match gradients.get(p) {
                Some(g) => agree("d attribute proxies", g, &want["d_attribute_proxies"][k]),
                None => assert!(want["d_attribute_proxies"][k].is_null()),
            }
        }
    }

    #[test]
    fn the_papers_losses_and_gradients_agree_with_pytorch() {
        check(Geometry::Raw, 0.0, "raw");
    }

    #[test]
    fn the_order_regulariser_and_its_gradient_agree_with_pytorch() {
        check(Geometry::Raw, 0.8, "raw_order");
    }

    #[test]
    fn normalised_losses_and_gradients_agree_with_pytorch() {
        check(Geometry::Normalized { scale: 16.0 }, 0.0, "normalized");
    }
}
