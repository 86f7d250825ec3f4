//! A vocabulary of one's own: values and categories that users define from rows they labelled themselves.

use super::entry::{model, model_with_fingerprint, ModelEntry};
use super::load::{check_name, failed, insert, lock, query, with_latest_rows};
use super::lookup::{check_attribute, in_model};
use super::statement::{AsOwner, Select};
use crate::error::{abridged, Error, Kind, Result};
use crate::pg::{text, CoopQuery, CoopVec, OrReport, Text};
use crate::space::{Query, QueryRef};
use pgrx::pg_sys;
use pgrx::prelude::*;

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static ATTRIBUTE: Select = Select::new(
    c"SELECT a.ordinal, \
      (SELECT pg_catalog.max(v.ordinal) FROM coopembed.attribute_values v \
       WHERE v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal), \
      (SELECT v.own FROM coopembed.attribute_values v WHERE v.model OPERATOR(pg_catalog.=) a.model \
       AND v.attribute OPERATOR(pg_catalog.=) a.ordinal AND v.value OPERATOR(pg_catalog.=) $3) \
      FROM coopembed.attributes a WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2",
    &[TEXT, TEXT, TEXT],
);
static CATEGORY: Select = Select::new(
    c"SELECT pg_catalog.max(ordinal), pg_catalog.bool_or(own) FILTER (WHERE name OPERATOR(pg_catalog.=) $2) \
      FROM coopembed.categories WHERE model OPERATOR(pg_catalog.=) $1",
    &[TEXT, TEXT],
);

/// Defines a value of an attribute by what a query asks for in the attribute's subspace. Its other subspaces do not
/// matter. The model is the one that made the query.
#[pg_extern(sql = false)]
fn coop_define_attribute_value(
    attribute: Option<Text<'_>>,
    value: Option<Text<'_>>,
    query: Option<CoopQuery<'_>>,
) {
    let (attribute, value, query) = (given(attribute), given(value), given(query));
    define_value(&attribute, &value, query.view()).or_report()
}

/// The same by example: an embedding, or the mean of several.
#[pg_extern(sql = false)]
fn coop_define_attribute_value_like(
    attribute: Option<Text<'_>>,
    value: Option<Text<'_>>,
    example: Option<CoopVec<'_>>,
) {
    let (attribute, value, example) = (given(attribute), given(value), given(example));
    define_value(&attribute, &value, superspace(&example).or_report().as_ref()).or_report()
}

/// Defines a category by a query. The model is the one that made the query.
#[pg_extern(sql = false)]
fn coop_define_category(name: Option<Text<'_>>, query: Option<CoopQuery<'_>>) {
    let (name, query) = (given(name), given(query));
    define_category(&name, query.view()).or_report()
}

/// The same by example: an embedding, or the mean of several.
#[pg_extern(sql = false)]
fn coop_define_category_like(name: Option<Text<'_>>, example: Option<CoopVec<'_>>) {
    let (name, example) = (given(name), given(example));
    define_category(&name, superspace(&example).or_report().as_ref()).or_report()
}

/// Forgets a value that somebody defined; those of the model itself stay.
#[pg_extern(sql = false)]
fn coop_drop_attribute_value(attribute: Text<'_>, value: Text<'_>) {
    drop_value(&model(None).or_report(), &attribute, &value).or_report()
}

/// The same of a named model.
#[pg_extern(sql = false)]
fn coop_drop_attribute_value_of(attribute: Text<'_>, value: Text<'_>, model_name: Text<'_>) {
    drop_value(&model(Some(&model_name)).or_report(), &attribute, &value).or_report()
}

/// Forgets a category that somebody defined; those of the model itself stay.
#[pg_extern(sql = false)]
fn coop_drop_category(name: Text<'_>) {
    drop_category(&model(None).or_report(), &name).or_report()
}

/// The same of a named model.
#[pg_extern(sql = false)]
fn coop_drop_category_of(name: Text<'_>, model_name: Text<'_>) {
    drop_category(&model(Some(&model_name)).or_report(), &name).or_report()
}

/// A definition that silently did nothing would be missed only when somebody asks for it.
fn given<T>(argument: Option<T>) -> T {
    let null = || {
        Error::new(Kind::InvalidParameter, "what defines a word must not be null")
            .detail("The name, the query or the example is null; avg() of no rows is.")
            .hint("Look at the rows that the definition is made from.")
    };
    argument.ok_or_else(null).or_report()
}

fn superspace(example: &CoopVec<'_>) -> Result<Query> {
    let example = example.view();
    Query::superspace(example.layout, example.to_f32())
}

