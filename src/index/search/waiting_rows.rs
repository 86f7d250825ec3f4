//! Rows whose distance has been estimated, and which have not been refined yet.

use super::refine::{CoarseRow, RowRef};
use crate::error::Result;
use crate::memory;

/// A row with an estimate of its distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatedRow {
    pub group: u32,
    /// Its number in the group.
    pub row: u16,
    /// The logarithm of its place in the ranking.
    pub place: f32,
    /// About its normalized squared distance.
    pub estimate: f32,
}

impl From<EstimatedRow> for CoarseRow {
    /// The row as one of which nothing is known: an estimate is no bound.
    fn from(row: EstimatedRow) -> Self {
        Self { group: row.group, row: RowRef::Number(row.row), bound: 0.0 }
    }
}

/// The row at this place among rows that are sorted by group and number.
pub fn find_row(rows: &[EstimatedRow], group: u32, row: usize) -> Option<&EstimatedRow> {
    let at = rows.binary_search_by_key(&(group, row), |row| (row.group, row.row.into())).ok()?;
    rows.get(at)
}

/// Rows that wait, in no order.
#[derive(Default)]
pub struct WaitingRows {
    rows: Vec<EstimatedRow>,
}

impl WaitingRows {
    /// Adds a row.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn push(&mut self, row: EstimatedRow) -> Result<()> {
        memory::push(&mut self.rows, row)
    }

    /// Takes the rows whose estimate is at most `cutoff`, sorted by group and number.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn take_within(&mut self, cutoff: f32) -> Result<Vec<EstimatedRow>> {
        // Those that stay are moved to the front.
        let mut kept = 0;
        for at in 0..self.rows.len() {
            if self.rows[at].estimate > cutoff {
                self.rows.swap(kept, at);
                kept += 1;
            }
        }
        self.take_from(kept)
    }

    /// Takes the `count` rows with the smallest estimates, or all, sorted by group and number.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn take_nearest(&mut self, count: usize) -> Result<Vec<EstimatedRow>> {
        let kept = self.rows.len().saturating_sub(count);
        if kept > 0 && kept < self.rows.len() {
            self.rows.select_nth_unstable_by(kept, |a, b| b.estimate.total_cmp(&a.estimate));
        }
        self.take_from(kept)
    }

    fn take_from(&mut self, kept: usize) -> Result<Vec<EstimatedRow>> {
        let mut taken = memory::copied(&self.rows[kept..])?;
        self.rows.truncate(kept);
        taken.sort_unstable_by_key(|row| (row.group, row.row));
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rows_are_taken_and_the_others_wait() {
        let mut waiting = WaitingRows::default();
        for (row, estimate) in (0..).zip([5.0, 1.0, 4.0, -1.0, 2.0, 3.0]) {
            waiting.push(EstimatedRow { group: 7, row, place: 0.0, estimate }).unwrap();
        }
        let numbers = |rows: &[EstimatedRow]| rows.iter().map(|row| row.row).collect::<Vec<u16>>();
        let nearest = waiting.take_nearest(2).unwrap();
        assert_eq!(numbers(&nearest), [1, 3]);
        assert_eq!(find_row(&nearest, 7, 3).map(|row| row.estimate), Some(-1.0));
        assert_eq!(find_row(&nearest, 6, 3), None);
        assert_eq!(numbers(&waiting.take_within(3.0).unwrap()), [4, 5]);
        assert!(waiting.take_within(3.0).unwrap().is_empty());
        assert_eq!(numbers(&waiting.take_nearest(9).unwrap()), [0, 2]);
        assert!(waiting.take_nearest(9).unwrap().is_empty());
    }
}
