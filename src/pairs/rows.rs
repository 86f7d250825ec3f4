//! Rows in memory, and as bytes in a file.

use super::Guest;
use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::space::{squared_l2_f16_f32, EmbeddingRef, Layout};
use half::f16;
use std::ops::Range;

/// Rows, in the order in which they were added.
pub struct Rows {
    layout: Layout,
    /// `[rows, K·n]`.
    values: Vec<f16>,
    /// `[rows]`: the squared length of each embedding.
    squared_norms: Vec<f32>,
    /// `[rows]`: the splits that each is a guest of.
    guests: Vec<Guest>,
    ids: Vec<u8>,
    /// `[rows]`: where each id ends.
    id_ends: Vec<usize>,
    /// `[K·n]`: the origin.
    zero: Vec<f32>,
}

/// Bytes of a row in a file before its id: the guest's bits and the id's length.
const HEADER: usize = size_of::<Guest>() + size_of::<u32>();

impl Rows {
    /// No rows yet.
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            values: Vec::new(),
            squared_norms: Vec::new(),
            guests: Vec::new(),
            ids: Vec::new(),
            id_ends: Vec::new(),
            zero: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`].
    pub fn push(&mut self, id: &[u8], values: &[f16], guest: Guest) -> Result<()> {
        if self.zero.is_empty() {
            self.zero = memory::filled(0.0, values.len())?;
        }
        memory::extend(&mut self.values, values)?;
        memory::extend(&mut self.ids, id)?;
        memory::push(&mut self.squared_norms, squared_l2_f16_f32(values, &self.zero))?;
        memory::push(&mut self.guests, guest)?;
        memory::push(&mut self.id_ends, self.ids.len())
    }

    /// Adds all rows of `other`.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`].
    pub fn append(&mut self, other: &Self) -> Result<()> {
        (0..other.len()).try_for_each(|row| self.push(other.id(row), other.values(row), other.guest(row)))
    }

    /// Removes all rows but the first.
    pub fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows * self.layout.dimensions());
        self.squared_norms.truncate(rows);
        self.guests.truncate(rows);
        self.id_ends.truncate(rows);
        self.ids.truncate(self.id_ends.last().copied().unwrap_or(0));
    }

    /// Makes the rows from this one on guests of one more split.
    pub fn add_guest(&mut self, from: usize, guest: Guest) {
        self.guests.iter_mut().skip(from).for_each(|bits| *bits |= guest);
    }

    /// The space of the rows.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.guests.len()
    }

    /// Bytes that the rows take in memory.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.values) + self.ids.len() + self.len() * OVERHEAD
    }

    /// `[K·n]`: the numbers of a row.
    pub fn values(&self, row: usize) -> &[f16] {
        &self.values[row * self.layout.dimensions()..][..self.layout.dimensions()]
    }

    /// The embedding of a row.
    pub fn embedding(&self, row: usize) -> EmbeddingRef<'_> {
        EmbeddingRef { layout: self.layout, values: self.values(row) }
    }

    /// The squared length of a row's embedding.
    pub fn squared_norm(&self, row: usize) -> f32 {
        self.squared_norms[row]
    }

    /// The splits that a row is a guest of.
    pub fn guest(&self, row: usize) -> Guest {
        self.guests[row]
    }

    /// The id of a row.
    pub fn id(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.id_ends[before]);
        &self.ids[start..self.id_ends[row]]
    }

    /// Appends some rows to `out`: of each the guest's bits, the id's length, the id, the numbers.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`]; [`Kind::LimitExceeded`] for an id of 4 GiB.
    pub fn append_bytes(&self, rows: Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        for row in rows {
            let id = self.id(row);
            let length = u32::try_from(id.len())
                .map_err(|_| Error::new(Kind::LimitExceeded, "an id is longer than 4 GiB"))?;
            memory::reserve(out, HEADER + id.len() + 2 * self.layout.dimensions())?;
            out.extend_from_slice(&self.guests[row].to_le_bytes());
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(id);
            out.extend(self.values(row).iter().flat_map(|value| value.to_le_bytes()));
        }
        Ok(())
    }

    /// Adds the rows that [`Rows::append_bytes`] made `bytes` of.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`]; [`Kind::Internal`] if they are not whole rows.
    pub fn extend_from_bytes(&mut self, mut bytes: &[u8]) -> Result<()> {
        let mut values = memory::with_capacity(self.layout.dimensions())?;
        while !bytes.is_empty() {
            let row = self.split_row(bytes);
            let (guest, [id, numbers, rest]) =
                row.ok_or_else(|| Error::new(Kind::Internal, "a row in a file is cut off"))?;
            values.clear();
            values.extend(numbers.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes)));
            self.push(id, &values, guest)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Guest's bits, id, numbers, and the bytes after the row.
    fn split_row<'a>(&self, bytes: &'a [u8]) -> Option<(Guest, [&'a [u8]; 3])> {
        let (guest, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let (numbers, rest) = rest.split_at_checked(2 * self.layout.dimensions())?;
        Some((Guest::from_le_bytes(*guest), [id, numbers, rest]))
    }
}

/// Bytes of a row in memory beside its numbers and its id: length, guest's bits, end of the id, and its share of what is made to compare it.
const OVERHEAD: usize = 4 + 8 + 8 + 120;
