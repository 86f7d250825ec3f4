//! `coopembed embed`: embeds images outside of the server, to the bit as `coop_embed()` does.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | the flags |
//! | `pipeline` | images read and decoded by several workers, and embedded in batches |
//! | `file_output` | embeddings of files as CSV, JSON lines or COPY BINARY |
//! | `table` | a table's column of paths or URLs: which rows lack an embedding, and storing them |
//! | `failures` | the table of images that could not be embedded |
//! | `table_run` | a run over a table, from the first batch to the summary |

mod args;
mod failures;
mod file_output;
mod pipeline;
mod table;
mod table_run;

pub use args::EmbedArgs;

use crate::error::{Error, Kind, Result};
use crate::model::read_directory;
use pipeline::Engine;

/// Embeds files, or the rows of a table.
///
/// # Errors
/// Those of the model, of reading the list and writing the output, and of the database; [`Kind::InvalidData`] at the end if some images could
/// not be embedded.
pub fn run(args: &EmbedArgs) -> Result<()> {
    if args.table.is_some() {
        return table_run::run(args);
    }
    if args.images_at.root.is_some() || args.images_at.http {
        return Err(Error::new(Kind::InvalidParameter, "--root and --http are for the column of a table")
            .hint("Name the table with --table and the column with --column, or leave these out."));
    }
    let directory = args.model.as_ref().ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "no model is named")
            .hint("Name a model directory with --model, or a database with --db and --table.")
    })?;
    let (config, weights) = read_directory(directory)?;
    let engine = Engine::new(&config, &weights, args.device.as_deref())?;
    drop(weights);
    file_output::run(args, &engine)
}

/// The error at the end of a run in which some images failed.
fn some_failed(failed: u64, all: u64) -> Error {
    Error::new(Kind::InvalidData, format!("{failed} of {all} images could not be embedded"))
}
