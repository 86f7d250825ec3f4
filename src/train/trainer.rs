//! The loop: any method over any source of features, epoch by epoch, with checkpoints and early stopping.

use super::checkpoint::{Checkpoints, Progress};
use super::feature_source::FeatureSource;
use super::method::{Method, Terms};
use super::optimizer::{Adam, Parameter};
use super::sampler;
use super::settings::Settings;
use super::validation::Validation;
use crate::error::{Error, Kind, Result};
use crate::model::Tensors;
use candle_core::{DType, Device};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::SeedableRng;

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
    /// How well the images held out are retrieved, see [`Validation::score`].
    pub validation: Option<f64>,
}

/// What a training goes over, and what it leaves behind on its way.
pub struct Plan<'a> {
    /// How to learn.
    pub settings: &'a Settings,
    /// The instance of each of the source's images that learn: the first so many.
    pub instances: &'a [u32],
    /// What tells how well it goes; with [`Settings::patience`], also when to stop.
    pub validation: Option<&'a Validation>,
    /// Where the state is kept after every epoch, and taken up again.
    pub checkpoints: Option<&'a Checkpoints>,
    /// Shows the steps.
    pub progress: &'a ProgressBar,
}

impl<'a> Plan<'a> {
    /// A training on a source's first images, whose instances are given, with nothing else around it.
    pub fn new(settings: &'a Settings, instances: &'a [u32], progress: &'a ProgressBar) -> Self {
        Self { settings, instances, validation: None, checkpoints: None, progress }
    }
}

/// Trains `method` (and `source`, where it learns) in place and hands each epoch's losses to `observe`. On the CPU the result
/// is a function of the arguments, seed included, whether or not a checkpoint was taken up on the way. With a validation,
/// what is left at the end is the epoch that did best in it.
///
/// # Errors
/// [`Kind::InvalidParameter`] for impossible settings, or if the loss leaves the finite numbers; those of checkpoints; whatever
/// `observe` returns.
pub fn train(
    method: &dyn Method,
    source: &mut dyn FeatureSource,
    plan: &Plan<'_>,
    observe: &mut dyn FnMut(&EpochLosses) -> Result<()>,
) -> Result<()> {
    let settings = plan.settings;
    settings.check()?;
    let mut parameters = method.parameters();
    parameters.extend(source.parameters());
    let mut adam = Adam::new(settings.optimizer(), parameters.clone())?;
    let mut progress = Progress::default();
    if let Some(found) = plan.checkpoints.map(Checkpoints::read).transpose()?.flatten() {
        set_values(&parameters, &found.parameters)?;
        source.restore(&found.source)?;
        adam.restore(&found.optimizer)?;
        progress = found;
    }
    let steps = plan.instances.len().div_ceil(settings.batch_size);
    plan.progress.set_length((settings.epochs * steps) as u64);
    plan.progress.set_position((progress.epochs * steps) as u64);
    while progress.epochs < settings.epochs && !progress.stopped(settings.patience) {
        let mut losses = epoch(method, source, plan, &mut adam, progress.epochs)?;
        plan.progress.set_message(format!("loss {:.3}", losses.total));
        losses.validation = plan.validation.map(|v| v.score(method, source)).transpose()?;
        progress.epochs += 1;
        let improved =
            losses.validation.is_some_and(|score| progress.best.is_none_or(|(best, _)| score > best));
        if let (true, Some(score)) = (improved, losses.validation) {
            progress.best = Some((score, progress.epochs));
            progress.best_values = values(&parameters)?;
            progress.best_values.extend(prefixed(source.state()?));
        }
        observe(&losses)?;
        if let Some(checkpoints) = plan.checkpoints {
            progress.parameters = values(&parameters)?;
            progress.source = source.state()?;
            progress.optimizer = adam.state()?;
            checkpoints.write(&progress)?;
        }
    }
    if progress.best.is_some() {
        set_values(&parameters, &progress.best_values)?;
        source.restore(&unprefixed(&progress.best_values))?;
    }
    Ok(())
}

