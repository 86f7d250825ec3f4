//! Users' synonyms of a model's words, for descriptions: rows of `coopembed.synonyms`.

use super::catalog_select::CatalogSelect;
use super::change::{check_name, insert, lock_catalog, with_latest_snapshot};
use super::default_model::model;
use super::lookup::in_model;
use super::model_entry::ModelEntry;
use super::owner::{spi_error, AsCatalogOwner};
use super::vocabulary::{meaning_query, optional_text};
use crate::error::{Error, Kind, Result};
use crate::model::Meaning;
use crate::pg::spi_row::SpiRow;
use crate::pg::{text, OrReport, Text};
use pgrx::pg_sys;
use pgrx::prelude::*;

static SYNONYMS: CatalogSelect = CatalogSelect::new(
    c"SELECT phrase, attribute, value FROM coopembed.synonyms WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY phrase",
    &[pg_sys::TEXTOID],
);

/// The synonyms of a model.
pub fn synonyms(model: &ModelEntry) -> Vec<(String, Meaning)> {
    let meaning = |row: &SpiRow| match (optional_text(row, 2), optional_text(row, 3)) {
        (Some(attribute), Some(value)) => Meaning::Value { attribute, value },
        (Some(attribute), None) => Meaning::Absence { attribute },
        (None, name) => Meaning::Category { name: name.unwrap_or_default() },
    };
    SYNONYMS.rows(&[text::datum(&model.name)], |row| (row.text(1), meaning(row)))
}

/// Defines a phrase as another name of a value of the default model; if the value is null, of no value of the attribute.
#[pg_extern(sql = false)]
fn coop_define_synonym(phrase: Option<Text<'_>>, attribute: Option<Text<'_>>, value: Option<Text<'_>>) {
    define(phrase, of_attribute(attribute, value), None).or_report()
}

/// [`coop_define_synonym`] of a named model.
#[pg_extern(sql = false)]
fn coop_define_synonym_of(
    phrase: Option<Text<'_>>,
    attribute: Option<Text<'_>>,
    value: Option<Text<'_>>,
    model: Option<Text<'_>>,
) {
    define(phrase, of_attribute(attribute, value), Some(&not_null(model, "model"))).or_report()
}

/// Defines a phrase as another name of a category of the default model.
#[pg_extern(sql = false)]
fn coop_define_category_synonym(phrase: Option<Text<'_>>, category: Option<Text<'_>>) {
    define(phrase, of_category(category), None).or_report()
}

/// [`coop_define_category_synonym`] of a named model.
#[pg_extern(sql = false)]
fn coop_define_category_synonym_of(
    phrase: Option<Text<'_>>,
    category: Option<Text<'_>>,
    model: Option<Text<'_>>,
) {
    define(phrase, of_category(category), Some(&not_null(model, "model"))).or_report()
}

/// Drops a synonym of the default model.
#[pg_extern(sql = false)]
fn coop_drop_synonym(phrase: Text<'_>) {
    drop_synonym(&phrase, None).or_report()
}

/// [`coop_drop_synonym`] of a named model.
#[pg_extern(sql = false)]
fn coop_drop_synonym_of(phrase: Text<'_>, model: Text<'_>) {
    drop_synonym(&phrase, Some(&model)).or_report()
}

