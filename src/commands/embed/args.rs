//! The flags of `coopembed embed`.

use crate::commands::database_args::DatabaseArgs;
use crate::commands::image_source_args::ImageSourceArgs;
use std::path::PathBuf;

/// The form of embeddings of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns path and embedding, the latter as text that PostgreSQL reads
    Csv,
    /// One object per line: path, model, embedding (the text of csv)
    Jsonl,
    /// For COPY table (path, emb) FROM ... WITH (FORMAT binary)
    Binary,
}

/// The flags of `coopembed embed`.
#[derive(Debug, Clone, clap::Args)]
pub struct EmbedArgs {
    /// Images to embed
    #[arg(conflicts_with_all = ["table", "source"])]
    pub images: Vec<String>,
    /// Read more paths from this file, one per line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "source"])]
    pub list: Option<PathBuf>,
    /// Model directory [default with --table: the model of the database]
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Csv, conflicts_with = "table")]
    pub format: Format,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE", conflicts_with = "table")]
    pub out: Option<PathBuf>,
    /// Database with the table.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Table whose rows get embeddings, written as in SQL
    #[arg(long, value_name = "NAME", requires = "column", requires = "source")]
    pub table: Option<String>,
    /// Column of paths or URLs
    #[arg(long, value_name = "COLUMN", requires = "table")]
    pub column: Option<String>,
    /// Column of embeddings, of type coopvec [default: the only one of that type]
    #[arg(long, value_name = "COLUMN", requires = "table")]
    pub emb: Option<String>,
    /// Column of type box: the part of each image to embed, in pixels from its top left corner; NULL for all of it
    #[arg(long, value_name = "COLUMN", requires = "table")]
    pub box_column: Option<String>,
    /// Name of the model in the database, whose weights its owner may read [default: the database's default model]
    #[arg(long, value_name = "NAME", requires = "table", conflicts_with = "model")]
    pub model_name: Option<String>,
    /// Where the images are.
    #[command(flatten)]
    pub images_at: ImageSourceArgs,
    /// Rows that are stored at a time
    #[arg(long, value_name = "ROWS", default_value_t = 256, requires = "table", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Table of images that could not be embedded [default: TABLE_embed_failures, beside the table]
    #[arg(long, value_name = "NAME", requires = "table")]
    pub failures: Option<String>,
    /// How often to connect again, one time after the other, where the connection drops; waits grow from half a second to a minute
    #[arg(long, value_name = "COUNT", default_value_t = 8, requires = "table", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub reconnects: u32,
    /// cpu, cuda or cuda:N [default: a GPU if the program and the machine have one]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}
