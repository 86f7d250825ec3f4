//! Which model is meant, and the database's default: the only row of `coopembed.default_model`. The first model that is loaded becomes it,
//! and `coop_set_default_model()` changes it. It is read in the snapshot of each statement, so a change takes effect in all sessions when
//! it is committed.

use super::catalog_select::CatalogSelect;
use super::change::{lock_catalog, with_latest_snapshot};
use super::model_entry::{
    any_two, entry, find, hint_in_restore, model_names, quoted, unknown_model, ModelEntry,
};
use super::owner::{has_relation, spi_error, AsCatalogOwner};
use crate::error::{Error, Kind, Result};
use crate::pg::{guc, OrReport, Text};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

static STORED: CatalogSelect = CatalogSelect::new(
    c"SELECT m.name, m.digest, m.subspaces, m.subspace_dim, m.loaded_at FROM coopembed.default_model d \
      JOIN coopembed.models m ON m.name OPERATOR(pg_catalog.=) d.model",
    &[],
);

/// Makes a loaded model the database's default.
#[pg_extern(sql = false)]
fn coop_set_default_model(name: Text<'_>) {
    let _owner = AsCatalogOwner::enter();
    lock_catalog().or_report();
    if with_latest_snapshot(|| find(&name)).or_report().is_none() {
        Err(unknown_model(&name)).or_report()
    }
    Spi::connect_mut(|client| set(client, &name)).or_report()
}

/// The model called `name`; without a name, the one that `coopembed.model` names; if that is empty, the database's default.
///
/// # Errors
/// [`Kind::UnknownName`] with the nearest names, [`Kind::InvalidParameter`] if several are loaded and none is the default.
pub fn model(name: Option<&str>) -> Result<ModelEntry> {
    if let Some(name) = name {
        return find(name)?.ok_or_else(|| unknown_model(name));
    }
    if let Some(default) = guc::model()? {
        return find(&default)?.ok_or_else(|| {
            let error = unknown_model(&default);
            let detail = error.detail.clone().unwrap_or_else(|| "It is the setting coopembed.model.".into());
            error.detail(detail)
        });
    }
    default_model()?.ok_or_else(without_default)
}

fn without_default() -> Error {
    let names = model_names();
    if names.is_empty() {
        let error = Error::new(Kind::UnknownName, "no model is loaded");
        return hint_in_restore(error.hint("Load one with coop_load_model(name, directory)."));
    }
    let error = Error::new(Kind::InvalidParameter, "several models are loaded and none is the default");
    hint_in_restore(
        error
            .detail(format!("Loaded: {}.", quoted(&names)))
            .hint("Name the model in the call, or choose a default: SELECT coop_set_default_model('...')."),
    )
}

/// The stored default; without one, the only model that is loaded; `None` if there are none or several.
///
/// # Errors
/// [`Kind::Internal`] for a row that is no model's.
pub fn default_model() -> Result<Option<ModelEntry>> {
    if let Some(stored) = stored()? {
        return Ok(Some(stored));
    }
    let mut models = any_two()?;
    Ok(if models.len() == 1 { models.pop() } else { None })
}

/// The model that becomes the default when `name` is loaded: the one that would have been meant until now, or `name` itself if it is the
/// first. `None` if the default stays as it is, or nobody has chosen among several. Call it with the catalogue locked, in the latest snapshot.
///
/// # Errors
/// As [`default_model`].
pub fn default_when_loaded(name: &str) -> Result<Option<String>> {
    if !is_stored_here() || stored()?.is_some() {
        return Ok(None);
    }
    let models = any_two()?;
    Ok(match models.as_slice() {
        [] => Some(name.to_owned()),
        [only] => Some(only.name.clone()),
        _ => None,
    })
}

/// Fails if `name` is the default and others are loaded: which of them statements should mean is not for DROP to decide. Call it with the
/// catalogue locked, in the latest snapshot.
///
/// # Errors
/// [`Kind::InUse`].
pub fn check_not_default(name: &str) -> Result<()> {
    let is_default = is_stored(name)?;
    let others: Vec<String> = any_two()?.into_iter().map(|m| m.name).filter(|other| other != name).collect();
    match others.first() {
        Some(other) if is_default => {
            Err(Error::new(Kind::InUse, format!("model \"{name}\" is the default of this database"))
                .detail(format!("Others are loaded, as {}.", quoted(&others[..1])))
                .hint(format!(
                    "Choose another default first, for instance SELECT coop_set_default_model({}).",
                    pgrx::spi::quote_literal(other)
                )))
        }
        _ => Ok(()),
    }
}

/// Stores the default. Call it as the owner of the catalogue, with the catalogue locked.
///
/// # Errors
/// [`Kind::Internal`] if that fails.
pub fn set(client: &mut SpiClient<'_>, name: &str) -> Result<()> {
    let sql = "INSERT INTO coopembed.default_model (model) VALUES ($1) \
               ON CONFLICT (only_row) DO UPDATE SET model = excluded.model";
    client.update(sql, None, &[Text::from(name).into()]).map(|_| ()).map_err(spi_error)
}

/// Removes the default if it is `name`. Call it as the owner of the catalogue.
///
/// # Errors
/// [`Kind::Internal`] if that fails.
pub fn unset(client: &mut SpiClient<'_>, name: &str) -> Result<()> {
    if !is_stored_here() {
        return Ok(());
    }
    let sql = "DELETE FROM coopembed.default_model WHERE model OPERATOR(pg_catalog.=) $1";
    client.update(sql, None, &[Text::from(name).into()]).map(|_| ()).map_err(spi_error)
}

/// Whether `name` is the stored default.
///
/// # Errors
/// [`Kind::Internal`] for a row that is no model's.
pub fn is_stored(name: &str) -> Result<bool> {
    Ok(stored()?.is_some_and(|stored| stored.name == name))
}

fn stored() -> Result<Option<ModelEntry>> {
    if !is_stored_here() {
        return Ok(None);
    }
    STORED.first(&[], entry).transpose()
}

/// Whether the database has the table. Version 0.2.0 had not, and this library serves its functions until the update.
fn is_stored_here() -> bool {
    has_relation(c"default_model")
}
