//! A map of each attribute's subspace in two dimensions.

use super::image_sample::EmbeddedSample;
use super::page_data::{MapPoint, SubspaceMap};
use super::projection::Plane;
use super::thumbnails::Thumbnails;
use crate::model::Model;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// Maximum number of images on one map; more would hide each other.
const MAX_POINTS: usize = 250;

/// Maximum number of images on all maps together, because each has a thumbnail; but every map may have [`MIN_POINTS`].
const MAX_POINTS_IN_ALL: usize = 3000;

/// The number of images that a map may have in any case.
const MIN_POINTS: usize = 40;

/// A map for every attribute of the model that the data set has. An image with several values is a point of each. The images are drawn at random and evenly over the values, and those
/// that the page shows already come first.
pub fn maps(
    set: &EmbeddedSample<'_>,
    model: &Model,
    rng: &mut StdRng,
    thumbnails: &mut Thumbnails,
) -> Vec<SubspaceMap> {
    let attributes = &model.config().attributes;
    let limit = (MAX_POINTS_IN_ALL / attributes.len()).clamp(MIN_POINTS, MAX_POINTS);
    let mut maps = Vec::new();
    for (k, attribute) in attributes.iter().enumerate() {
        let Some(column) = set.manifest.attributes.iter().position(|a| a.name == attribute.name) else {
            continue;
        };
        let names = &set.manifest.attributes[column].values;
        let mut of_value = vec![Vec::new(); names.len()];
        for (image, unit) in &set.unit {
            for value in set.manifest.images[*image].values[column].iter() {
                of_value[value as usize].push((*image, &unit[set.layout.range(k)]));
            }
        }
        for images in &mut of_value {
            images.shuffle(rng);
            images.sort_by_key(|(image, _)| !thumbnails.contains(*image));
        }
        let chosen = round_robin(&of_value, limit);
        let slices: Vec<&[f32]> = chosen.iter().map(|(_, (_, slice))| *slice).collect();
        let plane = Plane::of(&slices, set.layout.subspace_dim());
        let point = |value, slice: &[f32], image| {
            let [x, y] = plane.project(slice).map(|x| (x * 1e4).round() / 1e4);
            MapPoint { x, y, value, image }
        };
        let points = chosen
            .iter()
            .map(|(v, (image, slice))| point(*v, slice, Some(thumbnails.index_of(*image))))
            .collect();
        let queries = model.prototypes().attribute_queries(k).iter().zip(&attribute.values);
        let queries = queries.filter_map(|(query, value)| {
            let at = names.iter().position(|n| *n == value.name)?;
            Some(point(at, query.as_ref()?, None))
        });
        maps.push(SubspaceMap {
            attribute: attribute.name.clone(),
            ordered: attribute.ordered,
            values: names.clone(),
            explained: plane.explained,
            queries: queries.collect(),
            points,
        });
    }
    maps
}

/// Up to `limit` items, taken from the groups in turn. Each comes with the index of its group; the result is sorted by group.
fn round_robin<T: Copy>(groups: &[Vec<T>], limit: usize) -> Vec<(usize, T)> {
    let longest = groups.iter().map(Vec::len).max().unwrap_or_default();
    let mut chosen: Vec<(usize, T)> = (0..longest)
        .flat_map(|round| {
            groups.iter().enumerate().filter_map(move |(g, items)| Some((g, *items.get(round)?)))
        })
        .take(limit)
        .collect();
    chosen.sort_by_key(|(group, _)| *group);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_values_are_not_crowded_out() {
        let groups = [vec![1, 2, 3, 4], vec![], vec![5], vec![6, 7, 8]];
        assert_eq!(round_robin(&groups, 6), [(0, 1), (0, 2), (0, 3), (2, 5), (3, 6), (3, 7)]);
        assert_eq!(round_robin(&groups, 100).len(), 8);
        assert!(round_robin::<u8>(&[], 5).is_empty());
    }
}
