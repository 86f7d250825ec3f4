//! The model process as a program of its own: what computes on a GPU cannot be part of the library, which would then not load on
//! a server without one. The library's model process becomes this program; it finds the listening socket as its standard input.

use super::process::{self, End};
use super::{ModelLoader, Options, PROTOCOL};
use crate::error::{Error, Kind, Result};
use crate::model::open_device;
use clap::Args;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use tokio::signal::unix::{signal, SignalKind};

/// Of `coopembed engine`.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// cpu or cuda:N
    #[arg(long)]
    device: String,
    /// What the library says of queue, batches and itself, as JSON
    #[arg(long)]
    options: String,
}

impl EngineArgs {
    /// Serves on the socket that is standard input; how it ended.
    pub fn run(&self) -> End {
        match self.serve() {
            Ok(end) => end,
            Err(e) => {
                process::say(&e.report());
                match e.kind {
                    Kind::Unsupported | Kind::Unavailable | Kind::InvalidParameter => End::NoDevice,
                    _ => End::NoStart,
                }
            }
        }
    }

    fn serve(&self) -> Result<End> {
        let mut options: Options = serde_json::from_str(&self.options).map_err(|e| {
            Error::new(Kind::Unsupported, "the library's options make no sense").detail(format!("{e}."))
        })?;
        let (ours, version) = (env!("CARGO_PKG_VERSION"), &options.build.version);
        if (options.build.protocol, version.as_str()) != (PROTOCOL, ours) {
            return Err(Error::new(Kind::Unsupported, "this program does not fit the library")
                .detail(format!("The library is of version {version}, the program of {ours}."))
                .hint("Install both from one build."));
        }
        let device = open_device(&self.device)?;
        options.device.clone_from(&self.device);
        let loader = ModelLoader { device, max_batch: options.max_batch };
        let io = |e: std::io::Error| Error::new(Kind::Io, format!("could not listen: {e}"));
        let listener = UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(io)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(io)?;
        let mut terminate = {
            let _entered = runtime.enter();
            signal(SignalKind::terminate()).map_err(io)?
        };
        process::run(listener, options, loader, move || {
            runtime.block_on(terminate.recv());
        })
    }
}
