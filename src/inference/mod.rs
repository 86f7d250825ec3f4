//! The inference service: it computes embeddings for all sessions of a database cluster, so that model weights are in memory once.
//!
//! This folder is everything the model process does once it runs: threads, a socket, a queue, batches, models. It does not know
//! PostgreSQL. `src/pg/inference/` starts the process, and its sessions talk to it through [`Client`].
//!
//! An image's way: a session sends its prepared pixels in an `Embed` frame (`client.rs`, `wire_protocol.rs`). The connection's thread
//! reads it (`socket_server.rs`), gets the model from memory or has the session send it (`model_registry.rs`, `model_loader.rs`), and
//! makes it a job (`jobs.rs`). The job waits (`queue.rs`) until the batcher takes it into a batch and runs the model (`batcher.rs`,
//! `embedder.rs`). The answer goes back on the same connection (`reply_writer.rs`).
//!
//! | file | what is in it |
//! |---|---|
//! | `wire_protocol.rs` | the messages that travel over the socket; `wire_protocol/frame.rs`: their bytes, and limits on them |
//! | `client.rs` | the session's end of a connection |
//! | `socket_server.rs` | the server's end: one thread per connection reads requests; draining before an exit |
//! | `reply_writer.rs` | the write half of a connection, shared by whoever has an answer |
//! | `jobs.rs` | one image waiting for its embedding; several side by side as a batch |
//! | `queue.rs` | which job is next: two priorities, deadlines, a bounded length |
//! | `batcher.rs` | the threads that turn waiting jobs into batches and run the model |
//! | `embedder.rs` | a loaded model, as the batcher sees it |
//! | `accelerator.rs` | a model on a GPU: batch sizes, warming up, what happens when its memory is too small |
//! | `model_registry.rs` | models in memory: loaded once, the least recently used is evicted |
//! | `model_loader.rs` | builds a model from the bytes that the database stores |
//! | `counters.rs` | what is counted, for `coop_status()` and monitoring |
//! | `lifecycle.rs` | runs a server until it has to end, and the exit codes that say why it did |
//! | `engine_command.rs` | `coopembed engine`: the model process as a separate program, for GPUs |
//! | `threads.rs`, `server_log.rs` | spawning, locking, panics; lines for the server's log |

mod accelerator;
mod batcher;
mod client;
mod counters;
mod embedder;
#[cfg(feature = "cli")]
pub mod engine_command;
#[cfg(test)]
mod fake_model;
mod jobs;
pub mod lifecycle;

mod model_loader;
mod model_registry;
mod queue;
mod reply_writer;
mod server_log;
mod socket_server;
#[cfg(test)]
mod tests;
mod threads;
mod wire_protocol;

pub use batcher::Batcher;
pub use client::{Answer, Client, Greeting, Outcome};
pub use counters::{BatchSizeBucket, Status};
pub use embedder::Embedder;
pub use jobs::Job;
pub use model_loader::{LoadModel, ModelLoader};
pub use server_log::log_line;
pub use socket_server::{EarlierProcesses, EndRequest, Server, ServerOptions};
pub use wire_protocol::{read_error, write_error, Build, EmbedRequest, Priority, PROTOCOL_VERSION};
