//! Learning the projection and all proxies over a matrix of frozen features.

use super::method::{Method, Terms};
use super::methods::layers::Initializer;
use super::methods::Cooperative;
use super::optimizer::{Adam, AdamSettings, Group, Parameter};
use super::set::TrainingSet;
use super::settings::Settings;
use crate::error::{Error, Kind, Result};
use candle_core::Tensor;
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// The losses of an epoch, as means over the batches in which they took part.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochLosses {
    /// Counted from 1.
    pub epoch: usize,
    /// The projection's, at the last step.
    pub learning_rate: f64,
    /// What was minimised.
    pub total: f64,
    /// Each loss before its λ under its name; `None` if it took no part.
    pub parts: Vec<(String, Option<f64>)>,
}

/// Trains on `features` (`[images, F]`, a row per image of `set`; with `flipped`, the same images mirrored) and hands each
/// epoch's losses to `observe`. On the CPU the result is a function of the arguments, seed included.
///
/// # Errors
/// [`Kind::InvalidParameter`] for impossible settings, or if the loss is not finite; what `observe` returns.
pub fn train<'a>(
    set: &'a TrainingSet,
    features: &Tensor,
    flipped: Option<&Tensor>,
    settings: &Settings,
    progress: &ProgressBar,
    observe: &mut dyn FnMut(&EpochLosses) -> Result<()>,
) -> Result<Cooperative<'a>> {
    settings.check()?;
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let start = Initializer::new(features.device(), features.dtype(), &mut rng);
    let method = Cooperative::new(set, features.dim(1)?, settings, start)?;
    let mut adam = optimizer(method.parameters(), settings);
    let mut order: Vec<u32> = (0..set.images.len() as u32).collect();
    let batches = order.len().div_ceil(settings.batch_size);
    progress.set_length((settings.epochs * batches) as u64);
    for epoch in 0..settings.epochs {
        order.shuffle(&mut rng);
        let mut sums = Sums::default();
        let mut rate = 0.0;
        for (step, batch) in order.chunks(settings.batch_size).enumerate() {
            let rows = rows(features, flipped, batch, &mut rng)?;
            let terms = method.losses(&rows, batch, &mut rng)?;
            sums.add(&terms)?;
            rate = settings.learning_rate_at(epoch as f64 + (step + 1) as f64 / batches as f64);
            adam.step(&terms.total.backward()?, rate)?;
            progress.inc(1);
        }
        let losses = sums.means(epoch + 1, rate)?;
        progress.set_message(format!("loss {:.3}", losses.total));
        observe(&losses)?;
    }
    Ok(method)
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

fn optimizer(parameters: Vec<Parameter>, settings: &Settings) -> Adam {
    let adam = AdamSettings { weight_decay: settings.weight_decay, ..Default::default() };
    let rate = |group| if group == Group::Proxies { settings.proxy_rate } else { 1.0 };
    Adam::new(adam, parameters.into_iter().map(|p| (p.var, rate(p.group))))
}

/// Sums of the losses over an epoch's batches, and how many there were of each.
#[derive(Default)]
struct Sums {
    total: (f64, usize),
    parts: Vec<(String, (f64, usize))>,
}

impl Sums {
    fn add(&mut self, terms: &Terms) -> Result<()> {
        if self.parts.is_empty() {
            self.parts = terms.parts.iter().map(|(name, _)| (name.clone(), (0.0, 0))).collect();
        }
        let number = |t: &Tensor| t.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>();
        self.total = (self.total.0 + number(&terms.total)?, self.total.1 + 1);
        for ((_, (sum, count)), (_, part)) in self.parts.iter_mut().zip(&terms.parts) {
            if let Some(part) = part {
                *sum += number(part)?;
                *count += 1;
            }
        }
        Ok(())
    }

    fn means(&self, epoch: usize, learning_rate: f64) -> Result<EpochLosses> {
        let mean = |&(sum, count): &(f64, usize)| (count > 0).then(|| sum / count as f64);
        let total = mean(&self.total).unwrap_or_default();
        if !total.is_finite() {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("the loss is not a finite number in epoch {epoch}"),
            )
            .hint("Train with a lower learning rate, or check the backbone's features."));
        }
        let parts = self.parts.iter().map(|(name, sum)| (name.clone(), mean(sum))).collect();
        Ok(EpochLosses { epoch, learning_rate, total, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::super::losses::LossWeights;
    use super::super::set::AttributeShape;
    use super::*;
    use candle_core::{DType, Device};

    fn shape(name: &str, values: usize, ordered: bool) -> AttributeShape {
        AttributeShape { name: name.into(), values, ordered }
    }

    /// Four instances in two categories; features are their instance's corner plus a little noise.
    fn small() -> (TrainingSet, Tensor) {
        let set = TrainingSet {
            images: (0..40).collect(),
            instances: (0..40).map(|i| i % 4).collect(),
            categories: (0..40).map(|i| i % 4 / 2).collect(),
            values: (0..40).map(|i| vec![Some(i % 4 % 2), (i % 3 == 0).then_some(i % 4 / 2)]).collect(),
            instance_category: vec![0, 0, 1, 1],
            category_count: 2,
            attributes: vec![shape("colour", 2, false), shape("size", 3, true)],
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
        let weights = p.learned().projection.weight.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
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
            let names: Vec<&str> = log[0].parts.iter().map(|(name, _)| name.as_str()).collect();
            let all = ["instance", "category", "norm", "order", "attribute:colour", "attribute:size"];
            assert_eq!(names, all);
            let order = settings.losses.order > 0.0;
            assert!(log[0].parts.iter().all(|(name, loss)| loss.is_some() == (name != "order" || order)));
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
