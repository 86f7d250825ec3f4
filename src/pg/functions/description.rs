//! Queries from words ("floral dress, long sleeves, not black"), and what was understood of them. `sql/current/description.sql` declares the
//! functions; `src/model/description.rs` has the rules.

use crate::error::{abridged, Error, Kind};
use crate::model::{Description, Meaning, Vocabulary};
use crate::pg::catalog::{describe, description_query, meaning_columns};
use crate::pg::ereport::notice;
use crate::pg::{CoopQuery, OrReport, Text};
use pgrx::prelude::*;

extension_sql_file!("../../../sql/current/description.sql", name = "description", requires = ["queries"]);

/// The query for a description, by the default model's words. Words that mean nothing or several things are told in a NOTICE.
#[pg_extern(sql = false)]
fn coop_query(description: Text<'_>) -> CoopQuery<'static> {
    query(&description, None)
}

/// [`coop_query`] by the words of a named model.
#[pg_extern(sql = false)]
fn coop_query_of(description: Text<'_>, model: Text<'_>) -> CoopQuery<'static> {
    query(&description, Some(&model))
}

/// What the default model understands of a description: a row for each meaning of each phrase, and one for each word that means nothing.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx reads the columns from the signature
fn coop_query_explain(
    description: Text<'_>,
) -> TableIterator<
    'static,
    (
        name!(phrase, Text<'static>),
        name!(attribute, Option<Text<'static>>),
        name!(value, Option<Text<'static>>),
        name!(category, Option<Text<'static>>),
        name!(negated, Option<bool>),
        name!(weight, Option<f64>),
    ),
> {
    TableIterator::new(explain(&description, None))
}

/// [`coop_query_explain`] by the words of a named model.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn coop_query_explain_of(
    description: Text<'_>,
    model: Text<'_>,
) -> TableIterator<
    'static,
    (
        name!(phrase, Text<'static>),
        name!(attribute, Option<Text<'static>>),
        name!(value, Option<Text<'static>>),
        name!(category, Option<Text<'static>>),
        name!(negated, Option<bool>),
        name!(weight, Option<f64>),
    ),
> {
    TableIterator::new(explain(&description, Some(&model)))
}

fn query(text: &str, model_name: Option<&str>) -> CoopQuery<'static> {
    let (model, vocabulary, description) = describe(text, model_name).or_report();
    let query = description_query(text, &model, &description).or_report();
    notices(&vocabulary, &description, &model.name).into_iter().for_each(notice);
    query.into()
}

/// What a user may not expect: phrases of several meanings, and words of none.
fn notices(vocabulary: &Vocabulary, description: &Description, model: &str) -> Vec<Error> {
    let mut notices = Vec::new();
    for terms in description.terms.chunk_by(|a, b| a.phrase == b.phrase && a.meaning != b.meaning) {
        let [_, _, ..] = terms else { continue };
        let mut names: Vec<String> = terms.iter().map(|term| title(&term.meaning)).collect();
        names.sort();
        names.dedup();
        let message =
            format!("\"{}\" means {} things: {}", abridged(&terms[0].phrase), names.len(), names.join(", "));
        let told =
            Error::new(Kind::InvalidParameter, message).detail("Each of them has its share of the weight.");
        let beside = match &terms[0].meaning {
            Meaning::Value { attribute, .. } | Meaning::Absence { attribute } => attribute,
            Meaning::Category { .. } => "category",
        };
        notices.push(told.hint(format!("Write \"{} {beside}\" to mean one of them.", terms[0].phrase)));
    }
    for word in &description.unknown {
        let near = vocabulary.similar(word);
        let near: Vec<String> = near.iter().take(3).map(|name| format!("\"{name}\"")).collect();
        let message = format!("\"{}\" means nothing to model \"{model}\"", abridged(word));
        notices.push(
            Error::new(Kind::UnknownName, message)
                .hint(format!("The nearest known words: {}.", near.join(", "))),
        );
    }
    notices
}

fn title(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Value { attribute, value } => format!("{value} ({attribute})"),
        Meaning::Absence { attribute } => format!("nothing ({attribute})"),
        Meaning::Category { name } => format!("{name} (category)"),
    }
}

/// A row of `coop_query_explain()`.
type Explained = (
    Text<'static>,
    Option<Text<'static>>,
    Option<Text<'static>>,
    Option<Text<'static>>,
    Option<bool>,
    Option<f64>,
);

fn explain(text: &str, model_name: Option<&str>) -> Vec<Explained> {
    let (_, _, description) = describe(text, model_name).or_report();
    let terms = description.terms.into_iter().map(|term| {
        let (attribute, value, category) = meaning_columns(term.meaning);
        (term.phrase.into(), attribute, value, category, Some(term.is_negated), Some(term.weight))
    });
    let unknown = description.unknown.into_iter().map(|word| (word.into(), None, None, None, None, None));
    terms.chain(unknown).collect()
}
