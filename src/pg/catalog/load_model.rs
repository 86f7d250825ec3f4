//! `coop_load_model()` and `coop_drop_model()`.

use super::catalog_select::CatalogSelect;
use super::change::{check_name, insert, lock_catalog, query_parameter, with_latest_snapshot};
use super::default_model::{self, check_not_default, default_when_loaded};
use super::model_entry::{find, unknown_model};
use super::owner::{has_relation, spi_error, AsCatalogOwner};
use crate::error::{abridged, Error, Kind, Result};
use crate::model::{read_directory, Model, ModelConfig, Proxies};
use crate::pg::encoding::to_server;
use crate::pg::{text, OrReport, Text};
use crate::space::Query;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Weights are stored in parts of this many bytes, because pg_dump builds each as hexadecimal text in memory.
pub const PART_BYTES: usize = 16 << 20;

static SAME_FINGERPRINT: CatalogSelect = CatalogSelect::new(
    c"SELECT name FROM coopembed.models WHERE fingerprint OPERATOR(pg_catalog.=) $1 \
      AND digest OPERATOR(pg_catalog.<>) $2 LIMIT 1",
    &[pg_sys::TEXTOID, pg_sys::BYTEAOID],
);

/// Loads the model in a directory of the server's machine under a name, and returns its fingerprint: the number that every embedding of
/// this model carries.
///
/// The path must be absolute, because the server reads it, wherever the client runs. Only superusers and members of
/// `pg_read_server_files` may name files of the server. Everything is checked before anything is stored.
#[pg_extern(sql = false)]
fn coop_load_model_directory(name: Text<'_>, directory: Text<'_>) -> Text<'static> {
    // SAFETY: reads the current user and looks its roles up; nothing is passed by pointer.
    let may_read = unsafe {
        pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_READ_SERVER_FILES))
    };
    if !may_read {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied to read a model directory of the server",
            "Only superusers and members of pg_read_server_files may; coop_load_model(name, config, weights) takes \
             the files as values."
        );
    }
    check_name("a model", &name).or_report();
    // File names are bytes of the database's encoding, as for PostgreSQL's own COPY.
    let name_on_disk = to_server(&directory).or_report();
    let path = Path::new(OsStr::from_bytes(&name_on_disk));
    check_path(path, &directory).or_report();
    // Errors name the path as the user wrote it, not as bytes of another encoding.
    let named = |e: Error| Error { message: e.message.replace(&path.to_string_lossy()[..], &directory), ..e };
    let (config, weights) = read_directory(path).map_err(named).or_report();
    load(&name, &config, Weights::Given(&weights), false).or_report().into()
}

/// Fails unless a path can be looked up; `shown` is the same as text.
fn check_path(path: &Path, shown: &str) -> Result<()> {
    let refused =
        |what: &str| Error::new(Kind::InvalidParameter, format!("\"{}\" is {what}", abridged(shown)));
    if !path.is_absolute() {
        return Err(refused("not an absolute path")
            .hint("The server reads the directory: give its full path on the server's machine."));
    }
    if path.as_os_str().len() >= libc::PATH_MAX as usize {
        return Err(refused("too long for a path")
            .detail(format!("A path has at most {} bytes.", libc::PATH_MAX - 1)));
    }
    Ok(())
}

/// Loads a model from the contents of its `config.json` and `model.safetensors`, for clients whose files the server cannot read. The rest
/// is as in [`coop_load_model_directory`].
#[pg_extern(sql = false)]
fn coop_load_model_values(name: Text<'_>, config: Text<'_>, weights: &[u8]) -> Text<'static> {
    check_name("a model", &name).or_report();
    load(&name, &config, Weights::Given(weights), false).or_report().into()
}

/// Deletes a model: its weights, vocabulary and queries. Embeddings that it made stay as they are and keep its fingerprint. They can still
/// be compared with each other, and work with the model again once it is loaded again. The default can be dropped only if it is the last one.
#[pg_extern(sql = false)]
fn coop_drop_model(name: Text<'_>) {
    let _owner = AsCatalogOwner::enter();
    lock_catalog().or_report();
    with_latest_snapshot(|| check_not_default(&name)).or_report();
    if Spi::connect_mut(|client| remove(client, &name)).or_report() == 0 {
        Err(unknown_model(&name)).or_report()
    }
}

/// Where the bytes of `model.safetensors` are.
pub enum Weights<'a> {
    /// In memory only.
    Given(&'a [u8]),
    /// In memory, and as rows of `coopembed.model_weights` under this name, which become the model's.
    Staged(&'a [u8], &'a str),
}

