//! Query prototypes: the mean of the training embeddings that show a value, or that belong to a category.

use crate::data::manifest::{Manifest, Split};
use crate::model::{Attribute, VocabularyEntry};
use crate::space::TaskLayout;

/// The query prototypes of a model, with the number of images behind each.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanQueries {
    /// Per attribute `[V_k · d]` row by row, for the d dimensions of its part of the embedding; zeros if no training image shows the
    /// value.
    pub attributes: Vec<Vec<f32>>,
    /// `[C · d]` row by row, for the d dimensions of the categories' part of the embedding.
    pub categories: Vec<f32>,
    /// Attributes and values, with their numbers of training images.
    pub vocabulary: Vec<Attribute>,
    /// The categories, with their numbers of training images.
    pub category_vocabulary: Vec<VocabularyEntry>,
}

impl MeanQueries {
    /// Means of the embeddings of a manifest's training images, in its order and with each subspace at unit length, in the part of
    /// the embedding that `space` assigns to each task. A mean is not normalised again: for attributes that would not change any ranking,
    /// for categories the length of a subspace tells how much the images agree in it.
    pub fn new(manifest: &Manifest, space: &TaskLayout, embeddings: &[Vec<f32>]) -> Self {
        let train: Vec<_> = manifest.split(Split::Train).into_iter().map(|i| &manifest.images[i]).collect();
        let mut attributes = Vec::new();
        let mut vocabulary = Vec::new();
        for (k, (attribute, part)) in manifest.attributes.iter().zip(&space.attributes).enumerate() {
            let labels = train.iter().map(|i| i.values[k].as_slice());
            let range = space.range(*part);
            let slices = embeddings.iter().map(|e| &e[range.clone()]);
            let (means, counts) = means(attribute.values.len(), range.len(), labels.zip(slices));
            attributes.push(means);
            vocabulary.push(Attribute {
                name: attribute.name.clone(),
                ordered: attribute.ordered,
                multi: attribute.multi,
                values: named(&attribute.values, &counts),
            });
        }
        let labels = train.iter().map(|i| std::slice::from_ref(&i.category));
        let range = space.range(space.category);
        let slices = embeddings.iter().map(|e| &e[range.clone()]);
        let (categories, counts) = means(manifest.categories.len(), range.len(), labels.zip(slices));
        Self { attributes, categories, vocabulary, category_vocabulary: named(&manifest.categories, &counts) }
    }

    /// Scales each subspace of each query to unit length; zeros stay zeros.
    pub fn renormalized(mut self, dim: usize) -> Self {
        let subspaces = self.attributes.iter_mut().chain([&mut self.categories]);
        for subspace in subspaces.flat_map(|queries| queries.chunks_exact_mut(dim)) {
            let norm = subspace.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            if norm > 0.0 {
                subspace.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
        }
        self
    }
}

/// `[rows · dims]`: the mean of the vectors with each label, and their numbers. A vector may have several labels.
fn means<'a>(
    rows: usize,
    dims: usize,
    labelled: impl Iterator<Item = (&'a [u32], &'a [f32])>,
) -> (Vec<f32>, Vec<usize>) {
    let mut sums = vec![0f64; rows * dims];
    let mut counts = vec![0usize; rows];
    for (labels, vector) in labelled {
        for row in labels.iter().map(|&label| label as usize) {
            counts[row] += 1;
            for (sum, &x) in sums[row * dims..(row + 1) * dims].iter_mut().zip(vector) {
                *sum += f64::from(x);
            }
        }
    }
    let means =
        sums.iter().enumerate().map(|(i, sum)| (sum / counts[i / dims].max(1) as f64) as f32).collect();
    (means, counts)
}

fn named(names: &[String], counts: &[usize]) -> Vec<VocabularyEntry> {
    names.iter().zip(counts).map(|(name, &images)| VocabularyEntry { name: name.clone(), images }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::manifest::{AttributeEntry, ImageEntry, ValueSet};

    #[test]
    fn a_query_is_the_mean_of_the_training_images_that_show_it() {
        let image = |split, category, values: &[u32]| ImageEntry {
            path: String::new(),
            instance: 0,
            category,
            split,
            crop: None,
            values: vec![values.iter().copied().collect::<ValueSet>()],
            mirror: true,
        };
        let manifest = Manifest {
            root: "".into(),
            images: vec![
                image(Split::Train, 1, &[0]),
                image(Split::Gallery, 1, &[0]),
                image(Split::Train, 1, &[]),
                image(Split::Train, 1, &[0]),
            ],
            attributes: vec![AttributeEntry {
                name: "size".into(),
                ordered: true,
                multi: false,
                values: vec!["s".into(), "m".into()],
            }],
            instances: vec!["i".into()],
            categories: vec!["x".into(), "y".into()],
            instance_category: vec![1],
            instance_group: vec![0],
            warnings: vec![],
        };
        let embeddings = [vec![1.0, 0.0], vec![0.0, -1.0], vec![0.0, 1.0]];
        let q = MeanQueries::new(&manifest, &TaskLayout::cooperative(1, 2), &embeddings);
        assert_eq!(q.attributes, [vec![0.5, 0.5, 0.0, 0.0]]);
        assert_eq!(q.categories, [0.0, 0.0, (1.0f64 / 3.0) as f32, 0.0]);
        assert_eq!(q.clone().renormalized(2).categories, [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(q.vocabulary[0].values[0], VocabularyEntry { name: "s".into(), images: 2 });
        assert_eq!(q.vocabulary[0].values[1].images, 0);
        assert_eq!(q.category_vocabulary[1], VocabularyEntry { name: "y".into(), images: 3 });
        // An image that shows both counts for both.
        let mut manifest = manifest;
        manifest.images[2].values = vec![[0, 1].into_iter().collect()];
        let q = MeanQueries::new(&manifest, &TaskLayout::cooperative(1, 2), &embeddings);
        assert_eq!(q.attributes, [vec![1.0 / 3.0, 0.0, 0.0, -1.0]]);
        assert_eq!(q.vocabulary[0].values.iter().map(|v| v.images).collect::<Vec<_>>(), [3, 1]);
    }
}
