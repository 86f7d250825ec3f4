//! From options to hyper-parameters: what is given, over the preset.

use super::HyperArgs;
use crate::error::{Error, Kind, Result};
use crate::train::settings::{Preset, Settings, Stage};

impl HyperArgs {
    /// The hyper-parameters: these options over those of the preset.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] if options contradict each other; those of [`Settings::check`].
    pub fn settings(&self) -> Result<Settings> {
        let preset = self.preset.unwrap_or_default();
        let mut s = Settings::of(preset);
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
        s.backbone_weight_decay = self.backbone_weight_decay.or(s.backbone_weight_decay);
        s.norm_weight_decay = self.norm_weight_decay.or(s.norm_weight_decay);
        s.ema = self.ema.or(s.ema).filter(|&decay| decay != 0.0);
        set(&mut s.unfreeze_from, self.unfreeze_from);
        set(&mut s.train_backbone, self.train_backbone);
        s.stages = self.chosen_stages(preset, &s.stages)?;
        set(&mut s.frozen_batch_norm, self.frozen_batch_norm);
        set(&mut s.mixed_precision, self.mixed_precision);
        self.set_augmentation(&mut s)?;
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
        set(&mut s.losses.order, self.lambda_order);
        set(&mut s.losses.order_sigma, self.order_sigma);
        set(&mut s.losses.ordinal, self.ordinal);
        set(&mut s.losses.ordinal_tau, self.ordinal_tau);
        set(&mut s.losses.multi_labels, self.multi_labels);
        set(&mut s.losses.label_smoothing, self.label_smoothing);
        set(&mut s.proxy_std, self.proxy_std);
        match self.normalize {
            Some(true) => s.use_unit_length(),
            Some(false) => s.normalize = false,
            None => (),
        }
        set(&mut s.losses.regularization, self.lambda_norm);
        set(&mut s.scale, self.scale);
        set(&mut s.learned_scale, self.learned_scale);
        set(&mut s.features, self.features);
        s.standardize = self.standardize.or(s.standardize).filter(|&factor| factor != 0.0);
        set(&mut s.layer_norm, self.layer_norm);
        set(&mut s.fixed_instance_proxies, self.fixed_instance_proxies);
        set(&mut s.absent_proxies, self.absent_proxies);
        set(&mut s.fixed_attribute_proxies, self.fixed_attribute_proxies);
        set(&mut s.margin, self.margin);
        set(&mut s.renormalize_queries, self.renormalize_queries);
        set(&mut s.tune, self.tune);
        set(&mut s.seed, self.seed);
        if self.frozen_batch_norm.is_none() && !s.trains_backbone() {
            // The preset's choice for a stage that these options have left out.
            s.frozen_batch_norm = false;
        }
        s.check()?;
        Ok(s)
    }

    /// Takes back what `flags` contradict: they say in one of three ways what learns.
    pub(super) fn yield_to(&mut self, flags: &Self) {
        if flags.stage.is_some() || flags.stages.is_some() || flags.train_backbone.is_some() {
            (self.stage, self.stages, self.train_backbone) = (None, None, None);
        }
    }

    /// The stages, if there are several or they are named.
    fn chosen_stages(&self, preset: Preset, of_preset: &[Stage]) -> Result<Vec<Stage>> {
        let given = [self.stage.is_some(), self.stages.is_some(), self.train_backbone.is_some()];
        if given.iter().filter(|&&given| given).count() > 1 {
            return Err(Error::new(
                Kind::InvalidParameter,
                "only one of --stage, --stages and --train-backbone says what learns",
            ));
        }
        let all = |part| self.over_stage(preset.stage(part));
        Ok(match (&self.stage, &self.stages) {
            (Some(stages), _) => stages.iter().map(|stage| stage.over(all(stage.part))).collect(),
            (_, Some(parts)) => parts.iter().map(|&part| all(part)).collect(),
            _ if self.train_backbone.is_some() => Vec::new(),
            _ => of_preset.iter().map(|stage| all(stage.part)).collect(),
        })
    }

    /// A stage with the options that hold for all stages.
    fn over_stage(&self, stage: Stage) -> Stage {
        Stage {
            part: stage.part,
            epochs: self.epochs.unwrap_or(stage.epochs),
            learning_rate: self.learning_rate.unwrap_or(stage.learning_rate),
            backbone_rate: self.backbone_rate.unwrap_or(stage.backbone_rate),
            proxy_rate: self.proxy_rate.unwrap_or(stage.proxy_rate),
            warmup_epochs: self.warmup_epochs.unwrap_or(stage.warmup_epochs),
            schedule: self.schedule.unwrap_or(stage.schedule),
        }
    }

