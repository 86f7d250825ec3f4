//! Learning the projection and all proxies over a matrix of frozen features.

use super::losses::{AttributeLabels, BatchLabels, Objective, Parameters, Terms};
use super::manifest::{Manifest, Split};
use super::optimizer::{Adam, AdamSettings, Group, Parameter};
use super::settings::Settings;
use crate::error::{Error, Kind, Result};
use candle_core::{Tensor, Var};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Normal, Uniform};
use std::collections::BTreeSet;

/// The training half of a data set: instances and categories that have training images, counted from 0 without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSet {
    /// Per training image, its index in [`Manifest::images`].
    pub images: Vec<usize>,
    /// Per training image, its instance.
    pub instances: Vec<u32>,
    /// Per training image, its category.
    pub categories: Vec<u32>,
    /// Per training image, its values.
    pub values: Vec<Vec<Option<u32>>>,
    /// P: per instance, its category.
    pub instance_category: Vec<u32>,
    /// How many categories have training images. The others must not take part in the softmax.
    pub category_count: usize,
    /// Per attribute, how many values it has and whether they are ordered.
    pub attributes: Vec<(usize, bool)>,
}

impl TrainingSet {
    /// The training images of a manifest.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] without training images or attributes.
    pub fn new(manifest: &Manifest) -> Result<Self> {
        let images = manifest.split(Split::Train);
        if images.is_empty() || manifest.attributes.is_empty() {
            let what = if images.is_empty() { "training images" } else { "attributes" };
            return Err(Error::new(
                Kind::InvalidData,
                format!("the data set \"{}\" has no {what}", manifest.root.display()),
            )
            .hint("Training needs rows whose split is train, and at least one attribute column."));
        }
        let entries = || images.iter().map(|&i| &manifest.images[i]);
        let instances: Vec<u32> =
            entries().map(|i| i.instance).collect::<BTreeSet<_>>().into_iter().collect();
        let categories: Vec<u32> =
            entries().map(|i| i.category).collect::<BTreeSet<_>>().into_iter().collect();
        // Both lists are sorted and hold everything that is looked up.
        let place = |list: &[u32], x: u32| list.partition_point(|&y| y < x) as u32;
        Ok(Self {
            instances: entries().map(|i| place(&instances, i.instance)).collect(),
            categories: entries().map(|i| place(&categories, i.category)).collect(),
            values: entries().map(|i| i.values.clone()).collect(),
            instance_category: instances
                .iter()
                .map(|&i| place(&categories, manifest.instance_category[i as usize]))
                .collect(),
            category_count: categories.len(),
            attributes: manifest.attributes.iter().map(|a| (a.values.len(), a.ordered)).collect(),
            images,
        })
    }

    fn labels(&self, batch: &[u32], like: &Tensor) -> Result<BatchLabels> {
        let pick = |from: &[u32]| -> Result<Tensor> {
            let picked: Vec<u32> = batch.iter().map(|&i| from[i as usize]).collect();
            Ok(Tensor::new(picked, like.device())?)
        };
        let attributes = (0..self.attributes.len())
            .map(|k| {
                let values: Vec<Option<u32>> = batch.iter().map(|&i| self.values[i as usize][k]).collect();
                AttributeLabels::new(&values, like)
            })
            .collect::<Result<_>>()?;
        Ok(BatchLabels { instances: pick(&self.instances)?, categories: pick(&self.categories)?, attributes })
    }
}

/// The losses of an epoch, each before its λ, as the mean over its batches.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochLosses {
    /// Counted from 1.
    pub epoch: usize,
    /// The projection's, at the last step.
    pub learning_rate: f64,
    /// Eq. 7.
    pub total: f64,
    /// Eq. 1.
    pub instance: f64,
    /// Eq. 5.
    pub category: f64,
    /// `‖f(x)‖²`.
    pub regularization: f64,
    /// Eq. 3, if it takes part.
    pub order: Option<f64>,
    /// Eq. 2 per attribute; `None` if no image has it.
    pub attributes: Vec<Option<f64>>,
}

