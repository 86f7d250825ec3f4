//! The statements that the page runs. Each function is pure: a request and the table in, a [`Statement`] out.

use super::http_error::HttpError;
use super::query_terms::{QueryExpression, SearchRequest};
use super::sql_builder::Statement;
use super::table::Table;

/// How [`transition`] is called where it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionFunction {
    /// The type of its two id arguments; `None` if it takes the type of the id column.
    pub id_type: Option<String>,
}

/// The answer to a search, nearest first: id and labels as text, then the distance if there are terms. Without terms, the
/// table's first rows by id.
///
/// # Errors
/// Those of [`QueryExpression::sum`].
pub fn search(
    expression: &QueryExpression<'_>,
    request: &SearchRequest,
    limit: i64,
) -> Result<Statement, HttpError> {
    let table = expression.table;
    let mut s = with_target(expression, request)?;
    s.sql("SELECT ");
    id_and_labels(&mut s, table);
    if !request.terms.is_empty() {
        s.sql(&format!(", {} AS {}", distance(table), table.distance_alias()));
    }
    s.sql(&format!("\nFROM {}", table.name));
    if let (Some(value), Some(column)) = (&request.category, &table.category) {
        s.sql(&format!("\nWHERE {} = ", column.quoted)).cast_text(value, &column.type_name);
    }
    if request.terms.is_empty() {
        // Qualified, because the id in the select list is cast to text and would be sorted as text.
        s.sql(&format!("\nORDER BY {}.{}", table.name, table.id.quoted));
    } else {
        s.sql(&format!("\nORDER BY {}", table.distance_alias()));
    }
    s.sql("\nLIMIT ").integer(limit);
    Ok(s)
}

/// Why rows match (`coop_explain`): id as text, attribute, weight, distance and contribution.
///
/// # Errors
/// Those of [`QueryExpression::sum`].
pub fn explain(
    expression: &QueryExpression<'_>,
    request: &SearchRequest,
    ids: &[String],
) -> Result<Statement, HttpError> {
    let table = expression.table;
    let mut s = with_target(expression, request)?;
    s.sql("SELECT ").column_as_text(&format!("p.{}", table.id.quoted));
    s.sql(", why.attribute, why.weight, why.distance, why.contribution");
    let explain = table.extension.function("coop_explain");
    s.sql(&format!(
        "\nFROM {} AS p, {explain}(p.{}, (SELECT query FROM target)) AS why\nWHERE p.{}",
        table.name, table.emb.quoted, table.id.quoted
    ));
    s.in_list(ids, &table.id.type_name);
    Ok(s)
}

/// For each row with one of these ids: id as text, and whether it has an embedding.
pub fn has_embedding(table: &Table, ids: &[String]) -> Statement {
    let mut s = Statement::new("SELECT ");
    s.column_as_text(&table.id.quoted).sql(&format!(", {} IS NOT NULL", table.emb.quoted));
    s.sql(&format!("\nFROM {}\nWHERE {}", table.name, table.id.quoted)).in_list(ids, &table.id.type_name);
    s
}

/// The attribute values that the model sees in a row: `coop_tags`, JSON as text.
pub fn tags(table: &Table, id: &str) -> Statement {
    let mut s = Statement::new("SELECT ");
    s.column_as_text(&format!("{}({})", table.extension.function("coop_tags"), table.emb.quoted));
    from_row(&mut s, table, id);
    s
}

/// The image of a row, null if it has more than `max_bytes`, and its size in bytes; `None` if the table has no images.
pub fn row_image(table: &Table, id: &str, max_bytes: i64) -> Option<Statement> {
    let image = &table.image.as_ref()?.quoted;
    let mut s = Statement::new(&format!("SELECT CASE WHEN octet_length({image}) <= "));
    s.integer(max_bytes).sql(&format!(" THEN {image}::bytea END, octet_length({image})"));
    from_row(&mut s, table, id);
    Some(s)
}

/// The steps from one row to another (`coop_transition`): step, id as text, distance, whether it is the crossing.
pub fn transition(
    table: &Table,
    function: &TransitionFunction,
    (from, to): (&str, &str),
    attribute: Option<&str>,
) -> Statement {
    let mut s = Statement::new("SELECT step, ");
    s.column_as_text("id").sql(", distance, is_crossing\nFROM ");
    s.sql(&table.extension.function("coop_transition")).sql("(").cast_text(&table.name, "regclass");
    s.sql(", ").cast_text(&table.id.name, "name").sql(", ").cast_text(&table.emb.name, "name");
    for id in [from, to] {
        s.sql(", ");
        match &function.id_type {
            Some(id_type) => s.cast_text(id, id_type),
            None => s.cast_text(id, &table.id.type_name).sql(&format!("::{}", table.id.type_name)),
        };
    }
    if let Some(attribute) = attribute {
        s.sql(", attribute => ").text(attribute);
    }
    s.sql(")\nORDER BY step");
    s
}

