//! `coopembed models`: lists the models in a database.

use super::database_args::DatabaseArgs;
use crate::connection::{column, Session};
use crate::error::Result;

/// The flags of `coopembed models`.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelsArgs {
    /// Database to ask.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

const COLUMNS: [&str; 10] = [
    "name",
    "fingerprint",
    "default",
    "subspaces",
    "dimensions",
    "attributes",
    "categories",
    "backbone",
    "input",
    "loaded",
];

/// Prints a table, or JSON.
///
/// # Errors
/// Those of the connection and the server.
pub fn run(args: &ModelsArgs) -> Result<()> {
    let session = args.database.open("coopembed models")?;
    let models = format!("{}.coop_models() m ORDER BY m.name", session.extension_schema);
    if args.json {
        let rows =
            session.rows(&format!("SELECT pg_catalog.to_json(m)::pg_catalog.text FROM {models}"), &[])?;
        for row in rows {
            println!("{}", column::<String>(&row, 0)?);
        }
        return Ok(());
    }
    let lines = lines(&session, &models)?;
    if lines.is_empty() {
        println!("no model is loaded in {}", session.described);
    } else {
        print_table(&lines);
    }
    Ok(())
}

fn lines(session: &Session, models: &str) -> Result<Vec<Vec<String>>> {
    let sql = format!(
        "SELECT m.name, m.fingerprint, CASE WHEN m.is_default THEN 'yes' ELSE '' END, m.subspaces::pg_catalog.text, \
         (m.subspaces OPERATOR(pg_catalog.*) m.subspace_dim)::pg_catalog.text, m.attributes::pg_catalog.text, \
         m.categories::pg_catalog.text, coalesce(m.backbone, '?'), coalesce(m.input_size::pg_catalog.text, '?'), \
         pg_catalog.to_char(m.loaded_at, 'YYYY-MM-DD HH24:MI') FROM {models}"
    );
    session.rows(&sql, &[])?.iter().map(|row| (0..COLUMNS.len()).map(|i| column(row, i)).collect()).collect()
}

fn print_table(lines: &[Vec<String>]) {
    let heading = COLUMNS.map(str::to_owned).to_vec();
    let all: Vec<&Vec<String>> = std::iter::once(&heading).chain(lines).collect();
    let width = |i: usize| all.iter().map(|line| line[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    for line in all {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
}
