//! The paper's method: one projection, proxies of instances and of attribute values, all losses together (Eq. 6 and 7).

use crate::error::Result;
use crate::model::standardized;
use crate::space::TaskLayout;
use crate::train::batch_losses::{BatchLosses, LossSum};
use crate::train::cooperative_parameters::CooperativeParameters;
use crate::train::geometry::{Geometry, SoftmaxScale};
use crate::train::initializer::Initializer;
use crate::train::labels::BatchLabels;
use crate::train::losses::{
    attribute_loss, category_loss, instance_loss, order_regularizer, rank_similarities, squared_norm,
    CategoryMeans, LossWeights, ValueProxies,
};
use crate::train::method::Method;
use crate::train::optimizer::{Parameter, ParameterGroup};
use crate::train::settings::Settings;
use crate::train::training_set::{AttributeShape, TrainingSet};
use candle_core::Tensor;
use rand::rngs::StdRng;

/// The weighted sum of losses that is minimised (Eq. 7), with its constants.
#[derive(Debug, Clone)]
pub struct Objective {
    /// λ of every loss.
    pub weights: LossWeights,
    /// How distances become logits.
    pub geometry: Geometry,
    /// Instance proxies to category proxies (Eq. 5).
    pub category_means: CategoryMeans,
    /// Per attribute, the target similarities of Eq. 4, `[V_k, V_k]`; `None` for attributes without an order regulariser.
    pub order_targets: Vec<Option<Tensor>>,
    /// Per attribute, its soft labels, `[V_k, V_k]`; `None` for attributes with hard labels.
    pub soft_labels: Vec<Option<Tensor>>,
    /// Names of the attribute losses in the log.
    pub attributes: Vec<String>,
}

/// The paper's [`Method`].
pub struct Cooperative<'a> {
    set: &'a TrainingSet,
    objective: Objective,
    parameters: CooperativeParameters,
    learned: Vec<Parameter>,
    standardize: bool,
    absent_proxies: bool,
}

impl<'a> Cooperative<'a> {
    /// The method with fresh parameters, on features of length `features`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        mut initializer: Initializer<'_>,
    ) -> Result<Self> {
        let n = settings.subspace_dim;
        let dims = n * set.attributes.len();
        let (std, learned) = (settings.proxy_std, !settings.fixed_attribute_proxies);
        let projection = initializer.linear("projection", ParameterGroup::Projection, [dims, features])?;
        let shape = [set.instance_category.len(), dims];
        let instance_proxies =
            initializer.proxies("proxies.instance", shape, std, !settings.fixed_instance_proxies)?;
        let attribute_proxies = (set.attributes.iter())
            .map(|a| {
                initializer.proxies(&format!("proxies.attribute.{}", a.name), [a.values, n], std, learned)
            })
            .collect::<Result<_>>()?;
        let geometry = match (settings.normalize, settings.learned_scale) {
            (false, _) => Geometry::Raw,
            (true, false) => Geometry::Normalized(SoftmaxScale::Fixed(settings.scale)),
            (true, true) => {
                let log = initializer.constant(settings.scale.ln(), &[1])?;
                let log = initializer.learned("log_scale", ParameterGroup::Proxies, &log)?;
                Geometry::Normalized(SoftmaxScale::Learned(log))
            }
        };
        let absent_proxies = (set.attributes.iter().enumerate())
            .map(|(k, a)| {
                let wanted = settings.absent_proxies && set.has_absences(k);
                let name = format!("proxies.absent.{}", a.name);
                wanted.then(|| initializer.proxies(&name, [1, n], std, learned)).transpose()
            })
            .collect::<Result<_>>()?;
        let objective = Objective::new(settings.losses, geometry, set, &instance_proxies)?;
        let parameters =
            CooperativeParameters { projection, instance_proxies, attribute_proxies, absent_proxies };
        Ok(Self {
            set,
            objective,
            parameters,
            learned: initializer.parameters,
            standardize: settings.layer_norm,
            absent_proxies: settings.absent_proxies,
        })
    }
}

impl Method for Cooperative<'_> {
    fn parameters(&self) -> Vec<Parameter> {
        self.learned.clone()
    }

    fn losses(&self, features: &Tensor, images: &[u32], rng: &mut StdRng) -> Result<BatchLosses> {
        let mut labels = self.set.labels(images, features, self.objective.weights.multi_labels, rng)?;
        if self.absent_proxies {
            labels.absences = self.set.absences(images, features)?;
        }
        self.objective.losses(&self.embed(features)?, &self.parameters, &labels)
    }

    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        if self.standardize {
            self.parameters.projection.forward(&standardized(features)?)
        } else {
            self.parameters.projection.forward(features)
        }
    }

    fn cooperative(&self) -> Option<&CooperativeParameters> {
        Some(&self.parameters)
    }

    fn task_layout(&self) -> TaskLayout {
        let k = self.set.attributes.len();
        TaskLayout::cooperative(k, self.parameters.projection.bias.elem_count() / k)
    }
}

