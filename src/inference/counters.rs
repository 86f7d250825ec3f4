//! What the service counts, for people (`coop_status()`) and for monitoring (the view `coop_stat_worker`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a server is doing, and what it did since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// What computes: "cpu", or an accelerator's name.
    pub device: String,
    /// Names and values. A name that ends in `_microseconds` is a sum of time.
    pub counters: Vec<(String, u64)>,
    /// How large batches were; sizes that never occurred are left out.
    pub batch_sizes: Vec<BatchSize>,
}

/// The batches of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// A power of two: batches of more than half of it, up to it.
    pub size: u64,
    /// How many there were.
    pub batches: u64,
    /// Pictures in all of them.
    pub images: u64,
}

/// Powers of two from 1 on; the last takes all that are larger.
const SIZES: usize = 12;

/// What the engine counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub requests: AtomicU64,
    pub images: AtomicU64,
    pub largest_batch: AtomicU64,
    pub refused: AtomicU64,
    pub expired: AtomicU64,
    pub cancelled: AtomicU64,
    pub errors: AtomicU64,
    pub panics: AtomicU64,
    pub decode: Time,
    pub queue: Time,
    pub model: Time,
    batches: [AtomicU64; SIZES],
    batched: [AtomicU64; SIZES],
}

/// A sum of time, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Time(AtomicU64);

impl Time {
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Counters {
    /// Counts a batch that ran.
    pub fn batch(&self, images: usize, took: Duration) {
        let size = (images.max(1).next_power_of_two().trailing_zeros() as usize).min(SIZES - 1);
        self.batches[size].fetch_add(1, Relaxed);
        self.batched[size].fetch_add(images as u64, Relaxed);
        self.largest_batch.fetch_max(images as u64, Relaxed);
        self.model.add(took);
    }

    /// Names and values of all but the sizes of batches.
    pub fn list(&self) -> Vec<(String, u64)> {
        [
            ("requests", self.requests.load(Relaxed)),
            ("images", self.images.load(Relaxed)),
            ("batches", self.batches.iter().map(|b| b.load(Relaxed)).sum()),
            ("largest_batch", self.largest_batch.load(Relaxed)),
            ("refused_queue_full", self.refused.load(Relaxed)),
            ("expired_in_queue", self.expired.load(Relaxed)),
            ("cancelled", self.cancelled.load(Relaxed)),
            ("errors", self.errors.load(Relaxed)),
            ("panics", self.panics.load(Relaxed)),
            ("decode_microseconds", self.decode.0.load(Relaxed)),
            ("queue_microseconds", self.queue.0.load(Relaxed)),
            ("model_microseconds", self.model.0.load(Relaxed)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    pub fn batch_sizes(&self) -> Vec<BatchSize> {
        let sizes = self.batches.iter().zip(&self.batched).enumerate();
        let sizes = sizes.map(|(power, (batches, images))| BatchSize {
            size: 1 << power,
            batches: batches.load(Relaxed),
            images: images.load(Relaxed),
        });
        sizes.filter(|s| s.batches > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_by_the_power_of_two_that_holds_them() {
        let counters = Counters::default();
        for images in [1, 1, 2, 3, 4, 5, 5000] {
            counters.batch(images, Duration::from_micros(10));
        }
        let found: Vec<_> = counters.batch_sizes().iter().map(|s| (s.size, s.batches, s.images)).collect();
        assert_eq!(found, [(1, 2, 2), (2, 1, 2), (4, 2, 7), (8, 1, 5), (2048, 1, 5000)]);
        let value = |name: &str| counters.list().into_iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!((value("batches"), value("model_microseconds"), value("largest_batch")), (7, 70, 5000));
    }
}
