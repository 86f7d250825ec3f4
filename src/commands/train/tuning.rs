//! The choice of the objective: raw or unit-length embeddings, how strongly the norm term pulls, and for triplets the margin are a matter of
//! the data set. Each candidate trains a head without a part of the training instances, and the one that retrieves those best is taken.
//! Query and gallery images have no say.

use crate::commands::evaluate_method::{evaluate_method, FeaturedDataset};
use crate::commands::staged_data::StagedData;
use crate::data::manifest::{ImageEntry, Manifest, Split};
use crate::data::progress::progress_bar;
use crate::error::Result;
use crate::eval::Protocol;
use crate::train::holdout::Holdout;
use crate::train::initializer::Initializer;
use crate::train::method_kind::MethodKind;
use crate::train::methods::create_method;
use crate::train::settings::{Settings, Stage, StagePart};
use crate::train::trainer::{diverged, train, TrainingPlan};
use crate::train::training_set::TrainingSet;
use candle_core::{DType, Tensor};
use rand::rngs::StdRng;
use rand::SeedableRng;
use serde::Serialize;
use std::fmt;

/// The part of the training instances (of their groups) on which candidates are compared.
const HELD_OUT: f64 = 0.2;
/// With fewer groups the comparison would be chance; the first candidate is taken.
const MIN_GROUPS: usize = 20;
/// Weights of the norm term: a weak one, and the paper's.
const NORMS: [f64; 2] = [0.05, 0.5];
/// Margins of the triplet loss beside that of the settings, as factors of it.
const MARGINS: [f64; 2] = [0.5, 2.0];
/// How much faster unit-length embeddings learn: their gradients shrink with the scale.
const UNIT_RATE: f64 = 5.0;

/// The figures of a candidate on the held-out training instances, as fractions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// What it is.
    pub name: String,
    /// Instance R@1, each image against all others.
    pub instance_recall_at_1: f64,
    /// Attribute mAP.
    pub attribute_map: f64,
    /// Category mAP.
    pub category_map: f64,
}

impl Candidate {
    /// The mean of the three figures, which decides.
    fn score(&self) -> f64 {
        (self.instance_recall_at_1 + self.attribute_map + self.category_map) / 3.0
    }
}

/// The outcome: figures of all candidates, the best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuning {
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// Training images that they were compared on.
    pub held_out_images: usize,
}

/// A table for people.
impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "objective, chosen on {} training images that were held out (instance R@1, attribute mAP, category mAP):",
            self.held_out_images
        )?;
        for (i, c) in self.candidates.iter().enumerate() {
            let figures = [c.instance_recall_at_1, c.attribute_map, c.category_map].map(|x| 100.0 * x);
            let taken = if i == 0 { "  <- taken" } else { "" };
            writeln!(f, "  {:<28} {:5.1} {:5.1} {:5.1}{taken}", c.name, figures[0], figures[1], figures[2])?;
        }
        Ok(())
    }
}

