//! What will take how long: the table that `coopembed train` prints before it starts.
//!
//! Durations come in as numbers; `plan_measurements` measures them.

use std::fmt;
use std::ops::Range;

use crate::error::Result;

/// Images that one measurement of features takes: as many as the feature cache gets at a time, so that the work is not done twice.
const SAMPLE: usize = 32;
/// A measurement of training steps takes larger batches until one took this many seconds.
const ENOUGH: f64 = 0.3;
/// The smallest batch of a measurement; the next ones are four times as large each.
const SMALLEST_BATCH: usize = 4;

/// The steps of a training, in their order, with an estimate each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<PlannedStep>,
}

/// A step of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    /// What is done.
    pub name: String,
    /// How long it takes, in seconds.
    pub seconds: f64,
}

impl Plan {
    /// Appends a step.
    pub fn add(&mut self, name: impl Into<String>, seconds: f64) {
        self.steps.push(PlannedStep { name: name.into(), seconds });
    }

    /// Seconds of all steps together.
    pub fn total(&self) -> f64 {
        self.steps.iter().map(|s| s.seconds).sum()
    }
}

/// One line per step and one for the total.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.steps.iter().map(|s| s.name.chars().count()).max().unwrap_or_default();
        writeln!(f, "what will take how long, estimated:")?;
        for step in &self.steps {
            writeln!(f, "  {:<width$}  {:>11}", step.name, rounded(step.seconds))?;
        }
        write!(f, "  {:<width$}  {:>11}", "in all", format!("about {}", rounded(self.total())))
    }
}

/// A duration with as many digits as an estimate deserves: `under 1 s`, `7 s`, `40 s`, `6 min`, `2.5 h`.
pub fn rounded(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".into(),
        s if s < 9.5 => format!("{s:.0} s"),
        s if s < 57.5 => format!("{:.0} s", 5.0 * (s / 5.0).round()),
        s if s < 89.5 * 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Seconds of training for `epochs` passes over `images`.
pub fn training_seconds(epochs: usize, images: usize, seconds_per_image: f64) -> f64 {
    (epochs * images) as f64 * seconds_per_image
}

/// Seconds of the trainings of `folds` calibration folds, each of which leaves out another part of the images; `training` is the time of a
/// training with all images.
pub fn calibration_seconds(folds: usize, training: f64) -> f64 {
    folds.saturating_sub(1) as f64 * training
}

/// Seconds until all of `images` images have their features. `extract` extracts those of a range of the images, with the cache, and
/// returns the seconds that took. It is called twice for one range: the second time everything is cached, so the difference is the time
/// of decoding and of the backbone. The range is near the end, because the cache fills from the beginning.
///
/// # Errors
/// Those of `extract`.
pub fn feature_seconds(images: usize, extract: &mut dyn FnMut(Range<usize>) -> Result<f64>) -> Result<f64> {
    if images == 0 {
        return Ok(0.0);
    }
    let start = (images / SAMPLE).saturating_sub(1) * SAMPLE;
    let sample = start..images.min(start + SAMPLE);
    let computed = extract(sample.clone())?;
    let cached = extract(sample.clone())?;
    Ok(cached + (computed - cached).max(0.0) / sample.len() as f64 * images as f64)
}

/// Seconds per image of a training step. `step` does one with a batch of that many images and returns the seconds it took. Batches grow up to
/// `batch_size`, until one takes long enough to be believed.
///
/// # Errors
/// Those of `step`.
pub fn seconds_per_image(batch_size: usize, step: &mut dyn FnMut(usize) -> Result<f64>) -> Result<f64> {
    let mut batch = SMALLEST_BATCH.min(batch_size);
    loop {
        // The first step of a size allocates; the second tells what the others take.
        let seconds = step(batch)?.min(step(batch)?);
        if seconds >= ENOUGH || batch == batch_size {
            return Ok(seconds / batch as f64);
        }
        batch = (4 * batch).min(batch_size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_table_with_a_total() {
        let mut plan = Plan::default();
        plan.add("features of 10000 images", 171.0);
        plan.add("training, 12 epochs", 42.4);
        plan.add("calibration, 5 folds", calibration_seconds(5, 42.4));
        plan.add("evaluation", 0.2);
        let want = "what will take how long, estimated:
  features of 10000 images        3 min
  training, 12 epochs              40 s
  calibration, 5 folds            3 min
  evaluation                  under 1 s
  in all                    about 6 min";
        assert_eq!(plan.to_string(), want);
    }

    #[test]
    fn durations_are_rounded_to_what_an_estimate_deserves() {
        let cases = [(0.0, "under 1 s"), (1.4, "1 s"), (9.4, "9 s"), (9.6, "10 s"), (57.0, "55 s")];
        let longer = [(58.0, "1 min"), (150.0, "2 min"), (5000.0, "83 min"), (9000.0, "2.5 h")];
        for (seconds, want) in cases.into_iter().chain(longer) {
            assert_eq!(rounded(seconds), want, "{seconds}");
        }
    }

    #[test]
    fn the_features_of_all_images_are_estimated_from_a_sample_near_the_end() {
        let mut calls = Vec::new();
        let mut extract = |range: Range<usize>| {
            calls.push(range);
            Ok(if calls.len() == 1 { 3.3 } else { 0.1 })
        };
        // 3.2 s for 32 images, and 0.1 s to open the cache.
        assert!((feature_seconds(1000, &mut extract).unwrap() - 100.1).abs() < 1e-9);
        assert_eq!(calls, [960..992, 960..992]);
        assert_eq!(feature_seconds(0, &mut |_| Ok(1.0)).unwrap(), 0.0);
        // All are cached; the second time may be the slower one.
        let mut times = [0.1, 0.2].into_iter();
        let few = feature_seconds(20, &mut |range| {
            assert_eq!(range, 0..20);
            Ok(times.next().unwrap())
        });
        assert_eq!(few.unwrap(), 0.2);
    }

    #[test]
    fn batches_grow_until_a_step_takes_long_enough() {
        let per_image = |batch_size, seconds: f64| {
            let mut batches = Vec::new();
            let mut step = |batch: usize| {
                batches.push(batch);
                Ok(batch as f64 * seconds)
            };
            (seconds_per_image(batch_size, &mut step).unwrap(), batches)
        };
        assert_eq!(per_image(128, 0.25), (0.25, vec![4, 4]));
        assert_eq!(per_image(128, 0.03125), (0.03125, vec![4, 4, 16, 16]));
        assert_eq!(per_image(50, 1e-4).1, [4, 4, 16, 16, 50, 50]);
        assert_eq!(per_image(2, 1e-4).1, [2, 2]);
        // A first step that only takes long because it is the first does not count.
        let mut times = [0.9, 0.01, 0.4, 0.4].into_iter();
        assert_eq!(seconds_per_image(128, &mut |_| Ok(times.next().unwrap())).unwrap(), 0.4 / 16.0);
    }
}
