//! Evaluation: retrieval protocols, metrics, and the HTML report.
//!
//! | file | what is in it |
//! |---|---|
//! | `model_evaluation` | a trained model against a data set |
//! | `protocol` | the three retrieval tasks: instances, attribute values, categories |
//! | `stored_queries` | the queries that are evaluated |
//! | `metrics` | recall and average precision of a ranking |
//! | `first_hit_ranks` | the rank of the first relevant image of many queries, fast and exact |
//! | `value_prediction` | the nearest value of each image, and errors in ranks of ordered attributes |
//! | `tag_accuracy` | accuracy and calibration of tags |
//! | `results` | all figures of an evaluation, as JSON and as a table |
//! | `label_issues/` | labels that are probably wrong |
//! | `html_report/` | the page of `coopembed report` |

pub mod first_hit_ranks;
pub mod html_report;
pub mod label_issues;
pub mod metrics;
pub mod model_evaluation;
pub mod protocol;
pub mod results;
pub mod stored_queries;
pub mod tag_accuracy;
pub mod value_prediction;

pub use protocol::Protocol;
