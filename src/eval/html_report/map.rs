//! Each attribute's subspace, flattened.

use super::data::{Map, Point};
use super::projection::Plane;
use super::sample::Embedded;
use super::thumbnails::Gallery;
use crate::model::Model;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// The most images on one map; more hide each other.
const POINTS: usize = 250;

/// The most images on all maps together, as each has a picture; but every map may have [`FEWEST`].
const ALL_POINTS: usize = 3000;

/// Enough to see something.
const FEWEST: usize = 40;

/// A map for every attribute of the model that the data set has. Images are drawn at random, as many of each value as
/// there are, and those that have a picture already first.
pub fn maps(set: &Embedded<'_>, model: &Model, rng: &mut StdRng, pictures: &mut Gallery) -> Vec<Map> {
    let attributes = &model.config().attributes;
    let limit = (ALL_POINTS / attributes.len()).clamp(FEWEST, POINTS);
    let mut maps = Vec::new();
    for (k, attribute) in attributes.iter().enumerate() {
        let Some(column) = set.manifest.attributes.iter().position(|a| a.name == attribute.name) else {
            continue;
        };
        let names = &set.manifest.attributes[column].values;
        let mut of_value = vec![Vec::new(); names.len()];
        for (image, unit) in &set.unit {
            if let Some(value) = set.manifest.images[*image].values[column] {
                of_value[value as usize].push((*image, &unit[set.layout.range(k)]));
            }
        }
        for images in &mut of_value {
            images.shuffle(rng);
            images.sort_by_key(|(image, _)| !pictures.has(*image));
        }
        let chosen = in_turn(&of_value, limit);
        let slices: Vec<&[f32]> = chosen.iter().map(|(_, (_, slice))| *slice).collect();
        let plane = Plane::of(&slices, set.layout.subspace_dim());
        let point = |value, slice: &[f32], image| {
            let [x, y] = plane.project(slice).map(|x| (x * 1e4).round() / 1e4);
            Point { x, y, value, image }
        };
        let points =
            chosen.iter().map(|(v, (image, slice))| point(*v, slice, Some(pictures.place(*image)))).collect();
        let queries = model.prototypes().attribute_queries(k).iter().zip(&attribute.values);
        let queries = queries.filter_map(|(query, value)| {
            let at = names.iter().position(|n| *n == value.name)?;
            Some(point(at, query.as_ref()?, None))
        });
        maps.push(Map {
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

/// Up to `limit` items, one of each group in turn; each with its group, in the order of the groups.
fn in_turn<T: Copy>(groups: &[Vec<T>], limit: usize) -> Vec<(usize, T)> {
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
        assert_eq!(in_turn(&groups, 6), [(0, 1), (0, 2), (0, 3), (2, 5), (3, 6), (3, 7)]);
        assert_eq!(in_turn(&groups, 100).len(), 8);
        assert!(in_turn::<u8>(&[], 5).is_empty());
    }
}
