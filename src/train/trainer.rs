//! The training loop: any method on any source of features, stage by stage and epoch by epoch, with checkpoints and early stopping.

use super::batch_losses::BatchLosses;
use super::checkpoint::{Checkpoints, TrainingState};
use super::feature_source::FeatureSource;
use super::method::Method;
use super::moving_average::MovingAverage;
use super::optimizer::{Adam, Parameter};
use super::sampler;
use super::settings::{Settings, Stage};
use super::stage_sources::StageSources;
use super::validation::Validation;
use crate::error::{Error, Kind, Result};
use crate::model::Tensors;
use candle_core::{DType, Device};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::SeedableRng;

/// The start of the message of a training that diverged.
const NOT_FINITE: &str = "the loss is not a finite number";

/// Whether a training failed because it diverged, which is a result of its settings, and not because something is wrong with them.
pub fn diverged(e: &Error) -> bool {
    e.kind == Kind::InvalidParameter && e.message.starts_with(NOT_FINITE)
}

/// The losses of an epoch. Each is the mean over the batches in which it took part.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochLosses {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The learning rate of the projection at the last step.
    pub learning_rate: f64,
    /// The weighted sum, which was minimised.
    pub total: f64,
    /// Each loss before its λ, under its name; `None` if it took no part.
    pub parts: Vec<(String, Option<f64>)>,
    /// The score of the held-out images, see [`Validation::score`].
    pub validation: Option<f64>,
}

/// The arguments of a training beside the method and the feature source.
pub struct TrainingPlan<'a> {
    /// The hyper-parameters.
    pub settings: &'a Settings,
    /// The instances of the images that learn. These are the first images of the feature source.
    pub instances: &'a [u32],
    /// Scores the held-out images after each epoch, to keep the best epoch and, with [`Settings::patience`], to stop early.
    pub validation: Option<&'a Validation>,
    /// Where the state is saved after every epoch, and from where a training resumes.
    pub checkpoints: Option<&'a Checkpoints>,
    /// The progress bar, which counts steps.
    pub progress: &'a ProgressBar,
}

impl<'a> TrainingPlan<'a> {
    /// A plan without validation and checkpoints.
    pub fn new(settings: &'a Settings, instances: &'a [u32], progress: &'a ProgressBar) -> Self {
        Self { settings, instances, validation: None, checkpoints: None, progress }
    }
}

/// Trains `method` in place, stage by stage, and passes the losses of each epoch to `observe`. Returns the tensors of the backbone under
/// their published names, if it learned. On the CPU the result is determined by the arguments, seed included, whether or not the training
/// was resumed from a checkpoint. With a validation each stage ends with the parameters of its best epoch.
///
/// # Errors
/// [`Kind::InvalidParameter`] for impossible settings, or if the loss becomes infinite or NaN; those of checkpoints and of `observe`.
pub fn train(
    method: &dyn Method,
    sources: &dyn StageSources,
    plan: &TrainingPlan<'_>,
    observe: &mut dyn FnMut(&EpochLosses) -> Result<()>,
) -> Result<Option<Tensors>> {
    plan.settings.check()?;
    let stages = plan.settings.stages();
    let mut state = plan.checkpoints.map(Checkpoints::read).transpose()?.flatten().unwrap_or_default();
    let steps = plan.instances.len().div_ceil(plan.settings.batch_size);
    plan.progress.set_length((stages.iter().map(|s| s.epochs).sum::<usize>() * steps) as u64);
    plan.progress.set_position((state.epochs * steps) as u64);
    let mut backbone = None;
    for (number, stage) in stages.iter().enumerate().skip(state.stage) {
        if number > state.stage {
            (state.stage, state.stage_start, state.best) = (number, state.epochs, None);
        }
        let mut source = sources.open(stage)?;
        train_stage(method, &mut *source, plan, stage, &mut state, observe)?;
        backbone = source.backbone()?;
    }
    Ok(backbone)
}

