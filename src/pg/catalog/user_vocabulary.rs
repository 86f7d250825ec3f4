//! Values and categories that users add to a model's vocabulary, each defined by a query or by example embeddings. Their rows have `own`
//! set; the model's own rows cannot be changed.

use super::catalog_select::CatalogSelect;
use super::change::{check_name, insert, lock_catalog, query_parameter, with_latest_snapshot};
use super::default_model::model;
use super::lookup::{check_attribute, in_model};
use super::model_entry::{model_with_fingerprint, unknown_model, ModelEntry};
use super::owner::{spi_error, AsCatalogOwner};
use crate::error::{abridged, Error, Kind, Result};
use crate::pg::{text, CoopQuery, CoopVec, OrReport, Text};
use crate::space::{Query, QueryRef};
use pgrx::pg_sys;
use pgrx::prelude::*;

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static ATTRIBUTE: CatalogSelect = CatalogSelect::new(
    c"SELECT a.ordinal, \
      (SELECT pg_catalog.max(v.ordinal) FROM coopembed.attribute_values v \
       WHERE v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal), \
      (SELECT v.own FROM coopembed.attribute_values v WHERE v.model OPERATOR(pg_catalog.=) a.model \
       AND v.attribute OPERATOR(pg_catalog.=) a.ordinal AND v.value OPERATOR(pg_catalog.=) $3) \
      FROM coopembed.attributes a WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2",
    &[TEXT, TEXT, TEXT],
);
static CATEGORY: CatalogSelect = CatalogSelect::new(
    c"SELECT pg_catalog.max(ordinal), pg_catalog.bool_or(own) FILTER (WHERE name OPERATOR(pg_catalog.=) $2) \
      FROM coopembed.categories WHERE model OPERATOR(pg_catalog.=) $1",
    &[TEXT, TEXT],
);

/// Adds a value to an attribute, defined by a query's target in the attribute's subspace; its other subspaces do not matter. The model is
/// the one that made the query.
#[pg_extern(sql = false)]
fn coop_define_attribute_value(
    attribute: Option<Text<'_>>,
    value: Option<Text<'_>>,
    query: Option<CoopQuery<'_>>,
) {
    let (attribute, value, query) = (not_null(attribute), not_null(value), not_null(query));
    define_value(&attribute, &value, query.view()).or_report()
}

/// Adds a value to an attribute, defined by example: an embedding, or the mean of several.
#[pg_extern(sql = false)]
fn coop_define_attribute_value_like(
    attribute: Option<Text<'_>>,
    value: Option<Text<'_>>,
    example: Option<CoopVec<'_>>,
) {
    let (attribute, value, example) = (not_null(attribute), not_null(value), not_null(example));
    define_value(&attribute, &value, superspace(&example).or_report().as_ref()).or_report()
}

/// Adds a category that is defined by a query. The model is the one that made the query.
#[pg_extern(sql = false)]
fn coop_define_category(name: Option<Text<'_>>, query: Option<CoopQuery<'_>>) {
    let (name, query) = (not_null(name), not_null(query));
    define_category(&name, query.view()).or_report()
}

/// Adds a category that is defined by example: an embedding, or the mean of several.
#[pg_extern(sql = false)]
fn coop_define_category_like(name: Option<Text<'_>>, example: Option<CoopVec<'_>>) {
    let (name, example) = (not_null(name), not_null(example));
    define_category(&name, superspace(&example).or_report().as_ref()).or_report()
}

/// Deletes a user-defined value of the default model. The model's own values cannot be deleted.
#[pg_extern(sql = false)]
fn coop_drop_attribute_value(attribute: Text<'_>, value: Text<'_>) {
    drop_value(&model(None).or_report(), &attribute, &value).or_report()
}

/// Deletes a user-defined value of a named model.
#[pg_extern(sql = false)]
fn coop_drop_attribute_value_of(attribute: Text<'_>, value: Text<'_>, model_name: Text<'_>) {
    drop_value(&model(Some(&model_name)).or_report(), &attribute, &value).or_report()
}

/// Deletes a user-defined category of the default model. The model's own categories cannot be deleted.
#[pg_extern(sql = false)]
fn coop_drop_category(name: Text<'_>) {
    drop_category(&model(None).or_report(), &name).or_report()
}

/// Deletes a user-defined category of a named model.
#[pg_extern(sql = false)]
fn coop_drop_category_of(name: Text<'_>, model_name: Text<'_>) {
    drop_category(&model(Some(&model_name)).or_report(), &name).or_report()
}

/// Fails if an argument is null. The functions are not STRICT: a definition that silently did nothing would be noticed only when somebody
/// uses it.
fn not_null<T>(argument: Option<T>) -> T {
    let null = || {
        Error::new(Kind::InvalidParameter, "a value or category cannot be defined by null")
            .detail("The name, the query or the example is null, as avg() of no rows is.")
            .hint("Check that there are rows that the definition is made from.")
    };
    argument.ok_or_else(null).or_report()
}

/// The query for an example in all subspaces.
fn superspace(example: &CoopVec<'_>) -> Result<Query> {
    let example = example.view();
    Query::superspace(example.layout, example.to_f32())
}

