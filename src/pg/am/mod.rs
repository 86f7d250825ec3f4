//! The access method `coop`: one index for every mask and every weight. The algorithms are [`crate::index`]'s; here are PostgreSQL's pages,
//! locks and WAL. `sql/current/am.sql` declares it.
//!
//! One file for each phase of an index's life:
//!
//! | file | what is in it |
//! |---|---|
//! | `handler` | capabilities and callbacks of the access method |
//! | `reloptions` | storage parameters: `WITH (tail_rows = ...)` |
//! | `cost`, `selectivity` | cost estimates for the planner, and how many rows are within a distance |
//! | `build`, `build_sample`, `build_callback`, `temporary_file` | CREATE INDEX: all rows of a table, the sample that trains the quantizer, the table scan's callback, rows that have no room in memory |
//! | `insert` | a new row, appended to the tail |
//! | `reorganize` | makes groups of a full tail |
//! | `vacuum` | removes entries of dead rows, merges groups, frees pages |
//! | `scan`, `last_scan` | index scans, and `coop_last_scan()` |
//! | `index_model` | which model's embeddings an index holds, and how it changes |
//! | `check`, `verify` | `coop_index_check()` |
//!
//! and what they share, from the ground up:
//!
//! | file | what is in it |
//! |---|---|
//! | `recent_buffers` | hints that find a page's buffer without PostgreSQL's hash table |
//! | `page_buffer` | pinned and locked pages, and the bytes within |
//! | `relation` | an open index: reads pages ([`crate::index::Pages`]), and locks them |
//! | `generic_xlog` | changes of pages, as generic WAL records |
//! | `reorganize_lock` | the lock of whoever moves rows |
//! | `extents` | the directory: which pages hold groups, which are free |
//!
//! Pages are read under a share lock and changed through generic WAL, so crash recovery, replicas and backups need nothing of ours.
//!
//! # Locks
//!
//! - A row is appended to the last page of the tail, under that page's lock alone.
//! - The metapage's lock covers where the tail ends and which pages are free.
//! - Whoever moves rows (a full tail that becomes a group, VACUUM) or drops dead ones (for another model's) first takes the
//!   `ReorganizeLock`: PostgreSQL's heavyweight page lock on block 0. VACUUM and a change of model wait for it. An insert that finds it
//!   taken leaves the tail as long as it is.
//! - Readers hold a page's share lock only while they read that page. They learn from a counter in the metapage that the index was
//!   reorganized while they read, and from an extent's generation that it belongs to another group now ([`crate::index::Cursor`]).
//!
//! The order, for whoever takes several: `ReorganizeLock`, metapage, a page of the tail or of rows without an embedding, directory pages, new
//! pages. Directory pages are locked by the holder of the `ReorganizeLock` only, so among them any order will do.

mod build;
mod build_callback;
mod build_sample;
mod check;
mod cost;
mod extents;
mod generic_xlog;
mod handler;
mod index_model;
mod insert;
mod last_scan;
mod page_buffer;
mod recent_buffers;
mod relation;
mod reloptions;
mod reorganize;
mod reorganize_lock;
mod scan;
mod selectivity;
mod temporary_file;
mod vacuum;
mod verify;

pub use selectivity::{is_coop_index, limit_selectivity, on_load};
pub use temporary_file::TemporaryFile;
