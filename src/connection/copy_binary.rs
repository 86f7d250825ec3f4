//! PostgreSQL's binary format of COPY: files, and what a session sends.

use bytes::{BufMut as _, Bytes, BytesMut};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Rows in the binary format of `COPY ... WITH (FORMAT binary)`.
#[derive(Debug, Default)]
pub struct CopyBinary {
    buffer: BytesMut,
}

impl CopyBinary {
    /// The header: it stands before the first row.
    pub fn header(&mut self) {
        self.buffer.put_slice(SIGNATURE);
        // Flags, and the length of what would follow them.
        self.buffer.put_u64(0);
    }

    /// A row; its fields in the binary formats of their types, none of which is longer than 2 GB.
    pub fn row(&mut self, fields: &[&[u8]]) {
        self.buffer.put_u16(fields.len() as u16);
        for field in fields {
            self.buffer.put_u32(field.len() as u32);
            self.buffer.put_slice(field);
        }
    }

    /// The trailer: it stands after the last row.
    pub fn trailer(&mut self) {
        self.buffer.put_i16(-1);
    }

    /// Takes what was written so far.
    pub fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}
