//! Which model is meant: by name, by the default, by an embedding's fingerprint, by digest.

use super::statement::{Row, Select};
use crate::error::{Error, Kind, Result};
use crate::model::{ModelConfig, ModelDigest};
use crate::pg::{guc, text};
use crate::space::Layout;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::rc::Rc;

/// A loaded model, without the parts that are large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// Its name in this database.
    pub name: String,
    /// What its embeddings and queries are made by.
    pub digest: ModelDigest,
    /// K, n and the fingerprint.
    pub layout: Layout,
    /// When it was loaded, in microseconds: what is remembered of a model is that of this loading.
    loaded_at: i64,
}

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static BY_NAME: Select = Select::new(
    c"SELECT name, digest, subspaces, subspace_dim, loaded_at FROM coopembed.models WHERE name OPERATOR(pg_catalog.=) $1",
    &[TEXT],
);
static BY_FINGERPRINT: Select = Select::new(
    c"SELECT name, digest, subspaces, subspace_dim, loaded_at FROM coopembed.models \
      WHERE fingerprint OPERATOR(pg_catalog.=) $1 ORDER BY name LIMIT 1",
    &[TEXT],
);
static ANY_TWO: Select = Select::new(
    c"SELECT name, digest, subspaces, subspace_dim, loaded_at FROM coopembed.models LIMIT 2",
    &[],
);
static NAMES: Select = Select::new(c"SELECT name FROM coopembed.models ORDER BY name", &[]);
static CONFIG: Select =
    Select::new(c"SELECT config FROM coopembed.models WHERE name OPERATOR(pg_catalog.=) $1", &[TEXT]);

/// The model called `name`; without a name the default of `coopembed.model`; without that the only one there is.
///
/// # Errors
/// [`Kind::UnknownName`] with the nearest names, [`Kind::InvalidParameter`] if several are loaded and none is chosen.
pub fn model(name: Option<&str>) -> Result<ModelEntry> {
    if let Some(name) = name {
        return find(name)?.ok_or_else(|| unknown(name));
    }
    if let Some(default) = guc::model()? {
        return find(&default)?.ok_or_else(|| {
            let error = unknown(&default);
            let detail = error.detail.clone().unwrap_or_else(|| "It is the setting coopembed.model.".into());
            error.detail(detail)
        });
    }
    let mut entries = ANY_TWO.rows(&[], entry).into_iter().collect::<Result<Vec<_>>>()?;
    match entries.len() {
        0 => Err(Error::new(Kind::UnknownName, "no model is loaded")
            .hint("Load one with coop_load_model(name, directory).")),
        1 => Ok(entries.remove(0)),
        _ => Err(Error::new(Kind::InvalidParameter, "several models are loaded and none is chosen")
            .detail(format!("Loaded: {}.", quoted(&names())))
            .hint("Name the model in the call, or choose a default: SET coopembed.model = '...'.")),
    }
}

/// The model of this name, if it is loaded.
pub fn find(name: &str) -> Result<Option<ModelEntry>> {
    BY_NAME.first(&[text::datum(name)], entry).transpose()
}

/// The loaded model that made an embedding.
///
/// # Errors
/// [`Kind::UnknownName`] if it is not loaded.
pub fn model_with_fingerprint(layout: Layout) -> Result<ModelEntry> {
    let fingerprint = format!("{:08x}", layout.fingerprint());
    let found = BY_FINGERPRINT.first(&[text::datum(&fingerprint)], entry).transpose()?;
    match found {
        Some(found) if found.layout == layout => Ok(found),
        Some(other) => Err(Error::new(Kind::Mismatch, format!("the embedding is not one of model \"{}\"", other.name))
            .detail(format!("The embedding is of model {layout}, \"{}\" is model {}.", other.name, other.layout))),
        None => Err(Error::new(Kind::UnknownName, format!("the embedding's model {layout} is not loaded"))
            .detail(match names() {
                names if names.is_empty() => "No model is loaded.".to_owned(),
                names => format!("Loaded: {}.", quoted(&names)),
            })
            .hint("Load that model again with coop_load_model(); its name does not matter, its fingerprint does.")),
    }
}

/// The parsed `config.json` of a model.
///
/// # Errors
/// As [`ModelConfig::from_json`]; [`Kind::UnknownName`] if the model is gone.
pub fn config(entry: &ModelEntry) -> Result<Rc<ModelConfig>> {
    static LAST: Remembered<ModelConfig> = Remembered::new();
    LAST.of(entry, || ModelConfig::from_json(&config_text(entry)?))
}

/// What this session worked out about the model that it used last.
pub struct Remembered<T>(RefCell<Option<(ModelDigest, i64, Rc<T>)>>);

// SAFETY: a server process has one thread that calls PostgreSQL, and only that one asks for models.
unsafe impl<T> Sync for Remembered<T> {}

impl<T> Remembered<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// What `make` says of this model, now or when it was last asked.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn of(&self, entry: &ModelEntry, make: impl FnOnce() -> Result<T>) -> Result<Rc<T>> {
        match &*self.0.borrow() {
            Some((digest, loaded_at, kept)) if (*digest, *loaded_at) == (entry.digest, entry.loaded_at) => {
                return Ok(Rc::clone(kept));
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
    CONFIG.first(&[text::datum(&entry.name)], |row| row.text(1)).ok_or_else(|| unknown(&entry.name))
}

/// "There is no such model", with the nearest names.
pub fn unknown(name: &str) -> Error {
    Error::unknown("model", name, names())
}

fn names() -> Vec<String> {
    NAMES.rows(&[], |row| row.text(1))
}

fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(8).map(|n| format!("\"{n}\"")).collect();
    shown.join(", ") + if names.len() > shown.len() { ", ..." } else { "" }
}

/// `name, digest, subspaces, subspace_dim, loaded_at` of a row.
fn entry(row: &Row) -> Result<ModelEntry> {
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
