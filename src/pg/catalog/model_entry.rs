//! A model's row in the catalogue, found by its name or by an embedding's fingerprint.

use super::catalog_select::CatalogSelect;
use crate::error::{Error, Kind, Result};
use crate::model::{ModelConfig, ModelDigest};
use crate::pg::spi_row::SpiRow;
use crate::pg::{statement, text};
use crate::space::Layout;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::rc::Rc;

/// A loaded model's row, without its large parts (config and weights).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// The name under which it was loaded into this database.
    pub name: String,
    /// SHA-256 of what determines its embeddings and queries.
    pub digest: ModelDigest,
    /// K, n and the fingerprint.
    pub layout: Layout,
    /// When it was loaded, in microseconds. A cache of something about the model is valid for this value only: see [`ModelCache`].
    loaded_at: i64,
}

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static BY_NAME: CatalogSelect = CatalogSelect::new(
    c"SELECT name, digest, subspaces, subspace_dim, loaded_at FROM coopembed.models WHERE name OPERATOR(pg_catalog.=) $1",
    &[TEXT],
);
static BY_FINGERPRINT: CatalogSelect = CatalogSelect::new(
    c"SELECT name, digest, subspaces, subspace_dim, loaded_at FROM coopembed.models \
      WHERE fingerprint OPERATOR(pg_catalog.=) $1 ORDER BY name LIMIT 1",
    &[TEXT],
);
static ANY_TWO: CatalogSelect = CatalogSelect::new(
    c"SELECT name, digest, subspaces, subspace_dim, loaded_at FROM coopembed.models LIMIT 2",
    &[],
);
static NAMES: CatalogSelect = CatalogSelect::new(c"SELECT name FROM coopembed.models ORDER BY name", &[]);
static CONFIG: CatalogSelect =
    CatalogSelect::new(c"SELECT config FROM coopembed.models WHERE name OPERATOR(pg_catalog.=) $1", &[TEXT]);

/// Up to two of the loaded models.
///
/// # Errors
/// [`Kind::Internal`] for a row that is no model's.
pub fn any_two() -> Result<Vec<ModelEntry>> {
    ANY_TWO.rows(&[], entry).into_iter().collect()
}

/// The model called `name`, or `None`.
pub fn find(name: &str) -> Result<Option<ModelEntry>> {
    BY_NAME.first(&[text::datum(name)], entry).transpose()
}

/// The loaded model with the fingerprint of this layout, or `None`.
fn find_by_fingerprint(layout: Layout) -> Result<Option<ModelEntry>> {
    let fingerprint = format!("{:08x}", layout.fingerprint());
    BY_FINGERPRINT.first(&[text::datum(&fingerprint)], entry).transpose()
}

/// The name of the loaded model that made an embedding with this layout; `None` if it is not loaded.
pub fn name_of_model(layout: Layout) -> Result<Option<String>> {
    Ok(find_by_fingerprint(layout)?.filter(|found| found.layout == layout).map(|found| found.name))
}

/// The loaded model that made an embedding with this layout, found by its fingerprint.
///
/// # Errors
/// [`Kind::UnknownName`] if it is not loaded.
pub fn model_with_fingerprint(layout: Layout) -> Result<ModelEntry> {
    match find_by_fingerprint(layout)? {
        Some(found) if found.layout == layout => Ok(found),
        Some(other) => Err(Error::new(Kind::Mismatch, format!("the embedding is not one of model \"{}\"", other.name))
            .detail(format!("The embedding is of model {layout}, \"{}\" is model {}.", other.name, other.layout))),
        None => Err(hint_in_restore(Error::new(Kind::UnknownName, format!("the embedding's model {layout} is not loaded"))
            .detail(match model_names() {
                names if names.is_empty() => "No model is loaded.".to_owned(),
                names => format!("Loaded: {}.", quoted(&names)),
            })
            .hint("Load that model again with coop_load_model(); its name does not matter, its fingerprint does."))),
    }
}

