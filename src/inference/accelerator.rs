//! A model on an accelerator: batches in sizes that suit it, halved when its memory is too small for them.

use super::engine::Embedder;
use super::process::say;
use crate::error::{Error, Result};
use crate::model::Model;
use candle_core::{DType, Device, Tensor};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// A [`Model`] whose backbone is on a device.
pub struct OnDevice {
    model: Model,
    device: Device,
    /// Batches of this size are not known to be too large.
    fits: AtomicUsize,
    lost: AtomicBool,
}

impl OnDevice {
    /// Runs the largest batch once, so that what the device prepares for it is ready, and its memory known to suffice.
    ///
    /// # Errors
    /// Those of [`Model::embed`] for a single picture.
    pub fn warmed_up(model: Model, device: Device, max_batch: usize) -> Result<Self> {
        let ready = Self {
            model,
            device,
            fits: AtomicUsize::new(largest_power(max_batch)),
            lost: AtomicBool::new(false),
        };
        let images = ready.fits.load(Relaxed);
        ready.embed(&vec![0; images * ready.pixel_bytes()], images)?;
        Ok(ready)
    }

    /// An error that is not for want of memory: either the computation's own, or nothing works any more.
    fn check_device(&self) {
        let works = Tensor::ones(1, DType::F32, &self.device).and_then(|one| one.to_vec1::<f32>());
        self.lost.store(works.is_err(), Relaxed);
    }
}

impl Embedder for OnDevice {
    fn pixel_bytes(&self) -> usize {
        self.model.pixel_bytes()
    }

    fn dimensions(&self) -> usize {
        self.model.dimensions()
    }

    fn memory_bytes(&self) -> u64 {
        Embedder::memory_bytes(&self.model)
    }

    /// Powers of two: what a device prepares for a size is of use for every batch of it.
    fn batch_of(&self, waiting: usize) -> usize {
        largest_power(waiting.min(self.fits.load(Relaxed)))
    }

    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>> {
        let answer = in_pieces(pixels, self.pixel_bytes(), images, &self.fits, &|pixels, images| {
            Model::embed(&self.model, pixels, images)
        });
        if answer.is_err() {
            self.check_device();
        }
        answer
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }
}

/// The largest power of two that is not above `n`, or 1.
fn largest_power(n: usize) -> usize {
    1 << n.max(1).ilog2()
}

/// From pixels of so many pictures to their numbers.
type Compute<'a> = dyn Fn(&[u8], usize) -> Result<Vec<f32>> + 'a;

/// Computes at most `fits` pictures at a time, and lowers that when it turns out to be too many.
fn in_pieces(
    pixels: &[u8],
    size: usize,
    images: usize,
    fits: &AtomicUsize,
    embed: &Compute<'_>,
) -> Result<Vec<f32>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < images {
        let count = fits.load(Relaxed).clamp(1, images - at);
        match embed(&pixels[at * size..(at + count) * size], count) {
            Ok(values) => {
                out.extend(values);
                at += count;
            }
            Err(e) if count > 1 && is_want_of_memory(&e) => {
                let fewer = largest_power(count / 2);
                fits.store(fewer, Relaxed);
                say(&format!(
                    "the device's memory is too small for batches of {count}; they have {fewer} from now on"
                ));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

/// CUDA's own words for it.
fn is_want_of_memory(error: &Error) -> bool {
    ["OUT_OF_MEMORY", "out of memory"].iter().any(|words| error.message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_batch_too_large_for_the_memory_is_computed_in_halves_and_remembered() {
        let fits = AtomicUsize::new(16);
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
        assert_eq!(in_pieces(&pixels, 2, 11, &fits, &embed).unwrap(), sums);
        assert_eq!(*calls.borrow(), [11, 4, 4, 3]);
        assert_eq!(fits.load(Relaxed), 4);
    }

    #[test]
    fn other_errors_and_single_pictures_that_do_not_fit_stay_errors() {
        for (images, message, calls) in
            [(8, "an illegal address", 1), (1, "out of memory", 1), (8, "out of memory", 4)]
        {
            let (fits, count) = (AtomicUsize::new(8), AtomicUsize::new(0));
            let embed = |_: &[u8], _: usize| {
                count.fetch_add(1, Relaxed);
                Err(Error::new(Kind::Internal, message))
            };
            assert_eq!(in_pieces(&[0; 8], 1, images, &fits, &embed).unwrap_err().message, message);
            assert_eq!(count.load(Relaxed), calls);
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 15, 16, 1000].map(largest_power), [1, 1, 2, 2, 8, 16, 512]);
    }
}
