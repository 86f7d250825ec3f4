//! A table with its figures, as text, CSV and JSON.

use super::figures::Spread;
use super::run_store::FinishedRun;
use super::tables::{Column, Table};
use std::fmt;

/// The figures of a table, averaged over seeds.
pub struct Summary {
    /// Title of the table.
    pub title: &'static str,
    /// What the rows differ in: head of the first column.
    pub differs: &'static str,
    /// Columns after the row name.
    pub columns: Vec<Column>,
    /// The rows of the table.
    pub rows: Vec<SummaryRow>,
}

/// One row of figures.
pub struct SummaryRow {
    /// The name of the row.
    pub name: String,
    /// Per column, the figure times the column's factor; `None` if no run has it.
    pub cells: Vec<Option<Spread>>,
    /// Why runs failed, one entry per failure.
    pub failures: Vec<String>,
    /// All runs, one per seed.
    pub runs: Vec<FinishedRun>,
}

impl Summary {
    /// The summary of a table from the runs of each row.
    pub fn new(table: &Table, runs: &[Vec<&FinishedRun>]) -> Self {
        let rows = table.rows.iter().zip(runs).map(|(row, runs)| {
            let cell = |c: &Column| {
                let of = |d: &&FinishedRun| d.figures.get(c.figure).map(|x| x * c.factor);
                Spread::of(&runs.iter().filter_map(of).collect::<Vec<_>>())
            };
            SummaryRow {
                name: row.name.clone(),
                cells: table.columns.iter().map(cell).collect(),
                failures: runs.iter().filter_map(|d| d.failure.clone()).collect(),
                runs: runs.iter().map(|d| (*d).clone()).collect(),
            }
        });
        Self {
            title: table.title,
            differs: table.differs,
            rows: rows.collect(),
            columns: table.columns.clone(),
        }
    }

    /// CSV: a line per row with the mean and the standard deviation of each figure, and the number of runs.
    pub fn csv(&self) -> String {
        let quoted = |s: &str| format!("\"{}\"", s.replace('"', "\"\""));
        let mut out = quoted(self.differs);
        for c in &self.columns {
            out += &format!(",{},{}", quoted(c.title), quoted(&format!("{} deviation", c.title)));
        }
        out += ",runs,failed\n";
        for row in &self.rows {
            out += &quoted(&row.name);
            for cell in &row.cells {
                out += &cell.map_or(",,".into(), |s| format!(",{:.4},{:.4}", s.mean, s.deviation));
            }
            out += &format!(",{},{}\n", row.runs.len(), row.failures.len());
        }
        out
    }

    /// JSON: means and deviations, and all figures of every run.
    pub fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let cells: serde_json::Map<String, serde_json::Value> = (self.columns.iter())
                .zip(&row.cells)
                .map(|(c, cell)| (c.title.to_owned(), serde_json::json!(cell)))
                .collect();
            let runs = row.runs.iter().map(|d| {
                serde_json::json!({
                    "seed": d.run.settings.seed, "figures": d.figures, "objective": d.objective,
                    "failure": d.failure, "seconds": d.seconds,
                })
            });
            serde_json::json!({
                "name": row.name,
                "settings": row.runs.first().map(|d| &d.run),
                "figures": cells,
                "runs": runs.collect::<Vec<_>>(),
            })
        });
        let all = serde_json::json!({ "title": self.title, "rows": rows.collect::<Vec<_>>() });
        serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
    }
}

/// `mean ± deviation`, with one decimal for percent and three otherwise.
pub(super) fn cell(column: &Column, spread: &Option<Spread>) -> String {
    let digits = if column.factor == 100.0 { 1 } else { 3 };
    spread.map_or("-".into(), |s| format!("{:.digits$} ± {:.digits$}", s.mean, s.deviation))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.rows.iter().map(|r| r.runs.len()).max().unwrap_or(0);
        let unit = if self.columns.iter().any(|c| c.factor == 100.0) { ", in percent" } else { "" };
        writeln!(f, "{}{unit}: mean ± standard deviation of {runs} seeds\n", self.title)?;
        let names = self.rows.iter().map(|r| r.name.as_str()).chain([self.differs]);
        let width = names.map(|n| n.chars().count()).max().unwrap_or(0);
        write!(f, "{:<width$}", self.differs)?;
        self.columns.iter().try_for_each(|c| write!(f, "  {:>15}", c.title))?;
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<width$}", row.name)?;
            for (column, spread) in self.columns.iter().zip(&row.cells) {
                write!(f, "  {:>15}", cell(column, spread))?;
            }
            match row.failures.first() {
                Some(why) => writeln!(f, "  {} of {} failed: {why}", row.failures.len(), row.runs.len())?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::experiment::tables::{Run, TableName, TableRow};
    use crate::train::settings::Settings;

    /// Table 2c with the rows of the weights 0 (two runs) and 1 (one run, that failed), and a name that needs escaping.
    pub(in crate::commands::experiment) fn summary() -> Summary {
        let mut table = TableName::Table2c.table(&Settings::default());
        let row = |name: &str| TableRow {
            name: name.into(),
            run: Run { settings: Settings::default(), corruption: None },
        };
        table.rows = vec![row("0"), row("<1\">")];
        let done = |figures: &[(&str, f64)], failure: Option<&str>| FinishedRun {
            key: String::new(),
            run: row("").run,
            figures: figures.iter().map(|&(n, x)| (n.to_owned(), x)).collect(),
            objective: None,
            failure: failure.map(str::to_owned),
            seconds: 1.0,
        };
        let all =
            |x| done(&[("instance_recall_at_1", x), ("attribute_map", 0.25), ("category_map", 0.5)], None);
        let (a, b, c) = (all(0.3), all(0.4), done(&[], Some("the loss is not a finite number")));
        Summary::new(&table, &[vec![&a, &b], vec![&c]])
    }

    #[test]
    fn the_table_has_the_papers_form_and_lists_failures() {
        let text = summary().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("in percent: mean ± standard deviation of 2 seeds"));
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(lines[3]), ["0", "35.0", "±", "7.1", "25.0", "±", "0.0", "50.0", "±", "0.0"]);
        assert!(lines[4].ends_with("1 of 1 failed: the loss is not a finite number"), "{text}");
    }

    #[test]
    fn csv_and_json_contain_the_figures() {
        let csv = summary().csv();
        assert!(csv.contains("\n\"0\",35.0000,7.0711,25.0000,0.0000,50.0000,0.0000,2,0\n"), "{csv}");
        assert!(csv.ends_with("\n\"<1\"\">\",,,,,,,1,1\n"), "{csv}");
        let json: serde_json::Value = serde_json::from_str(&summary().json()).unwrap();
        assert_eq!(json["rows"][0]["runs"][1]["figures"]["instance_recall_at_1"], 0.4);
        assert_eq!(json["rows"][0]["figures"]["category mAP"]["mean"], 50.0);
    }
}
