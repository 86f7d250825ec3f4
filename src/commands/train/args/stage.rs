//! The option `--stage`: what learns, and what differs from the options for all stages.

use crate::error::{Error, Kind, Result};
use crate::train::settings::{Schedule, Stage, StagePart};
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A stage as text: `upper,epochs=4,rate=3e-4,backbone-rate=0.5,proxy-rate=10,warmup=0.5,schedule=cosine`. All but the part can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StageOption {
    /// What learns.
    pub part: StagePart,
    epochs: Option<usize>,
    rate: Option<f64>,
    backbone_rate: Option<f64>,
    proxy_rate: Option<f64>,
    warmup: Option<f64>,
    schedule: Option<Schedule>,
}

impl StageOption {
    /// The stage, with the numbers of `other` where the text has none.
    pub fn over(&self, other: Stage) -> Stage {
        Stage {
            part: self.part,
            epochs: self.epochs.unwrap_or(other.epochs),
            learning_rate: self.rate.unwrap_or(other.learning_rate),
            backbone_rate: self.backbone_rate.unwrap_or(other.backbone_rate),
            proxy_rate: self.proxy_rate.unwrap_or(other.proxy_rate),
            warmup_epochs: self.warmup.unwrap_or(other.warmup_epochs),
            schedule: self.schedule.unwrap_or(other.schedule),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "epochs" => self.epochs = Some(number(key, value)?),
            "rate" => self.rate = Some(number(key, value)?),
            "backbone-rate" => self.backbone_rate = Some(number(key, value)?),
            "proxy-rate" => self.proxy_rate = Some(number(key, value)?),
            "warmup" => self.warmup = Some(number(key, value)?),
            "schedule" => {
                let schedule = Schedule::from_str(value, false);
                self.schedule =
                    Some(schedule.map_err(|_| {
                        invalid(format!("schedule must be constant or cosine, not \"{value}\""))
                    })?);
            }
            _ => {
                return Err(invalid(format!(
                "a stage has no \"{key}\", but epochs, rate, backbone-rate, proxy-rate, warmup and schedule"
            )))
            }
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidParameter, message)
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| invalid(format!("{key} must be a number, not \"{value}\"")))
}

impl FromStr for StageOption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split(',').map(str::trim);
        let name = words.next().unwrap_or_default();
        let part = StagePart::from_str(name, false)
            .map_err(|_| invalid(format!("a stage begins with head, upper or all, not with \"{name}\"")))?;
        let mut stage = Self {
            part,
            epochs: None,
            rate: None,
            backbone_rate: None,
            proxy_rate: None,
            warmup: None,
            schedule: None,
        };
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| invalid(format!("\"{word}\" in a stage is not of the form key=value")))?;
            stage.set(key, value)?;
        }
        Ok(stage)
    }
}

impl TryFrom<String> for StageOption {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<StageOption> for String {
    fn from(stage: StageOption) -> Self {
        stage.to_string()
    }
}

impl fmt::Display for StageOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.part.name())?;
        if let Some(epochs) = self.epochs {
            write!(f, ",epochs={epochs}")?;
        }
        for (key, value) in [
            ("rate", self.rate),
            ("backbone-rate", self.backbone_rate),
            ("proxy-rate", self.proxy_rate),
            ("warmup", self.warmup),
        ] {
            if let Some(value) = value {
                write!(f, ",{key}={value}")?;
            }
        }
        self.schedule.map_or(Ok(()), |schedule| write!(f, ",schedule={}", schedule.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_as_text_says_what_differs() {
        let text = "upper,epochs=4,rate=0.0003,backbone-rate=0.5,proxy-rate=5,warmup=0.5,schedule=cosine";
        let stage: StageOption = text.parse().unwrap();
        assert_eq!(stage.to_string(), text);
        let head: StageOption = "head".parse().unwrap();
        let other = stage.over(head.over(crate::train::settings::Settings::default().stages()[0]));
        assert_eq!((other.part, other.epochs, other.learning_rate), (StagePart::Upper, 4, 3e-4));
        assert_eq!((other.warmup_epochs, other.schedule), (0.5, Schedule::Cosine));
        assert_eq!(head.over(other), Stage { part: StagePart::Head, ..other });
    }

    #[test]
    fn what_is_no_stage_is_named() {
        let fault = |text: &str| text.parse::<StageOption>().unwrap_err().message;
        assert_eq!(fault("lower"), "a stage begins with head, upper or all, not with \"lower\"");
        assert_eq!(fault("head,epochs=x"), "epochs must be a number, not \"x\"");
        assert_eq!(fault("head,10"), "\"10\" in a stage is not of the form key=value");
        assert!(fault("head,epoch=1").starts_with("a stage has no \"epoch\""));
        assert!(fault("head,schedule=step").ends_with("not \"step\""));
    }
}
