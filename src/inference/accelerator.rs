//! A model on an accelerator (a GPU): batches are powers of two, and halved when the device's memory is too small for them.

use super::embedder::Embedder;
use super::server_log::log_line;
use crate::error::{Error, Result};
use crate::model::Model;
use candle_core::{DType, Device, Tensor};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// A [`Model`] whose backbone is on a device.
pub struct AcceleratedModel {
    model: Model,
    device: Device,
    /// The largest batch, a power of two, that has not run out of memory so far.
    batch_limit: AtomicUsize,
    is_lost: AtomicBool,
}

impl AcceleratedModel {
    /// Runs a batch of `max_batch` images once. It compiles the device's kernels and finds the largest batch that its memory allows.
    ///
    /// # Errors
    /// Those of [`Model::embed`] for a single image.
    pub fn warmed_up(model: Model, device: Device, max_batch: usize) -> Result<Self> {
        let ready = Self {
            model,
            device,
            batch_limit: AtomicUsize::new(round_down_to_power_of_two(max_batch)),
            is_lost: AtomicBool::new(false),
        };
        let images = ready.batch_limit.load(Relaxed);
        ready.embed(&vec![0; images * ready.pixel_bytes()], images)?;
        Ok(ready)
    }

    /// After an error: finds out whether the device still works, by computing something small on it.
    fn check_device(&self) {
        let works = Tensor::ones(1, DType::F32, &self.device).and_then(|one| one.to_vec1::<f32>());
        self.is_lost.store(works.is_err(), Relaxed);
    }
}

impl Embedder for AcceleratedModel {
    fn pixel_bytes(&self) -> usize {
        self.model.pixel_bytes()
    }

    fn dimensions(&self) -> usize {
        self.model.dimensions()
    }

    fn memory_bytes(&self) -> u64 {
        Embedder::memory_bytes(&self.model)
    }

    /// Powers of two: a device prepares kernels and buffers for each batch size it sees, and reuses them for batches of that size.
    fn preferred_batch_size(&self, waiting: usize) -> usize {
        round_down_to_power_of_two(waiting.min(self.batch_limit.load(Relaxed)))
    }

    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>> {
        let embeddings =
            embed_in_chunks(pixels, self.pixel_bytes(), images, &self.batch_limit, &|pixels, images| {
                Model::embed(&self.model, pixels, images)
            });
        if embeddings.is_err() {
            self.check_device();
        }
        embeddings
    }

    fn is_device_lost(&self) -> bool {
        self.is_lost.load(Relaxed)
    }
}

/// The largest power of two up to `n`; 1 for 0.
fn round_down_to_power_of_two(n: usize) -> usize {
    1 << n.max(1).ilog2()
}

/// Computes `[images, pixel_bytes]` to `[images, N]`.
type Compute<'a> = dyn Fn(&[u8], usize) -> Result<Vec<f32>> + 'a;

/// Computes at most `batch_limit` images at a time, and lowers the limit when the device runs out of memory. The limit stays lowered.
fn embed_in_chunks(
    pixels: &[u8],
    pixel_bytes: usize,
    images: usize,
    batch_limit: &AtomicUsize,
    embed: &Compute<'_>,
) -> Result<Vec<f32>> {
    let (mut embeddings, mut done) = (Vec::new(), 0);
    while done < images {
        let count = batch_limit.load(Relaxed).clamp(1, images - done);
        match embed(&pixels[done * pixel_bytes..(done + count) * pixel_bytes], count) {
            Ok(values) => {
                embeddings.extend(values);
                done += count;
            }
            Err(e) if count > 1 && is_out_of_memory(&e) => {
                let fewer = round_down_to_power_of_two(count / 2);
                batch_limit.store(fewer, Relaxed);
                log_line(&format!(
                    "the device's memory is too small for batches of {count} images; from now on they have {fewer}"
                ));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(embeddings)
}

/// Recognises CUDA's own message: candle passes it on as text.
fn is_out_of_memory(error: &Error) -> bool {
    ["OUT_OF_MEMORY", "out of memory"].iter().any(|words| error.message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_batch_too_large_for_the_memory_is_computed_in_halves_and_the_limit_stays() {
        let batch_limit = AtomicUsize::new(16);
        let calls = std::cell::RefCell::new(Vec::new());
        let embed = |pixels: &[u8], images: usize| {
            calls.borrow_mut().push(images);
            if images > 5 {
                return Err(Error::new(
                    Kind::Internal,
                    "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
                ));
            }
            Ok(pixels.chunks(2).map(|p| f32::from(p[0]) + f32::from(p[1])).collect())
        };
        let pixels: Vec<u8> = (0..22).collect();
        let sums: Vec<f32> = (0..11).map(|i| (4 * i + 1) as f32).collect();
        assert_eq!(embed_in_chunks(&pixels, 2, 11, &batch_limit, &embed).unwrap(), sums);
        assert_eq!(*calls.borrow(), [11, 4, 4, 3]);
        assert_eq!(batch_limit.load(Relaxed), 4);
    }

    #[test]
    fn other_errors_and_single_images_that_do_not_fit_are_errors() {
        for (images, message, calls) in
            [(8, "an illegal address", 1), (1, "out of memory", 1), (8, "out of memory", 4)]
        {
            let (batch_limit, count) = (AtomicUsize::new(8), AtomicUsize::new(0));
            let embed = |_: &[u8], _: usize| {
                count.fetch_add(1, Relaxed);
                Err(Error::new(Kind::Internal, message))
            };
            assert_eq!(
                embed_in_chunks(&[0; 8], 1, images, &batch_limit, &embed).unwrap_err().message,
                message
            );
            assert_eq!(count.load(Relaxed), calls);
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 15, 16, 1000].map(round_down_to_power_of_two), [1, 1, 2, 2, 8, 16, 512]);
    }
}
