//! Metrics, the retrieval protocols and their reports.

pub mod metrics;
pub mod protocol;
pub mod report;
