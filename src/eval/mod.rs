//! Metrics and retrieval protocols.