fn define_value(attribute: &str, value: &str, query: QueryRef<'_>) -> Result<()> {
    check_name("a value", value)?;
    let model = model_with_fingerprint(query.layout)?;
    let _owner = AsCatalogOwner::enter();
    lock_catalog()?;
    let (k, last, own) = with_latest_snapshot(|| find_value(&model, attribute, value))?;
    if let Some(own) = own {
        return Err(in_model(
            already_exists(&format!("value \"{value}\" of attribute \"{attribute}\""), own),
            &model,
        ));
    }
    let target = query.active().find(|(active, ..)| *active as i32 + 1 == k).map(|(_, _, target)| target);
    let target = target.ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("the query says nothing about attribute \"{attribute}\""))
            .detail("It has no weight in that attribute's subspace.")
            .hint(format!("Make the query from labelled rows: coop_like(avg(emb), '{attribute}')."))
    })?;
    let defined = Query::subspace(query.layout, k as usize - 1, target)?;
    let sql =
        "INSERT INTO coopembed.attribute_values (model, attribute, ordinal, value, images, query, own) \
               VALUES ($1, $2, $3, $4, 0, $5, true)";
    let row = [
        Text::from(model.name.as_str()).into(),
        k.into(),
        last.unwrap_or(0).saturating_add(1).into(),
        Text::from(value).into(),
        query_parameter(Some(defined)),
    ];
    Spi::connect_mut(|client| insert(client, sql, &row))
}

fn define_category(name: &str, query: QueryRef<'_>) -> Result<()> {
    check_name("a category", name)?;
    let model = model_with_fingerprint(query.layout)?;
    let _owner = AsCatalogOwner::enter();
    lock_catalog()?;
    let (last, own) = with_latest_snapshot(|| find_category(&model, name));
    if let Some(own) = own {
        return Err(in_model(already_exists(&format!("category \"{name}\""), own), &model));
    }
    let sql = "INSERT INTO coopembed.categories (model, ordinal, name, images, query, own) \
               VALUES ($1, $2, $3, 0, $4, true)";
    let row = [
        Text::from(model.name.as_str()).into(),
        last.unwrap_or(0).saturating_add(1).into(),
        Text::from(name).into(),
        query_parameter(Some(query.to_query())),
    ];
    Spi::connect_mut(|client| insert(client, sql, &row))
}

fn drop_value(model: &ModelEntry, attribute: &str, value: &str) -> Result<()> {
    let _owner = AsCatalogOwner::enter();
    lock_catalog()?;
    let (k, _, own) = with_latest_snapshot(|| find_value(model, attribute, value))?;
    let what = format!("value \"{}\" of attribute \"{}\"", abridged(value), abridged(attribute));
    check_own(&what, own).map_err(|e| in_model(e, model))?;
    let sql = "DELETE FROM coopembed.attribute_values WHERE model OPERATOR(pg_catalog.=) $1 \
               AND attribute OPERATOR(pg_catalog.=) $2 AND value OPERATOR(pg_catalog.=) $3";
    let key = [Text::from(model.name.as_str()).into(), k.into(), Text::from(value).into()];
    Spi::connect_mut(|client| client.update(sql, None, &key).map(|_| ()).map_err(spi_error))
}

fn drop_category(model: &ModelEntry, name: &str) -> Result<()> {
    let _owner = AsCatalogOwner::enter();
    lock_catalog()?;
    let (_, own) = with_latest_snapshot(|| find_category(model, name));
    check_own(&format!("category \"{}\"", abridged(name)), own).map_err(|e| in_model(e, model))?;
    let sql = "DELETE FROM coopembed.categories WHERE model OPERATOR(pg_catalog.=) $1 \
               AND name OPERATOR(pg_catalog.=) $2";
    let key = [Text::from(model.name.as_str()).into(), Text::from(name).into()];
    Spi::connect_mut(|client| client.update(sql, None, &key).map(|_| ()).map_err(spi_error))
}

/// The attribute's ordinal, the last ordinal of its values, and whether a user defined this value (`None`: there is no such value).
fn find_value(model: &ModelEntry, attribute: &str, value: &str) -> Result<(i32, Option<i32>, Option<bool>)> {
    let key = [text::datum(&model.name), text::datum(attribute), text::datum(value)];
    match ATTRIBUTE.first(&key, |row| (row.expect(1), row.get(2), row.get(3))) {
        Some(found) => Ok(found),
        None => Err(check_attribute(model, attribute).err().unwrap_or_else(|| unknown_model(&model.name))),
    }
}

/// The last ordinal of all categories, and whether a user defined this one (`None`: there is no such category).
fn find_category(model: &ModelEntry, name: &str) -> (Option<i32>, Option<bool>) {
    let key = [text::datum(&model.name), text::datum(name)];
    CATEGORY.first(&key, |row| (row.get(1), row.get(2))).unwrap_or_default()
}

fn already_exists(what: &str, own: bool) -> Error {
    let error = Error::new(Kind::DuplicateName, format!("{what} already exists"));
    if own {
        error.hint("Drop it first to define it again.")
    } else {
        error.hint("It is the model's own. Choose another name.")
    }
}

/// Fails unless `what` exists and a user has defined it.
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
