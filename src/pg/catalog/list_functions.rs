//! Functions that list what is loaded: `coop_models()`, `coop_attributes()`, `coop_attribute_values()`, `coop_categories()`; and
//! `coop_model()`, the model of an embedding.

use super::catalog_select::CatalogSelect;
use super::default_model::{default_model, model};
use super::lookup::check_attribute;
use super::model_entry::name_of_model;
use crate::model::backbone_and_input_size;
use crate::pg::{guc, text, CoopVec, OrReport, Text};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::prelude::*;

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static MODELS: CatalogSelect = CatalogSelect::new(
    c"SELECT m.name, m.fingerprint, m.subspaces, m.subspace_dim, \
      (SELECT pg_catalog.count(*) FROM coopembed.attributes a WHERE a.model OPERATOR(pg_catalog.=) m.name), \
      (SELECT pg_catalog.count(*) FROM coopembed.categories c WHERE c.model OPERATOR(pg_catalog.=) m.name), \
      m.config, \
      (SELECT pg_catalog.sum(pg_catalog.octet_length(w.bytes)) FROM coopembed.model_weights w \
       WHERE w.model OPERATOR(pg_catalog.=) m.name)::pg_catalog.int8, \
      m.loaded_at \
      FROM coopembed.models m ORDER BY m.name",
    &[],
);
static ATTRIBUTES: CatalogSelect = CatalogSelect::new(
    c"SELECT a.ordinal, a.name, a.ordered, \
      (SELECT pg_catalog.count(*) FROM coopembed.attribute_values v WHERE v.model OPERATOR(pg_catalog.=) a.model \
       AND v.attribute OPERATOR(pg_catalog.=) a.ordinal) \
      FROM coopembed.attributes a WHERE a.model OPERATOR(pg_catalog.=) $1 ORDER BY a.ordinal",
    &[TEXT],
);
static VALUES: CatalogSelect = CatalogSelect::new(
    c"SELECT v.ordinal, v.value, v.images, v.query IS NOT NULL, v.own \
      FROM coopembed.attributes a JOIN coopembed.attribute_values v \
      ON v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal \
      WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2 ORDER BY v.ordinal",
    &[TEXT, TEXT],
);
static CATEGORIES: CatalogSelect = CatalogSelect::new(
    c"SELECT ordinal, name, images, query IS NOT NULL, own FROM coopembed.categories \
      WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY ordinal",
    &[TEXT],
);

/// The loaded models. `is_default` marks the one that functions use when none is named; `bytes` is the size of its weights.
#[allow(clippy::type_complexity)]
#[pg_extern(sql = false)]
fn coop_models() -> TableIterator<
    'static,
    (
        name!(name, Text<'static>),
        name!(fingerprint, Text<'static>),
        name!(subspaces, i32),
        name!(subspace_dim, i32),
        name!(attributes, i64),
        name!(categories, i64),
        name!(backbone, Option<Text<'static>>),
        name!(input_size, Option<i32>),
        name!(is_default, bool),
        name!(bytes, Option<i64>),
        name!(loaded_at, TimestampWithTimeZone),
    ),
> {
    let setting = guc::model().or_report();
    let default = setting.or_else(|| default_model().or_report().map(|model| model.name));
    let rows = MODELS.rows(&[], |row| {
        let name = row.text(1);
        let is_default = default.as_ref() == Some(&name);
        // The config is not parsed in SQL: PostgreSQL's JSON functions fail on a \u escape of a character that the database's encoding
        // lacks.
        let (backbone, input_size) = backbone_and_input_size(&row.text(7)).or_report();
        (
            Text::from(name),
            row.text(2).into(),
            row.expect(3),
            row.expect(4),
            row.expect(5),
            row.expect(6),
            backbone.map(Text::from),
            input_size,
            is_default,
            row.get(8),
            row.expect(9),
        )
    });
    TableIterator::new(rows)
}

/// The name of the model that made an embedding; NULL if it is not loaded.
#[pg_extern(sql = false)]
fn coop_model(embedding: CoopVec<'_>) -> Option<Text<'static>> {
    name_of_model(embedding.view().layout).or_report().map(Text::from)
}

fn attributes(model_name: Option<&str>) -> Vec<(i32, Text<'static>, bool, i64)> {
    let model = model(model_name).or_report();
    ATTRIBUTES
        .rows(&[text::datum(&model.name)], |r| (r.expect(1), r.text(2).into(), r.expect(3), r.expect(4)))
}

fn values(attribute: &str, model_name: Option<&str>) -> Vec<(i32, Text<'static>, i64, bool, bool)> {
    let model = model(model_name).or_report();
    check_attribute(&model, attribute).or_report();
    let key = [text::datum(&model.name), text::datum(attribute)];
    VALUES.rows(&key, |r| (r.expect(1), r.text(2).into(), r.expect(3), r.expect(4), r.expect(5)))
}

fn categories(model_name: Option<&str>) -> Vec<(i32, Text<'static>, i64, bool, bool)> {
    let model = model(model_name).or_report();
    CATEGORIES.rows(&[text::datum(&model.name)], |r| {
        (r.expect(1), r.text(2).into(), r.expect(3), r.expect(4), r.expect(5))
    })
}

/// The attributes of the default model; `ordered` ones have values in a meaningful order.
#[pg_extern(sql = false)]
fn coop_attributes() -> TableIterator<
    'static,
    (name!(ordinal, i32), name!(name, Text<'static>), name!(ordered, bool), name!(value_count, i64)),
> {
    TableIterator::new(attributes(None))
}

/// The attributes of a model.
#[pg_extern(sql = false)]
fn coop_attributes_of(
    model: Text<'_>,
) -> TableIterator<
    'static,
    (name!(ordinal, i32), name!(name, Text<'static>), name!(ordered, bool), name!(value_count, i64)),
> {
    TableIterator::new(attributes(Some(&model)))
}

/// The values of an attribute of the default model, and how many training images show each; a value without any has no
/// query.
#[pg_extern(sql = false)]
fn coop_attribute_values(
    attribute: Text<'_>,
) -> TableIterator<
    'static,
    (
        name!(ordinal, i32),
        name!(value, Text<'static>),
        name!(images, i64),
        name!(has_query, bool),
        name!(own, bool),
    ),
> {
    TableIterator::new(values(&attribute, None))
}

/// The values of an attribute of a model.
#[pg_extern(sql = false)]
fn coop_attribute_values_of(
    attribute: Text<'_>,
    model: Text<'_>,
) -> TableIterator<
    'static,
    (
        name!(ordinal, i32),
        name!(value, Text<'static>),
        name!(images, i64),
        name!(has_query, bool),
        name!(own, bool),
    ),
> {
    TableIterator::new(values(&attribute, Some(&model)))
}

/// The categories of the default model, and how many training images each has; one without any has no query.
#[pg_extern(sql = false)]
fn coop_categories() -> TableIterator<
    'static,
    (
        name!(ordinal, i32),
        name!(name, Text<'static>),
        name!(images, i64),
        name!(has_query, bool),
        name!(own, bool),
    ),
> {
    TableIterator::new(categories(None))
}

/// The categories of a model.
#[pg_extern(sql = false)]
fn coop_categories_of(
    model: Text<'_>,
) -> TableIterator<
    'static,
    (
        name!(ordinal, i32),
        name!(name, Text<'static>),
        name!(images, i64),
        name!(has_query, bool),
        name!(own, bool),
    ),
> {
    TableIterator::new(categories(Some(&model)))
}
