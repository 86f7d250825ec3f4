//! The findings for people: a table on standard output, and questions with SQL in questions.md.

use super::Finding;
use std::fmt::Write;

/// Characters of a line of the table.
const WIDTH: usize = 150;

/// The findings as a table; empty without any.
pub fn table_text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let width = |of: &dyn Fn(&Finding) -> usize, header: &str| {
        findings.iter().map(of).max().unwrap_or(0).max(header.len())
    };
    let kinds = width(&|f| f.kind.len(), "finding");
    let columns = width(&|f| f.column.chars().count(), "column");
    let counts = width(&|f| f.count.to_string().len(), "count");
    let mut out = format!("{:kinds$}  {:columns$}  {:>counts$}  what\n", "finding", "column", "count");
    for f in findings {
        let line = format!("{:kinds$}  {:columns$}  {:>counts$}  {}", f.kind, f.column, f.count, f.what);
        match line.char_indices().nth(WIDTH) {
            Some((end, _)) => {
                let _ = writeln!(out, "{}...", &line[..end]);
            }
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

/// The findings as questions, with the SQL that shows or mends each.
pub fn questions(findings: &[Finding], from: &str) -> String {
    let mut out = format!("# Questions on the labels of {from}\n\n");
    if findings.is_empty() {
        out.push_str("There are none: nothing odd was found.\n");
        return out;
    }
    out.push_str("Answer what matters, change the table, and run the command again. Look before you change anything: statements that mend are proposals.\n");
    for (n, f) in (1..).zip(findings) {
        let column = if f.column.is_empty() { String::new() } else { format!(", column {}", f.column) };
        let _ = write!(out, "\n## {n}. {}{column}\n\n{}: {}.\n{}\n", f.kind, f.count, f.what, f.question);
        if !f.show.is_empty() {
            let _ = write!(out, "\n```sql\n{}\n```\n", f.show);
        }
        if let Some(mend) = &f.mend {
            let _ = write!(out, "\nTo mend it:\n\n```sql\n{mend}\n```\n");
        }
    }
    out
}
