//! Loads the images for training a backbone: threads decode and augment them ahead of their use.

use super::augmentation::Augmentation;
use super::manifest::{ImageEntry, Manifest};
use super::view::{augmented, View};
use crate::error::{Error, Kind, Result};
use crate::image::Preprocessing;
use rand::rngs::StdRng;
use rand::SeedableRng;
use std::sync::mpsc::{sync_channel, Receiver};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Batches that each thread prepares in advance.
const PREFETCHED: usize = 2;

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
        let one = |&i: &u32| View::Plain.pixels(&self.manifest, self.entry(i), &self.preprocessing);
        Ok(images.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
    }

    /// Pixels `[batch, size, size, 3]` of some images with the augmentation of an epoch. They depend on seed, epoch and image alone,
    /// not on the thread that makes them.
    ///
    /// # Errors
    /// As [`TrainingImages::plain`].
    pub fn augmented(&self, images: &[u32], epoch: usize) -> Result<Vec<u8>> {
        let one = |&i: &u32| {
            let position = ((epoch as u64 + 1) << 32) | u64::from(i);
            let mut rng = StdRng::seed_from_u64(self.seed ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            augmented(&self.manifest, self.entry(i), &self.preprocessing, &self.augmentation, &mut rng)
        };
        Ok(images.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
    }

    fn entry(&self, image: u32) -> &ImageEntry {
        &self.manifest.images[self.images[image as usize]]
    }
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
        let images = training_images(dir.path(), everything());
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

    fn everything() -> Augmentation {
        Augmentation { flip: true, crop: Some([0.2, 1.0]), rotate: 20.0, jitter: 0.3, jitter_hue: 0.1 }
    }

    #[test]
    fn every_augmentation_changes_images() {
        let dir = tempfile::tempdir().unwrap();
        let none = Augmentation::default();
        for augmentation in [
            Augmentation { flip: true, ..none },
            Augmentation { crop: Some([0.2, 1.0]), ..none },
            Augmentation { rotate: 20.0, ..none },
            Augmentation { jitter: 0.3, ..none },
            Augmentation { jitter_hue: 0.1, ..none },
        ] {
            let images = training_images(dir.path(), augmentation);
            let all = [0, 1, 2, 3, 4, 5, 6];
            assert_ne!(images.augmented(&all, 0).unwrap(), images.plain(&all).unwrap(), "{augmentation:?}");
        }
    }

    #[test]
    fn an_image_that_must_not_be_mirrored_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut images = training_images(dir.path(), Augmentation { flip: true, ..Augmentation::default() });
        let plain = images.plain(&[3, 4]).unwrap();
        let (third, fourth) = plain.split_at(192);
        let mirrored = |images: &TrainingImages, image: u32, plain: &[u8]| {
            (0..20).filter(|&epoch| images.augmented(&[image], epoch).unwrap() != plain).count()
        };
        assert!((5..15).contains(&mirrored(&images, 3, third)));
        Arc::get_mut(&mut images).unwrap().manifest.images[3].mirror = false;
        assert_eq!(mirrored(&images, 3, third), 0);
        assert!((5..15).contains(&mirrored(&images, 4, fourth)));
    }

    #[test]
    fn without_augmentation_images_are_plain() {
        let dir = tempfile::tempdir().unwrap();
        let images = training_images(dir.path(), Augmentation::default());
        assert_eq!(epoch(&images, 5, 2).remove(1).unwrap(), images.plain(&[0, 6]).unwrap());
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
