//! The options of `coopembed train`: flags, over a TOML file with the same names, over the defaults.

use crate::data::manifest::ReadingArgs;
use crate::error::{Error, Kind, Result};
use crate::image::Preprocessing;
use crate::model::open_device;
use crate::train::method_kind::MethodKind;
use crate::train::optimizer::OptimizerKind;
use crate::train::settings::{Preset, Schedule, Settings};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The flags of `coopembed train`. `--config` names a TOML file with options of the same names, where those of [`HyperArgs`] are in the
/// table `[training]`, those of [`ReadingArgs`] in `[reading]` and those of `CardArgs` in `[card]`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TrainArgs {
    /// TOML file with options of the same names; flags override it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Folder of the data set: images.csv, In-Shop Clothes or CompCars
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Weights of the backbone: a file from import-backbone, or with --arch a PyTorch checkpoint
    #[arg(long, value_name = "FILE")]
    pub backbone: Option<PathBuf>,
    /// Backbone: resnet18, resnet34, resnet50 or efficientnet_lite0 [default: named in the backbone's file]
    #[arg(long, value_name = "NAME")]
    pub arch: Option<String>,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Height and width of the network's input in pixels [default: 224]
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<u32>,
    /// Mean of red, green and blue in [0, 1], which is subtracted [default: ImageNet's]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of red, green and blue, by which they are divided [default: ImageNet's]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    pub std: Option<Vec<f32>>,
    /// CSV file for the losses of every epoch [default: losses.csv in the model directory]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Folder for cached features [default: coopembed/features in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Folder for a checkpoint after every epoch, from which an interrupted training resumes
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Device to train on: cpu or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// With --train-backbone: number of threads that load images [default: one per processor, at most 8]
    #[arg(long, value_name = "COUNT")]
    pub workers: Option<usize>,
    /// Hyper-parameters.
    #[command(flatten)]
    #[serde(rename = "training")]
    pub hyper: HyperArgs,
    /// How to read the data set.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Contents of the model card.
    #[command(flatten)]
    pub card: CardArgs,
}

