//! Which query and gallery images the page shows, and their embeddings.

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::space::{normalize_subspaces, Embedding, Layout};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// The number of query and gallery images.
pub fn test_size(manifest: &Manifest) -> usize {
    manifest.images.iter().filter(|i| i.split != Split::Train).count()
}

/// All query and gallery images if there are at most `limit`. Otherwise the images of whole instances, drawn at random, up to the limit, so
/// that query images keep their relevant images. In the order of the data set.
pub fn test_images(manifest: &Manifest, limit: usize, rng: &mut StdRng) -> Vec<usize> {
    let mut of_instance = vec![Vec::new(); manifest.instances.len()];
    // Gallery images first: if the last instance is cut off, what is left of it can still be found.
    for split in [Split::Gallery, Split::Query] {
        for i in manifest.split(split) {
            of_instance[manifest.images[i].instance as usize].push(i);
        }
    }
    if test_size(manifest) > limit {
        of_instance.shuffle(rng);
    }
    let mut images: Vec<usize> = of_instance.into_iter().flatten().take(limit).collect();
    images.sort_unstable();
    images
}

/// The images shown, with their embeddings.
pub struct EmbeddedSample<'a> {
    /// The data set.
    pub manifest: &'a Manifest,
    /// The model's layout.
    pub layout: Layout,
    /// Gallery images: index in the manifest, and embedding as the server would store it.
    pub gallery: Vec<(usize, Embedding)>,
    /// Query images, likewise.
    pub queries: Vec<(usize, Embedding)>,
    /// All of them, `[N]` in single precision with each subspace at unit length.
    pub unit: Vec<(usize, Vec<f32>)>,
}

impl<'a> EmbeddedSample<'a> {
    /// `raw` (`[images, N]`) are the raw embeddings of `images`.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidParameter`] for an embedding that is not finite.
    pub fn new(manifest: &'a Manifest, layout: Layout, images: &[usize], raw: &[f32]) -> Result<Self> {
        let (mut gallery, mut queries, mut unit) = (Vec::new(), Vec::new(), Vec::new());
        for (&image, row) in images.iter().zip(raw.chunks_exact(layout.dimensions())) {
            let mut row = row.to_vec();
            normalize_subspaces(layout, &mut row)?;
            let embedding = Embedding::from_f32(layout, &row)?;
            match manifest.images[image].split {
                Split::Gallery => gallery.push((image, embedding)),
                _ => queries.push((image, embedding)),
            }
            unit.push((image, row));
        }
        Ok(Self { manifest, layout, gallery, queries, unit })
    }
}
