//! The inference service as PostgreSQL sees it: a supervisor (a background worker), the model process that it owns, and the
//! backends that ask.

pub mod client;
pub mod decode_process;
pub mod engine;
pub mod forked;
pub mod model_process;
pub mod pipeline;
pub mod socket;
pub mod status;
pub mod worker;
