//! The options for the model card.

use serde::{Deserialize, Serialize};

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