/// Trains one stage, or the rest of it, from the state that the stage before or a checkpoint has left.
fn train_stage(
    method: &dyn Method,
    source: &mut dyn FeatureSource,
    plan: &TrainingPlan<'_>,
    stage: &Stage,
    state: &mut TrainingState,
    observe: &mut dyn FnMut(&EpochLosses) -> Result<()>,
) -> Result<()> {
    let mut parameters = method.parameters();
    let of_method = parameters.len();
    parameters.extend(source.parameters());
    let mut adam = Adam::new(plan.settings.optimizer(), parameters.clone())?;
    let begun = state.epochs > state.stage_start;
    if !state.parameters.is_empty() {
        // What only learns from this stage on has no value in the state of the stage before.
        let known =
            |(i, p): &(usize, &Parameter)| begun || *i < of_method || state.parameters.contains_key(&p.name);
        let known: Vec<Parameter> =
            parameters.iter().enumerate().filter(known).map(|(_, p)| p.clone()).collect();
        set_values(&known, &state.parameters)?;
    }
    if !state.source.is_empty() {
        source.restore(&state.source)?;
    }
    let mut average = plan.settings.ema.map(|decay| MovingAverage::new(decay, &parameters)).transpose()?;
    if begun {
        adam.restore(&state.optimizer)?;
        average.iter_mut().try_for_each(|average| average.restore(&state.averages))?;
    }
    while state.epochs - state.stage_start < stage.epochs && !state.should_stop(plan.settings.patience) {
        let done = (state.epochs, state.epochs - state.stage_start);
        let mut losses = train_epoch(method, source, plan, stage, (&mut adam, average.as_mut()), done)?;
        plan.progress.set_message(format!("loss {:.3}", losses.total));
        exchange(average.as_mut().filter(|_| plan.validation.is_some()))?;
        losses.validation = plan.validation.map(|v| v.score(method, source)).transpose()?;
        state.epochs += 1;
        let improved = losses.validation.is_some_and(|score| state.best.is_none_or(|(best, _)| score > best));
        if let (true, Some(score)) = (improved, losses.validation) {
            state.best = Some((score, state.epochs));
            state.best_values = values(&parameters)?;
            state.best_values.extend(with_prefix(source.state()?));
        }
        exchange(average.as_mut().filter(|_| plan.validation.is_some()))?;
        observe(&losses)?;
        if let Some(checkpoints) = plan.checkpoints {
            state.parameters = values(&parameters)?;
            state.source = source.state()?;
            state.optimizer = adam.state()?;
            state.averages = average.as_ref().map(MovingAverage::state).transpose()?.unwrap_or_default();
            checkpoints.write(state)?;
        }
    }
    if state.best.is_some() {
        set_values(&parameters, &state.best_values)?;
        source.restore(&without_prefix(&state.best_values))?;
    } else {
        exchange(average.as_mut())?;
    }
    state.parameters = values(&parameters)?;
    state.source = source.state()?;
    Ok(())
}

/// Exchanges values and moving averages, if there are averages: these are what is evaluated and what remains.
fn exchange(average: Option<&mut MovingAverage>) -> Result<()> {
    average.map_or(Ok(()), MovingAverage::exchange)
}