fn define_value(attribute: &str, value: &str, wish: QueryRef<'_>) -> Result<()> {
    check_name("a value", value)?;
    let model = model_with_fingerprint(wish.layout)?;
    let _owner = AsOwner::enter();
    lock()?;
    let (k, last, own) = with_latest_rows(|| find_value(&model, attribute, value))?;
    if let Some(own) = own {
        return Err(in_model(taken(&format!("value \"{value}\" of attribute \"{attribute}\""), own), &model));
    }
    let target = wish.active().find(|(active, ..)| *active as i32 + 1 == k).map(|(_, _, target)| target);
    let target = target.ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("the query says nothing about attribute \"{attribute}\""))
            .detail("It has no weight in that attribute's subspace.")
            .hint(format!("Take the attribute of labelled rows: coop_like(avg(emb), '{attribute}')."))
    })?;
    let defined = Query::subspace(wish.layout, k as usize - 1, target)?;
    let sql =
        "INSERT INTO coopembed.attribute_values (model, attribute, ordinal, value, images, query, own) \
               VALUES ($1, $2, $3, $4, 0, $5, true)";
    let row = [
        Text::from(model.name.as_str()).into(),
        k.into(),
        (last.unwrap_or(0) + 1).into(),
        Text::from(value).into(),
        query(Some(defined)),
    ];
    Spi::connect_mut(|client| insert(client, sql, &row))
}

fn define_category(name: &str, wish: QueryRef<'_>) -> Result<()> {
    check_name("a category", name)?;
    let model = model_with_fingerprint(wish.layout)?;
    let _owner = AsOwner::enter();
    lock()?;
    let (last, own) = with_latest_rows(|| find_category(&model, name));
    if let Some(own) = own {
        return Err(in_model(taken(&format!("category \"{name}\""), own), &model));
    }
    let sql = "INSERT INTO coopembed.categories (model, ordinal, name, images, query, own) \
               VALUES ($1, $2, $3, 0, $4, true)";
    let row = [
        Text::from(model.name.as_str()).into(),
        (last.unwrap_or(0) + 1).into(),
        Text::from(name).into(),
        query(Some(wish.to_query())),
    ];
    Spi::connect_mut(|client| insert(client, sql, &row))
}

fn drop_value(model: &ModelEntry, attribute: &str, value: &str) -> Result<()> {
    let _owner = AsOwner::enter();
    lock()?;
    let (k, _, own) = with_latest_rows(|| find_value(model, attribute, value))?;
    let what = format!("value \"{}\" of attribute \"{}\"", abridged(value), abridged(attribute));
    check_own(&what, own).map_err(|e| in_model(e, model))?;
    let sql = "DELETE FROM coopembed.attribute_values WHERE model OPERATOR(pg_catalog.=) $1 \
               AND attribute OPERATOR(pg_catalog.=) $2 AND value OPERATOR(pg_catalog.=) $3";
    let key = [Text::from(model.name.as_str()).into(), k.into(), Text::from(value).into()];
    Spi::connect_mut(|client| client.update(sql, None, &key).map(|_| ()).map_err(failed))
}

fn drop_category(model: &ModelEntry, name: &str) -> Result<()> {
    let _owner = AsOwner::enter();
    lock()?;
    let (_, own) = with_latest_rows(|| find_category(model, name));
    check_own(&format!("category \"{}\"", abridged(name)), own).map_err(|e| in_model(e, model))?;
    let sql = "DELETE FROM coopembed.categories WHERE model OPERATOR(pg_catalog.=) $1 \
               AND name OPERATOR(pg_catalog.=) $2";
    let key = [Text::from(model.name.as_str()).into(), Text::from(name).into()];
    Spi::connect_mut(|client| client.update(sql, None, &key).map(|_| ()).map_err(failed))
}

/// The attribute's ordinal, its last value's, and if the value is there, whether somebody defined it.
fn find_value(model: &ModelEntry, attribute: &str, value: &str) -> Result<(i32, Option<i32>, Option<bool>)> {
    let key = [text::datum(&model.name), text::datum(attribute), text::datum(value)];
    match ATTRIBUTE.first(&key, |row| (row.expect(1), row.get(2), row.get(3))) {
        Some(found) => Ok(found),
        None => {
            Err(check_attribute(model, attribute).err().unwrap_or_else(|| super::entry::unknown(&model.name)))
        }
    }
}

/// The last category's ordinal, and if this one is there, whether somebody defined it.
fn find_category(model: &ModelEntry, name: &str) -> (Option<i32>, Option<bool>) {
    let key = [text::datum(&model.name), text::datum(name)];
    CATEGORY.first(&key, |row| (row.get(1), row.get(2))).unwrap_or_default()
}

fn taken(what: &str, own: bool) -> Error {
    let error = Error::new(Kind::DuplicateName, format!("{what} already exists"));
    if own {
        error.hint("Drop it first to define it anew.")
    } else {
        error.hint("It is the model's own. Choose another name.")
    }
}

fn check_own(what: &str, own: Option<bool>) -> Result<()> {
    match own {
        Some(true) => Ok(()),
        Some(false) => Err(Error::new(Kind::InvalidParameter, format!("{what} is the model's own"))
            .hint("Only what coop_define_attribute_value() and coop_define_category() made can be dropped.")),
        None => Err(Error::new(Kind::UnknownName, format!("{what} does not exist"))),
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
