//! The verdict in words: lines for the terminal, and a section of the model card.

use super::{AttributeVerdict, Figures, MeasuredOn, Verdict};
use crate::eval::results::percent;
use std::fmt::{self, Write as _};

/// A smaller difference of two figures counts as none: one point.
const POINT: f64 = 0.01;
/// With fewer queries, chance moves R@1 by more than a few points, and the verdict says so.
const MANY_QUERIES: usize = 1000;
/// At most so many attributes are listed.
const LISTED: usize = 6;
/// What is compared, in the order of [`Figures::three`].
const NAMES: [&str; 3] = ["R@1", "attribute mAP", "category mAP"];

impl Verdict {
    /// The section of the model card, in Markdown.
    pub fn markdown(&self) -> String {
        let mut out = "## Verdict\n\n".to_owned();
        if !self.figures.is_empty() {
            let _ = writeln!(out, "| | {} |\n|---|---|---|---|", NAMES.join(" | "));
            for f in &self.figures {
                let _ = writeln!(out, "| {} | {} |", f.name, f.three.map(percent).join(" | "));
            }
            out.push('\n');
        }
        let _ = writeln!(out, "{}", self.sentences().join(" "));
        let (head, lines) = self.weak_lines();
        let _ = writeln!(out, "\n{head}");
        for (i, line) in lines.iter().enumerate() {
            let _ = writeln!(out, "{}- {line}", if i == 0 { "\n" } else { "" });
        }
        out
    }

    /// What the figures say, a sentence each.
    fn sentences(&self) -> Vec<String> {
        let Some((trained, untrained)) = self.figures.split_first() else {
            return vec![
                "Nothing could be measured: the set has no gallery, and no images were held out.".into()
            ];
        };
        let differences: Vec<(&str, f64)> = (0..3)
            .filter_map(|i| {
                let best = super::best(untrained.iter().map(|f| f.three[i]))?;
                Some((NAMES[i], trained.three[i]? - best))
            })
            .collect();
        let mut sentences = vec![whether_it_paid(&differences)];
        sentences.extend(self.lost_attributes());
        sentences.extend(match self.measured_on {
            MeasuredOn::HeldOut { images } => Some(format!(
                "Measured on {images} training images that were held out; they are part of the means, which flatters all."
            )),
            MeasuredOn::Gallery { queries } => caution(trained, queries),
            MeasuredOn::Nothing => None,
        });
        sentences
    }

    /// The attributes that untrained features rank better.
    fn lost_attributes(&self) -> Option<String> {
        let lost = self.attributes.iter().filter_map(|a| {
            let (map, untrained) = (a.map?, a.untrained?);
            (map < untrained - POINT)
                .then(|| format!("{} ({} against {})", a.name, percent(Some(untrained)), percent(Some(map))))
        });
        let lost: Vec<String> = lost.collect();
        (!lost.is_empty()).then(|| format!("Untrained features rank better by {}.", listed(&lost)))
    }

    /// A line about the weak attributes, and one for each.
    fn weak_lines(&self) -> (String, Vec<String>) {
        let weak = self.weak_attributes();
        let measured = !self.figures.is_empty();
        let head = match (weak.is_empty(), measured) {
            (true, true) => "No attribute is weak.",
            (true, false) => "The labels give no reason to expect a weak attribute.",
            (false, true) => "Weak attributes, with their mAP and that of a random order:",
            (false, false) => "Attributes that may be weak:",
        };
        let mut lines: Vec<String> = weak.iter().take(LISTED).map(|a| a.line()).collect();
        if weak.len() > LISTED {
            let names: Vec<String> = weak[LISTED..].iter().map(|a| a.name.clone()).collect();
            lines.push(format!("also {}", listed(&names)));
        }
        (head.to_owned(), lines)
    }
}

/// The lines that `coopembed train` prints.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "verdict")?;
        if !self.figures.is_empty() {
            let width = self.figures.iter().map(|f| f.name.chars().count()).max().unwrap_or_default();
            let row = |cells: [String; 3]| cells.map(|c| format!("  {c:>13}")).concat();
            writeln!(f, "  {:<width$}{}", "", row(NAMES.map(str::to_owned)))?;
            for figures in &self.figures {
                writeln!(f, "  {:<width$}{}", figures.name, row(figures.three.map(percent)))?;
            }
        }
        self.sentences().iter().try_for_each(|sentence| writeln!(f, "{sentence}"))?;
        let (head, lines) = self.weak_lines();
        writeln!(f, "{head}")?;
        lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl AttributeVerdict {
    /// The attribute, its figures, and why it may be weak.
    fn line(&self) -> String {
        let reasons = self.check.reasons();
        let why = match reasons.is_empty() {
            true => "its labels give no reason; perhaps the features do not show it".to_owned(),
            false => reasons.join("; "),
        };
        match self.map {
            Some(_) => format!("{} {} ({}): {why}", self.name, percent(self.map), percent(self.chance)),
            None => format!("{}: {why}", self.name),
        }
    }
}

/// Whether training paid, from the differences to the best untrained features.
fn whether_it_paid(differences: &[(&str, f64)]) -> String {
    let with_sign = |&(name, x): &(&str, f64)| format!("{name} ({:+.1})", 100.0 * x);
    let (paid, rest): (Vec<_>, Vec<_>) = differences.iter().partition(|(_, x)| *x >= POINT);
    let list = |of: &[&(&str, f64)]| joined(&of.iter().map(|d| with_sign(d)).collect::<Vec<_>>());
    let points = "in points against the best untrained features";
    match (paid.is_empty(), rest.is_empty()) {
        (true, true) => "Nothing could be compared with untrained features.".into(),
        (false, true) => format!("Training paid, {points}: {}.", list(&paid)),
        (true, false) => format!("Training did not pay, {points}: {}.", list(&rest)),
        (false, false) => {
            format!("Training paid in part, {points}: {}, but not {}.", list(&paid), list(&rest))
        }
    }
}

/// How far chance moves R@1, if the queries are few: two standard errors.
fn caution(trained: &Figures, queries: usize) -> Option<String> {
    let recall = trained.three[0].filter(|_| (1..MANY_QUERIES).contains(&queries))?;
    // At 0 and 1 the estimate of the deviation would be 0.
    let recall = recall.clamp(0.05, 0.95);
    let points = 200.0 * (recall * (1.0 - recall) / queries as f64).sqrt();
    Some(format!("R@1 is of {queries} queries: chance moves it by up to {points:.0} points."))
}

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    match names.len().saturating_sub(LISTED) {
        0 => joined(names),
        more => format!("{} and {more} more", names[..LISTED].join(", ")),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn joined(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}
