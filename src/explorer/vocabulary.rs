//! The words that the page offers: a model's attributes with their values, its categories, and a column's values.

use super::api::column;
use super::database::Reading;
use super::http_error::Refusal;
use super::sql_queries;
use super::table::Table;
use serde::Serialize;

/// Values of the filter's column that are offered; others can be typed.
const MOST_VALUES: i64 = 500;

/// An attribute.
#[derive(Debug, Serialize)]
pub struct Attribute {
    name: String,
    ordered: bool,
    values: Vec<Word>,
}

/// A value or a category.
#[derive(Debug, Serialize)]
pub struct Word {
    name: String,
    /// Training images that showed it.
    images: i64,
    /// Defined by the users, not trained.
    own: bool,
}

/// The filter.
#[derive(Debug, Serialize)]
pub struct Filter {
    column: String,
    values: Vec<String>,
}

/// The attributes, with those of their values that can be asked for.
///
/// # Errors
/// What the server refuses.
pub async fn attributes(reading: &Reading, table: &Table) -> Result<Vec<Attribute>, Refusal> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for row in reading.rows(&sql_queries::attribute_values(table)).await? {
        let name: String = column(&row, 0)?;
        if attributes.last().is_none_or(|last| last.name != name) {
            attributes.push(Attribute { name, ordered: column(&row, 1)?, values: Vec::new() });
        }
        if let (Some(name), Some(last)) = (column::<Option<String>>(&row, 2)?, attributes.last_mut()) {
            last.values.push(Word { name, images: column(&row, 3)?, own: column(&row, 4)? });
        }
    }
    Ok(attributes)
}

/// The categories that can be asked for.
///
/// # Errors
/// What the server refuses.
pub async fn categories(reading: &Reading, table: &Table) -> Result<Vec<Word>, Refusal> {
    let rows = reading.rows(&sql_queries::categories(table)).await?;
    let word = |row| Ok(Word { name: column(row, 0)?, images: column(row, 1)?, own: column(row, 2)? });
    rows.iter().map(word).collect()
}

/// The filter, if there is one.
///
/// # Errors
/// What the server refuses.
pub async fn filter(reading: &Reading, table: &Table) -> Result<Option<Filter>, Refusal> {
    let (Some(statement), Some(filter)) = (sql_queries::filter_values(table, MOST_VALUES), &table.category)
    else {
        return Ok(None);
    };
    let rows = reading.rows(&statement).await?;
    let values = rows.iter().map(|row| column(row, 0)).collect::<Result<_, Refusal>>()?;
    Ok(Some(Filter { column: filter.name.clone(), values }))
}
