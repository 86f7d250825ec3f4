//! Jobs (one image each) and batches of them (their pixels side by side, in buffers that are reused).

use super::embedder::Embedder;
use super::threads::lock;
use super::wire_protocol::Priority;
use crate::error::Result;
use crate::model::ModelDigest;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One image on its way through the batcher.
pub struct Job {
    /// Digest of the model; a batch holds jobs of one digest only.
    pub digest: ModelDigest,
    /// The loaded model. The job keeps it alive even if the registry evicts it meanwhile.
    pub embedder: Arc<dyn Embedder>,
    /// The prepared image, `[size, size, 3]`.
    pub pixels: Vec<u8>,
    /// How long the client took to decode and prepare the image; for the statistics.
    pub decode: Duration,
    /// Whether somebody waits for this answer, or it is one of many.
    pub priority: Priority,
    /// When the job arrived.
    pub since: Instant,
    /// When the job leaves the queue with an error.
    pub deadline: Instant,
    /// Set when the client has disconnected; the job is then skipped.
    pub cancelled: Arc<AtomicBool>,
    /// Receives the raw embedding `[N]` or the error. Called once, or dropped if the job was cancelled.
    pub reply: Box<dyn FnOnce(Result<Vec<f32>>) + Send>,
}

/// Jobs of one model, and their pixels `[jobs, pixel_bytes]`.
pub(crate) struct Batch {
    pub jobs: Vec<Job>,
    pub pixels: Vec<u8>,
}

/// Whether a batch of these jobs is a bulk batch. Its first job decides: the queue lets no bulk job join a batch that an interactive
/// one leads.
pub fn is_bulk(jobs: &[Job]) -> bool {
    jobs.first().is_none_or(|job| job.priority == Priority::Bulk)
}

/// Pixel buffers that no batch uses at the moment. There are never more than batches at once: one that runs, one gathered ahead.
#[derive(Default)]
pub(crate) struct BufferPool(Mutex<Vec<Vec<u8>>>);

impl BufferPool {
    /// Copies the jobs' images next to each other and frees each job's own copy.
    pub fn gather(&self, mut jobs: Vec<Job>) -> Batch {
        let mut pixels = lock(&self.0).pop().unwrap_or_default();
        pixels.clear();
        for job in &mut jobs {
            pixels.extend_from_slice(&std::mem::take(&mut job.pixels));
        }
        Batch { jobs, pixels }
    }

    /// Takes the buffer of a finished batch back.
    pub fn recycle(&self, pixels: Vec<u8>) {
        lock(&self.0).push(pixels);
    }
}
