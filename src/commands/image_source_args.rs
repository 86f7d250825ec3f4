//! Where the images of a table are that it has by path or URL, for the commands that read them.

use crate::data::image_source::{AnyFile, Folder, HostRules, Http, HttpLimits, ImageSource};
use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Workers that wait for a network, if not told how many.
const HTTP_WORKERS: usize = 16;

/// A folder or the network, and limits on what is read from it.
#[derive(Debug, Clone, clap::Args)]
pub struct ImageSourceArgs {
    /// The column has paths in this folder; none may lead out of it
    #[arg(long, value_name = "DIR", group = "source")]
    pub root: Option<PathBuf>,
    /// The column has URLs
    #[arg(long, group = "source")]
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
}

impl ImageSourceArgs {
    /// Where the images come from; without a folder and the network, any file of this machine.
    ///
    /// # Errors
    /// Those of [`Folder::new`].
    pub fn source(&self) -> Result<Arc<dyn ImageSource>> {
        if let Some(root) = &self.root {
            return Ok(Arc::new(Folder::new(root, self.max_bytes())?));
        }
        if !self.http {
            return Ok(Arc::new(AnyFile { max_bytes: self.max_bytes() }));
        }
        let rules = HostRules { hosts: self.allow_host.clone(), allow_private: self.allow_private };
        let limits = HttpLimits {
            max_bytes: self.max_bytes(),
            timeout: Duration::from_secs(u64::from(self.timeout)),
            redirects: self.redirects,
            retries: self.retries,
        };
        Ok(Arc::new(Http::new(rules, limits)))
    }

    /// The most bytes of an image.
    pub fn max_bytes(&self) -> u64 {
        u64::from(self.max_size) << 20
    }

    /// How many threads read and decode images.
    pub fn worker_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let default = if self.http { cores.max(HTTP_WORKERS) } else { cores };
        self.workers.map_or(default, usize::from)
    }
}
