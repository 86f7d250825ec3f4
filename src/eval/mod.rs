//! Metrics, the retrieval protocols and their reports.

pub mod experiment;
pub mod learned;
pub mod metrics;
pub mod nearest;
pub mod protocol;
pub mod report;
pub mod run;

pub use protocol::Protocol;