impl Weights<'_> {
    fn bytes(&self) -> &[u8] {
        let (Self::Given(bytes) | Self::Staged(bytes, _)) = self;
        bytes
    }
}

/// Checks a model and stores it under a name; returns its fingerprint. With `replace`, a model that has the name makes room for it, and the
/// name stays the default if it was. The same model is left as it is.
///
/// # Errors
/// Those of [`Model::from_parts`]; [`Kind::DuplicateName`] if the name or the fingerprint is taken.
pub fn load(name: &str, config: &str, weights: Weights<'_>, replace: bool) -> Result<String> {
    let model = Model::from_parts(config, weights.bytes())?;
    let proxies = Proxies::from_parts(model.config(), weights.bytes())?;
    check_encodable(model.config())?;
    let _owner = AsCatalogOwner::enter();
    lock_catalog()?;
    let old = with_latest_snapshot(|| find(name))?.filter(|_| replace);
    if old.is_some_and(|old| old.digest == model.digest()) {
        return Ok(fingerprint(&model));
    }
    let default = with_latest_snapshot(|| {
        check_new(name, &model, replace)?;
        if replace && default_model::is_stored(name)? {
            return Ok(Some(name.to_owned()));
        }
        default_when_loaded(name)
    })?;
    Spi::connect_mut(|client| {
        remove(client, name)?;
        store_files(client, name, config, &weights, &model)?;
        store_attributes(client, name, &model)?;
        store_categories(client, name, &model)?;
        store_proxies(client, name, proxies)?;
        default.map_or(Ok(()), |default| default_model::set(client, &default))
    })?;
    Ok(fingerprint(&model))
}

/// Fails on a name that the database's encoding cannot represent.
fn check_encodable(config: &ModelConfig) -> Result<()> {
    let values =
        config.attributes.iter().flat_map(|a| [&a.name].into_iter().chain(a.values.iter().map(|v| &v.name)));
    values.chain(config.categories.iter().map(|c| &c.name)).try_for_each(|word| to_server(word).map(|_| ()))
}

/// Fails if the name is taken, or the fingerprint by a different model: embeddings of the two could not be told apart.
fn check_new(name: &str, model: &Model, replace: bool) -> Result<()> {
    let (digest, layout) = (model.digest(), model.layout());
    if let Some(old) = find(name)?.filter(|_| !replace) {
        let error = Error::new(Kind::DuplicateName, format!("model \"{name}\" already exists"));
        return Err(if old.digest == digest {
            error.detail("It is the same model.").hint("There is nothing to do.")
        } else {
            error
                .detail(format!("It is model {}, this one is {layout}.", old.layout))
                .hint("Choose another name, or coop_drop_model() the old one first.")
        });
    }
    let key = [text::datum(&fingerprint(model)), digest.0.as_slice().into_datum()];
    match SAME_FINGERPRINT.first(&key, |row| row.text(1)) {
        None => Ok(()),
        Some(other) => Err(Error::new(
            Kind::DuplicateName,
            format!("model \"{other}\" has the fingerprint {} too", fingerprint(model)),
        )
        .detail("Embeddings of the two models could not be told apart.")
        .hint("Train this model again with another seed, or drop the other one.")),
    }
}

fn fingerprint(model: &Model) -> String {
    format!("{:08x}", model.digest().fingerprint())
}

/// Deletes all rows of a model, also those left over from a model whose main row was deleted by hand. Returns how many models there were.
fn remove(client: &mut SpiClient<'_>, name: &str) -> Result<usize> {
    for sql in [
        "DELETE FROM coopembed.model_weights WHERE model OPERATOR(pg_catalog.=) $1",
        "DELETE FROM coopembed.attribute_values WHERE model OPERATOR(pg_catalog.=) $1",
        "DELETE FROM coopembed.attributes WHERE model OPERATOR(pg_catalog.=) $1",
        "DELETE FROM coopembed.categories WHERE model OPERATOR(pg_catalog.=) $1",
        "DELETE FROM coopembed.proxies WHERE model OPERATOR(pg_catalog.=) $1",
    ] {
        client.update(sql, None, &[Text::from(name).into()]).map_err(spi_error)?;
    }
    if has_relation(c"synonyms") {
        let sql = "DELETE FROM coopembed.synonyms WHERE model OPERATOR(pg_catalog.=) $1";
        client.update(sql, None, &[Text::from(name).into()]).map_err(spi_error)?;
    }
    default_model::unset(client, name)?;
    let sql = "DELETE FROM coopembed.models WHERE name OPERATOR(pg_catalog.=) $1";
    client.update(sql, None, &[Text::from(name).into()]).map(|rows| rows.len()).map_err(spi_error)
}

