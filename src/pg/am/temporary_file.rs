//! Rows that have no room in memory, in a temporary file of PostgreSQL's: it counts for `temp_file_limit`, lies in
//! `temp_tablespaces`, and is gone with the transaction at the latest.

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::Spill;
use pgrx::pg_sys;

/// A temporary file, made when it is first written to.
pub struct TemporaryFile {
    file: *mut pg_sys::BufFile,
    /// Where PostgreSQL keeps what it knows of the file: the context in which this was made.
    context: pg_sys::MemoryContext,
}

/// A place in a temporary file.
pub struct FilePosition {
    /// The number of the segment that PostgreSQL has cut the file into.
    segment: i32,
    offset: i64,
}

impl TemporaryFile {
    /// No file yet. To be used as long as the current memory context lives.
    pub fn new() -> Self {
        // SAFETY: reads a pointer of this backend's.
        Self { file: std::ptr::null_mut(), context: unsafe { pg_sys::CurrentMemoryContext } }
    }
}

impl Spill for TemporaryFile {
    type At = FilePosition;

    fn write(&mut self, bytes: &[u8]) -> Result<FilePosition> {
        let mut at = FilePosition { segment: 0, offset: 0 };
        // SAFETY: the context lives as long as this value; the file is open, and so far it has only been written to, so that it ends where
        // it is. PostgreSQL reads as many bytes as the slice has.
        unsafe {
            if self.file.is_null() {
                let context = pg_sys::MemoryContextSwitchTo(self.context);
                self.file = pg_sys::BufFileCreateTemp(false);
                pg_sys::MemoryContextSwitchTo(context);
            }
            pg_sys::BufFileTell(self.file, &mut at.segment, &mut at.offset);
            pg_sys::BufFileWrite(self.file, bytes.as_ptr().cast_mut().cast(), bytes.len());
        }
        Ok(at)
    }

    fn read(&mut self, at: &FilePosition, out: &mut [u8]) -> Result<()> {
        // SAFETY: a position is that of an open file; PostgreSQL writes as many bytes as the slice has at most.
        let read = unsafe {
            let sought = pg_sys::BufFileSeek(self.file, at.segment, at.offset, 0);
            if sought == 0 {
                pg_sys::BufFileRead(self.file, out.as_mut_ptr().cast(), out.len())
            } else {
                0
            }
        };
        if read == out.len() {
            return Ok(());
        }
        let detail = format!("Read {read} of {} bytes.", out.len());
        Err(Error::new(ErrorKind::Internal, "could not read back rows from a temporary file").detail(detail))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // After an error the end of the transaction closes it.
        if !self.file.is_null() && !std::thread::panicking() {
            // SAFETY: it was opened by this value, and is not used any more.
            unsafe { pg_sys::BufFileClose(self.file) }
        }
    }
}
