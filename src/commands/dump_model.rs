//! `coopembed dump-model`: writes a model of a database as a model directory.

use super::database_args::DatabaseArgs;
use super::load::hint_update;
use crate::connection::{column, Parameter, Session};
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::model::{write_files, Model, MAX_FILE_BYTES};
use std::path::PathBuf;
use tokio_postgres::types::Type;

/// The flags of `coopembed dump-model`.
#[derive(Debug, Clone, clap::Args)]
pub struct DumpArgs {
    /// Database that has the model.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Name of the model in the database
    pub name: String,
    /// Directory to write; it must not have a model already
    pub directory: PathBuf,
}

/// Reads the model, checks it against its digest, and writes the directory.
///
/// # Errors
/// [`Kind::UnknownName`] with the nearest names; [`Kind::DuplicateName`] if the directory has a model; those of the server and of writing.
pub fn run(args: &DumpArgs) -> Result<()> {
    if args.directory.join("config.json").exists() || args.directory.join("model.safetensors").exists() {
        return Err(Error::new(
            Kind::DuplicateName,
            format!("\"{}\" has a model already", args.directory.display()),
        )
        .hint("Name another directory, or remove the model first."));
    }
    let session = args.database.open("coopembed dump-model")?;
    let (config, weights) = stored_model(&session, &args.name)?;
    let layout = Model::from_parts(&config, &weights)?.layout();
    write_files(&args.directory, &config, &weights, &card(&args.name, &session))?;
    println!("wrote {}: model {layout}", args.directory.display());
    Ok(())
}

/// The contents of `config.json` and `model.safetensors` of a model in the database, as one snapshot has them.
///
/// # Errors
/// [`Kind::UnknownName`] with the nearest names; [`Kind::InvalidModel`] for a damaged model; those of the server.
pub fn stored_model(session: &Session, name: &str) -> Result<(String, Vec<u8>)> {
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let sql = "SELECT m.config, pg_catalog.encode(m.digest, 'hex') FROM coopembed.models m WHERE m.name OPERATOR(pg_catalog.=) $1";
    let rows = session.rows(sql, &[(&name, Type::TEXT)])?;
    let Some(row) = rows.first() else {
        let rows = session.rows("SELECT m.name FROM coopembed.models m ORDER BY m.name", &[])?;
        let known: Vec<String> = rows.iter().map(|row| column(row, 0)).collect::<Result<_>>()?;
        return Err(Error::unknown("model", name, known));
    };
    let (config, digest): (String, String) = (column(row, 0)?, column(row, 1)?);
    let weights = stored_weights(session, name)?;
    session.execute("COMMIT")?;
    let found = Model::from_parts(&config, &weights)?.digest().to_string();
    if found != digest {
        return Err(Error::new(
            Kind::InvalidModel,
            format!("the stored model \"{name}\" does not match its digest"),
        )
        .detail(format!("Found {found}, expected {digest}."))
        .hint("Its rows were changed or damaged; load it again with --replace."));
    }
    Ok((config, weights))
}

fn stored_weights(session: &Session, name: &str) -> Result<Vec<u8>> {
    let bar = progress_bar("reading", 0);
    let mut weights: Vec<u8> = Vec::new();
    for part in 1i32.. {
        let parameters: [Parameter<'_>; 2] = [(&name, Type::TEXT), (&part, Type::INT4)];
        let row = session
            .row("SELECT coopembed.model_part($1, $2)", &parameters)
            .map_err(|e| hint_update(e, session))?;
        let Some(bytes) = column::<Option<Vec<u8>>>(&row, 0)? else { break };
        bar.inc_length(bytes.len() as u64);
        bar.inc(bytes.len() as u64);
        weights.extend(bytes);
        if weights.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::new(
                Kind::LimitExceeded,
                format!("the weights of model \"{name}\" are too long"),
            ));
        }
    }
    bar.finish_and_clear();
    Ok(weights)
}

/// The database has no card: it says where the model came from.
fn card(name: &str, session: &Session) -> String {
    format!("# {name}\n\nDumped from {} by `coopembed dump-model`. The card that training wrote is not kept in databases.\n", session.described)
}