impl Objective {
    /// The objective for a training set; `proxies` gives device and number type.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(
        weights: LossWeights,
        geometry: Geometry,
        set: &TrainingSet,
        proxies: &Tensor,
    ) -> Result<Self> {
        let target = |a: &AttributeShape| -> Result<Option<Tensor>> {
            // A single value has no order; the norm of its zero difference would have no gradient.
            if !a.ordered || a.values < 2 || weights.order == 0.0 {
                return Ok(None);
            }
            let target = rank_similarities(a.values, weights.order_sigma, proxies.device())?;
            Ok(Some(target.to_dtype(proxies.dtype())?))
        };
        Ok(Self {
            weights,
            geometry,
            category_means: CategoryMeans::new(&set.instance_category, set.category_count, proxies)?,
            order_targets: set.attributes.iter().map(target).collect::<Result<_>>()?,
            soft_labels: (set.attributes.iter())
                .map(|a| weights.soft_labels_of(a, proxies))
                .collect::<Result<_>>()?,
            attributes: set.attributes.iter().map(|a| format!("attribute:{}", a.name)).collect(),
        })
    }

    /// All losses of raw embeddings `f` (`[batch, N]`) and their weighted sum:
    /// λ_ins·Eq. 1 + λ_cat·Eq. 5 + λ_reg·‖f‖² + λ_order·Σ Eq. 3 + λ_attr/K·Σ Eq. 2. A loss whose λ is 0 is not computed.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn losses(
        &self,
        f: &Tensor,
        parameters: &CooperativeParameters,
        labels: &BatchLabels,
    ) -> Result<BatchLosses> {
        let (w, geometry) = (&self.weights, &self.geometry);
        let k = parameters.attribute_proxies.len();
        let n = f.dim(1)? / k;
        let prepared = geometry.prepare(f, k)?;
        let mut sum = LossSum::default();

        let needs_instances = w.instance > 0.0 || w.category > 0.0;
        let proxies =
            needs_instances.then(|| geometry.prepare(&parameters.instance_proxies, k)).transpose()?;
        let proxies = |weight: f64| proxies.as_ref().filter(|_| weight > 0.0);
        let instance = proxies(w.instance)
            .map(|p| instance_loss(geometry, &prepared, p, &labels.instances, k, w.label_smoothing));
        sum.add("instance", w.instance, instance.transpose()?)?;
        let category = proxies(w.category)
            .map(|p| category_loss(geometry, &prepared, p, &self.category_means, &labels.categories, k));
        sum.add("category", w.category, category.transpose()?)?;
        let norm = (w.regularization > 0.0).then(|| squared_norm(f));
        sum.add("norm", w.regularization, norm.transpose()?)?;
        sum.add("order", w.order, self.order(parameters)?)?;

        let weight = w.attribute / k as f64;
        for (i, (shown, values)) in labels.attributes.iter().zip(&parameters.attribute_proxies).enumerate() {
            let proxies = ValueProxies {
                values,
                absent: parameters.absent_proxies[i].as_ref(),
                soft_labels: self.soft_labels[i].as_ref(),
            };
            let without_value = proxies.absent.and(labels.absences.get(i)).and_then(Option::as_ref);
            let [shown, absent] = [shown.as_ref(), without_value].map(|l| l.filter(|_| weight > 0.0));
            let f_k = prepared.narrow(1, i * n, n)?.contiguous()?;
            sum.add(&self.attributes[i], weight, attribute_loss(geometry, &f_k, proxies, shown, absent)?)?;
        }
        sum.finish(f)
    }

    /// The sum of Eq. 3 over the ordered attributes; `None` if there are none.
    fn order(&self, parameters: &CooperativeParameters) -> Result<Option<Tensor>> {
        let mut sum: Option<Tensor> = None;
        for (target, proxies) in self.order_targets.iter().zip(&parameters.attribute_proxies) {
            let Some(target) = target else { continue };
            let norm = order_regularizer(proxies, target)?;
            sum = Some(match sum {
                Some(sum) => (sum + norm)?,
                None => norm,
            });
        }
        Ok(sum)
    }
}
