//! The flags of `coopembed embed`.

use crate::commands::database_args::DatabaseArgs;
use crate::data::image_source::{AnyFile, Folder, HostRules, Http, HttpLimits, ImageSource};
use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Workers that wait for a network, if not told how many.
const HTTP_WORKERS: usize = 16;

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
    #[arg(conflicts_with = "table")]
    pub images: Vec<String>,
    /// Read more paths from this file, one per line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "table")]
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
    /// The column has paths in this folder; none may lead out of it
    #[arg(long, value_name = "DIR", requires = "table", group = "source")]
    pub root: Option<PathBuf>,
    /// The column has URLs
    #[arg(long, requires = "table", group = "source")]
    pub http: bool,
    /// Host that may be asked, *.name for all below a name; may be repeated [default: any public one]
    #[arg(long, value_name = "HOST", requires = "http")]
    pub allow_host: Vec<String>,
    /// Allow addresses of this machine and of private networks
    #[arg(long, requires = "http")]
    pub allow_private: bool,
    /// Most redirects to follow
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub redirects: u32,
    /// Most seconds for an image
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub timeout: u32,
    /// How often to ask again where a server is busy or does not answer; waits grow from half a second
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub retries: u32,
    /// Largest image file, in megabytes
    #[arg(long, value_name = "MB", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub max_size: u32,
    /// Workers that read and decode images [default: one per core; 16 with --http]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
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

impl EmbedArgs {
    /// Where the images come from.
    ///
    /// # Errors
    /// Those of [`Folder::new`].
    pub fn source(&self) -> Result<Arc<dyn ImageSource>> {
        let max_bytes = u64::from(self.max_size) << 20;
        if let Some(root) = &self.root {
            return Ok(Arc::new(Folder::new(root, max_bytes)?));
        }
        if !self.http {
            return Ok(Arc::new(AnyFile { max_bytes }));
        }
        let rules = HostRules { hosts: self.allow_host.clone(), allow_private: self.allow_private };
        let limits = HttpLimits {
            max_bytes,
            timeout: Duration::from_secs(u64::from(self.timeout)),
            redirects: self.redirects,
            retries: self.retries,
        };
        Ok(Arc::new(Http::new(rules, limits)))
    }

    /// How many threads read and decode images.
    pub fn worker_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let default = if self.http { cores.max(HTTP_WORKERS) } else { cores };
        self.workers.map_or(default, usize::from)
    }
}
