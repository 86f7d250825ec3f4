//! After a training: the labels that are probably wrong, how to mend them, and what to do next.
//!
//! | file | what is in it |
//! |---|---|
//! | `evidence` | what trainings think of labels that they have not seen |
//! | `mending_sql` | `mend_labels.sql`, which corrects the table that the labels came from |
//! | `next_steps` | the commands that bring the model into a database |

mod evidence;
mod mending_sql;
mod next_steps;

use super::args::TrainArgs;
use super::training_context::TrainingContext;
use super::verdict::UntrainedFeatures;
use crate::commands::data_table::ExportedFrom;
use crate::commands::report::{self, ReportArgs, LABEL_ISSUES};
use crate::error::{Error, Result};
use crate::eval::label_issues::{label_issues, neighbour_votes, write_issues, LabelIssue, Probabilities};
use crate::model::read_directory;
use crate::train::calibration::CalibrationFold;
use evidence::{held_out_probabilities, test_probabilities};
use std::path::Path;

/// The file with the statements that correct the table.
const MEND_LABELS: &str = "mend_labels.sql";
/// The page of `coopembed report`.
const REPORT: &str = "report.html";
/// Label issues that are printed.
const SHOWN: usize = 5;

/// Writes the label issues, the SQL to mend them and the report into the model directory, which is complete already, and prints the
/// worst of them and the commands that follow. `folds` have the images that trainings held out, `untrained` the features before training.
///
/// # Errors
/// Those of reading the model directory and of writing into it. A report that cannot be made is a warning.
pub fn review(
    context: &TrainingContext<'_>,
    folds: &[CalibrationFold],
    untrained: Option<&UntrainedFeatures>,
) -> Result<()> {
    let TrainingContext { args, data, cache, .. } = context;
    let out = TrainArgs::required("out", &args.out)?;
    let (config, weights) = read_directory(out)?;
    let mut model = test_probabilities((&config, &weights), data.manifest, cache)?;
    model.extend(held_out_probabilities(&config, data.manifest, folds)?);
    let neighbours = untrained
        .map_or(Ok(Probabilities::new()), |features| neighbour_votes(&features.rows, data.manifest))?;
    let issues = label_issues(data.manifest, &model, &neighbours);
    write_issues(&out.join(LABEL_ISSUES), &issues)?;
    // Without it, the files are about a table that is still to be named.
    let table = ExportedFrom::read(&data.manifest.root).unwrap_or_else(|e| {
        eprintln!("WARNING:  {}", e.report());
        None
    });
    let sql = out.join(MEND_LABELS);
    std::fs::write(&sql, mending_sql::mending_sql(&issues, table.as_ref()))
        .map_err(|e| Error::io("write", &sql, &e))?;
    let page = report_args(context, out);
    println!("wrote {}", out.display());
    if let Err(e) = report::run(&page) {
        eprintln!("WARNING:  there is no report: {}", e.report());
    }
    print!("{}", worst(&issues, out));
    println!("\n{}", next_steps::next_steps(out, table.as_ref()));
    Ok(())
}

/// The options of the report that a training ends with: the defaults.
fn report_args(context: &TrainingContext<'_>, out: &Path) -> ReportArgs {
    ReportArgs {
        model: out.to_owned(),
        data: context.data.manifest.root.clone(),
        out: out.join(REPORT),
        json: None,
        log: context.args.log.clone(),
        images: 3000,
        questions: 6,
        transitions: Vec::new(),
        seed: 0,
        cache: Some(context.cache.to_owned()),
        reading: context.args.reading.clone(),
    }
}

/// The first issues, a line each, and where the others are.
fn worst(issues: &[LabelIssue], out: &Path) -> String {
    if issues.is_empty() {
        return "\nno label seems to be wrong\n".into();
    }
    let mut text =
        format!("\nlook at these first: labels that are probably wrong, {} of them\n", issues.len());
    for issue in issues.iter().take(SHOWN) {
        text += &format!("  {}\n", line(issue));
    }
    let file = |name: &str| out.join(name).display().to_string();
    text + &format!(
        "all of them: {}; with images: {}; to mend them in the table: {}\n",
        file(LABEL_ISSUES),
        file(REPORT),
        file(MEND_LABELS)
    )
}

/// An issue in a line.
fn line(issue: &LabelIssue) -> String {
    let percent = |x: f64| format!("{:.0} %", 100.0 * x);
    let pair = |who: &str, suggested: Option<f64>, label: Option<f64>| {
        Some(format!("{who} {} against {}", percent(suggested?), percent(label?)))
    };
    let evidence = [
        pair("model", issue.model_suggested, issue.model_label),
        pair("neighbours", issue.neighbours_suggested, issue.neighbours_label),
    ];
    let evidence: Vec<String> = evidence.into_iter().flatten().collect();
    format!(
        "{:?}: {} is {:?}, looks like {:?} ({})",
        issue.path,
        issue.column,
        issue.label,
        issue.suggested,
        evidence.join(", ")
    )
}
