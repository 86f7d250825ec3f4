//! Which images are looked at, and where they lie.

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::space::{normalize_subspaces, Embedding, Layout};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// How many query and gallery images there are.
pub fn test_size(manifest: &Manifest) -> usize {
    manifest.images.iter().filter(|i| i.split != Split::Train).count()
}

/// All query and gallery images if they are at most `limit`; else so many of whole instances, drawn at random, so that what a
/// query asks for is still there. In the order of the set.
pub fn test_images(manifest: &Manifest, limit: usize, rng: &mut StdRng) -> Vec<usize> {
    let mut of_instance = vec![Vec::new(); manifest.instances.len()];
    // Gallery images first: if the last instance does not fit whole, what is left can still be found.
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

/// The images looked at, in a model's space.
pub struct Embedded<'a> {
    /// The data set.
    pub manifest: &'a Manifest,
    /// The model's.
    pub layout: Layout,
    /// Gallery images: their places in the set, and their embeddings as the server would keep them.
    pub gallery: Vec<(usize, Embedding)>,
    /// Query images likewise.
    pub queries: Vec<(usize, Embedding)>,
    /// All of them with each subspace at unit length, `[N]`.
    pub unit: Vec<(usize, Vec<f32>)>,
}

impl<'a> Embedded<'a> {
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