/// Tries the candidates; returns the settings of the best with the figures of all. `None` for sets with too few groups of instances.
///
/// # Errors
/// Those of training and evaluation.
pub fn tuned(data: &StagedData<'_>, settings: &Settings) -> Result<Option<(Settings, Tuning)>> {
    let split = match Holdout::new(data.manifest, HELD_OUT, settings.seed) {
        // Candidates are heads on features of the frozen backbone.
        Ok(split) if data.needs_features() && Holdout::group_count(data.manifest) >= MIN_GROUPS => split,
        _ => return Ok(None),
    };
    let candidates = candidates(settings);
    let progress = progress_bar("choosing the objective", candidates.len());
    let mut tried = Vec::new();
    for (name, settings) in candidates {
        match figures(data, &split, &name, &settings) {
            Ok(figures) => tried.push((figures, settings)),
            // A candidate that diverges has lost.
            Err(e) if diverged(&e) => {}
            Err(e) => return Err(e),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    tried.sort_by(|(a, _), (b, _)| b.score().total_cmp(&a.score()));
    let Some(best) = tried.first().map(|(_, settings)| settings.clone()) else { return Ok(None) };
    let candidates = tried.into_iter().map(|(figures, _)| figures).collect();
    Ok(Some((best, Tuning { candidates, held_out_images: split.held_out.len() })))
}

/// What is compared: the settings as they are, and what else may suit the method. The cooperative one: a stronger norm term, and unit
/// length; multitask: with a norm term; methods that only learn from triplets: other margins.
fn candidates(settings: &Settings) -> Vec<(String, Settings)> {
    let mut all = vec![(describe(settings), settings.clone())];
    let mut add = |change: &dyn Fn(&mut Settings)| {
        let mut changed = settings.clone();
        change(&mut changed);
        if changed != *settings {
            all.push((describe(&changed), changed));
        }
    };
    if !settings.method.has_lengths() {
        MARGINS.iter().for_each(|factor| add(&|s| s.margin *= factor));
        return all;
    }
    if !settings.normalize {
        for norm in NORMS.into_iter().filter(|&norm| norm > settings.losses.regularization) {
            add(&|s| s.losses.regularization = norm);
        }
    }
    if settings.method == MethodKind::Cooperative && !settings.normalize {
        add(&|s| {
            s.use_unit_length();
            let head = s.stages.iter_mut().filter(|stage| stage.part == StagePart::Head);
            head.for_each(|stage| stage.learning_rate *= UNIT_RATE);
            s.learning_rate *= UNIT_RATE;
        });
    }
    all
}

/// How many trainings the choice takes.
pub fn candidate_count(settings: &Settings) -> usize {
    candidates(settings).len()
}

fn describe(settings: &Settings) -> String {
    if !settings.method.has_lengths() {
        return format!("margin {}", settings.margin);
    }
    match settings.normalize {
        true => format!("unit length, scale {}", settings.scale),
        false => format!("raw, norm term {}", settings.losses.regularization),
    }
}

/// The same training without the stages in which the backbone learns.
fn head_only(settings: &Settings) -> Settings {
    let stages = settings.stages().into_iter().filter(|s| s.part == StagePart::Head).collect::<Vec<Stage>>();
    Settings { stages, train_backbone: false, frozen_batch_norm: false, ..settings.clone() }
}

/// Trains the head of one candidate and evaluates it on the images held out.
fn figures(data: &StagedData<'_>, split: &Holdout, name: &str, settings: &Settings) -> Result<Candidate> {
    let settings = head_only(settings);
    let set = TrainingSet::of_images(data.manifest, split.train.clone())?;
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let initializer = Initializer::new(data.device, DType::F32, &mut rng);
    let method = create_method(&set, data.backbone.features(), &settings, initializer)?;
    let sources = data.sources(&settings, &split.train, &split.held_out)?;
    let hidden = indicatif::ProgressBar::hidden();
    train(&*method, &sources, &TrainingPlan::new(&settings, &set.instances, &hidden), &mut |_| Ok(()))?;

    let manifest = validation_manifest(data.manifest, split);
    let of = |split: Split| -> Result<Tensor> {
        let numbers: Vec<u32> = manifest.split(split).into_iter().map(|i| i as u32).collect();
        data.features()?.rows(&numbers)
    };
    let test_images = manifest.split(Split::Gallery);
    let (train, test) = (of(Split::Train)?, of(Split::Gallery)?);
    let featured = FeaturedDataset { manifest: &manifest, train, test_images: &test_images, test };
    let featured = featured.scaled(sources.scaling.as_ref())?;
    let results = evaluate_method(&*method, &featured, &manifest, &settings, Protocol::default())?;
    Ok(Candidate {
        name: name.to_owned(),
        instance_recall_at_1: results.instance.recall_at_1.unwrap_or_default(),
        attribute_map: results.attributes.mean_average_precision.unwrap_or_default(),
        category_map: results.categories.mean_average_precision.unwrap_or_default(),
    })
}

/// The training images alone, in their order; those held out are the gallery.
fn validation_manifest(manifest: &Manifest, split: &Holdout) -> Manifest {
    let entry = |i: usize| ImageEntry {
        split: if split.held_out.binary_search(&i).is_ok() { Split::Gallery } else { Split::Train },
        ..manifest.images[i].clone()
    };
    let images = manifest.split(Split::Train).into_iter().map(entry).collect();
    Manifest { images, ..manifest.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::Preset;

    #[test]
    fn candidates_differ_in_the_norm_term_and_in_unit_length() {
        let recommended = Settings::of(Preset::Recommended);
        let all = candidates(&recommended);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["raw, norm term 0.05", "raw, norm term 0.5", "unit length, scale 16"]);
        assert_eq!(all[0].1, recommended);
        let unit = &all[2].1;
        assert!(unit.normalize && unit.losses.regularization == 0.0);
        assert_eq!(unit.stages[0].learning_rate, UNIT_RATE * recommended.stages[0].learning_rate);
        // Only the head: rates of a backbone that learns stay as they are.
        assert_eq!(unit.stages[1], recommended.stages[1]);
        all.iter().for_each(|(_, settings)| head_only(settings).check().unwrap());
    }

    #[test]
    fn candidates_of_other_methods_are_what_suits_them() {
        for (method, expected) in [
            (MethodKind::Multitask, ["raw, norm term 0", "raw, norm term 0.05", "raw, norm term 0.5"]),
            (MethodKind::Modulation, ["margin 0.2", "margin 0.1", "margin 0.4"]),
        ] {
            let mut settings = Settings::of(Preset::Recommended);
            settings.set_method(method);
            let all = candidates(&settings);
            assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
            all.iter().for_each(|(_, settings)| settings.check().unwrap());
        }
    }

    #[test]
    fn the_table_names_what_was_taken() {
        let candidate = |name: &str, x: f64| Candidate {
            name: name.into(),
            instance_recall_at_1: x,
            attribute_map: 0.25,
            category_map: 0.5,
        };
        let candidates = vec![candidate("raw", 0.9), candidate("unit length", 0.8)];
        let text = Tuning { candidates, held_out_images: 120 }.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("120 training images"), "{text}");
        assert!(
            lines[1].ends_with("90.0  25.0  50.0  <- taken") && lines[2].ends_with("80.0  25.0  50.0"),
            "{text}"
        );
    }
}
