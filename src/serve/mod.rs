//! The inference engine: bounded queue, batching, limits and counters.
