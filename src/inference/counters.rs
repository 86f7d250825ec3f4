//! What the service counts, shown to people by `coop_status()` and to monitoring by the view `coop_stat_worker`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A server's state, and totals since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// What computes: "cpu", or "cuda:N".
    pub device: String,
    /// Names and values. A name that ends in `_microseconds` is a total time.
    pub counters: Vec<(String, u64)>,
    /// A histogram of batch sizes, without its empty buckets.
    pub batch_sizes: Vec<BatchSizeBucket>,
}

/// A bucket of the histogram of batch sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSizeBucket {
    /// The bucket's upper bound, a power of two: it counts batches of more than half of this many images, and up to it.
    pub size: u64,
    /// How many batches fell into the bucket.
    pub batches: u64,
    /// How many images all of them had together.
    pub images: u64,
}

/// Buckets for 1, 2, 4, ... 2048 images; the last one takes larger batches too.
const BUCKETS: usize = 12;

/// What the batcher counts.
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
    pub decode: TotalTime,
    pub queue: TotalTime,
    pub model: TotalTime,
    /// `[BUCKETS]`: batches of each bucket.
    batches: [AtomicU64; BUCKETS],
    /// `[BUCKETS]`: images in those batches.
    images_by_bucket: [AtomicU64; BUCKETS],
}

/// A total of durations, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct TotalTime(AtomicU64);

impl TotalTime {
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Counters {
    /// Counts a batch that ran.
    pub fn count_batch(&self, images: usize, took: Duration) {
        let bucket = (images.max(1).next_power_of_two().trailing_zeros() as usize).min(BUCKETS - 1);
        self.batches[bucket].fetch_add(1, Relaxed);
        self.images_by_bucket[bucket].fetch_add(images as u64, Relaxed);
        self.largest_batch.fetch_max(images as u64, Relaxed);
        self.model.add(took);
    }

    /// Names and values of all counters but the histogram.
    pub fn named_values(&self) -> Vec<(String, u64)> {
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

    /// The histogram of batch sizes, without its empty buckets.
    pub fn batch_sizes(&self) -> Vec<BatchSizeBucket> {
        let buckets = self.batches.iter().zip(&self.images_by_bucket).enumerate();
        let buckets = buckets.map(|(power, (batches, images))| BatchSizeBucket {
            size: 1 << power,
            batches: batches.load(Relaxed),
            images: images.load(Relaxed),
        });
        buckets.filter(|b| b.batches > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_by_the_power_of_two_that_holds_them() {
        let counters = Counters::default();
        for images in [1, 1, 2, 3, 4, 5, 5000] {
            counters.count_batch(images, Duration::from_micros(10));
        }
        let found: Vec<_> = counters.batch_sizes().iter().map(|s| (s.size, s.batches, s.images)).collect();
        assert_eq!(found, [(1, 2, 2), (2, 1, 2), (4, 2, 7), (8, 1, 5), (2048, 1, 5000)]);
        let value = |name: &str| counters.named_values().into_iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!((value("batches"), value("model_microseconds"), value("largest_batch")), (7, 70, 5000));
    }
}