/// The labels of rows with these ids: id and labels as text.
pub fn labels(table: &Table, ids: &[String]) -> Statement {
    let mut s = Statement::new("SELECT ");
    id_and_labels(&mut s, table);
    s.sql(&format!("\nFROM {}\nWHERE {}", table.name, table.id.quoted)).in_list(ids, &table.id.type_name);
    s
}

/// Rows that are read to find values of the filter column; reading a large table would make the page slow to open.
const FILTER_ROWS: i64 = 100_000;

/// Up to `limit` values of the filter column; `None` without one.
pub fn filter_values(table: &Table, limit: i64) -> Option<Statement> {
    let column = &table.category.as_ref()?.quoted;
    let mut s = Statement::new("SELECT DISTINCT ");
    s.column_as_text(column)
        .sql(&format!(" FROM (SELECT {column} FROM {} WHERE {column} IS NOT NULL", table.name));
    s.sql(" LIMIT ").integer(FILTER_ROWS).sql(") AS some_rows ORDER BY 1 LIMIT ").integer(limit);
    Some(s)
}

/// All attributes with their values: attribute, whether it is ordered, value (null if it has none), how many training images
/// show it, and whether users defined it.
pub fn attribute_values(table: &Table) -> Statement {
    let extension = &table.extension;
    let mut s = Statement::new("SELECT a.name, a.ordered, v.value, v.images, v.own FROM ");
    s.sql(&extension.function("coop_attributes")).sql("(");
    if let Some(model) = &extension.model {
        s.text(model);
    }
    s.sql(") a LEFT JOIN LATERAL ").sql(&extension.function("coop_attribute_values")).sql("(a.name");
    if let Some(model) = &extension.model {
        s.sql(", ").text(model);
    }
    s.sql(") v ON v.has_query ORDER BY a.ordinal, v.ordinal");
    s
}

/// The categories: name, how many training images show it, and whether users defined it.
pub fn categories(table: &Table) -> Statement {
    let mut s = Statement::new("SELECT name, images, own FROM ");
    s.sql(&table.extension.function("coop_categories")).sql("(");
    if let Some(model) = &table.extension.model {
        s.text(model);
    }
    s.sql(") WHERE has_query ORDER BY ordinal");
    s
}

/// What is understood of a description: phrase, attribute, value, category, whether it is negated, weight (`coop_query_explain`). A word that
/// means nothing has a phrase alone.
pub fn explain_description(table: &Table, text: &str) -> Statement {
    let extension = &table.extension;
    let mut s = Statement::new("SELECT phrase, attribute, value, category, negated, weight FROM ");
    s.sql(&extension.function("coop_query_explain")).sql("(").text(text);
    if let Some(model) = &extension.model {
        s.sql(", ").text(model);
    }
    s.sql(")");
    s
}

/// `WITH target (query) AS (...)`, if there are terms. PostgreSQL evaluates a scalar subquery of it once, and an index can use
/// its value.
fn with_target(expression: &QueryExpression<'_>, request: &SearchRequest) -> Result<Statement, HttpError> {
    let mut s = Statement::default();
    if !request.terms.is_empty() {
        s.sql("WITH target (query) AS (\n  SELECT ");
        expression.sum(&mut s, &request.terms, "\n       ")?;
        s.sql("\n)\n");
    }
    Ok(s)
}

fn distance(table: &Table) -> String {
    format!("{} {} (SELECT query FROM target)", table.emb.quoted, table.extension.operator("<->"))
}

fn id_and_labels(s: &mut Statement, table: &Table) {
    s.column_as_text(&table.id.quoted);
    for label in &table.labels {
        s.sql(", ").column_as_text(&label.quoted);
    }
}

fn from_row(s: &mut Statement, table: &Table, id: &str) {
    s.sql(&format!("\nFROM {}\nWHERE {} = ", table.name, table.id.quoted)).cast_text(id, &table.id.type_name);
}

#[cfg(test)]
mod tests;