/// The synonyms of the default model. One without value and category means no value of the attribute.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx reads the columns from the signature
fn coop_synonyms() -> TableIterator<
    'static,
    (
        name!(phrase, Text<'static>),
        name!(attribute, Option<Text<'static>>),
        name!(value, Option<Text<'static>>),
        name!(category, Option<Text<'static>>),
    ),
> {
    TableIterator::new(rows(None))
}

/// [`coop_synonyms`] of a named model.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn coop_synonyms_of(
    model: Text<'_>,
) -> TableIterator<
    'static,
    (
        name!(phrase, Text<'static>),
        name!(attribute, Option<Text<'static>>),
        name!(value, Option<Text<'static>>),
        name!(category, Option<Text<'static>>),
    ),
> {
    TableIterator::new(rows(Some(&model)))
}

/// The columns attribute, value and category in which SQL sees a meaning.
pub type MeaningColumns = (Option<Text<'static>>, Option<Text<'static>>, Option<Text<'static>>);

/// The columns of a meaning.
pub fn meaning_columns(meaning: Meaning) -> MeaningColumns {
    match meaning {
        Meaning::Value { attribute, value } => (Some(attribute.into()), Some(value.into()), None),
        Meaning::Absence { attribute } => (Some(attribute.into()), None, None),
        Meaning::Category { name } => (None, None, Some(name.into())),
    }
}

type Row = (Text<'static>, Option<Text<'static>>, Option<Text<'static>>, Option<Text<'static>>);

fn rows(model_name: Option<&str>) -> Vec<Row> {
    let row = |(phrase, meaning): (String, Meaning)| {
        let (attribute, value, category) = meaning_columns(meaning);
        (phrase.into(), attribute, value, category)
    };
    synonyms(&model(model_name).or_report()).into_iter().map(row).collect()
}

fn of_attribute(attribute: Option<Text<'_>>, value: Option<Text<'_>>) -> Meaning {
    let attribute = not_null(attribute, "attribute");
    match value {
        Some(value) => Meaning::Value { attribute, value: value.into_owned() },
        None => Meaning::Absence { attribute },
    }
}

fn of_category(category: Option<Text<'_>>) -> Meaning {
    Meaning::Category { name: not_null(category, "category") }
}

/// The functions that define synonyms are not STRICT, because a definition that silently did nothing would be noticed only when somebody uses
/// it.
fn not_null(argument: Option<Text<'_>>, name: &str) -> String {
    let null = || Error::new(Kind::InvalidParameter, format!("the {name} of a synonym must not be null"));
    argument.map(Text::into_owned).ok_or_else(null).or_report()
}

/// Adds a synonym, or gives one another meaning.
fn define(phrase: Option<Text<'_>>, meaning: Meaning, model_name: Option<&str>) -> Result<()> {
    let phrase = not_null(phrase, "phrase");
    check_name("a synonym", &phrase)?;
    let model = model(model_name)?;
    // What has no query cannot be described.
    meaning_query(&model, &meaning)?;
    let (attribute, value, category) = meaning_columns(meaning);
    let _owner = AsCatalogOwner::enter();
    lock_catalog()?;
    let sql = "INSERT INTO coopembed.synonyms (model, phrase, attribute, value) VALUES ($1, $2, $3, $4)";
    let row = [
        Text::from(model.name.as_str()).into(),
        Text::from(phrase.as_str()).into(),
        attribute.into(),
        value.or(category).into(),
    ];
    with_latest_snapshot(|| {
        delete(&model, &phrase)?;
        Spi::connect_mut(|client| insert(client, sql, &row))
    })
}

fn drop_synonym(phrase: &str, model_name: Option<&str>) -> Result<()> {
    let model = model(model_name)?;
    let _owner = AsCatalogOwner::enter();
    lock_catalog()?;
    let known = with_latest_snapshot(|| synonyms(&model));
    if !known.iter().any(|(synonym, _)| synonym == phrase) {
        return Err(in_model(
            Error::unknown("synonym", phrase, known.iter().map(|(synonym, _)| synonym)),
            &model,
        ));
    }
    delete(&model, phrase)
}

fn delete(model: &ModelEntry, phrase: &str) -> Result<()> {
    let sql = "DELETE FROM coopembed.synonyms WHERE model OPERATOR(pg_catalog.=) $1 AND phrase OPERATOR(pg_catalog.=) $2";
    let key = [Text::from(model.name.as_str()).into(), Text::from(phrase).into()];
    Spi::connect_mut(|client| client.update(sql, None, &key).map(|_| ()).map_err(spi_error))
}
