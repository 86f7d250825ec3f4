//! `mend_labels.sql`: statements that correct the table that the labels came from, for review.

use crate::connection::{quote_identifier, quote_literal};
use crate::eval::label_issues::LabelIssue;
use std::collections::BTreeSet;

const HEAD: &str = "\
-- Labels that are probably wrong, the most certain first. Nothing changes unless you say so: look at the images in report.html, delete the
-- statements that are wrong themselves, and write COMMIT in the place of ROLLBACK at the end. Then run
--     psql -v table=products -v key=sku -f mend_labels.sql
-- where table has the labels and its column key the instances. A row whose label has changed meanwhile stays as it is.
\\set ON_ERROR_STOP on
BEGIN;
";

/// The file's text: an UPDATE for each label of an instance, in the order of the issues.
pub fn mending_sql(issues: &[LabelIssue]) -> String {
    let mut seen = BTreeSet::new();
    let mut sql = HEAD.to_owned();
    for issue in issues.iter().filter(|issue| can_be_stored(issue)) {
        // The images of an instance have one row, and the first of its issues is the most certain.
        if !seen.insert((&issue.instance, &issue.column)) {
            continue;
        }
        let column = quote_identifier(&issue.column);
        sql += &format!(
            "\n-- {} {}\nUPDATE :table SET {column} = {} WHERE :\"key\" = {} AND {column} = {};\n",
            issue.score,
            issue.path.replace(char::is_control, " "),
            quote_literal(&issue.suggested),
            quote_literal(&issue.instance),
            quote_literal(&issue.label),
        );
    }
    sql + "\nROLLBACK;\n"
}

/// Text with a zero byte is in no table.
fn can_be_stored(issue: &LabelIssue) -> bool {
    [&issue.column, &issue.instance, &issue.label, &issue.suggested].iter().all(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(instance: &str, column: &str, label: &str) -> LabelIssue {
        LabelIssue {
            path: "a.png\n; DROP TABLE products; --".into(),
            instance: instance.into(),
            split: "train".into(),
            column: column.into(),
            label: label.into(),
            suggested: r"it's \ ok".into(),
            score: 0.9,
            model_label: None,
            model_suggested: None,
            neighbours_label: None,
            neighbours_suggested: None,
        }
    }

    #[test]
    fn names_and_values_of_any_kind_stay_inside_their_quotes() {
        let sql = mending_sql(&[issue("x'; DROP TABLE products; --", "the \"neck\"", "boat")]);
        let lines: Vec<&str> = sql.lines().skip(7).collect();
        assert_eq!(
            lines,
            [
                "-- 0.9 a.png ; DROP TABLE products; --",
                r#"UPDATE :table SET "the ""neck""" = E'it''s \\ ok' WHERE :"key" = 'x''; DROP TABLE products; --' AND "the ""neck""" = 'boat';"#,
                "",
                "ROLLBACK;",
            ]
        );
    }

    #[test]
    fn the_labels_of_an_instance_are_corrected_once_each() {
        let sql = mending_sql(&[
            issue("1", "neck", "a"),
            issue("1", "neck", "b"),
            issue("1", "sleeves", "a"),
            issue("\0", "neck", "a"),
        ]);
        assert_eq!(sql.matches("UPDATE").count(), 2, "{sql}");
    }
}