/// Trains on `features` (`[images, F]`, a row per image of `set`; with `flipped`, the same images mirrored) and hands each
/// epoch's losses to `observe`. On the CPU the result is a function of the arguments, seed included.
///
/// # Errors
/// [`Kind::InvalidParameter`] for impossible settings or when the loss leaves the finite numbers; whatever `observe` returns.
pub fn train(
    set: &TrainingSet,
    features: &Tensor,
    flipped: Option<&Tensor>,
    settings: &Settings,
    progress: &ProgressBar,
    observe: &mut dyn FnMut(&EpochLosses) -> Result<()>,
) -> Result<Parameters> {
    settings.check()?;
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let parameters = initial(set, features, settings, &mut rng)?;
    let objective = Objective::new(
        settings.losses,
        settings.geometry(),
        &set.instance_category,
        set.category_count,
        &set.attributes,
        features,
    )?;
    let mut adam = optimizer(&parameters, settings)?;
    let mut order: Vec<u32> = (0..set.images.len() as u32).collect();
    let batches = order.len().div_ceil(settings.batch_size);
    progress.set_length((settings.epochs * batches) as u64);
    for epoch in 0..settings.epochs {
        order.shuffle(&mut rng);
        let mut sums = Sums::new(set.attributes.len());
        let mut rate = 0.0;
        for (step, batch) in order.chunks(settings.batch_size).enumerate() {
            let rows = rows(features, flipped, batch, &mut rng)?;
            let labels = set.labels(batch, features)?;
            let terms = objective.terms(&parameters.embed(&rows)?, &parameters, &labels)?;
            sums.add(&terms)?;
            rate = settings.learning_rate_at(epoch as f64 + (step + 1) as f64 / batches as f64);
            adam.step(&terms.total.backward()?, rate)?;
            progress.inc(1);
        }
        let losses = sums.means(epoch + 1, rate)?;
        progress.set_message(format!("loss {:.3}", losses.total));
        observe(&losses)?;
    }
    Ok(parameters)
}

/// `[batch, F]`: the features of a batch, of a random view each if there are two.
fn rows(features: &Tensor, flipped: Option<&Tensor>, batch: &[u32], rng: &mut StdRng) -> Result<Tensor> {
    let index = Tensor::new(batch, features.device())?;
    let plain = features.index_select(&index, 0)?;
    let Some(flipped) = flipped else { return Ok(plain) };
    let mirror: Vec<u8> = batch.iter().map(|_| rng.random_range(0..2)).collect();
    let mirror = Tensor::new(mirror, features.device())?.unsqueeze(1)?.broadcast_as(plain.shape())?;
    Ok(mirror.where_cond(&flipped.index_select(&index, 0)?, &plain)?)
}

/// The projection as PyTorch's `nn.Linear` starts it, uniform in ±1/√F; proxies normal.
fn initial(
    set: &TrainingSet,
    features: &Tensor,
    settings: &Settings,
    rng: &mut StdRng,
) -> Result<Parameters> {
    let inputs = features.dim(1)?;
    let n = settings.subspace_dim;
    let dims = n * set.attributes.len();
    let bound = 1.0 / (inputs as f64).sqrt();
    let unusable =
        |e: &dyn std::fmt::Display| Error::new(Kind::InvalidParameter, format!("initialisation: {e}"));
    let uniform = Uniform::new_inclusive(-bound, bound).map_err(|e| unusable(&e))?;
    let normal = Normal::new(0.0, settings.proxy_std).map_err(|e| unusable(&e))?;
    let mut drawn = |shape: &[usize], of: &dyn Fn(&mut StdRng) -> f64| -> Result<Var> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| of(rng)).collect();
        let tensor = Tensor::from_vec(values, shape, features.device())?.to_dtype(features.dtype())?;
        Ok(Var::from_tensor(&tensor)?)
    };
    let (uniform, normal) = (|r: &mut StdRng| uniform.sample(r), |r: &mut StdRng| normal.sample(r));
    Ok(Parameters {
        projection_weight: drawn(&[dims, inputs], &uniform)?,
        projection_bias: drawn(&[dims], &uniform)?,
        instance_proxies: drawn(&[set.instance_category.len(), dims], &normal)?,
        attribute_proxies: (set.attributes.iter())
            .map(|&(values, _)| drawn(&[values, n], &normal))
            .collect::<Result<_>>()?,
    })
}

fn optimizer(p: &Parameters, settings: &Settings) -> Result<Adam> {
    let adam = AdamSettings {
        weight_decay: settings.weight_decay,
        proxy_weight_decay: settings.weight_decay,
        proxy_rate: settings.proxy_rate,
        ..Default::default()
    };
    let parameter = |name: &str, group, var: &Var| Parameter { name: name.into(), group, var: var.clone() };
    let mut all = vec![
        parameter("projection.weight", Group::Projection, &p.projection_weight),
        parameter("projection.bias", Group::Projection, &p.projection_bias),
        parameter("proxies.instance", Group::Proxies, &p.instance_proxies),
    ];
    let attributes = p.attribute_proxies.iter().enumerate();
    all.extend(attributes.map(|(k, v)| parameter(&format!("proxies.attribute.{k}"), Group::Proxies, v)));
    Adam::new(adam, all)
}