/// Hyper-parameters as options; the defaults are those of [`Settings::default`].
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[command(next_help_heading = "Hyper-parameters ([training] in the TOML file)")]
pub struct HyperArgs {
    /// Hyper-parameters to start from; the other options change them [default: paper]
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Method to train [default: cooperative]
    #[arg(long, value_enum)]
    pub method: Option<MethodKind>,
    /// n, the dimensions of each attribute's subspace [default: 50]
    #[arg(long, value_name = "N")]
    pub subspace_dim: Option<usize>,
    /// Passes over the training images [default: 30]
    #[arg(long, value_name = "COUNT")]
    pub epochs: Option<usize>,
    /// Images per step [default: 128]
    #[arg(long, value_name = "COUNT")]
    pub batch_size: Option<usize>,
    /// Learning rate of the projection [default: 1e-4]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Learning rate of the proxies, as a multiple of the projection's [default: 10]
    #[arg(long, value_name = "FACTOR")]
    pub proxy_rate: Option<f64>,
    /// With --train-backbone: learning rate of the backbone, as a multiple of the projection's [default: 0.1]
    #[arg(long, value_name = "FACTOR")]
    pub backbone_rate: Option<f64>,
    /// Optimiser: adam (coupled weight decay) or adamw (decoupled) [default: adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerKind>,
    /// Scale the gradients down to this norm if theirs is larger [default: never]
    #[arg(long, value_name = "NORM")]
    pub clip_norm: Option<f64>,
    /// How the learning rate changes over the epochs [default: constant]
    #[arg(long, value_enum)]
    pub schedule: Option<Schedule>,
    /// Number of epochs over which the learning rate rises from zero [default: 0]
    #[arg(long, value_name = "EPOCHS")]
    pub warmup_epochs: Option<f64>,
    /// Weight decay of all parameters [default: 5e-5]
    #[arg(long, value_name = "FACTOR")]
    pub weight_decay: Option<f64>,
    /// Weight decay of the proxies [default: as --weight-decay]
    #[arg(long, value_name = "FACTOR")]
    pub proxy_weight_decay: Option<f64>,
    /// Weight of the instance loss, Eq. 1 [default: 1]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_instance: Option<f64>,
    /// Weight of the attribute losses, Eq. 2 [default: 1]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_attribute: Option<f64>,
    /// Weight of the category loss, Eq. 5 [default: 1]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_category: Option<f64>,
    /// Weight of the squared norm of embeddings, Eq. 7 [default: 0.5]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_norm: Option<f64>,
    /// Weight of the order regulariser of ordered attributes, Eq. 3 [default: 0]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_order: Option<f64>,
    /// Width of the order regulariser in ranks, sigma of Eq. 4 [default: 1]
    #[arg(long, value_name = "SIGMA")]
    pub order_sigma: Option<f64>,
    /// Standard deviation of the initial proxies [default: 0.125]
    #[arg(long, value_name = "STD")]
    pub proxy_std: Option<f64>,
    /// Mirror each training image half of the time [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub flip: Option<bool>,
    /// Train the backbone too, instead of keeping it frozen [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub train_backbone: Option<bool>,
    /// With --train-backbone: normalise by the running statistics of batch normalisation and keep them [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub frozen_batch_norm: Option<bool>,
    /// With --train-backbone: crop each training image at random, to 20 to 100 % of its area [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub random_crop: Option<bool>,
    /// Hold out this fraction of the training instances for validation, and keep the best epoch [default: none]
    #[arg(long, value_name = "FRACTION")]
    pub validation: Option<f64>,
    /// Stop after this many epochs without a better validation score [default: never]
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<usize>,
    /// Hold out this fraction of the training instances to calibrate the probabilities of tags; with --validation its instances
    /// are used [default: 0]
    #[arg(long, value_name = "FRACTION")]
    pub calibration: Option<f64>,
    /// Calibrate the probabilities of tags without holding out images: train this many times before, each time without another
    /// part of the training instances. Ignored with --validation or --calibration [default: 0]
    #[arg(long, value_name = "COUNT")]
    pub calibration_folds: Option<usize>,
    /// Beyond the paper: compare embeddings and proxies at unit length in each subspace [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub normalize: Option<bool>,
    /// With --normalize: inverse temperature of the softmax [default: 16]
    #[arg(long, value_name = "FACTOR")]
    pub scale: Option<f64>,
    /// With --normalize: learn the scale too [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub learned_scale: Option<bool>,
    /// Beyond the paper: LayerNorm of the features before the projection [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub standardize_features: Option<bool>,
    /// Beyond the paper: images without a value of an attribute get a proxy of their own [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub absent_proxies: Option<bool>,
    /// Keep the initial values of the instance proxies [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub fixed_instance_proxies: Option<bool>,
    /// Keep the initial values of the attribute values' proxies [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub fixed_attribute_proxies: Option<bool>,
    /// Margin of triplets, in squared distances of unit vectors [default: 0.2]
    #[arg(long, value_name = "DISTANCE")]
    pub margin: Option<f64>,
    /// Images of an instance that are placed together in a batch [default: 4 for methods with triplets, otherwise shuffled]
    #[arg(long, value_name = "COUNT")]
    pub images_per_instance: Option<usize>,
    /// Beyond the paper: scale mean queries to unit length again [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub renormalize_queries: Option<bool>,
    /// Seed of all random numbers [default: 0]
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
}

/// What the user states about the model, for the model card and `config.json`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[command(next_help_heading = "Model card ([card] in the TOML file)")]
pub struct CardArgs {
    /// Name of the model [default: name of the data set]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Name of the data set [default: name of its folder]
    #[arg(long, value_name = "TEXT")]
    pub dataset: Option<String>,
    /// Licence of the weights, an SPDX expression
    #[arg(long, value_name = "SPDX")]
    pub licence: Option<String>,
    /// Where images, labels and backbone come from (Markdown)
    #[arg(long, value_name = "TEXT")]
    pub origin: Option<String>,
    /// What the model is not good for (Markdown)
    #[arg(long, value_name = "TEXT")]
    pub limits: Option<String>,
    /// Command that trains the model again [default: the current command]
    #[arg(long, value_name = "COMMAND")]
    pub rebuild: Option<String>,
}