/// One pass over the images, `done` epochs after the start.
fn epoch(
    method: &dyn Method,
    source: &mut dyn FeatureSource,
    plan: &Plan<'_>,
    adam: &mut Adam,
    done: usize,
) -> Result<EpochLosses> {
    let settings = plan.settings;
    // Every epoch has a generator of its own, so that none depends on whether those before it ran in this process.
    let mut rng =
        StdRng::seed_from_u64(settings.seed ^ (done as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let order = sampler::order(plan.instances, settings.images_per_instance, &mut rng);
    source.begin_epoch(done, &order)?;
    let mut sums = Sums::default();
    let mut rate = 0.0;
    let batches = order.chunks(settings.batch_size);
    let steps = batches.len() as f64;
    for (step, batch) in batches.enumerate() {
        let features = source.batch(batch, &mut rng)?;
        let terms = method.losses(&features, batch, &mut rng)?;
        sums.add(&terms, done + 1, step + 1).map_err(|e| match plan.checkpoints {
            Some(kept) if e.kind == Kind::InvalidParameter => kept.mention(e),
            _ => e,
        })?;
        rate = settings.learning_rate_at(done as f64 + (step + 1) as f64 / steps);
        adam.step(&terms.total.backward()?, rate)?;
        plan.progress.inc(1);
    }
    Ok(sums.means(done + 1, rate))
}

/// Copies of the parameters' values in main memory.
fn values(parameters: &[Parameter]) -> Result<Tensors> {
    let copy = |p: &Parameter| {
        // The optimiser writes in place: a view would change with it.
        let value = p.var.as_detached_tensor().copy()?;
        Ok((p.name.clone(), value.to_device(&Device::Cpu)?))
    };
    parameters.iter().map(copy).collect()
}

fn set_values(parameters: &[Parameter], values: &Tensors) -> Result<()> {
    for Parameter { name, var, .. } in parameters {
        let fits = values.get(name).filter(|value| value.dims() == var.dims());
        let value = fits.ok_or_else(|| {
            Error::new(Kind::Mismatch, format!("the checkpoint has no \"{name}\" of shape {:?}", var.dims()))
                .hint("It is of another training; name another folder.")
        })?;
        var.set(&value.to_dtype(var.dtype())?.to_device(var.device())?)?;
    }
    Ok(())
}

const SOURCE: &str = "source/";

fn prefixed(state: Tensors) -> impl Iterator<Item = (String, candle_core::Tensor)> {
    state.into_iter().map(|(name, t)| (format!("{SOURCE}{name}"), t))
}

fn unprefixed(values: &Tensors) -> Tensors {
    let found =
        values.iter().filter_map(|(name, t)| Some((name.strip_prefix(SOURCE)?.to_owned(), t.clone())));
    found.collect()
}

/// Sums of the losses over an epoch's batches, and how many there were of each.
#[derive(Default)]
struct Sums {
    total: (f64, usize),
    parts: Vec<(String, (f64, usize))>,
}

impl Sums {
    fn add(&mut self, terms: &Terms, epoch: usize, step: usize) -> Result<()> {
        let scalar =
            |t: &candle_core::Tensor| -> Result<f64> { Ok(t.to_dtype(DType::F64)?.to_scalar::<f64>()?) };
        if self.parts.is_empty() {
            self.parts = terms.parts.iter().map(|(name, _)| (name.clone(), (0.0, 0))).collect();
        }
        let mut broken = Vec::new();
        for ((name, (sum, count)), (_, term)) in self.parts.iter_mut().zip(&terms.parts) {
            let Some(term) = term else { continue };
            let loss = scalar(term)?;
            *sum += loss;
            *count += 1;
            if !loss.is_finite() {
                broken.push(format!("\"{name}\""));
            }
        }
        let total = scalar(&terms.total)?;
        self.total = (self.total.0 + total, self.total.1 + 1);
        if total.is_finite() {
            return Ok(());
        }
        let error = Error::new(
            Kind::InvalidParameter,
            format!("the loss is not a finite number in epoch {epoch}, step {step}"),
        );
        let error = match broken.is_empty() {
            true => error,
            false => error.detail(format!("Not finite: {}.", broken.join(", "))),
        };
        Err(error
            .hint("Train with a lower learning rate or with --clip-norm, or check the backbone's features."))
    }

    fn means(&self, epoch: usize, learning_rate: f64) -> EpochLosses {
        let mean = |&(sum, count): &(f64, usize)| (count > 0).then(|| sum / count as f64);
        EpochLosses {
            epoch,
            learning_rate,
            total: mean(&self.total).unwrap_or_default(),
            parts: self.parts.iter().map(|(name, sum)| (name.clone(), mean(sum))).collect(),
            validation: None,
        }
    }
}

#[cfg(test)]
mod tests;