/// The parsed `config.json` of a model.
///
/// # Errors
/// As [`ModelConfig::from_json`]; [`Kind::InvalidModel`] if it has another shape than the row; [`Kind::UnknownName`] if the model is gone.
pub fn config(entry: &ModelEntry) -> Result<Rc<ModelConfig>> {
    static CACHE: ModelCache<ModelConfig> = ModelCache::new();
    CACHE.get_or_make(entry, || {
        let config = ModelConfig::from_json(&config_text(entry)?)?;
        let found = (config.attributes.len(), config.subspace_dim);
        let expected = (entry.layout.subspaces(), entry.layout.subspace_dim());
        if found != expected {
            return Err(spoilt(entry, "config")
                .detail(format!("Found {}x{}, expected {}x{}.", found.0, found.1, expected.0, expected.1)));
        }
        Ok(config)
    })
}

/// The error that rows of a model do not fit its row in `coopembed.models`: not `coop_load_model()` wrote them, but a restore or somebody's hand.
pub fn spoilt(entry: &ModelEntry, what: &str) -> Error {
    Error::new(Kind::InvalidModel, format!("the stored {what} of model \"{}\" does not fit it", entry.name))
        .hint("Drop the model and load it again.")
}

/// Something that this session derived from a model, for the model that it used last.
pub struct ModelCache<T>(RefCell<Option<(ModelDigest, i64, Rc<T>)>>);

// SAFETY: a server process has one thread that calls PostgreSQL, and only that one asks for models.
unsafe impl<T> Sync for ModelCache<T> {}

impl<T> ModelCache<T> {
    /// An empty cache.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// The cached value if it is of this model, as loaded at this time. Otherwise makes it, and caches it instead.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_make(&self, entry: &ModelEntry, make: impl FnOnce() -> Result<T>) -> Result<Rc<T>> {
        match &*self.0.borrow() {
            Some((digest, loaded_at, cached)) if (*digest, *loaded_at) == (entry.digest, entry.loaded_at) => {
                return Ok(Rc::clone(cached));
            }
            _ => {}
        }
        let made = Rc::new(make()?);
        self.0.replace(Some((entry.digest, entry.loaded_at, Rc::clone(&made))));
        Ok(made)
    }
}

/// The `config.json` of a model as it was loaded.
///
/// # Errors
/// [`Kind::UnknownName`] if the model is gone.
pub fn config_text(entry: &ModelEntry) -> Result<String> {
    CONFIG.first(&[text::datum(&entry.name)], |row| row.text(1)).ok_or_else(|| unknown_model(&entry.name))
}

/// The error that no model has this name, with the nearest names.
pub fn unknown_model(name: &str) -> Error {
    hint_in_restore(Error::unknown("model", name, model_names()))
}

/// Says in an error that a model is missing what to do in a restore, if that is what happens: PostgreSQL checks rows while it copies them, and
/// knows of no order among the tables of a dump.
pub fn hint_in_restore(error: Error) -> Error {
    if !statement::is_copy_from() {
        return error;
    }
    error.hint(
        "If this is a restore, restore the data of schema coopembed first (pg_restore --section=data -n coopembed), or make the check \
         NOT VALID before the dump: see \"Backup and restore\" in sql/operations.md.",
    )
}

/// The names of all loaded models.
pub fn model_names() -> Vec<String> {
    NAMES.rows(&[], |row| row.text(1))
}

/// Names in quotation marks, the first eight of them.
pub fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(8).map(|n| format!("\"{n}\"")).collect();
    shown.join(", ") + if names.len() > shown.len() { ", ..." } else { "" }
}

/// Makes an entry of the columns `name, digest, subspaces, subspace_dim, loaded_at`.
///
/// # Errors
/// [`Kind::Internal`] or [`Kind::LimitExceeded`] for values that no model has.
pub fn entry(row: &SpiRow) -> Result<ModelEntry> {
    let name = row.text(1);
    let digest: Vec<u8> = row.expect(2);
    let digest = ModelDigest(digest.try_into().map_err(|_| {
        Error::new(Kind::Internal, format!("the digest of model \"{name}\" does not have 32 bytes"))
    })?);
    let (k, n): (i32, i32) = (row.expect(3), row.expect(4));
    let layout = Layout::new(k.unsigned_abs() as usize, n.unsigned_abs() as usize, digest.fingerprint())?;
    let loaded_at: pgrx::datum::TimestampWithTimeZone = row.expect(5);
    Ok(ModelEntry { name, digest, layout, loaded_at: loaded_at.into_inner() })
}
