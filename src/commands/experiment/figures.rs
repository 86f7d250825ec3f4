//! The figures of a run, by name, and their mean and deviation over seeds.

use crate::eval::metrics::mean;
use crate::eval::results::EvaluationResults;
use crate::eval::value_prediction::PredictionResult;
use std::collections::BTreeMap;

/// Figures by name, as fractions.
pub type Figures = BTreeMap<String, f64>;

/// The figures of an evaluation; for ordered attributes those of each one and their mean.
pub fn figures(results: &EvaluationResults) -> Figures {
    let mut figures = Figures::new();
    let mut add = |name: String, x: Option<f64>| {
        if let Some(x) = x {
            figures.insert(name, x);
        }
    };
    add("instance_recall_at_1".into(), results.instance.recall_at_1);
    add("instance_recall_at_10".into(), results.instance.recall_at_10);
    add("attribute_map".into(), results.attributes.mean_average_precision);
    add("category_map".into(), results.categories.mean_average_precision);
    for g in &results.attributes.groups {
        add(format!("attribute_map:{}", g.name), g.mean_average_precision);
    }
    let ordered: Vec<_> = results.predictions.iter().filter(|p| p.ordered).collect();
    for p in &ordered {
        let error = p.mean_absolute_error.unwrap_or_default();
        for (name, averages) in [("mae", error), ("mrr", p.mean_reciprocal_rank)] {
            add(format!("ordered_{name}_micro:{}", p.name), averages.micro);
            add(format!("ordered_{name}_macro:{}", p.name), averages.macro_);
        }
    }
    let all = |of: &dyn Fn(&PredictionResult) -> Option<f64>| mean(ordered.iter().filter_map(|p| of(p)));
    let error = |p: &PredictionResult| p.mean_absolute_error.unwrap_or_default();
    add("ordered_mae_micro".into(), all(&|p| error(p).micro));
    add("ordered_mae_macro".into(), all(&|p| error(p).macro_));
    add("ordered_mrr_micro".into(), all(&|p| p.mean_reciprocal_rank.micro));
    add("ordered_mrr_macro".into(), all(&|p| p.mean_reciprocal_rank.macro_));
    figures
}

/// The mean and standard deviation of a figure over seeds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Spread {
    /// Mean over seeds.
    pub mean: f64,
    /// The sample standard deviation; 0 for a single run.
    pub deviation: f64,
    /// The number of runs.
    pub count: usize,
}

impl Spread {
    /// The spread of these values; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mean = mean(values.iter().copied())?;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = (squares / (values.len() - 1).max(1) as f64).sqrt();
        Some(Self { mean, deviation, count: values.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_the_sample() {
        // 1, 2, 6: mean 3, squares 4 + 1 + 9 = 14, over 2
        let s = Spread::of(&[1.0, 2.0, 6.0]).unwrap();
        assert_eq!((s.mean, s.deviation, s.count), (3.0, 7f64.sqrt(), 3));
        assert_eq!(Spread::of(&[2.0]).unwrap().deviation, 0.0);
        assert_eq!(Spread::of(&[]), None);
    }
}
