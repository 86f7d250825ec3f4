//! The paper's method: one projection, proxies of instances and values, all losses together (Eq. 6 and 7).

use super::layers::{Initializer, Linear};
use super::sum::Sum;
use crate::error::{Error, Result};
use crate::model::standardized;
use crate::space::TaskLayout;
use crate::train::losses::{
    mean_cross_entropy, order_norm, rank_similarities, unit_subspaces, BatchLabels, LossWeights, SegmentMean,
};
use crate::train::method::{Method, Terms};
use crate::train::optimizer::{Group, Parameter};
use crate::train::pairwise::negative_distances;
use crate::train::settings::Settings;
use crate::train::training_set::{AttributeShape, TrainingSet};
use candle_core::Tensor;
use rand::rngs::StdRng;

/// What is learned: the projection and all proxies, some of which may be fixed.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// `[N, F]` and `[N]`.
    pub projection: Linear,
    /// `[P, N]`, one proxy per training instance.
    pub instance_proxies: Tensor,
    /// K of `[V_k, n]`, one proxy per value.
    pub attribute_proxies: Vec<Tensor>,
    /// Beyond the paper: K of `[1, n]`, the proxy of images without a value of the attribute, where there are any.
    pub absent_proxies: Vec<Option<Tensor>>,
}

/// How distances become logits.
#[derive(Debug, Clone)]
pub enum Geometry {
    /// The paper's: squared distances of raw embeddings and proxies.
    Raw,
    /// Beyond the paper: every subspace of embeddings and proxies at unit length, and the inverse temperature of the
    /// softmax times the mean over the subspaces of the squared distance.
    Normalized(Scale),
}

/// An inverse temperature.
#[derive(Debug, Clone)]
pub enum Scale {
    /// Given. (ProxyNCA++'s temperature of 1/9 is a scale of 9.)
    Fixed(f64),
    /// Learned, as its logarithm `[1]`.
    Learned(Tensor),
}

/// Eq. 7 with its λ and its constants.
#[derive(Debug, Clone)]
pub struct Objective {
    /// λ of every loss.
    pub weights: LossWeights,
    /// How distances become logits.
    pub geometry: Geometry,
    /// From instances to categories.
    pub category_means: SegmentMean,
    /// Per attribute, Eq. 4's target similarities `[V_k, V_k]`; `None` where the order does not take part.
    pub order_targets: Vec<Option<Tensor>>,
    /// Names of the attributes' losses in the log.
    pub attributes: Vec<String>,
}

/// [`Method`] of the paper.
pub struct Cooperative<'a> {
    set: &'a TrainingSet,
    objective: Objective,
    parameters: Parameters,
    learned: Vec<Parameter>,
    standardize: bool,
    absent: bool,
}

impl<'a> Cooperative<'a> {
    /// A fresh start on features of length `features`.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        mut start: Initializer<'_>,
    ) -> Result<Self> {
        let n = settings.subspace_dim;
        let dims = n * set.attributes.len();
        let (std, learned) = (settings.proxy_std, !settings.fixed_attribute_proxies);
        let projection = start.linear("projection", Group::Projection, [dims, features])?;
        let shape = [set.instance_category.len(), dims];
        let instance_proxies =
            start.proxies("proxies.instance", shape, std, !settings.fixed_instance_proxies)?;
        let attribute_proxies = (set.attributes.iter())
            .map(|a| start.proxies(&format!("proxies.attribute.{}", a.name), [a.values, n], std, learned))
            .collect::<Result<_>>()?;
        let geometry = match (settings.normalize, settings.learned_scale) {
            (false, _) => Geometry::Raw,
            (true, false) => Geometry::Normalized(Scale::Fixed(settings.scale)),
            (true, true) => {
                let log = start.constant(settings.scale.ln(), &[1])?;
                Geometry::Normalized(Scale::Learned(start.learned("log_scale", Group::Proxies, &log)?))
            }
        };
        let absent_proxies = (set.attributes.iter().enumerate())
            .map(|(k, a)| {
                let wanted = settings.absent_proxies && set.lacks(k);
                let name = format!("proxies.absent.{}", a.name);
                wanted.then(|| start.proxies(&name, [1, n], std, learned)).transpose()
            })
            .collect::<Result<_>>()?;
        let objective = Objective::new(settings.losses, geometry, set, &instance_proxies)?;
        let parameters = Parameters { projection, instance_proxies, attribute_proxies, absent_proxies };
        Ok(Self {
            set,
            objective,
            parameters,
            learned: start.parameters,
            standardize: settings.standardize_features,
            absent: settings.absent_proxies,
        })
    }
}

impl Method for Cooperative<'_> {
    fn parameters(&self) -> Vec<Parameter> {
        self.learned.clone()
    }

    fn losses(&self, features: &Tensor, images: &[u32], _: &mut StdRng) -> Result<Terms> {
        let mut labels = self.set.labels(images, features)?;
        if self.absent {
            labels.absences = self.set.absences(images, features)?;
        }
        self.objective.terms(&self.embed(features)?, &self.parameters, &labels)
    }

    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        if self.standardize {
            self.parameters.projection.forward(&standardized(features)?)
        } else {
            self.parameters.projection.forward(features)
        }
    }

    fn cooperative(&self) -> Option<&Parameters> {
        Some(&self.parameters)
    }

    fn task_layout(&self) -> TaskLayout {
        let k = self.set.attributes.len();
        TaskLayout::cooperative(k, self.parameters.projection.bias.elem_count() / k)
    }
}

