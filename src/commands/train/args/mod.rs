//! The options of `coopembed train`: flags, over a TOML file with the same names, over the defaults.
//!
//! | file | what is in it |
//! |---|---|
//! | `hyper` | hyper-parameters |
//! | `stage` | one of them: a stage of the training |
//! | `to_settings` | from these options to the hyper-parameters |
//! | `byte_size` | numbers of bytes with units |
//! | `card` | the contents of the model card |

mod byte_size;
mod card;
mod hyper;
mod stage;
mod to_settings;

pub use byte_size::ByteSize;
pub use card::CardArgs;
pub use hyper::HyperArgs;
pub use stage::StageOption;

use crate::data::manifest::ReadingArgs;
use crate::error::{Error, Kind, Result};
use crate::image::Preprocessing;
use crate::model::open_device;
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
    /// Replace the model that is in the directory
    #[arg(long)]
    #[serde(skip)]
    pub force: bool,
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
    /// Space on disk for cached maps under the first block that learns: 20GB; without enough, they are computed again in every epoch
    /// [default: 20GB]
    #[arg(long, value_name = "SIZE")]
    pub map_cache_limit: Option<ByteSize>,
    /// Folder for a checkpoint after every epoch, from which an interrupted training resumes
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Device to train on: cpu or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// If the backbone learns: number of threads that load images [default: one per processor, at most 8]
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
        // Parse the file as options first: this reports unknown names and wrong types with their line, and replaces old names.
        let mut file: Self = toml::from_str(&text).map_err(|e| invalid(&e))?;
        file.hyper.yield_to(&self.hyper);
        let mut table = toml::Table::try_from(&file).map_err(|e| invalid(&e))?;
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

    /// The space on disk for cached maps, in bytes.
    pub fn map_cache_limit(&self) -> u64 {
        self.map_cache_limit.map_or(20_000_000_000, |size| size.0)
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
    fn a_file_can_have_stages_and_old_names_and_flags_take_their_place() {
        let toml = "map-cache-limit = '2GB'\n[training]\nstage = ['head,epochs=3', 'upper']\nstandardize-features = true\n";
        let settings = |flags: &[&str]| resolved(toml, flags).unwrap().hyper.settings().unwrap();
        assert_eq!(settings(&[]).stages.iter().map(|s| s.epochs).collect::<Vec<_>>(), [3, 30]);
        assert!(settings(&[]).layer_norm);
        assert!(!settings(&["--layer-norm", "false"]).layer_norm);
        assert!(!settings(&["--standardize-features", "false"]).layer_norm);
        assert_eq!(settings(&["--stages", "head"]).stages.len(), 1);
        assert!(settings(&["--train-backbone"]).stages.is_empty());
        assert_eq!(resolved(toml, &[]).unwrap().map_cache_limit(), 2_000_000_000);
        let e = resolved("[training]\nstage = ['head,epochs=x']\n", &[]).unwrap_err();
        assert!(e.detail.unwrap().contains("epochs must be a number, not \"x\""));
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
