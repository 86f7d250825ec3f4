//! The statements that the page runs. All are pure: a question and a table in, SQL out.

use super::http_error::Refusal;
use super::query_terms::{Expression, Question};
use super::sql_builder::Statement;
use super::table::Table;

/// How [`transition`] is called where it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionFunction {
    /// The type of its two ids; `None`: that of the column.
    pub id_type: Option<String>,
}

/// The rows that a question is answered with: id and labels as text, distance (null without a wish).
///
/// # Errors
/// Those of [`Expression::sum`].
pub fn search(ask: &Expression<'_>, question: &Question, limit: i64) -> Result<Statement, Refusal> {
    let table = ask.table;
    let mut s = asked(ask, question)?;
    s.sql("SELECT ");
    columns(&mut s, table, "");
    if !question.wishes.is_empty() {
        s.sql(&format!(", {} AS {}", distance(table), table.distance_alias()));
    }
    s.sql(&format!("\nFROM {}", table.name));
    if let (Some(value), Some(column)) = (&question.category, &table.category) {
        s.sql(&format!("\nWHERE {} = ", column.quoted)).typed(value, &column.type_name);
    }
    if question.wishes.is_empty() {
        // With its table, because the column of that name in the list is text by now.
        s.sql(&format!("\nORDER BY {}.{}", table.name, table.id.quoted));
    } else {
        s.sql(&format!("\nORDER BY {}", table.distance_alias()));
    }
    s.sql("\nLIMIT ").integer(limit);
    Ok(s)
}

/// Why rows match: id as text, attribute, weight, distance and contribution.
///
/// # Errors
/// Those of [`Expression::sum`].
pub fn why(ask: &Expression<'_>, question: &Question, ids: &[String]) -> Result<Statement, Refusal> {
    let table = ask.table;
    let mut s = asked(ask, question)?;
    s.sql("SELECT ").column_as_text(&format!("p.{}", table.id.quoted));
    s.sql(", why.attribute, why.weight, why.distance, why.contribution");
    let explain = table.names.function("coop_explain");
    s.sql(&format!(
        "\nFROM {} AS p, {explain}(p.{}, (SELECT query FROM asked)) AS why\nWHERE p.{}",
        table.name, table.emb.quoted, table.id.quoted
    ));
    s.is_one_of(ids, &table.id.type_name);
    Ok(s)
}

/// The rows that are asked with: id as text, and whether it has an embedding.
pub fn known(table: &Table, ids: &[String]) -> Statement {
    let mut s = Statement::new("SELECT ");
    s.column_as_text(&table.id.quoted).sql(&format!(", {} IS NOT NULL", table.emb.quoted));
    s.sql(&format!("\nFROM {}\nWHERE {}", table.name, table.id.quoted)).is_one_of(ids, &table.id.type_name);
    s
}

/// What a row shows: `coop_tags` as text.
pub fn tags(table: &Table, id: &str) -> Statement {
    let mut s = Statement::new("SELECT ");
    s.column_as_text(&format!("{}({})", table.names.function("coop_tags"), table.emb.quoted));
    of_row(&mut s, table, id);
    s
}

/// A picture's bytes unless there are more than `most`, and how many they are; no row if the table has no pictures.
pub fn picture(table: &Table, id: &str, most: i64) -> Option<Statement> {
    let image = &table.image.as_ref()?.quoted;
    let mut s = Statement::new(&format!("SELECT CASE WHEN octet_length({image}) <= "));
    s.integer(most).sql(&format!(" THEN {image}::bytea END, octet_length({image})"));
    of_row(&mut s, table, id);
    Some(s)
}

