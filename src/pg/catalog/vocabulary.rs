//! The words in which a model's descriptions are written: its own, and users' synonyms of them.

use super::catalog_select::CatalogSelect;
use super::default_model::model;
use super::lookup::{attribute_query, category_query, in_model};
use super::model_entry::ModelEntry;
use super::negation::absence_query_in;
use super::synonyms::synonyms;
use crate::error::{abridged, Error, Kind, Result};
use crate::model::{Description, Meaning, Vocabulary};
use crate::pg::spi_row::SpiRow;
use crate::pg::text;
use crate::space::Query;
use pgrx::pg_sys;

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

/// The most bytes of a description.
const MAX_DESCRIPTION: usize = 10_000;

static WORDS: CatalogSelect = CatalogSelect::new(
    c"SELECT a.name, v.value FROM coopembed.attributes a LEFT JOIN coopembed.attribute_values v \
      ON v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal AND v.query IS NOT NULL \
      WHERE a.model OPERATOR(pg_catalog.=) $1 ORDER BY a.ordinal, v.ordinal",
    &[TEXT],
);
static CATEGORIES: CatalogSelect = CatalogSelect::new(
    c"SELECT name FROM coopembed.categories WHERE model OPERATOR(pg_catalog.=) $1 AND query IS NOT NULL \
      ORDER BY ordinal",
    &[TEXT],
);

/// What a model understands of a description.
///
/// # Errors
/// [`Kind::LimitExceeded`] for a long text; those of [`model`].
pub fn describe(text: &str, model_name: Option<&str>) -> Result<(ModelEntry, Vocabulary, Description)> {
    if text.len() > MAX_DESCRIPTION {
        return Err(Error::new(Kind::LimitExceeded, "the description is too long")
            .detail(format!("It has {} bytes; at most {MAX_DESCRIPTION} are read.", text.len())));
    }
    let model = model(model_name)?;
    let vocabulary = vocabulary(&model);
    let description = vocabulary.read(text);
    Ok((model, vocabulary, description))
}

/// The query for a description: the sum of its terms.
///
/// # Errors
/// [`Kind::InvalidParameter`] if it has no terms; those of a term's query.
pub fn description_query(text: &str, model: &ModelEntry, description: &Description) -> Result<Query> {
    let mut sum: Option<Query> = None;
    for term in &description.terms {
        let query = meaning_query(model, &term.meaning)?;
        let query = if term.is_negated { query.as_ref().opposite() } else { query };
        // The query for a category has a weight of 1 in each attribute.
        let attributes = match term.meaning {
            Meaning::Category { .. } => model.layout.subspaces(),
            _ => 1,
        };
        let query = query.as_ref().scaled(term.weight / attributes as f64)?;
        sum = Some(match sum {
            Some(sum) => sum.as_ref().plus(&query.as_ref())?,
            None => query,
        });
    }
    sum.ok_or_else(|| {
        in_model(
            Error::new(Kind::InvalidParameter, format!("no word of \"{}\" means anything to the model", abridged(text))),
            model,
        )
        .hint("coop_attribute_values(attribute) and coop_categories() list its words; coop_define_synonym() adds others.")
    })
}

/// The query for what a phrase means.
///
/// # Errors
/// Those of [`attribute_query`], [`category_query`] and [`absence_query_in`].
pub fn meaning_query(model: &ModelEntry, meaning: &Meaning) -> Result<Query> {
    let name = Some(model.name.as_str());
    match meaning {
        Meaning::Value { attribute, value } => attribute_query(attribute, value, name),
        Meaning::Category { name: category } => category_query(category, name),
        Meaning::Absence { attribute } => absence_query_in(model, attribute),
    }
}

fn vocabulary(model: &ModelEntry) -> Vocabulary {
    let key = [text::datum(&model.name)];
    let words = WORDS.rows(&key, |row| (row.text(1), optional_text(row, 2)));
    let attributes = words.chunk_by(|a, b| a.0 == b.0).map(|of_attribute| {
        (of_attribute[0].0.as_str(), of_attribute.iter().filter_map(|(_, value)| value.as_deref()).collect())
    });
    let categories = CATEGORIES.rows(&key, |row| row.text(1));
    let mut vocabulary = Vocabulary::new(attributes, categories.iter().map(String::as_str));
    for (phrase, meaning) in synonyms(model) {
        let is_known = match &meaning {
            Meaning::Category { name } => categories.contains(name),
            Meaning::Value { attribute, value } => {
                words.iter().any(|(a, v)| a == attribute && v.as_ref() == Some(value))
            }
            Meaning::Absence { attribute } => words.iter().any(|(known, _)| known == attribute),
        };
        // What it meant may have been dropped since.
        if is_known {
            vocabulary.define(&phrase, meaning);
        }
    }
    vocabulary
}

/// A text column that may be null.
pub fn optional_text(row: &SpiRow, column: i32) -> Option<String> {
    row.datum(column).map(|_| row.text(column))
}
