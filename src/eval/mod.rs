//! Metrics, the retrieval protocols and their reports.

pub mod html;
pub mod metrics;
pub mod ordered;
pub mod protocol;
pub mod report;
pub mod run;

pub use protocol::Protocol;