impl TrainArgs {
    /// The options with those of the file that `--config` names; flags take precedence.
    ///
    /// # Errors
    /// [`Kind::Io`]; [`Kind::InvalidParameter`] for a file that is not TOML or has unknown options.
    pub fn resolved(&self) -> Result<Self> {
        let Some(path) = &self.config else { return Ok(self.clone()) };
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e))?;
        let invalid = |e: &dyn std::fmt::Display| {
            Error::new(Kind::InvalidParameter, format!("\"{}\" cannot be used", path.display()))
                .detail(e.to_string())
                .hint("Options have the names of the flags; see coopembed train --help.")
        };
        // Parse the file as options first: this reports unknown names and wrong types with their line.
        toml::from_str::<Self>(&text).map_err(|e| invalid(&e))?;
        let mut table: toml::Table = toml::from_str(&text).map_err(|e| invalid(&e))?;
        overlay(&mut table, toml::Table::try_from(self).map_err(|e| invalid(&e))?);
        table.try_into().map_err(|e| invalid(&e))
    }

    /// The value of a mandatory option.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`], naming the flag, if it is missing.
    pub fn required<'a>(flag: &str, value: &'a Option<PathBuf>) -> Result<&'a Path> {
        value.as_deref().ok_or_else(|| {
            Error::new(Kind::InvalidParameter, format!("--{flag} is missing"))
                .hint(format!("Give it as a flag, or as \"{flag}\" in the file that --config names."))
        })
    }

    /// Opens the device to train on.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for an unknown device; [`Kind::Unsupported`] for a GPU in a program built without CUDA;
    /// [`Kind::Unavailable`] if the GPU cannot be used.
    pub fn device(&self) -> Result<Device> {
        open_device(self.device.as_deref().unwrap_or("cpu"))
    }

    /// The number of threads that load images.
    pub fn workers(&self) -> usize {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.unwrap_or(all.min(8)).max(1)
    }

    /// How image bytes become network input.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] unless means and deviations are three numbers each; those of [`Preprocessing::check`].
    pub fn preprocessing(&self) -> Result<Preprocessing> {
        let mut p = Preprocessing::imagenet(self.size.unwrap_or(224));
        for (flag, given, to) in [("mean", &self.mean, &mut p.mean), ("std", &self.std, &mut p.std)] {
            if let Some(given) = given {
                *to = given.as_slice().try_into().map_err(|_| {
                    let found = given.len();
                    Error::new(Kind::InvalidParameter, format!("--{flag} needs three numbers, not {found}"))
                })?;
            }
        }
        p.check()?;
        Ok(p)
    }
}

