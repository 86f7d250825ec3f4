//! Tests that span several files of this folder.

mod memory;