    fn set_augmentation(&self, s: &mut Settings) -> Result<()> {
        if let Some(area) = &self.crop_area {
            s.crop_area = area.as_slice().try_into().map_err(|_| {
                let found = area.len();
                Error::new(Kind::InvalidParameter, format!("--crop-area needs two numbers, not {found}"))
            })?;
            s.random_crop = true;
        }
        set(&mut s.random_crop, self.random_crop);
        set(&mut s.flip, self.flip);
        set(&mut s.jitter, self.jitter);
        set(&mut s.jitter_hue, self.jitter_hue);
        set(&mut s.rotate, self.rotate);
        set(&mut s.views, self.views);
        Ok(())
    }
}

fn set<T: Copy>(to: &mut T, given: Option<T>) {
    *to = given.unwrap_or(*to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FeatureSet;
    use crate::train::settings::{Schedule, StagePart};
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        hyper: HyperArgs,
    }

    fn settings(flags: &str) -> Result<Settings> {
        Program::parse_from(std::iter::once("train").chain(flags.split_whitespace())).hyper.settings()
    }

    #[test]
    fn stages_take_what_they_do_not_name_from_the_options_for_all_then_from_the_preset() {
        let s = settings("--epochs 7 --stage head,rate=2e-4 --stage upper,epochs=4,schedule=cosine").unwrap();
        let [head, upper] = s.stages().try_into().unwrap();
        assert_eq!((head.epochs, head.learning_rate, head.schedule), (7, 2e-4, Schedule::Constant));
        assert_eq!((upper.epochs, upper.learning_rate, upper.schedule), (4, 1e-4, Schedule::Cosine));
        let s = settings("--preset recommended --proxy-rate 5 --stage head,epochs=30 --stage upper").unwrap();
        let [head, upper] = s.stages().try_into().unwrap();
        assert_eq!((head.epochs, head.proxy_rate, upper.proxy_rate), (30, 5.0, 5.0));
        assert_eq!(upper, Stage { proxy_rate: 5.0, ..Preset::Recommended.stage(StagePart::Upper) });
    }

    #[test]
    fn stages_can_be_taken_from_the_preset_by_name() {
        use StagePart::{All, Head, Upper};
        let parts = |flags: &str| -> Vec<StagePart> {
            settings(flags).unwrap().stages().iter().map(|stage| stage.part).collect()
        };
        assert_eq!(parts("--preset recommended"), [Head, Upper]);
        assert_eq!(parts("--preset recommended --stages head"), [Head]);
        assert_eq!(parts("--preset recommended --stages head,upper,all"), [Head, Upper, All]);
        assert_eq!(parts("--preset fast --stages head,upper"), [Head, Upper]);
        assert_eq!(parts("--preset recommended --train-backbone"), [All]);
        assert_eq!(parts("--preset recommended --train-backbone false"), [Head]);
        assert!(!settings("--preset recommended --stages head").unwrap().frozen_batch_norm);
        let e = settings("--stages head --train-backbone").unwrap_err();
        assert_eq!(e.message, "only one of --stage, --stages and --train-backbone says what learns");
    }

    #[test]
    fn unit_length_clears_the_norm_term_unless_it_is_given() {
        let norm = |flags: &str| settings(flags).unwrap().losses.regularization;
        assert_eq!(norm("--normalize"), 0.0);
        assert_eq!(norm("--normalize --preset recommended"), 0.0);
        assert_eq!(norm("--normalize --lambda-norm 0.5"), 0.5);
        assert_eq!(norm("--normalize false"), 0.5);
        assert_eq!(norm("--preset recommended"), 0.05);
    }

    #[test]
    fn zero_turns_off_what_a_preset_turns_on() {
        let s = settings("--preset recommended --standardize 0 --features last --ema 0").unwrap();
        assert_eq!((s.standardize, s.features, s.ema), (None, FeatureSet::Last, None));
        assert_eq!(settings("--standardize 0.25").unwrap().standardize, Some(0.25));
        assert!(settings("--standardize=-1").is_err());
    }

    #[test]
    fn a_crop_area_implies_random_crops() {
        let s = settings("--crop-area 0.5,1 --views 4").unwrap();
        assert_eq!((s.random_crop, s.crop_area, s.views), (true, [0.5, 1.0], 4));
        assert!(settings("--crop-area 0.5,1").unwrap_err().message.contains("several views"));
        assert!(settings("--crop-area 0.5 --views 4").unwrap_err().message.contains("two numbers, not 1"));
        assert!(settings("--crop-area 0.9,0.5 --views 4").unwrap_err().message.contains("not 0.9 to 0.5"));
    }
}