/// From one row to another by small steps: step, id as text, distance, whether it is the crossing.
pub fn transition(
    table: &Table,
    function: &TransitionFunction,
    (from, to): (&str, &str),
    attribute: Option<&str>,
) -> Statement {
    let mut s = Statement::new("SELECT step, ");
    s.column_as_text("id").sql(", distance, is_crossing\nFROM ");
    s.sql(&table.names.function("coop_transition")).sql("(").typed(&table.name, "regclass");
    s.sql(", ").typed(&table.id.name, "name").sql(", ").typed(&table.emb.name, "name");
    for id in [from, to] {
        s.sql(", ");
        match &function.id_type {
            Some(id_type) => s.typed(id, id_type),
            None => s.typed(id, &table.id.type_name).sql(&format!("::{}", table.id.type_name)),
        };
    }
    if let Some(attribute) = attribute {
        s.sql(", attribute => ").text(attribute);
    }
    s.sql(")\nORDER BY step");
    s
}

/// The labels of rows: id and labels as text.
pub fn labels(table: &Table, ids: &[String]) -> Statement {
    let mut s = Statement::new("SELECT ");
    columns(&mut s, table, "");
    s.sql(&format!("\nFROM {}\nWHERE {}", table.name, table.id.quoted)).is_one_of(ids, &table.id.type_name);
    s
}

/// Rows that are looked through for values of the filter: more would make opening the page slow.
const FILTER_ROWS: i64 = 100_000;

/// Some values of the column that is offered as a filter.
pub fn filter_values(table: &Table, most: i64) -> Option<Statement> {
    let column = &table.category.as_ref()?.quoted;
    let mut s = Statement::new("SELECT DISTINCT ");
    s.column_as_text(column)
        .sql(&format!(" FROM (SELECT {column} FROM {} WHERE {column} IS NOT NULL", table.name));
    s.sql(" LIMIT ").integer(FILTER_ROWS).sql(") AS some_rows ORDER BY 1 LIMIT ").integer(most);
    Some(s)
}

/// The values of all attributes: attribute, whether it is ordered, value (null if it has none), how many training images
/// show it, and whether it is of one's own.
pub fn attribute_values(table: &Table) -> Statement {
    let names = &table.names;
    let mut s = Statement::new("SELECT a.name, a.ordered, v.value, v.images, v.own FROM ");
    s.sql(&names.function("coop_attributes")).sql("(");
    if let Some(model) = &names.model {
        s.text(model);
    }
    s.sql(") a LEFT JOIN LATERAL ").sql(&names.function("coop_attribute_values")).sql("(a.name");
    if let Some(model) = &names.model {
        s.sql(", ").text(model);
    }
    s.sql(") v ON v.has_query ORDER BY a.ordinal, v.ordinal");
    s
}

/// The categories: name, how many training images are of it, and whether it is of one's own.
pub fn categories(table: &Table) -> Statement {
    let mut s = Statement::new("SELECT name, images, own FROM ");
    s.sql(&table.names.function("coop_categories")).sql("(");
    if let Some(model) = &table.names.model {
        s.text(model);
    }
    s.sql(") WHERE has_query ORDER BY ordinal");
    s
}

/// `WITH asked (query) AS (...)`, if anything is asked: a subquery of it is evaluated once, and an index can serve it.
fn asked(ask: &Expression<'_>, question: &Question) -> Result<Statement, Refusal> {
    let mut s = Statement::default();
    if !question.wishes.is_empty() {
        s.sql("WITH asked (query) AS (\n  SELECT ");
        ask.sum(&mut s, &question.wishes, "\n       ")?;
        s.sql("\n)\n");
    }
    Ok(s)
}

fn distance(table: &Table) -> String {
    format!("{} {} (SELECT query FROM asked)", table.emb.quoted, table.names.operator("<->"))
}

fn columns(s: &mut Statement, table: &Table, before: &str) {
    s.sql(before).column_as_text(&table.id.quoted);
    for label in &table.labels {
        s.sql(", ").column_as_text(&label.quoted);
    }
}

fn of_row(s: &mut Statement, table: &Table, id: &str) {
    s.sql(&format!("\nFROM {}\nWHERE {} = ", table.name, table.id.quoted)).typed(id, &table.id.type_name);
}

#[cfg(test)]
mod tests;
