//! The access method `coop`: one index for every mask and every weight, over the algorithms of [`crate::index`].
//!
//! One file for each phase of an access method's life. What they share is [`storage`]: pages that say what they are, read
//! under a share lock and changed through generic WAL, so that crash recovery, replicas and backups need nothing of ours.
//!
//! Who may change what:
//! - A row is appended to the last page of the tail, under that page's lock alone.
//! - The metapage's lock covers where the tail ends and what is free.
//! - Whoever moves rows (a full tail that becomes a group, VACUUM) or drops dead ones (for another model's) first takes the
//!   relation's heavyweight page lock on block 0. Only the last two wait for it: an inserter that finds it taken leaves the tail
//!   as long as it is.
//! - Readers take no lock that lasts. They learn from a counter in the metapage that rows moved while they looked, and from
//!   an extent's generation that it is another group's now ([`crate::index::Cursor`]).

mod build;
mod check;
mod cost;
mod handler;
mod insert;
mod last_scan;
mod model;
mod recent;
mod regroup;
mod reloptions;
mod scan;
mod storage;
mod vacuum;
mod visit;
