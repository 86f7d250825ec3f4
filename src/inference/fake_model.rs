//! A fake model for tests of the batcher, the registry and the server.

use super::embedder::Embedder;
use super::threads::lock;
use crate::error::{Error, Kind, Result};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A model of two-byte images and one dimension: the embedding is the sum of the bytes. It records the first byte of each image of each
/// batch, and a gated one starts a batch only after a signal. Some first bytes make it fail: see [`Embedder::embed`].
pub struct FakeModel {
    pub batches: Mutex<Vec<Vec<u8>>>,
    gate: Option<Mutex<Receiver<()>>>,
    powers_of_two: bool,
}

impl FakeModel {
    /// Runs each batch at once.
    pub fn free() -> Arc<Self> {
        Arc::new(Self { batches: Mutex::default(), gate: None, powers_of_two: false })
    }

    /// Finishes one batch for each message that is sent.
    pub fn gated() -> (Arc<Self>, Sender<()>) {
        Self::with_gate(false)
    }

    /// The same, and prefers batches of a power of two.
    pub fn gated_with_powers_of_two() -> (Arc<Self>, Sender<()>) {
        Self::with_gate(true)
    }

    fn with_gate(powers_of_two: bool) -> (Arc<Self>, Sender<()>) {
        let (open, gate) = channel();
        let gate = Some(Mutex::new(gate));
        (Arc::new(Self { batches: Mutex::default(), gate, powers_of_two }), open)
    }

    /// Returns when `count` batches have begun.
    pub fn wait_for_batches(&self, count: usize) {
        while lock(&self.batches).len() < count {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Embedder for FakeModel {
    fn pixel_bytes(&self) -> usize {
        2
    }
    fn dimensions(&self) -> usize {
        1
    }
    fn memory_bytes(&self) -> u64 {
        100
    }
    fn preferred_batch_size(&self, waiting: usize) -> usize {
        if self.powers_of_two {
            1 << waiting.ilog2()
        } else {
            waiting
        }
    }
    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>> {
        assert_eq!(pixels.len(), images * 2);
        lock(&self.batches).push(pixels.iter().step_by(2).copied().collect());
        if let Some(gate) = &self.gate {
            lock(gate).recv().map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        }
        match pixels[0] {
            251 => Err(Error::new(Kind::InvalidModel, "refused")),
            252 => panic!("the fake model panics"),
            253 => Ok(vec![f32::NAN; images]),
            254 => Ok(vec![]),
            _ => Ok(pixels.as_chunks::<2>().0.iter().map(|p| f32::from(p[0]) + f32::from(p[1])).collect()),
        }
    }
}
