//! Typical and atypical images of each category (Section 5.3 of the paper): those nearest to its centre, and those farthest from it.

use super::image_sample::EmbeddedSample;
use super::page_data::{CategoryRange, RankedImage};
use super::thumbnails::Thumbnails;
use crate::error::Result;
use crate::eval::metrics::ranking;
use crate::space::{distance, Embedding, Query};

/// How many images are shown at each end.
const SHOWN: usize = 5;

/// A category with fewer images has no ends worth telling apart.
const MIN_IMAGES: usize = 2 * SHOWN;

/// A category's gallery images, ranked by their distance from its centre.
pub struct RankedCategory<'s> {
    /// Its number in the data set.
    pub category: u32,
    /// Its images, the nearest first: index in the manifest, and embedding.
    pub images: Vec<&'s (usize, Embedding)>,
    /// `[images]`: the distances.
    pub distances: Vec<f64>,
}

/// The categories that have gallery images, in the order of the data set. The centre is the mean of the category's gallery embeddings.
///
/// # Errors
/// Those of [`Query::superspace`] and [`distance`].
pub fn rank_categories<'s>(set: &'s EmbeddedSample<'_>) -> Result<Vec<RankedCategory<'s>>> {
    let mut of_category: Vec<Vec<&(usize, Embedding)>> = vec![Vec::new(); set.manifest.categories.len()];
    for image in &set.gallery {
        of_category[set.manifest.images[image.0].category as usize].push(image);
    }
    let with_images = of_category.into_iter().enumerate().filter(|(_, images)| !images.is_empty());
    with_images
        .map(|(category, images)| {
            let centre = centre(set, &images)?;
            let distances = images
                .iter()
                .map(|(_, e)| distance(e.as_ref(), centre.as_ref()))
                .collect::<Result<Vec<f64>>>()?;
            let order = ranking(&distances);
            Ok(RankedCategory {
                category: category as u32,
                images: order.iter().map(|&i| images[i]).collect(),
                distances: order.iter().map(|&i| distances[i]).collect(),
            })
        })
        .collect()
}

/// The query for the mean of some embeddings.
fn centre(set: &EmbeddedSample<'_>, images: &[&(usize, Embedding)]) -> Result<Query> {
    let mut mean = vec![0f32; set.layout.dimensions()];
    for (_, embedding) in images {
        for (sum, value) in mean.iter_mut().zip(embedding.as_ref().to_f32()) {
            *sum += value / images.len() as f32;
        }
    }
    Query::superspace(set.layout, mean)
}

/// Both ends of each category that has at least [`MIN_IMAGES`].
pub fn ends(
    set: &EmbeddedSample<'_>,
    categories: &[RankedCategory<'_>],
    thumbnails: &mut Thumbnails,
) -> Vec<CategoryRange> {
    let mut ends = Vec::new();
    for ranked in categories.iter().filter(|c| c.images.len() >= MIN_IMAGES) {
        let mut shown = |range: std::ops::Range<usize>| -> Vec<RankedImage> {
            range
                .map(|i| RankedImage {
                    image: thumbnails.index_of(ranked.images[i].0),
                    distance: ranked.distances[i],
                })
                .collect()
        };
        let count = ranked.images.len();
        ends.push(CategoryRange {
            name: set.manifest.categories[ranked.category as usize].clone(),
            images: count,
            typical: shown(0..SHOWN),
            atypical: shown(count - SHOWN..count),
        });
    }
    ends
}
