//! What the extension tells the planner.

pub mod initplan;
pub mod nodes;
pub mod shards;
pub mod skipped_partitions;
