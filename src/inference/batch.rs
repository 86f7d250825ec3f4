//! Pictures gathered for the model: their bytes side by side, in buffers that are used again.

use super::engine::Job;
use super::lock;
use super::wire::Priority;
use std::sync::Mutex;

/// Jobs of one model, and their pixels `[jobs, pixel_bytes]`.
pub(crate) struct Batch {
    pub jobs: Vec<Job>,
    pub pixels: Vec<u8>,
}

/// Whether nobody waits impatiently for a batch of these.
pub fn is_bulk(jobs: &[Job]) -> bool {
    jobs.first().is_none_or(|job| job.priority == Priority::Bulk)
}

/// Buffers that no batch uses. There are as many as there ever were batches at once: one that runs, one ahead of it.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Copies the pictures next to each other and lets go of each.
    pub fn gather(&self, mut jobs: Vec<Job>) -> Batch {
        let mut pixels = lock(&self.0).pop().unwrap_or_default();
        pixels.clear();
        for job in &mut jobs {
            pixels.extend_from_slice(&std::mem::take(&mut job.pixels));
        }
        Batch { jobs, pixels }
    }

    /// Takes a buffer back.
    pub fn put_back(&self, pixels: Vec<u8>) {
        lock(&self.0).push(pixels);
    }
}
