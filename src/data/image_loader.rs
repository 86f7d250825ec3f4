//! Loads the images for training a backbone: threads decode, crop and mirror them ahead of their use.

use super::image_files::{mirror, name_error, read};
use super::manifest::{ImageEntry, Manifest};
use crate::error::{Error, Kind, Result};
use crate::image::{decode, prepare_image, CropBox, Limits, Preprocessing};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::mpsc::{sync_channel, Receiver};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Batches that each thread prepares in advance.
const PREFETCHED: usize = 2;

/// Random changes to the images that training sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augmentation {
    /// Mirror an image with probability 1/2.
    pub flip: bool,
    /// Use a random part of it: 20 to 100 % of the area with an aspect ratio of 3:4 to 4:3, squashed to the network's input.
    pub crop: bool,
}

/// The images that a backbone is trained on, by number, and how they become pixels.
#[derive(Debug)]
pub struct TrainingImages {
    /// The data set.
    pub manifest: Manifest,
    /// The images to train on, as indices in [`Manifest::images`]; methods take positions in this list.
    pub images: Vec<usize>,
    /// How an image becomes pixels.
    pub preprocessing: Preprocessing,
    /// Random changes during training.
    pub augmentation: Augmentation,
    /// Seed of all random changes.
    pub seed: u64,
}

