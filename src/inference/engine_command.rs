//! `coopembed engine`: the model process as a separate program. It exists for GPUs: a library linked with CUDA would not load on a server
//! without it. The forked model process executes this program, which finds the listening socket as its standard input.

use super::lifecycle::{self, ExitReason};
use super::model_loader::ModelLoader;
use super::server_log::log_line;
use super::socket_server::ServerOptions;
use super::wire_protocol::PROTOCOL_VERSION;
use crate::error::{Error, Kind, Result};
use crate::model::open_device;
use clap::Args;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use tokio::signal::unix::{signal, SignalKind};

/// Arguments of `coopembed engine`, which the library gives.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// cpu or cuda:N
    #[arg(long)]
    device: String,
    /// The library's build, queue length, batch size and limits, as JSON
    #[arg(long)]
    options: String,
}

impl EngineArgs {
    /// Serves on the socket that is standard input until SIGTERM, or until the server has to end. Returns why it ended.
    pub fn run(&self) -> ExitReason {
        match self.serve() {
            Ok(reason) => reason,
            Err(e) => {
                log_line(&e.report());
                match e.kind {
                    Kind::Unsupported | Kind::Unavailable | Kind::InvalidParameter => {
                        ExitReason::DeviceUnusable
                    }
                    _ => ExitReason::StartFailed,
                }
            }
        }
    }

    fn serve(&self) -> Result<ExitReason> {
        let mut options: ServerOptions = serde_json::from_str(&self.options).map_err(|e| {
            Error::new(Kind::Unsupported, "could not read the library's options").detail(format!("{e}."))
        })?;
        let (ours, version) = (env!("CARGO_PKG_VERSION"), &options.build.version);
        if (options.build.protocol, version.as_str()) != (PROTOCOL_VERSION, ours) {
            return Err(Error::new(Kind::Unsupported, "this program does not fit the library")
                .detail(format!("The library has version {version}, the program {ours}."))
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
        lifecycle::serve(listener, options, loader, move || {
            runtime.block_on(terminate.recv());
        })
    }
}
