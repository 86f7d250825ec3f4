//! `mend_labels.sql`: statements that correct the table that the labels came from, for review.

use crate::commands::data_table::ExportedFrom;
use crate::connection::{quote_identifier, quote_literal};
use crate::eval::label_issues::LabelIssue;
use std::collections::BTreeSet;

const REVIEW: &str = "\
-- Labels that are probably wrong, the most certain first. Nothing changes unless you say so: look at the images in report.html, delete the
-- statements that are wrong themselves, write COMMIT in the place of ROLLBACK at the end, and run the file with psql. A row whose label has
-- changed meanwhile stays as it is.
";
const UNKNOWN_TABLE: &str = "\
-- Which table has the labels, and which of its columns the instances, is yours to say:
--     psql -v table=products -v key=sku -f mend_labels.sql
";

/// The file's text: an UPDATE for each label of an instance, in the order of the issues. `table` is the one that the data set was exported
/// from; of other sets, variables of psql stand for table and key.
pub fn mending_sql(issues: &[LabelIssue], table: Option<&ExportedFrom>) -> String {
    let (name, key) = table
        .map_or((":table".into(), ":\"key\"".into()), |t| (t.table.clone(), quote_identifier(&t.instance)));
    let mut seen = BTreeSet::new();
    let mut sql = REVIEW.to_owned() + if table.is_none() { UNKNOWN_TABLE } else { "" };
    sql += "\\set ON_ERROR_STOP on\nBEGIN;\n";
    for issue in issues.iter().filter(|issue| can_be_stored(issue)) {
        // The images of an instance have the same label in the table, and the first of its issues is the most certain.
        if !seen.insert((&issue.instance, &issue.column)) {
            continue;
        }
        let column = match table {
            Some(table) if issue.column == "category" => quote_identifier(&table.category),
            _ => quote_identifier(&issue.column),
        };
        let (label, suggested) = (quote_literal(&issue.label), quote_literal(&issue.suggested));
        let (value, has_label) = if table.is_some_and(|table| table.arrays.contains(&issue.column)) {
            (format!("array_replace({column}, {label}, {suggested})"), format!("{label} = ANY ({column})"))
        } else {
            (suggested, format!("{column} = {label}"))
        };
        sql += &format!(
            "\n-- {} {}\nUPDATE {name} SET {column} = {value} WHERE {key} = {} AND {has_label};\n",
            issue.score,
            issue.path.replace(char::is_control, " "),
            quote_literal(&issue.instance),
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
    use crate::commands::data_table::ImagesAt;

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
        let sql = mending_sql(&[issue("x'; DROP TABLE products; --", "the \"neck\"", "boat")], None);
        let lines: Vec<&str> = sql.lines().skip(8).collect();
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
        let issues = [("1", "neck", "a"), ("1", "neck", "b"), ("1", "sleeves", "a"), ("\0", "neck", "a")];
        let sql = mending_sql(&issues.map(|(instance, column, label)| issue(instance, column, label)), None);
        assert_eq!(sql.matches("UPDATE").count(), 2, "{sql}");
    }

    #[test]
    fn an_exported_table_is_corrected_under_its_own_names() {
        let table = ExportedFrom {
            table: "shop.\"the Items\"".into(),
            instance: "SKU".into(),
            category: "kind".into(),
            arrays: vec!["colours".into()],
            image: "photo".into(),
            images: ImagesAt::Database,
        };
        let sql = mending_sql(&[issue("1", "category", "a"), issue("2", "colours", "b")], Some(&table));
        let updates: Vec<&str> = sql.lines().filter(|line| line.starts_with("UPDATE")).collect();
        assert_eq!(
            updates,
            [
                r#"UPDATE shop."the Items" SET "kind" = E'it''s \\ ok' WHERE "SKU" = '1' AND "kind" = 'a';"#,
                r#"UPDATE shop."the Items" SET "colours" = array_replace("colours", 'b', E'it''s \\ ok') WHERE "SKU" = '2' AND 'b' = ANY ("colours");"#,
            ]
        );
    }
}