impl HyperArgs {
    /// The hyper-parameters: these options over those of the preset.
    ///
    /// # Errors
    /// Those of [`Settings::check`].
    pub fn settings(&self) -> Result<Settings> {
        fn set<T: Copy>(to: &mut T, given: Option<T>) {
            *to = given.unwrap_or(*to);
        }
        let mut s = Settings::of(self.preset.unwrap_or_default());
        if self.images_per_instance.is_some() {
            s.images_per_instance = self.images_per_instance;
        }
        s.set_method(self.method.unwrap_or(s.method));
        set(&mut s.subspace_dim, self.subspace_dim);
        set(&mut s.epochs, self.epochs);
        set(&mut s.batch_size, self.batch_size);
        set(&mut s.learning_rate, self.learning_rate);
        set(&mut s.proxy_rate, self.proxy_rate);
        set(&mut s.backbone_rate, self.backbone_rate);
        set(&mut s.optimizer, self.optimizer);
        s.clip_norm = self.clip_norm.or(s.clip_norm);
        s.proxy_weight_decay = self.proxy_weight_decay.or(s.proxy_weight_decay);
        set(&mut s.train_backbone, self.train_backbone);
        set(&mut s.frozen_batch_norm, self.frozen_batch_norm);
        set(&mut s.random_crop, self.random_crop);
        s.validation = self.validation.or(s.validation);
        s.patience = self.patience.or(s.patience);
        set(&mut s.calibration, self.calibration);
        set(&mut s.calibration_folds, self.calibration_folds);
        set(&mut s.schedule, self.schedule);
        set(&mut s.warmup_epochs, self.warmup_epochs);
        set(&mut s.weight_decay, self.weight_decay);
        set(&mut s.losses.instance, self.lambda_instance);
        set(&mut s.losses.attribute, self.lambda_attribute);
        set(&mut s.losses.category, self.lambda_category);
        set(&mut s.losses.regularization, self.lambda_norm);
        set(&mut s.losses.order, self.lambda_order);
        set(&mut s.losses.order_sigma, self.order_sigma);
        set(&mut s.proxy_std, self.proxy_std);
        set(&mut s.flip, self.flip);
        set(&mut s.normalize, self.normalize);
        set(&mut s.scale, self.scale);
        set(&mut s.learned_scale, self.learned_scale);
        set(&mut s.standardize_features, self.standardize_features);
        set(&mut s.fixed_instance_proxies, self.fixed_instance_proxies);
        set(&mut s.absent_proxies, self.absent_proxies);
        set(&mut s.fixed_attribute_proxies, self.fixed_attribute_proxies);
        set(&mut s.margin, self.margin);
        set(&mut s.renormalize_queries, self.renormalize_queries);
        set(&mut s.seed, self.seed);
        s.check()?;
        Ok(s)
    }
}

/// Copies every entry of `over` into `under`, recursively for tables.
fn overlay(under: &mut toml::Table, over: toml::Table) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => overlay(under, over),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: TrainArgs,
    }

    fn resolved(toml: &str, flags: &[&str]) -> Result<TrainArgs> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.toml");
        std::fs::write(&path, toml).unwrap();
        let config = ["train", "--config", path.to_str().unwrap()];
        Program::parse_from(config.iter().chain(flags)).args.resolved()
    }

    #[test]
    fn flags_override_the_file_and_the_file_the_defaults() {
        let toml = "data = 'x'\nsize = 128\n[training]\nepochs = 7\nflip = true\nlambda-norm = 0.25\n[card]\ntitle = 'T'\n";
        let args = resolved(toml, &["--epochs", "9", "--lambda-category", "0", "--data", "y"]).unwrap();
        assert_eq!((args.data.as_deref(), args.size), (Some(Path::new("y")), Some(128)));
        assert_eq!(args.card.title.as_deref(), Some("T"));
        let s = args.hyper.settings().unwrap();
        assert_eq!((s.epochs, s.flip, s.batch_size), (9, true, 128));
        assert_eq!((s.losses.regularization, s.losses.category, s.losses.instance), (0.25, 0.0, 1.0));
        assert!(!resolved(toml, &["--flip", "false"]).unwrap().hyper.settings().unwrap().flip);
    }

    #[test]
    fn unknown_names_in_the_file_are_errors_with_their_line() {
        let e = resolved("data = 'x'\n[training]\nepoch = 7\n", &[]).unwrap_err();
        let detail = e.detail.unwrap();
        assert!(detail.contains("line 3") && detail.contains("epoch"), "{detail}");
        assert!(resolved("[training]\nepochs = 'many'\n", &[]).is_err());
    }

    #[test]
    fn means_must_be_three_and_missing_options_are_named() {
        let args = resolved("", &["--mean", "0.5,0.5,0.5", "--size", "64"]).unwrap();
        assert_eq!(args.preprocessing().unwrap().mean, [0.5; 3]);
        assert!(resolved("mean = [0.5]", &[]).unwrap().preprocessing().is_err());
        let e = TrainArgs::required("data", &args.data).unwrap_err();
        assert_eq!(e.message, "--data is missing");
    }
}