fn store_files(
    client: &mut SpiClient<'_>,
    name: &str,
    config: &str,
    weights: &Weights<'_>,
    model: &Model,
) -> Result<()> {
    let layout = model.layout();
    let sql = "INSERT INTO coopembed.models (name, digest, subspaces, subspace_dim, config) \
               VALUES ($1, $2, $3, $4, $5)";
    let digest = model.digest();
    let (k, n) = (layout.subspaces() as i32, layout.subspace_dim() as i32);
    let name = || Text::from(name).into();
    // Characters that the database's encoding lacks are escaped: the config means the same, and has the same digest.
    let config = text::json_parameter(config)?;
    insert(client, sql, &[name(), digest.0.as_slice().into(), k.into(), n.into(), config])?;
    if let Weights::Staged(_, staged_as) = weights {
        // Their bytes stay where they are: an UPDATE of another column copies a reference to them.
        let sql = "UPDATE coopembed.model_weights SET model = $1 WHERE model OPERATOR(pg_catalog.=) $2";
        return client
            .update(sql, None, &[name(), Text::from(*staged_as).into()])
            .map(|_| ())
            .map_err(spi_error);
    }
    let sql = "INSERT INTO coopembed.model_weights (model, part, bytes) VALUES ($1, $2, $3)";
    for (part, bytes) in (1i32..).zip(weights.bytes().chunks(PART_BYTES)) {
        insert(client, sql, &[name(), part.into(), bytes.into()])?;
    }
    Ok(())
}

/// Stores attributes, their values, and the values' queries.
fn store_attributes(client: &mut SpiClient<'_>, name: &str, model: &Model) -> Result<()> {
    let attribute_sql =
        "INSERT INTO coopembed.attributes (model, ordinal, name, ordered) VALUES ($1, $2, $3, $4)";
    let value_sql =
        "INSERT INTO coopembed.attribute_values (model, attribute, ordinal, value, images, query) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
    for (k, attribute) in model.config().attributes.iter().enumerate() {
        let ordinal = k as i32 + 1;
        let word = |word| Text::from(word).into();
        let row = [word(name), ordinal.into(), word(&attribute.name), attribute.ordered.into()];
        insert(client, attribute_sql, &row)?;
        let targets = model.prototypes().attribute_queries(k);
        for (v, (value, target)) in (1i32..).zip(attribute.values.iter().zip(targets)) {
            let target = target.as_ref().map(|t| Query::subspace(model.layout(), k, t)).transpose()?;
            let (images, query) = (value.images as i64, query_parameter(target));
            let row = [word(name), ordinal.into(), v.into(), word(&value.name), images.into(), query];
            insert(client, value_sql, &row)?;
        }
    }
    Ok(())
}

fn store_categories(client: &mut SpiClient<'_>, name: &str, model: &Model) -> Result<()> {
    let sql =
        "INSERT INTO coopembed.categories (model, ordinal, name, images, query) VALUES ($1, $2, $3, $4, $5)";
    let categories = model.config().categories.iter().zip(model.prototypes().category_queries());
    for (c, (category, target)) in (1i32..).zip(categories) {
        let target = target.as_ref().map(|t| Query::superspace(model.layout(), t.clone())).transpose()?;
        let (images, query) = (category.images as i64, query_parameter(target));
        let (name, category) = (Text::from(name), Text::from(category.name.as_str()));
        insert(client, sql, &[name.into(), c.into(), category.into(), images.into(), query])?;
    }
    Ok(())
}

/// Stores the proxies, which tags need; those of the categories under attribute 0.
fn store_proxies(client: &mut SpiClient<'_>, name: &str, proxies: Proxies) -> Result<()> {
    let sql = "INSERT INTO coopembed.proxies (model, attribute, points, absent) VALUES ($1, $2, $3, $4)";
    let attributes = (1i32..).zip(proxies.attributes.into_iter().zip(proxies.absent));
    let categories = proxies.categories.map(|points| (0, (points, None)));
    for (ordinal, (points, absent)) in attributes.chain(categories) {
        let name = Text::from(name);
        insert(client, sql, &[name.into(), ordinal.into(), points.into(), absent.into()])?;
    }
    Ok(())
}