/// Trains one epoch, after `done` finished epochs (of all stages, and of this one), with the optimiser and, if there are any, the moving
/// averages.
fn train_epoch(
    method: &dyn Method,
    source: &mut dyn FeatureSource,
    plan: &TrainingPlan<'_>,
    stage: &Stage,
    (adam, mut average): (&mut Adam, Option<&mut MovingAverage>),
    (done, done_in_stage): (usize, usize),
) -> Result<EpochLosses> {
    let settings = plan.settings;
    // Every epoch has its own generator, so that it does not depend on whether earlier epochs ran in this process.
    let mut rng =
        StdRng::seed_from_u64(settings.seed ^ (done as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let order = sampler::epoch_order(plan.instances, settings.images_per_instance, &mut rng);
    source.begin_epoch(done, &order)?;
    let mut sums = LossSums::default();
    let mut rate = 0.0;
    let batches = order.chunks(settings.batch_size);
    let steps = batches.len() as f64;
    for (step, batch) in batches.enumerate() {
        let features = source.training_batch(batch, &mut rng)?;
        let losses = method.losses(&features, batch, &mut rng)?;
        sums.add(&losses, done + 1, step + 1).map_err(|e| match plan.checkpoints {
            Some(kept) if e.kind == Kind::InvalidParameter => kept.note_kept_checkpoint(e),
            _ => e,
        })?;
        let rates = stage.rates_at(done_in_stage as f64 + (step + 1) as f64 / steps);
        rate = rates.projection;
        adam.step(&losses.total.backward()?, rates)?;
        average.iter_mut().try_for_each(|average| average.update())?;
        plan.progress.inc(1);
    }
    Ok(sums.means(done + 1, rate))
}

/// Copies of the parameters' values, in main memory.
fn values(parameters: &[Parameter]) -> Result<Tensors> {
    let copy = |p: &Parameter| {
        // A copy, because the optimiser writes in place.
        let value = p.var.as_detached_tensor().copy()?;
        Ok((p.name.clone(), value.to_device(&Device::Cpu)?))
    };
    parameters.iter().map(copy).collect()
}

/// Sets the parameters to values of a checkpoint.
fn set_values(parameters: &[Parameter], values: &Tensors) -> Result<()> {
    for Parameter { name, var, .. } in parameters {
        let fits = values.get(name).filter(|value| value.dims() == var.dims());
        let value = fits.ok_or_else(|| {
            Error::new(Kind::Mismatch, format!("the checkpoint has no \"{name}\" of shape {:?}", var.dims()))
                .hint("It belongs to another training; name another folder.")
        })?;
        var.set(&value.to_dtype(var.dtype())?.to_device(var.device())?)?;
    }
    Ok(())
}

/// Prefix of the feature source's state among the values of the best epoch.
const SOURCE: &str = "source/";

fn with_prefix(state: Tensors) -> impl Iterator<Item = (String, candle_core::Tensor)> {
    state.into_iter().map(|(name, t)| (format!("{SOURCE}{name}"), t))
}

fn without_prefix(values: &Tensors) -> Tensors {
    let found =
        values.iter().filter_map(|(name, t)| Some((name.strip_prefix(SOURCE)?.to_owned(), t.clone())));
    found.collect()
}

/// Sums of the losses over the batches of an epoch, each with the number of its summands.
#[derive(Default)]
struct LossSums {
    total: (f64, usize),
    parts: Vec<(String, (f64, usize))>,
}

impl LossSums {
    fn add(&mut self, losses: &BatchLosses, epoch: usize, step: usize) -> Result<()> {
        let scalar =
            |t: &candle_core::Tensor| -> Result<f64> { Ok(t.to_dtype(DType::F64)?.to_scalar::<f64>()?) };
        if self.parts.is_empty() {
            self.parts = losses.parts.iter().map(|(name, _)| (name.clone(), (0.0, 0))).collect();
        }
        let mut not_finite = Vec::new();
        for ((name, (sum, count)), (_, loss)) in self.parts.iter_mut().zip(&losses.parts) {
            let Some(loss) = loss else { continue };
            let loss = scalar(loss)?;
            *sum += loss;
            *count += 1;
            if !loss.is_finite() {
                not_finite.push(format!("\"{name}\""));
            }
        }
        let total = scalar(&losses.total)?;
        self.total = (self.total.0 + total, self.total.1 + 1);
        if total.is_finite() {
            return Ok(());
        }
        let error = Error::new(Kind::InvalidParameter, format!("{NOT_FINITE} in epoch {epoch}, step {step}"));
        let error = match not_finite.is_empty() {
            true => error,
            false => error.detail(format!("Not finite: {}.", not_finite.join(", "))),
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
