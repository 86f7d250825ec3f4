//! `coopembed load`: loads a model directory into a database over a connection.

use super::database_args::DatabaseArgs;
use crate::connection::{column, Parameter, Session};
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::model::{read_directory, Model};
use std::path::PathBuf;
use tokio_postgres::types::Type;

/// Bytes of a part of the weights: what `coopembed.stage_weights` takes at most.
const PART_BYTES: usize = 16 << 20;

/// The flags of `coopembed load`.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Database to load it into.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Name of the model in the database
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Model directory
    pub directory: PathBuf,
    /// Make it the default of the database
    #[arg(long)]
    pub default: bool,
    /// Take the place of a model that has the name
    #[arg(long)]
    pub replace: bool,
}

/// Checks the directory, sends the model in one transaction, and says what it is.
///
/// # Errors
/// Those of reading and checking the directory, before the database is asked; [`Kind::DuplicateName`] if the name is taken; those of the server.
pub fn run(args: &LoadArgs) -> Result<()> {
    let (config, weights) = read_directory(&args.directory)?;
    let layout = Model::from_parts(&config, &weights)?.layout();
    let session = args.database.open("coopembed load")?;
    session.execute("BEGIN")?;
    let replaced = check_name(&session, args, layout.fingerprint())?;
    if replaced != Some(layout.fingerprint()) {
        send(&session, args, &config, &weights)?;
    }
    if args.default {
        let sql = format!("SELECT {}.coop_set_default_model($1)", session.extension_schema);
        session.rows(&sql, &[(&args.name, Type::TEXT)])?;
    }
    session.execute("COMMIT")?;
    match replaced {
        Some(same) if same == layout.fingerprint() => {
            println!("model \"{}\" is this model already ({layout}) in {}", args.name, session.described);
        }
        _ => println!("loaded model \"{}\" ({layout}) into {}", args.name, session.described),
    }
    Ok(())
}

/// The fingerprint of the model that will be replaced. Says what that means, and fails without `--replace`.
fn check_name(session: &Session, args: &LoadArgs, new: u32) -> Result<Option<u32>> {
    let sql = "SELECT m.fingerprint, \
        (SELECT pg_catalog.count(*) FROM coopembed.attribute_values v WHERE v.model OPERATOR(pg_catalog.=) m.name AND v.own) \
        OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM coopembed.categories c WHERE c.model OPERATOR(pg_catalog.=) m.name AND c.own) \
        OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM coopembed.synonyms s WHERE s.model OPERATOR(pg_catalog.=) m.name) \
        FROM coopembed.models m WHERE m.name OPERATOR(pg_catalog.=) $1";
    let rows = session.rows(sql, &[(&args.name, Type::TEXT)]).map_err(|e| hint_update(e, session))?;
    let Some(row) = rows.first() else { return Ok(None) };
    let fingerprint: String = column(row, 0)?;
    if !args.replace {
        return Err(Error::new(Kind::DuplicateName, format!("model \"{}\" already exists", args.name))
            .detail(format!("It is model {fingerprint}, this one is {new:08x}."))
            .hint("Choose another name and move the table to it (\"Change the model\" in sql/operations.md), or add --replace."));
    }
    let number = u32::from_str_radix(&fingerprint, 16)
        .map_err(|e| Error::new(Kind::Internal, format!("fingerprint \"{fingerprint}\": {e}")))?;
    let own: i64 = column(row, 1)?;
    if number != new {
        eprintln!(
            "NOTICE:  embeddings of model {fingerprint} stay as they are: they cannot be compared with those of {new:08x}, \
             so embed their rows again"
        );
    }
    if number != new && own > 0 {
        eprintln!("WARNING:  {own} values, categories and synonyms of your own go with the old model");
    }
    Ok(Some(number))
}

/// Sends the weights in parts, then has the server check and store the model.
fn send(session: &Session, args: &LoadArgs, config: &str, weights: &[u8]) -> Result<()> {
    let bar = progress_bar("loading", weights.len());
    for (part, bytes) in (1i32..).zip(weights.chunks(PART_BYTES)) {
        let parameters: [Parameter<'_>; 2] = [(&part, Type::INT4), (&bytes, Type::BYTEA)];
        session
            .rows("SELECT coopembed.stage_weights($1, $2)", &parameters)
            .map_err(|e| hint_update(e, session))?;
        bar.inc(bytes.len() as u64);
    }
    bar.finish_and_clear();
    let parameters: [Parameter<'_>; 3] =
        [(&args.name, Type::TEXT), (&config, Type::TEXT), (&args.replace, Type::BOOL)];
    session.rows("SELECT coopembed.load_staged($1, $2, $3)", &parameters)?;
    Ok(())
}

/// Says what to do if the database has an extension without the functions of this program, or the role may not call them.
pub fn hint_update(error: Error, session: &Session) -> Error {
    if error.hint.as_ref().is_some_and(|hint| !hint.starts_with("No function matches")) {
        return error;
    }
    if error.kind == Kind::UnknownName {
        return error.hint(format!(
            "The extension of {} may be older than this program: ALTER EXTENSION coopembed UPDATE.",
            session.described
        ));
    }
    if error.message.contains("42501") {
        return error
            .hint("A superuser may, and whoever is granted the functions: see \"Models\" in sql/README.md.");
    }
    error
}
