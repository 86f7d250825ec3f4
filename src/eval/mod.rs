//! Metrics, the retrieval protocols and the HTML report.

pub mod html_report;
pub mod metrics;
pub mod model_evaluation;
pub mod nearest;
pub mod ordered;
pub mod protocol;
pub mod results;
pub mod tags;

pub use protocol::Protocol;
