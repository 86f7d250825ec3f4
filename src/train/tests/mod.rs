//! What crosses the files of this floor.

mod memory;
