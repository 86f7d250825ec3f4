//! Which hyper-parameters are possible.

use super::{Settings, Stage};
use crate::error::{Error, Kind, Result};
use crate::train::losses::OrdinalLabels;
use candle_core::Device;

/// What is wrong.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, fine: bool, fault: impl FnOnce() -> String) {
        if !fine {
            self.0.push(fault());
        }
    }

    fn positive(&mut self, what: &str, x: f64) {
        self.unless(x.is_finite() && x > 0.0, || format!("{what} must be positive, not {x}"));
    }

    fn not_negative(&mut self, what: &str, x: f64) {
        self.unless(x.is_finite() && x >= 0.0, || format!("{what} must not be negative, but is {x}"));
    }

    fn at_least_one(&mut self, what: &str, x: usize) {
        self.unless(x > 0, || format!("{what} must be at least 1, not {x}"));
    }

    fn fraction(&mut self, what: &str, x: f64) {
        self.unless((0.0..1.0).contains(&x), || {
            format!("{what} must be at least 0 and less than 1, but is {x}")
        });
    }
}

impl Settings {
    /// Fails on impossible hyper-parameters, and lists all of them.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        self.check_model(&mut faults);
        self.check_stages(&mut faults);
        self.check_optimizer(&mut faults);
        self.check_losses(&mut faults);
        self.check_images(&mut faults);
        if faults.0.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidParameter, faults.0.join("; ")))
    }

    fn check_model(&self, faults: &mut Faults) {
        faults.at_least_one("the dimensions of a subspace", self.subspace_dim);
        self.standardize.iter().for_each(|&x| faults.positive("the factor of standardised features", x));
        faults.unless(!(self.layer_norm && self.standardize.is_some()), || {
            "features are standardised or have a LayerNorm, not both".into()
        });
        faults.positive("the scale", self.scale);
        faults.not_negative("the proxies' standard deviation", self.proxy_std);
    }

    fn check_stages(&self, faults: &mut Faults) {
        faults.at_least_one("epochs", self.epochs);
        faults.at_least_one("the first block that learns", self.unfreeze_from);
        faults.unless(self.stages.is_empty() || !self.train_backbone, || {
            "stages say what learns: a backbone that learns in one stage excludes them".into()
        });
        if self.stages.is_empty() {
            check_stage(&self.stages()[0], "", faults);
        }
        for (stage, number) in self.stages.iter().zip(1..) {
            let which = format!(" of stage {number} ({})", stage.part.name());
            faults.at_least_one(&format!("epochs{which}"), stage.epochs);
            check_stage(stage, &which, faults);
        }
        for pair in self.stages.windows(2) {
            let [first, second] = [pair[0].part, pair[1].part];
            faults.unless(first < second, || {
                format!(
                    "stages come in the order head, upper, all, each once, not {} before {}",
                    first.name(),
                    second.name()
                )
            });
        }
    }

    fn check_optimizer(&self, faults: &mut Faults) {
        faults.at_least_one("the batch size", self.batch_size);
        faults.not_negative("weight decay", self.weight_decay);
        for (whose, decay) in [
            ("the proxies'", self.proxy_weight_decay),
            ("the backbone's", self.backbone_weight_decay),
            ("batch normalisation's", self.norm_weight_decay),
        ] {
            decay.iter().for_each(|&x| faults.not_negative(&format!("{whose} weight decay"), x));
        }
        self.clip_norm.iter().for_each(|&x| faults.positive("the norm to clip to", x));
        self.ema.iter().for_each(|&x| faults.fraction("the decay of the moving average", x));
        faults.unless(self.trains_backbone() || !self.frozen_batch_norm, || {
            "frozen batch normalisation needs --train-backbone, or a stage beside the head".into()
        });
    }

    /// Whether a training can compute on this device as the settings say.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for mixed precision in main memory.
    pub fn check_device(&self, device: &Device) -> Result<()> {
        if !self.mixed_precision || !device.is_cpu() {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidParameter, "mixed precision needs a GPU")
            .detail("Processors compute in single precision at least as fast.")
            .hint("Train on a GPU with --device cuda, or leave --mixed-precision out."))
    }

    fn check_losses(&self, faults: &mut Faults) {
        let l = &self.losses;
        let lambdas = [l.instance, l.attribute, l.category, l.regularization, l.order];
        lambdas.iter().for_each(|&x| faults.not_negative("the weight of a loss", x));
        faults.unless(lambdas[..3].iter().any(|&x| x > 0.0), || {
            "one of the instance, attribute and category losses must count".into()
        });
        faults.positive("sigma", l.order_sigma);
        faults.fraction("label smoothing", l.label_smoothing);
        if l.ordinal == OrdinalLabels::Soft {
            faults.positive("tau", l.ordinal_tau);
        }
        faults.positive("the margin", self.margin);
    }

    fn check_images(&self, faults: &mut Faults) {
        let [low, high] = self.crop_area;
        faults.unless(0.0 < low && low <= high && high <= 1.0, || {
            format!("a crop's area must be a range within 0 and 1, not {low} to {high}")
        });
        for (what, x, most) in [("jitter", self.jitter, 1.0), ("jitter of the hue", self.jitter_hue, 0.5)] {
            faults.unless((0.0..=most).contains(&x), || format!("{what} must be from 0 to {most}, not {x}"));
        }
        faults.unless((0.0..=180.0).contains(&self.rotate), || {
            format!("rotation must be from 0 to 180 degrees, not {}", self.rotate)
        });
        faults.at_least_one("views of an image", self.views);
        faults.unless(self.trains_backbone() || self.views > 1 || !self.augments_pixels(), || {
            "random crops, jitter and rotation need --train-backbone, a stage beside the head, or several views"
                .into()
        });
        faults.unless(self.patience != Some(0), || "patience must be at least 1 epoch, not 0".into());
        faults.unless(self.patience.is_none() || self.validation.is_some(), || {
            "patience needs a validation".into()
        });
        faults.fraction("the part held out for calibration", self.calibration);
        faults.unless(self.calibration_folds != 1, || "calibration needs two folds or none, not 1".into());
        faults.unless(self.images_per_instance != Some(0), || {
            "images of an instance in a batch must be at least 1, not 0".into()
        });
    }
}

