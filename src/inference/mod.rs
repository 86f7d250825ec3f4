//! The inference service: a bounded queue, batches, models kept in memory, and the connections that feed it.
//!
//! One process per database cluster computes embeddings for every session, so that weights are held once. This floor
//! is all of that process but its birth: it knows sockets and threads, not PostgreSQL. `src/pg/worker.rs` starts it and
//! `src/pg/client.rs` talks to it through [`Client`].
//!
//! | file | idea |
//! |---|---|
//! | `wire.rs` | what travels over the socket, and the limits on it |
//! | `queue.rs` | who is next: priorities, deadlines, a bounded length |
//! | `engine.rs` | the threads that turn what waits into batches |
//! | `batch.rs` | pictures side by side, in buffers that are used again |
//! | `counters.rs` | what is counted, for people and for monitoring |
//! | `registry.rs` | models in memory: loaded once, the least recently used leaves first |
//! | `server.rs` | one thread per connection; draining |
//! | `client.rs` | the other end of the socket |
//! | `accelerator.rs` | a model on a GPU: sizes of batches, too little memory |
//! | `process.rs` | the life of a process that serves |
//! | `program.rs` | the same as a program of its own, for GPUs |
//! | `model_loader.rs` | a model's bytes, checked against their digest and built |

mod accelerator;
mod batch;
mod client;
mod counters;
mod engine;
mod model_loader;
pub mod process;
#[cfg(feature = "cli")]
pub mod program;
mod queue;
mod registry;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{Answer, Client, Greeting, Outcome};
pub use counters::{BatchSize, Status};
pub use engine::{Embedder, Engine, Job};
pub use model_loader::ModelLoader;
pub use registry::Loader;
pub use server::{Notice, Options, Past, Server};
pub use wire::{read_error, write_error, Build, EmbedRequest, Priority, PROTOCOL};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. Model code runs outside every lock of this floor, so a poisoned one still guards whole data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