impl TrainingImages {
    /// Pixels `[batch, size, size, 3]` of some images, without augmentation, as retrieval uses them.
    ///
    /// # Errors
    /// Those of reading and decoding, with the file's name.
    pub fn plain(&self, images: &[u32]) -> Result<Vec<u8>> {
        let one = |&i: &u32| self.prepare(&self.manifest.images[self.images[i as usize]], |_| None);
        Ok(images.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
    }

    /// Pixels `[batch, size, size, 3]` of some images with the augmentation of an epoch. They depend on seed, epoch and image alone,
    /// not on the thread that makes them.
    ///
    /// # Errors
    /// As [`TrainingImages::plain`].
    pub fn augmented(&self, images: &[u32], epoch: usize) -> Result<Vec<u8>> {
        let one = |&i: &u32| self.augmented_image(i, epoch);
        Ok(images.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
    }

    fn augmented_image(&self, image: u32, epoch: usize) -> Result<Vec<u8>> {
        let entry = &self.manifest.images[self.images[image as usize]];
        let position = ((epoch as u64 + 1) << 32) | u64::from(image);
        let mut rng = StdRng::seed_from_u64(self.seed ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let flip = self.augmentation.flip && rng.random();
        let mut pixels =
            self.prepare(entry, |whole| self.augmentation.crop.then(|| random_crop(whole, &mut rng)))?;
        if flip {
            mirror(&mut pixels, self.preprocessing.size as usize);
        }
        Ok(pixels)
    }

    /// Decodes an image and resizes a part of it. `choose_part` gets the data set's crop box, clipped to the image (or the whole image),
    /// and may return a part of that.
    fn prepare(
        &self,
        image: &ImageEntry,
        choose_part: impl FnOnce(CropBox) -> Option<CropBox>,
    ) -> Result<Vec<u8>> {
        let bytes = read(&self.manifest, image)?;
        let pixels = || {
            let decoded = decode(&bytes, &Limits::default())?;
            let (width, height) = (decoded.width() as i32, decoded.height() as i32);
            let whole = CropBox { x1: 0, y1: 0, x2: width, y2: height };
            let inside = image.crop.map_or(whole, |c| CropBox {
                x1: c.x1.max(0),
                y1: c.y1.max(0),
                x2: c.x2.min(width),
                y2: c.y2.min(height),
            });
            // prepare_image reports a box without pixels.
            let usable = inside.x1 < inside.x2 && inside.y1 < inside.y2;
            let crop = if usable { choose_part(inside) } else { None };
            prepare_image(&decoded, crop.or(image.crop), &self.preprocessing)
        };
        pixels().map_err(|e| name_error(image, e))
    }
}

/// A random part of a box, chosen as torchvision's `RandomResizedCrop(scale=(0.2, 1))` does.
fn random_crop(whole: CropBox, rng: &mut StdRng) -> CropBox {
    let (width, height) = (f64::from(whole.x2 - whole.x1), f64::from(whole.y2 - whole.y1));
    for _ in 0..10 {
        let area = width * height * rng.random_range(0.2..=1.0);
        let ratio: f64 = rng.random_range((3f64 / 4.0).ln()..=(4f64 / 3.0).ln());
        let (w, h) = ((area * ratio.exp()).sqrt().round(), (area / ratio.exp()).sqrt().round());
        if w >= 1.0 && h >= 1.0 && w <= width && h <= height {
            let x1 = whole.x1 + rng.random_range(0..=(width - w) as i32);
            let y1 = whole.y1 + rng.random_range(0..=(height - h) as i32);
            return CropBox { x1, y1, x2: x1 + w as i32, y2: y1 + h as i32 };
        }
    }
    whole
}

/// The batches of one epoch, prepared in advance by `workers` threads. Thread t prepares the batches t, t + workers and so on, so that
/// batches come in order however fast each thread is.
#[derive(Debug)]
pub struct Loader {
    /// One per thread.
    queues: Vec<Receiver<Result<Vec<u8>>>>,
    threads: Vec<JoinHandle<()>>,
    /// Number of the next batch.
    next: usize,
}

impl Loader {
    /// Starts threads that prepare `batches`, lists of positions in [`TrainingImages::images`].
    pub fn start(images: &Arc<TrainingImages>, epoch: usize, batches: Vec<Vec<u32>>, workers: usize) -> Self {
        let batches = Arc::new(batches);
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for first in 0..workers.max(1) {
            let (sender, receiver) = sync_channel(PREFETCHED);
            let (images, batches) = (images.clone(), batches.clone());
            queues.push(receiver);
            threads.push(std::thread::spawn(move || {
                for batch in batches.iter().skip(first).step_by(workers.max(1)) {
                    // The receiver is gone if training has ended early.
                    if sender.send(images.augmented(batch, epoch)).is_err() {
                        return;
                    }
                }
            }));
        }
        Self { queues, threads, next: 0 }
    }

    /// The pixels of the next batch.
    ///
    /// # Errors
    /// Those of decoding; [`Kind::Internal`] after the last batch.
    pub fn next_batch(&mut self) -> Result<Vec<u8>> {
        let queue = self.next % self.queues.len();
        self.next += 1;
        let ended = |_| Error::new(Kind::Internal, "the threads that load images have ended");
        self.queues[queue].recv().map_err(ended)?
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // A panic has closed the thread's queue, which next_batch has reported.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training_images(folder: &std::path::Path, augmentation: Augmentation) -> Arc<TrainingImages> {
        let mut csv = "path,instance,category,split,a\n".to_owned();
        for i in 0..7u32 {
            let pixel = |x: u32, y: u32| image::Rgb([(i * 30) as u8, (x * 10) as u8, (y * 10) as u8]);
            image::RgbImage::from_fn(24, 20, pixel).save(folder.join(format!("{i}.png"))).unwrap();
            csv.push_str(&format!("{i}.png,i{i},c,train,v\n"));
        }
        std::fs::write(folder.join("images.csv"), csv).unwrap();
        let manifest = Manifest::read(folder).unwrap();
        Arc::new(TrainingImages {
            manifest,
            images: (0..7).collect(),
            preprocessing: Preprocessing::imagenet(8),
            augmentation,
            seed: 3,
        })
    }

    fn epoch(images: &Arc<TrainingImages>, epoch: usize, workers: usize) -> Vec<Result<Vec<u8>>> {
        let batches = vec![vec![4, 2], vec![0, 6], vec![1, 5], vec![3]];
        let mut loader = Loader::start(images, epoch, batches, workers);
        (0..4).map(|_| loader.next_batch()).collect()
    }

    #[test]
    fn augmentation_depends_on_the_epoch_and_not_on_the_number_of_threads() {
        let dir = tempfile::tempdir().unwrap();
        let images = training_images(dir.path(), Augmentation { flip: true, crop: true });
        let pixels = |e, workers| -> Vec<Vec<u8>> {
            epoch(&images, e, workers).into_iter().map(Result::unwrap).collect()
        };
        let one = pixels(0, 1);
        assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [384, 384, 384, 192]);
        for workers in [2, 3, 9] {
            assert_eq!(pixels(0, workers), one);
        }
        assert_ne!(pixels(1, 1), one);
    }

    #[test]
    fn without_augmentation_images_are_plain() {
        let dir = tempfile::tempdir().unwrap();
        let images = training_images(dir.path(), Augmentation::default());
        assert_eq!(epoch(&images, 5, 2).remove(1).unwrap(), images.plain(&[0, 6]).unwrap());
    }

    #[test]
    fn random_crops_lie_within_the_box_and_are_not_small() {
        let whole = CropBox { x1: 10, y1: 20, x2: 110, y2: 80 };
        let mut rng = StdRng::seed_from_u64(0);
        for _ in 0..200 {
            let p = random_crop(whole, &mut rng);
            assert!(p.x1 >= 10 && p.y1 >= 20 && p.x2 <= 110 && p.y2 <= 80, "{p:?}");
            assert!((p.x2 - p.x1) * (p.y2 - p.y1) >= 1150, "{p:?}");
        }
    }

    #[test]
    fn an_image_that_cannot_be_decoded_is_named_when_its_batch_is_due() {
        let dir = tempfile::tempdir().unwrap();
        let images = training_images(dir.path(), Augmentation::default());
        std::fs::write(dir.path().join("5.png"), b"not an image").unwrap();
        let batches = epoch(&images, 0, 2);
        assert!(batches[1].is_ok() && batches[3].is_ok());
        assert!(batches[2].as_ref().unwrap_err().message.starts_with("\"5.png\": "));
    }

    #[test]
    fn a_loader_can_be_dropped_early() {
        let dir = tempfile::tempdir().unwrap();
        let images = training_images(dir.path(), Augmentation::default());
        let mut loader = Loader::start(&images, 0, vec![vec![0]; 50], 2);
        loader.next_batch().unwrap();
        drop(loader);
    }
}
