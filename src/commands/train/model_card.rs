//! The model card: README.md of a model directory.

use super::args::CardArgs;
use super::verdict::Verdict;
use crate::commands::shell::shell_word;
use crate::eval::results::percent;
use crate::model::{FeatureSet, ModelConfig, SHOWN_FROM};
use crate::train::settings::{Settings, Stage, StagePart};
use serde::Deserialize as _;
use std::fmt::Write as _;

/// A model card: what the model is, its vocabulary, its data, how to train it again, its figures, the verdict and its limits.
pub fn model_card(config: &ModelConfig, args: &CardArgs, verdict: &Verdict) -> String {
    let mut out = String::new();
    let dataset = config.dataset["name"].as_str().unwrap_or_default();
    let title = args.title.as_deref().unwrap_or(dataset);
    let (k, n) = (config.attributes.len(), config.subspace_dim);
    let settings = Settings::deserialize(&config.training["settings"]).unwrap_or_default();
    let mut section = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    section(format!(
        "# {title}\n\n\
         A cooperative embedding (arXiv 1904.01421) for coopembed: {k} attributes of {n} dimensions each, on {} at \
         {size} x {size} pixels.\n",
        backbone(config, &settings),
        size = config.preprocessing.size,
    ));
    section(vocabulary(config));
    section(format!(
        "## Data\n\n{dataset}: {} training, {} query and {} gallery images, {} instances.\n\n{}\n",
        config.dataset["train_images"],
        config.dataset["query_images"],
        config.dataset["gallery_images"],
        config.dataset["instances"],
        args.origin.as_deref().unwrap_or_default().trim()
    ));
    section(format!(
        "## Training\n\n{}. Batches of {}, seed {}; all settings are in config.json.\n\n\
         To train it again, run\n\n```sh\n{}\n```\n",
        stages(&settings),
        settings.batch_size,
        settings.seed,
        rebuild(args)
    ));
    section(figures(config));
    section(verdict.markdown());
    if let Some(limits) = &args.limits {
        section(format!("## Limits\n\n{}\n", limits.trim()));
    }
    let licence = if config.licence.is_empty() { "not stated" } else { &config.licence };
    section(format!("## Licence\n\n{licence}"));
    out
}

/// What is projected: the backbone, what of it learned, and which of its features.
fn backbone(config: &ModelConfig, settings: &Settings) -> String {
    let name = &config.architecture.backbone;
    let parts: Vec<StagePart> = settings.stages().iter().map(|stage| stage.part).collect();
    let learned = if parts.contains(&StagePart::All) {
        format!("{name}, which learned with it,")
    } else if parts.contains(&StagePart::Upper) {
        format!("{name}, whose blocks from number {} on learned with it,", settings.unfreeze_from)
    } else {
        format!("a frozen {name}")
    };
    match config.architecture.feature_set {
        FeatureSet::Last => learned,
        FeatureSet::Levels => format!("features of every level of {learned}"),
    }
}

/// What was trained for how long, one stage after the other.
fn stages(settings: &Settings) -> String {
    let describe = |stage: &Stage| {
        let what = match stage.part {
            StagePart::Head => "projection and proxies",
            StagePart::Upper => "the upper blocks too",
            StagePart::All => "the whole backbone too",
        };
        format!("{} epochs of {what}, learning rate {}", stage.epochs, stage.learning_rate)
    };
    settings.stages().iter().map(describe).collect::<Vec<_>>().join("; then ")
}

fn vocabulary(config: &ModelConfig) -> String {
    let mut out = "## Vocabulary\n\n| attribute | values |\n|---|---|\n".to_owned();
    for a in &config.attributes {
        let values: Vec<&str> = a.values.iter().map(|v| v.name.as_str()).collect();
        let separator = if a.ordered { " < " } else { ", " };
        let several = if a.multi { " (several of them)" } else { "" };
        let _ = writeln!(out, "| {}{several} | {} |", a.name, values.join(separator));
    }
    let _ = writeln!(out, "\n{} categories; `SELECT coop_categories()` lists them.", config.categories.len());
    out
}

fn figures(config: &ModelConfig) -> String {
    let m = &config.metrics;
    if m.is_null() {
        return "## Figures\n\nNot evaluated: the data set has no gallery.\n".into();
    }
    let mut out = format!(
        "## Figures\n\nMeasured with these weights on {} queries and {} gallery images (`coopembed eval`), in percent.\n\n\
         | figure | value |\n|---|---|\n",
        m["sizes"]["queries"], m["sizes"]["gallery"]
    );
    for (name, key) in [
        ("instance R@1", "instance_recall_at_1"),
        ("instance R@10", "instance_recall_at_10"),
        ("attribute mAP, mean over values", "attribute_map"),
        ("category mAP", "category_map"),
    ] {
        let _ = writeln!(out, "| {name} | {} |", percent(m[key].as_f64()));
    }
    if let Some(attributes) = m["attribute_map_by_attribute"].as_object() {
        for a in &config.attributes {
            let map = attributes.get(&a.name).and_then(serde_json::Value::as_f64);
            let _ = writeln!(out, "| mAP of {} | {} |", a.name, percent(map));
        }
    }
    out + &tags(config)
}

/// The accuracy of tags, if the model has them.
fn tags(config: &ModelConfig) -> String {
    let reports = config.metrics["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    if reports.is_empty() {
        return String::new();
    }
    let mut out = "\nTags: accuracy of the likeliest value, and for comparison of the value with the nearest mean; and the expected calibration \
                   error of the probabilities (also of having no value, if the model can tell).\n\n\
                   | tags of | accuracy | of the nearest mean | calibration error | labelled images |\n|---|---|---|---|---|\n"
        .to_owned();
    for t in reports {
        let figure = |key: &str| percent(t[key].as_f64());
        let [accuracy, mean, error] =
            ["accuracy", "accuracy_of_nearest_mean", "expected_calibration_error"].map(figure);
        let name = t["name"].as_str().unwrap_or_default();
        let _ = writeln!(out, "| {name} | {accuracy} | {mean} | {error} | {} |", t["labelled"]);
    }
    for t in reports.iter().filter(|t| t["several"].is_object()) {
        let [precision, recall] = ["precision", "recall"].map(|key| percent(t["several"][key].as_f64()));
        let name = t["name"].as_str().unwrap_or_default();
        let _ = writeln!(
            out,
            "\nAn image may have several tags of {name}, all with a probability of at least {SHOWN_FROM}: {precision} % of them are right, \
             and {recall} % of the values that images show are among them."
        );
    }
    out
}

/// The command that trains the model again: the one given with --rebuild, or the current command line.
fn rebuild(args: &CardArgs) -> String {
    let command =
        || std::iter::once("coopembed".to_owned()).chain(std::env::args().skip(1).map(|a| shell_word(&a)));
    args.rebuild.clone().unwrap_or_else(|| command().collect::<Vec<_>>().join(" "))
}
