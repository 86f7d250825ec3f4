//! What the page offers to search for: a model's attributes with their values, its categories, and the values of the filter
//! column.

use super::database::{column, ReadTransaction};
use super::http_error::HttpError;
use super::sql_queries;
use super::table::Table;
use serde::Serialize;

/// Most values of the filter column that the page suggests; others can be typed.
const MAX_FILTER_VALUES: i64 = 500;

/// An attribute of the model.
#[derive(Debug, Serialize)]
pub struct Attribute {
    name: String,
    ordered: bool,
    values: Vec<Entry>,
}

/// An attribute value or a category.
#[derive(Debug, Serialize)]
pub struct Entry {
    name: String,
    /// Training images that show it.
    images: i64,
    /// Whether users defined it from rows of their own, rather than training.
    own: bool,
}

/// The column of `--category-column`.
#[derive(Debug, Serialize)]
pub struct Filter {
    column: String,
    values: Vec<String>,
}

/// The model's attributes, each with the values that can be searched for.
///
/// # Errors
/// Any that PostgreSQL raises.
pub async fn attributes(transaction: &ReadTransaction, table: &Table) -> Result<Vec<Attribute>, HttpError> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for row in transaction.rows(&sql_queries::attribute_values(table)).await? {
        let name: String = column(&row, 0)?;
        if attributes.last().is_none_or(|last| last.name != name) {
            attributes.push(Attribute { name, ordered: column(&row, 1)?, values: Vec::new() });
        }
        if let (Some(name), Some(last)) = (column::<Option<String>>(&row, 2)?, attributes.last_mut()) {
            last.values.push(Entry { name, images: column(&row, 3)?, own: column(&row, 4)? });
        }
    }
    Ok(attributes)
}

/// The categories that can be searched for.
///
/// # Errors
/// Any that PostgreSQL raises.
pub async fn categories(transaction: &ReadTransaction, table: &Table) -> Result<Vec<Entry>, HttpError> {
    let rows = transaction.rows(&sql_queries::categories(table)).await?;
    let entry = |row| Ok(Entry { name: column(row, 0)?, images: column(row, 1)?, own: column(row, 2)? });
    rows.iter().map(entry).collect()
}

/// The filter column and its values; `None` without `--category-column`.
///
/// # Errors
/// Any that PostgreSQL raises.
pub async fn filter(transaction: &ReadTransaction, table: &Table) -> Result<Option<Filter>, HttpError> {
    let (Some(statement), Some(filter)) =
        (sql_queries::filter_values(table, MAX_FILTER_VALUES), &table.category)
    else {
        return Ok(None);
    };
    let rows = transaction.rows(&statement).await?;
    let values = rows.iter().map(|row| column(row, 0)).collect::<Result<_, HttpError>>()?;
    Ok(Some(Filter { column: filter.name.clone(), values }))
}
