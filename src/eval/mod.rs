//! Metrics, the retrieval protocols and their reports.

pub mod experiment;
pub mod html;
pub mod learned;
pub mod metrics;
pub mod nearest;
pub mod ordered;
pub mod protocol;
pub mod report;
pub mod run;
pub mod tags;

pub use protocol::Protocol;