/// Checks what the flat settings and a stage of a list have in common; `which` ends the names.
fn check_stage(stage: &Stage, which: &str, faults: &mut Faults) {
    faults.positive(&format!("the learning rate{which}"), stage.learning_rate);
    faults.positive(&format!("the proxies' rate{which}"), stage.proxy_rate);
    faults.positive(&format!("the backbone's rate{which}"), stage.backbone_rate);
    faults.not_negative(&format!("warm-up epochs{which}"), stage.warmup_epochs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::{Preset, StagePart};

    #[test]
    fn impossible_numbers_are_listed_together() {
        let mut s = Settings { epochs: 0, learning_rate: f64::NAN, ..Default::default() };
        s.losses.order = -1.0;
        let e = s.check().unwrap_err();
        assert_eq!(e.message.split("; ").count(), 3, "{}", e.message);
        assert!(e.message.contains("epochs must be at least 1, not 0"), "{}", e.message);
        assert!(Settings::default().check().is_ok());
    }

    #[test]
    fn stages_have_an_order_and_their_faults_name_them() {
        let [head, upper] = [StagePart::Head, StagePart::Upper].map(|part| Preset::Recommended.stage(part));
        let fault = |stages: &[Stage]| {
            let s = Settings { stages: stages.to_vec(), ..Default::default() };
            s.check().map_err(|e| e.message)
        };
        assert_eq!(fault(&[head, upper]), Ok(()));
        assert_eq!(fault(&[upper]), Ok(()));
        let order = "stages come in the order head, upper, all, each once, not ";
        assert_eq!(fault(&[upper, head]), Err(format!("{order}upper before head")));
        assert_eq!(fault(&[head, head]), Err(format!("{order}head before head")));
        assert_eq!(
            fault(&[head, Stage { epochs: 0, warmup_epochs: -1.0, ..upper }]).unwrap_err(),
            "epochs of stage 2 (upper) must be at least 1, not 0; \
             warm-up epochs of stage 2 (upper) must not be negative, but is -1"
        );
        let both = Settings { stages: vec![head], train_backbone: true, ..Default::default() };
        assert!(both.check().unwrap_err().message.contains("excludes them"));
    }
}
