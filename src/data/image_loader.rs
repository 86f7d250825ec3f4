//! Pictures for a backbone that learns: decoded, cut and mirrored by threads that run ahead of it.

use super::features::{mirror, named, read};
use super::manifest::{ImageEntry, Manifest};
use crate::error::{Error, Kind, Result};
use crate::image::{decode, prepare_image, CropBox, Limits, Preprocessing};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::mpsc::{sync_channel, Receiver};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Batches that a thread may have ready.
const AHEAD: usize = 2;

/// How training sees an image other than as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augmentation {
    /// Mirrored half of the time.
    pub flip: bool,
    /// A random part: 20 to 100 % of the area, 3:4 to 4:3, squashed to the network's input.
    pub crop: bool,
}

/// Everything that turns an image's number into pixels.
#[derive(Debug)]
pub struct Pictures {
    /// Where the files are.
    pub manifest: Manifest,
    /// The source's images, as indices in [`Manifest::images`].
    pub images: Vec<usize>,
    /// Bytes to pixels.
    pub preprocessing: Preprocessing,
    /// What training makes of them.
    pub augmentation: Augmentation,
    /// Of every random view.
    pub seed: u64,
}

impl Pictures {
    /// `[batch, size, size, 3]` of some of the source's images, as retrieval sees them.
    ///
    /// # Errors
    /// Those of reading and decoding, naming the file.
    pub fn plain(&self, images: &[u32]) -> Result<Vec<u8>> {
        let one = |&i: &u32| self.prepared(&self.manifest.images[self.images[i as usize]], |_| None);
        Ok(images.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
    }

    /// The same as an epoch of training sees them. A view depends on seed, epoch and image alone, not on who makes it when.
    ///
    /// # Errors
    /// As [`Pictures::plain`].
    pub fn views(&self, images: &[u32], epoch: usize) -> Result<Vec<u8>> {
        let one = |&i: &u32| self.view(i, epoch);
        Ok(images.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
    }

    fn view(&self, image: u32, epoch: usize) -> Result<Vec<u8>> {
        let entry = &self.manifest.images[self.images[image as usize]];
        let place = ((epoch as u64 + 1) << 32) | u64::from(image);
        let mut rng = StdRng::seed_from_u64(self.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let flip = self.augmentation.flip && rng.random();
        let mut pixels =
            self.prepared(entry, |whole| self.augmentation.crop.then(|| random_part(whole, &mut rng)))?;
        if flip {
            mirror(&mut pixels, self.preprocessing.size as usize);
        }
        Ok(pixels)
    }

    /// `part` picks a part of the box that the data set (or the picture's size) gives.
    fn prepared(&self, image: &ImageEntry, part: impl FnOnce(CropBox) -> Option<CropBox>) -> Result<Vec<u8>> {
        let bytes = read(&self.manifest, image)?;
        let pixels = || {
            let picture = decode(&bytes, &Limits::default())?;
            let (width, height) = (picture.width() as i32, picture.height() as i32);
            let whole = CropBox { x1: 0, y1: 0, x2: width, y2: height };
            let inside = image.crop.map_or(whole, |c| CropBox {
                x1: c.x1.max(0),
                y1: c.y1.max(0),
                x2: c.x2.min(width),
                y2: c.y2.min(height),
            });
            // A box without pixels is reported by the same check as everywhere.
            let usable = inside.x1 < inside.x2 && inside.y1 < inside.y2;
            let crop = if usable { part(inside) } else { None };
            prepare_image(&picture, crop.or(image.crop), &self.preprocessing)
        };
        pixels().map_err(|e| named(image, e))
    }
}

/// As torchvision's `RandomResizedCrop(scale=(0.2, 1))` picks it.
fn random_part(whole: CropBox, rng: &mut StdRng) -> CropBox {
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

/// The batches of one epoch, made ahead of their use by `workers` threads: thread t makes every `workers`-th batch from t on, so
/// that they come in order however fast each is.
#[derive(Debug)]
pub struct Loader {
    queues: Vec<Receiver<Result<Vec<u8>>>>,
    threads: Vec<JoinHandle<()>>,
    /// The batch that comes next.
    next: usize,
}

impl Loader {
    /// Starts on `batches`.
    pub fn start(pictures: &Arc<Pictures>, epoch: usize, batches: Vec<Vec<u32>>, workers: usize) -> Self {
        let batches = Arc::new(batches);
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for first in 0..workers.max(1) {
            let (sender, receiver) = sync_channel(AHEAD);
            let (pictures, batches) = (pictures.clone(), batches.clone());
            queues.push(receiver);
            threads.push(std::thread::spawn(move || {
                for batch in batches.iter().skip(first).step_by(workers.max(1)) {
                    // The receiver is gone when training has ended.
                    if sender.send(pictures.views(batch, epoch)).is_err() {
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
    /// Those of decoding; [`Kind::Internal`] if there is no further one.
    pub fn next_batch(&mut self) -> Result<Vec<u8>> {
        let queue = self.next % self.queues.len();
        self.next += 1;
        let gone = |_| Error::new(Kind::Internal, "the threads that load images have ended");
        self.queues[queue].recv().map_err(gone)?
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // One that panicked has left its queue, which was reported.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(folder: &std::path::Path, augmentation: Augmentation) -> Arc<Pictures> {
        let mut csv = "path,instance,category,split,a\n".to_owned();
        for i in 0..7u32 {
            let pixel = |x: u32, y: u32| image::Rgb([(i * 30) as u8, (x * 10) as u8, (y * 10) as u8]);
            image::RgbImage::from_fn(24, 20, pixel).save(folder.join(format!("{i}.png"))).unwrap();
            csv.push_str(&format!("{i}.png,i{i},c,train,v\n"));
        }
        std::fs::write(folder.join("images.csv"), csv).unwrap();
        let manifest = Manifest::read(folder).unwrap();
        let images = (0..7).collect();
        Arc::new(Pictures {
            manifest,
            images,
            preprocessing: Preprocessing::imagenet(8),
            augmentation,
            seed: 3,
        })
    }

    fn epoch(pictures: &Arc<Pictures>, epoch: usize, workers: usize) -> Vec<Result<Vec<u8>>> {
        let batches = vec![vec![4, 2], vec![0, 6], vec![1, 5], vec![3]];
        let mut loader = Loader::start(pictures, epoch, batches, workers);
        (0..4).map(|_| loader.next_batch()).collect()
    }

    #[test]
    fn views_depend_on_the_epoch_and_not_on_the_number_of_threads() {
        let dir = tempfile::tempdir().unwrap();
        let pictures = pictures(dir.path(), Augmentation { flip: true, crop: true });
        let pixels = |e, workers| -> Vec<Vec<u8>> {
            epoch(&pictures, e, workers).into_iter().map(Result::unwrap).collect()
        };
        let one = pixels(0, 1);
        assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [384, 384, 384, 192]);
        for workers in [2, 3, 9] {
            assert_eq!(pixels(0, workers), one);
        }
        assert_ne!(pixels(1, 1), one);
    }

    #[test]
    fn without_augmentation_views_are_plain() {
        let dir = tempfile::tempdir().unwrap();
        let pictures = pictures(dir.path(), Augmentation::default());
        assert_eq!(epoch(&pictures, 5, 2).remove(1).unwrap(), pictures.plain(&[0, 6]).unwrap());
    }

    #[test]
    fn parts_lie_within_the_whole_and_are_not_small() {
        let whole = CropBox { x1: 10, y1: 20, x2: 110, y2: 80 };
        let mut rng = StdRng::seed_from_u64(0);
        for _ in 0..200 {
            let p = random_part(whole, &mut rng);
            assert!(p.x1 >= 10 && p.y1 >= 20 && p.x2 <= 110 && p.y2 <= 80, "{p:?}");
            assert!((p.x2 - p.x1) * (p.y2 - p.y1) >= 1150, "{p:?}");
        }
    }

    #[test]
    fn a_picture_that_cannot_be_decoded_is_named_when_its_batch_is_due() {
        let dir = tempfile::tempdir().unwrap();
        let pictures = pictures(dir.path(), Augmentation::default());
        std::fs::write(dir.path().join("5.png"), b"no picture").unwrap();
        let batches = epoch(&pictures, 0, 2);
        assert!(batches[1].is_ok() && batches[3].is_ok());
        assert!(batches[2].as_ref().unwrap_err().message.starts_with("\"5.png\": "));
    }

    #[test]
    fn a_loader_may_be_left_early() {
        let dir = tempfile::tempdir().unwrap();
        let pictures = pictures(dir.path(), Augmentation::default());
        let mut loader = Loader::start(&pictures, 0, vec![vec![0]; 50], 2);
        loader.next_batch().unwrap();
        drop(loader);
    }
}