/// Sums of the terms over an epoch's batches, and how many there were of each.
struct Sums {
    /// total, instance, category, regularisation, order, then the attributes.
    terms: Vec<(f64, usize)>,
}

impl Sums {
    const FIXED: usize = 5;

    fn new(attributes: usize) -> Self {
        Self { terms: vec![(0.0, 0); Self::FIXED + attributes] }
    }

    fn add(&mut self, t: &Terms) -> Result<()> {
        let fixed =
            [Some(&t.total), Some(&t.instance), Some(&t.category), Some(&t.regularization), t.order.as_ref()];
        let all = fixed.into_iter().chain(t.attributes.iter().map(Option::as_ref));
        for ((sum, count), term) in self.terms.iter_mut().zip(all) {
            if let Some(term) = term {
                *sum += term.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
                *count += 1;
            }
        }
        Ok(())
    }

    fn means(&self, epoch: usize, learning_rate: f64) -> Result<EpochLosses> {
        let mean = |&(sum, count): &(f64, usize)| (count > 0).then(|| sum / count as f64);
        let fixed = |i: usize| mean(&self.terms[i]).unwrap_or_default();
        if !fixed(0).is_finite() {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("the loss is not a finite number in epoch {epoch}"),
            )
            .hint("Train with a lower learning rate, or check the backbone's features."));
        }
        Ok(EpochLosses {
            epoch,
            learning_rate,
            total: fixed(0),
            instance: fixed(1),
            category: fixed(2),
            regularization: fixed(3),
            order: mean(&self.terms[4]),
            attributes: self.terms[Self::FIXED..].iter().map(mean).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::losses::LossWeights;
    use super::*;
    use candle_core::{DType, Device};

    /// Four instances in two categories; features are their instance's corner plus a little noise.
    fn small() -> (TrainingSet, Tensor) {
        let set = TrainingSet {
            images: (0..40).collect(),
            instances: (0..40).map(|i| i % 4).collect(),
            categories: (0..40).map(|i| i % 4 / 2).collect(),
            values: (0..40).map(|i| vec![Some(i % 4 % 2), (i % 3 == 0).then_some(i % 4 / 2)]).collect(),
            instance_category: vec![0, 0, 1, 1],
            category_count: 2,
            attributes: vec![(2, false), (3, true)],
        };
        let noise = |i: usize| ((i * 2654435761) % 1000) as f32 / 5000.0;
        let values: Vec<f32> = (0..40 * 4).map(|i| noise(i) + f32::from(i % 4 == i / 4 % 4)).collect();
        (set, Tensor::from_vec(values, (40, 4), &Device::Cpu).unwrap())
    }

    fn settings() -> Settings {
        Settings {
            subspace_dim: 3,
            epochs: 60,
            batch_size: 16,
            learning_rate: 1e-2,
            flip: false,
            ..Default::default()
        }
    }

    fn run(settings: &Settings) -> (Vec<EpochLosses>, Vec<f32>) {
        let (set, features) = small();
        let flipped = settings.flip.then(|| features.affine(1.0, 0.1).unwrap());
        let mut log = Vec::new();
        let p = train(&set, &features, flipped.as_ref(), settings, &ProgressBar::hidden(), &mut |l| {
            log.push(l.clone());
            Ok(())
        })
        .unwrap();
        let weights = p.projection_weight.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
        (log, weights.to_vec1().unwrap())
    }

    #[test]
    fn losses_fall_and_every_term_is_logged() {
        for settings in [
            settings(),
            Settings { normalize: true, flip: true, ..settings() },
            Settings { losses: LossWeights { order: 1.0, ..settings().losses }, ..settings() },
        ] {
            let (log, _) = run(&settings);
            assert_eq!((log.len(), log[59].epoch), (60, 60));
            assert!(log[59].total < 0.8 * log[0].total, "{:?} {:?}", log[0], log[59]);
            assert!(log[0].attributes.iter().all(Option::is_some));
            assert_eq!(log[0].order.is_some(), settings.losses.order > 0.0);
        }
    }

    #[test]
    fn a_seed_decides_everything() {
        let short = Settings { epochs: 3, flip: true, ..settings() };
        assert_eq!(run(&short), run(&short));
        assert_ne!(run(&short).1, run(&Settings { seed: 1, ..short }).1);
    }

    #[test]
    fn a_loss_that_explodes_is_an_error() {
        let (set, features) = small();
        let features = (features * 1e30).unwrap();
        let e =
            train(&set, &features, None, &settings(), &ProgressBar::hidden(), &mut |_| Ok(())).unwrap_err();
        assert!(e.message.contains("not a finite number in epoch 1"), "{}", e.message);
    }
}
