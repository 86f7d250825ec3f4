//! A model of which tests know what it saw.

use super::*;
use std::sync::mpsc::{channel, Receiver, Sender};

/// A model of two-byte pictures and one dimension. It adds the bytes; it notes the batches it saw; and it waits
/// for a nod before each batch if asked to.
pub struct Adder {
    pub batches: Mutex<Vec<Vec<u8>>>,
    nods: Option<Mutex<Receiver<()>>>,
    powers_of_two: bool,
}

impl Adder {
    pub fn free() -> Arc<Self> {
        Arc::new(Self { batches: Mutex::default(), nods: None, powers_of_two: false })
    }

    pub fn held() -> (Arc<Self>, Sender<()>) {
        Self::holding(false)
    }

    pub fn held_in_powers_of_two() -> (Arc<Self>, Sender<()>) {
        Self::holding(true)
    }

    fn holding(powers_of_two: bool) -> (Arc<Self>, Sender<()>) {
        let (nod, nods) = channel();
        let nods = Some(Mutex::new(nods));
        (Arc::new(Self { batches: Mutex::default(), nods, powers_of_two }), nod)
    }

    /// Returns when `count` batches have begun.
    pub fn begun(&self, count: usize) {
        while lock(&self.batches).len() < count {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Embedder for Adder {
    fn pixel_bytes(&self) -> usize {
        2
    }
    fn dimensions(&self) -> usize {
        1
    }
    fn memory_bytes(&self) -> u64 {
        100
    }
    fn batch_of(&self, waiting: usize) -> usize {
        if self.powers_of_two {
            1 << waiting.ilog2()
        } else {
            waiting
        }
    }
    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>> {
        assert_eq!(pixels.len(), images * 2);
        lock(&self.batches).push(pixels.iter().step_by(2).copied().collect());
        if let Some(nods) = &self.nods {
            lock(nods).recv().map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        }
        match pixels[0] {
            251 => Err(Error::new(Kind::InvalidModel, "refused")),
            252 => panic!("lost its mind"),
            253 => Ok(vec![f32::NAN; images]),
            254 => Ok(vec![]),
            _ => Ok(pixels.as_chunks::<2>().0.iter().map(|p| f32::from(p[0]) + f32::from(p[1])).collect()),
        }
    }
}