impl Objective {
    /// An objective over proxies like `proxies` (which gives device and number type).
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(
        weights: LossWeights,
        geometry: Geometry,
        set: &TrainingSet,
        proxies: &Tensor,
    ) -> Result<Self> {
        let target = |a: &AttributeShape| -> Result<Option<Tensor>> {
            // One value has nothing to be ordered against, and the norm of its zero difference has no gradient.
            if !a.ordered || a.values < 2 || weights.order == 0.0 {
                return Ok(None);
            }
            let target = rank_similarities(a.values, weights.order_sigma, proxies.device())?;
            Ok(Some(target.to_dtype(proxies.dtype())?))
        };
        Ok(Self {
            weights,
            geometry,
            category_means: SegmentMean::new(&set.instance_category, set.category_count, proxies)?,
            order_targets: set.attributes.iter().map(target).collect::<Result<_>>()?,
            attributes: set.attributes.iter().map(|a| format!("attribute:{}", a.name)).collect(),
        })
    }

    /// All terms for raw embeddings `f` (`[batch, N]`). A loss whose λ is 0 is not computed.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn terms(&self, f: &Tensor, parameters: &Parameters, labels: &BatchLabels) -> Result<Terms> {
        let w = &self.weights;
        let k = parameters.attribute_proxies.len();
        let n = f.dim(1)? / k;
        let unit = self.shaped(f, k)?;
        let mut sum = Sum::default();

        let by_instance = w.instance > 0.0 || w.category > 0.0;
        let proxies = by_instance.then(|| self.shaped(&parameters.instance_proxies, k)).transpose()?;
        let proxies = |weight: f64| proxies.as_ref().filter(|_| weight > 0.0);
        let instance = proxies(w.instance)
            .map(|p| mean_cross_entropy(&self.logits(&unit, p, k)?, &labels.instances))
            .transpose()?;
        sum.add("instance", w.instance, instance)?;
        // Recomputed each step with gradient: categories have no proxies of their own, only instances learn.
        let category = proxies(w.category)
            .map(|p| {
                let centres = self.shaped(&self.category_means.of(p)?, k)?;
                mean_cross_entropy(&self.logits(&unit, &centres, k)?, &labels.categories)
            })
            .transpose()?;
        sum.add("category", w.category, category)?;
        let norm = (w.regularization > 0.0)
            .then(|| Ok::<_, crate::error::Error>((f.sqr()?.sum_all()? / f.dim(0)? as f64)?));
        sum.add("norm", w.regularization, norm.transpose()?)?;
        sum.add("order", w.order, self.order(parameters)?)?;

        let share = w.attribute / k as f64;
        for (i, (shown, proxies)) in labels.attributes.iter().zip(&parameters.attribute_proxies).enumerate() {
            let absent = parameters.absent_proxies[i].as_ref();
            let lacking = absent.and(labels.absences.get(i)).and_then(Option::as_ref);
            let (shown, lacking) = (shown.as_ref().filter(|_| share > 0.0), lacking.filter(|_| share > 0.0));
            if shown.is_none() && lacking.is_none() {
                sum.add(&self.attributes[i], share, None)?;
                continue;
            }
            let proxies = match absent {
                Some(absent) => Tensor::cat(&[proxies, absent], 0)?,
                None => proxies.clone(),
            };
            let logits =
                self.logits(&unit.narrow(1, i * n, n)?.contiguous()?, &self.shaped(&proxies, 1)?, 1)?;
            // A mean each: most attributes are absent from most images, and would be drowned in one mean over all.
            let losses = [shown, lacking].map(|l| l.map(|l| l.cross_entropy(&logits)).transpose());
            let loss = losses.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten();
            let loss = loss.map(Ok::<_, Error>).reduce(|a, b| Ok((a? + b?)?)).transpose()?;
            sum.add(&self.attributes[i], share, loss)?;
        }
        sum.terms(f)
    }

    /// `x` (`[rows, subspaces·n]`) as distances are taken of it: as it is, or each subspace at unit length.
    fn shaped(&self, x: &Tensor, subspaces: usize) -> Result<Tensor> {
        match self.geometry {
            Geometry::Raw => Ok(x.clone()),
            Geometry::Normalized(_) => unit_subspaces(x, subspaces),
        }
    }

    /// `[batch, Z]`.
    fn logits(&self, f: &Tensor, proxies: &Tensor, subspaces: usize) -> Result<Tensor> {
        let logits = negative_distances(f, proxies)?;
        match &self.geometry {
            Geometry::Raw => Ok(logits),
            Geometry::Normalized(Scale::Fixed(scale)) => Ok((logits * (scale / subspaces as f64))?),
            Geometry::Normalized(Scale::Learned(log)) => {
                Ok((logits.broadcast_mul(&log.exp()?)? / subspaces as f64)?)
            }
        }
    }

    /// Σ_k of Eq. 3 over the ordered attributes.
    fn order(&self, parameters: &Parameters) -> Result<Option<Tensor>> {
        let mut sum: Option<Tensor> = None;
        for (target, proxies) in self.order_targets.iter().zip(&parameters.attribute_proxies) {
            let Some(target) = target else { continue };
            let norm = order_norm(proxies, target)?;
            sum = Some(match sum {
                Some(sum) => (sum + norm)?,
                None => norm,
            });
        }
        Ok(sum)
    }
}
