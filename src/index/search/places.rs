//! When a search that ranks rows has looked at enough of them: by the places in the ranking at which the nearest rows came.
//!
//! If a ranking is any good, the nearest rows come early, and fewer and fewer of them later: the logarithms of their places are about
//! normal. Once rows have been looked at up to a place beyond all but a small share of that distribution, and hardly any of the nearest came
//! lately, no more than that share of them is missing. This needs no model of distances: how well the ranking does on this query's rows
//! shows in the places themselves. It can be wrong where the nearest rows are of two kinds, one of which the ranking puts far behind.

use crate::error::Result;
use crate::memory;

/// Places are taken to be spread at least this much, in standard deviations of their logarithms.
const MIN_DEVIATION: f32 = 0.8;
/// So many deviations are looked farther than the promise says: what is known is of a sample.
const MARGIN: f32 = 0.3;
/// At least so many times as many rows are looked at as are wanted.
const MIN_SHARE: usize = 4;

/// A row that has been looked at.
struct PlacedRow {
    bound: f32,
    /// The logarithm of its place.
    place: f32,
    /// By how much its estimate was above the bound.
    error: f32,
}

/// The places at which rows came, and their bounds.
pub struct Places {
    /// How far to look beyond the mean, in standard deviations.
    reach: f32,
    /// The nearest rows that count.
    wanted: usize,
    /// The share of them that may have come in the second half of all rows.
    late: f32,
    /// Rows that may be among the nearest.
    rows: Vec<PlacedRow>,
    /// How many rows have been looked at.
    count: usize,
}

impl Places {
    /// Nothing has been looked at yet. Of `wanted` rows at a time, the share `recall` is to be found.
    pub fn new(wanted: usize, recall: f64) -> Self {
        let missing = 1.0 - recall.clamp(0.0, 1.0 - 1e-9);
        let reach = normal_quantile_above(missing) as f32 + MARGIN;
        Self { reach, wanted, late: 0.5 * missing as f32, rows: Vec::new(), count: 0 }
    }

    /// Eight times as many rows count from now on.
    pub fn want_more(&mut self) {
        self.wanted = self.wanted.saturating_mul(8);
    }

    /// How many rows have been looked at.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The next `count` rows are looked at. Returns their place, to be pushed with each of them.
    pub fn advance(&mut self, count: usize) -> f32 {
        let place = self.count as f32 + 0.5 * count as f32;
        self.count += count;
        place.max(1.0).ln()
    }

    /// Takes the bound of a row, its place, and by how much it had been estimated above the bound.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn push(&mut self, bound: f32, place: f32, error: f32) -> Result<()> {
        memory::push(&mut self.rows, PlacedRow { bound, place, error })
    }

    /// How many rows more have to be pushed before as many are known as count.
    pub fn missing(&self) -> usize {
        self.wanted.saturating_sub(self.rows.len())
    }

    /// Rows that are estimated to be farther than this are hardly ever among the nearest; `None` as long as rows are missing.
    ///
    /// Errors of estimates are about normal. If those of the nearest rows are, then of rows at the largest bound no more than the promised
    /// share is estimated to be beyond it, and of nearer rows fewer.
    pub fn farthest_estimate(&mut self) -> Option<f32> {
        let farthest = self.farthest()?;
        let near = &self.rows[..self.wanted];
        let (mean, deviation) = mean_and_deviation(near.iter().map(|row| row.error));
        Some(farthest + mean + self.reach * deviation)
    }

    /// The largest bound of the rows that count, which are moved to the front; `None` if there are not so many yet.
    pub fn farthest(&mut self) -> Option<f32> {
        let last = self.wanted - 1;
        (last < self.rows.len())
            .then(|| self.rows.select_nth_unstable_by(last, |a, b| a.bound.total_cmp(&b.bound)).1.bound)
    }

    /// Whether no more than the promised share of the nearest rows is missing.
    pub fn are_enough(&mut self) -> bool {
        let Some(needed) = self.needed().filter(|_| self.count >= MIN_SHARE * self.wanted) else {
            return false;
        };
        let half = (0.5 * self.count as f32).ln();
        let near = &self.rows[..self.wanted];
        let late = near.iter().filter(|row| row.place > half).count();
        late <= (self.late * near.len() as f32) as usize && self.count as f32 >= needed
    }

    /// How many rows have to be looked at by the places of the nearest rows so far; `None` if there are not so many yet.
    pub fn needed(&mut self) -> Option<f32> {
        self.farthest()?;
        let (mean, deviation) = mean_and_deviation(self.rows[..self.wanted].iter().map(|row| row.place));
        Some((mean + self.reach * deviation.max(MIN_DEVIATION)).exp())
    }
}

/// The mean, and the standard deviation, of some numbers.
fn mean_and_deviation(numbers: impl ExactSizeIterator<Item = f32> + Clone) -> (f32, f32) {
    let n = numbers.len().max(1) as f32;
    let mean = numbers.clone().sum::<f32>() / n;
    (mean, (numbers.map(|x| (x - mean).powi(2)).sum::<f32>() / n).sqrt())
}

/// The point above which a standard normal distribution has this share, of at most a half, to 5e-4 (Abramowitz and Stegun, 26.2.23).
fn normal_quantile_above(share: f64) -> f64 {
    let t = (-2.0 * share.clamp(1e-12, 0.5).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    t - above / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        for (share, expected) in [(0.5, 0.0), (0.1, 1.2816), (0.01, 2.3263), (0.001, 3.0902)] {
            assert!((normal_quantile_above(share) - expected).abs() < 1e-3, "{share}");
        }
    }

    /// Looks at `count` rows one by one, of which those at `near` places are nearest. Returns the place at which that is enough.
    fn enough_at(recall: f64, near: impl Fn(usize) -> bool) -> usize {
        let mut places = Places::new(32, recall);
        (1..100_000)
            .find(|&i| {
                let place = places.advance(1);
                places.push(if near(i) { 1.0 } else { 2.0 + 1.0 / i as f32 }, place, 0.0).unwrap();
                places.are_enough()
            })
            .unwrap_or(100_000)
    }

    #[test]
    fn the_later_the_nearest_rows_come_the_longer_it_takes() {
        let at_once = enough_at(0.99, |i| i <= 32);
        let sparse = enough_at(0.99, |i| i % 10 == 0 && i <= 320);
        assert!((32..400).contains(&at_once) && sparse > 2 * at_once, "{at_once} {sparse}");
        assert!(enough_at(0.9, |i| i % 10 == 0 && i <= 320) < sparse);
        assert!(enough_at(0.999, |i| i % 10 == 0 && i <= 320) > sparse);
        // Nearer rows come now and then for ever: the ranking tells nothing.
        let mut places = Places::new(32, 0.9);
        for i in 1..20_000u32 {
            let place = places.advance(1);
            places.push((i.wrapping_mul(2_654_435_761) >> 8) as f32, place, 0.0).unwrap();
            assert!(!places.are_enough(), "after {i} rows in any order");
        }
    }

    #[test]
    fn the_farthest_of_the_nearest_rows() {
        let mut places = Places::new(2, 0.9);
        let place = places.advance(3);
        places.push(3.0, place, 0.0).unwrap();
        assert_eq!(places.farthest(), None);
        places.push(1.0, place, 0.0).unwrap();
        places.push(2.0, place, 0.0).unwrap();
        assert_eq!((places.farthest(), places.count()), (Some(2.0), 3));
        places.want_more();
        assert_eq!(places.farthest(), None);
    }
}
