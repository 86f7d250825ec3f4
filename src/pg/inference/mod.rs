//! The inference service as PostgreSQL sees it: a background worker (the supervisor), the model process that it starts, and the sessions
//! that ask for embeddings. What the model process does is in `src/inference/`.
//!
//! An image's way: `coop_embed()` decodes and resizes the image (`decode_process.rs`) and makes it a request (`embed_request.rs`). The
//! session connects to the socket in the data directory, or takes the connection of its last request; if nobody listens, it has the
//! postmaster start the supervisor (`service_connection.rs`). The supervisor takes the lock, listens (`endpoint.rs`), and forks the
//! model process (`worker.rs`, `model_process.rs`, `fork.rs`), which serves the socket itself or executes the GPU program
//! (`executable.rs`). The session waits for the answer with its latch, so that cancel works (`latch_socket.rs`).
//!
//! | file | what is in it |
//! |---|---|
//! | `worker.rs` | the background worker: supervises the model process |
//! | `model_process.rs` | the model process: its handle in the supervisor, and its main function |
//! | `executable.rs` | which executable computes: the library itself on the CPU, or the program for GPUs |
//! | `process_settings.rs` | the settings that a model process is started with |
//! | `library_build.rs` | which build of the library this process has loaded |
//! | `endpoint.rs` | the socket in the data directory, and the lock of its one owner |
//! | `fork.rs` | forking a child that is cut off from the server |
//! | `service_connection.rs` | a session's connection: found, made, kept for the next request |
//! | `latch_socket.rs` | a socket whose waits are interruptible |
//! | `embed_request.rs` | prepares an image as a request |
//! | `pipeline.rs` | several images of a session under way at once |
//! | `decode_process.rs` | decodes images, large ones in a process of their own |
//! | `status.rs` | `coop_status()`, the monitoring views, `coop_worker_restart()` |

pub mod decode_process;
pub mod embed_request;
mod endpoint;
mod executable;
mod fork;
mod latch_socket;
mod library_build;
mod model_process;
pub mod pipeline;
mod process_settings;
pub mod service_connection;
mod status;
pub mod worker;
