//! Transitions between categories (Section 5.3 of the paper): shortest paths in the graph of nearest neighbours, and whether their longest
//! hop is where they cross from one category to another.

use super::image_sample::EmbeddedSample;
use super::page_data::{CrossingShares, Share, TransitionExample, TransitionStep, Transitions};
use super::thumbnails::Thumbnails;
use super::typical_images::RankedCategory;
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::eval::metrics::{mean, ranking};
use crate::graph::{KnnGraph, ShortestPath};
use crate::model::Model;
use crate::space::{distance, embedding_distance, Embedding, Query};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::Rng as _;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Neighbours of each image in the graph, as in the paper.
const NEIGHBOURS: usize = 5;

/// Random pairs of images of different categories whose paths are counted.
const PAIRS: usize = 200;

/// Pairs of categories that are shown if none is asked for.
const EXAMPLES: usize = 3;

/// Two categories between which a path is shown, as in `t-shirt:dress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryPair {
    text: String,
}

impl std::str::FromStr for CategoryPair {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok(Self { text: text.to_owned() }),
            _ => Err("expected two categories, such as t-shirt:dress".to_owned()),
        }
    }
}

/// The numbers of both categories of each pair. Only categories count that have gallery images among `images`; a name may have colons
/// itself.
///
/// # Errors
/// [`Kind::InvalidParameter`] for a pair that does not name two of them.
pub fn find_pairs(manifest: &Manifest, images: &[usize], pairs: &[CategoryPair]) -> Result<Vec<[u32; 2]>> {
    let gallery = images.iter().map(|&i| &manifest.images[i]).filter(|image| image.split == Split::Gallery);
    let present: BTreeSet<u32> = gallery.map(|image| image.category).collect();
    let name = |category: u32| manifest.categories[category as usize].as_str();
    let find = |pair: &CategoryPair| {
        let named = |wanted: &str| present.iter().copied().find(|&category| name(category) == wanted);
        let splits = pair.text.match_indices(':');
        let mut found =
            splits.filter_map(|(at, _)| Some([named(&pair.text[..at])?, named(&pair.text[at + 1..])?]));
        found.next().ok_or_else(|| {
            let names: Vec<&str> = present.iter().map(|&category| name(category)).collect();
            Error::new(Kind::InvalidParameter, format!("\"{}\" does not name two categories", pair.text))
                .detail(format!("Categories with gallery images: {}.", names.join(", ")))
                .hint("Put a colon between two of them, as in --transition t-shirt:dress.")
        })
    };
    pairs.iter().map(find).collect()
}

/// The shares of [`PAIRS`] random paths, and a path for each of `pairs` over all attributes and through each ordered attribute.
/// `None` if the gallery has fewer than two categories.
///
/// # Errors
/// Those of [`distance`] and [`embedding_distance`].
pub fn transitions(
    set: &EmbeddedSample<'_>,
    model: &Model,
    categories: &[RankedCategory],
    pairs: &[[u32; 2]],
    rng: &mut StdRng,
    thumbnails: &mut Thumbnails,
) -> Result<Option<Transitions>> {
    if categories.len() < 2 {
        return Ok(None);
    }
    let numbered = |number: u32| categories.iter().find(|c| c.category == number);
    let mut shown: Vec<[&RankedCategory; 2]> =
        pairs.iter().filter_map(|&[from, to]| Some([numbered(from)?, numbered(to)?])).collect();
    if shown.is_empty() {
        for _ in 0..EXAMPLES {
            let two: Vec<&RankedCategory> = categories.choose_multiple(rng, 2).collect();
            shown.push([two[0], two[1]]);
        }
    }
    let spaces = spaces(set, model)?;
    let shares = crossing_shares(set, &spaces[0].graph, rng)?;
    let mut examples = Vec::new();
    for [from, to] in shown {
        for space in &spaces {
            examples.push(space.example(set, from, to, thumbnails)?);
        }
    }
    Ok(Some(Transitions { neighbours: NEIGHBOURS, shares, examples }))
}

/// A graph of the gallery.
struct Space {
    /// The attribute whose subspace alone counts, and its column in the data set; `None` for all.
    through: Option<(String, usize)>,
    graph: KnnGraph,
}

/// All attributes, and then each ordered one that the data set has.
fn spaces(set: &EmbeddedSample<'_>, model: &Model) -> Result<Vec<Space>> {
    let mut spaces = vec![Space { through: None, graph: graph(set, None)? }];
    for (k, attribute) in model.config().attributes.iter().enumerate().filter(|(_, a)| a.ordered) {
        if let Some(column) = set.manifest.attributes.iter().position(|a| a.name == attribute.name) {
            let through = Some((attribute.name.clone(), column));
            spaces.push(Space { through, graph: graph(set, Some(k))? });
        }
    }
    Ok(spaces)
}

/// The graph of the gallery's nearest neighbours, in one subspace or in all. Nodes are known by their index in the gallery.
fn graph(set: &EmbeddedSample<'_>, subspace: Option<usize>) -> Result<KnnGraph> {
    let nearest = |at: usize| -> Result<Vec<(usize, f64)>> {
        let from = &set.gallery[at].1;
        let query = subspace.map(|k| Query::like(from.as_ref(), &[k])).transpose()?;
        let distance_to = |(_, to): &(usize, Embedding)| match &query {
            Some(query) => distance(to.as_ref(), query.as_ref()),
            None => embedding_distance(to.as_ref(), from.as_ref()),
        };
        let distances = set.gallery.iter().map(distance_to).collect::<Result<Vec<f64>>>()?;
        let others = ranking(&distances).into_iter().filter(|&other| other != at);
        Ok(others.take(NEIGHBOURS).map(|other| (other, distances[other])).collect())
    };
    let lists = (0..set.gallery.len()).into_par_iter().map(nearest).collect::<Result<Vec<_>>>()?;
    let ids: Vec<String> = (0..set.gallery.len()).map(|at| at.to_string()).collect();
    let mut graph = KnnGraph::default();
    for (id, list) in ids.iter().zip(lists) {
        graph.add_neighbours(Some(id), list.into_iter().map(|(other, d)| (ids[other].as_str(), d)))?;
    }
    Ok(graph)
}

/// The path between two images of the gallery, as their indices; `None` if there is none.
fn path(graph: &KnnGraph, from: usize, to: usize) -> Result<Option<(Vec<usize>, ShortestPath)>> {
    let found = graph.shortest_path(Some(&from.to_string()), Some(&to.to_string()), || ())?;
    Ok(found.ok().map(|path| {
        let indices = path.ids.iter().filter_map(|id| id.as_ref()?.parse().ok()).collect();
        (indices, path)
    }))
}

impl Space {
    /// The path from the most typical image of a category to that of another.
    fn example(
        &self,
        set: &EmbeddedSample<'_>,
        from: &RankedCategory,
        to: &RankedCategory,
        thumbnails: &mut Thumbnails,
    ) -> Result<TransitionExample> {
        let category = |of: &RankedCategory| set.manifest.categories[of.category as usize].clone();
        let found = path(&self.graph, from.images[0], to.images[0])?;
        let steps = found.map_or_else(Vec::new, |(indices, path)| {
            let longest = path.longest_edge();
            let step = |(at, &index): (usize, &usize)| TransitionStep {
                image: thumbnails.index_of(set.gallery[index].0),
                text: self.text(set, set.gallery[index].0),
                distance: at.checked_sub(1).map(|edge| path.edge_lengths[edge]),
                is_crossing: at > 0 && longest == Some(at - 1),
            };
            indices.iter().enumerate().map(step).collect()
        });
        let through = self.through.as_ref().map(|(name, _)| name.clone());
        Ok(TransitionExample { from: category(from), to: category(to), through, steps })
    }

    /// An image's category, and its value of the attribute.
    fn text(&self, set: &EmbeddedSample<'_>, image: usize) -> String {
        let (manifest, entry) = (set.manifest, &set.manifest.images[image]);
        let category = &manifest.categories[entry.category as usize];
        let values = self.through.iter().flat_map(|(_, column)| {
            entry.values[*column].iter().map(|v| &manifest.attributes[*column].values[v as usize])
        });
        std::iter::once(category).chain(values).map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// One path's hops: how many change the category, and whether the longest does.
struct Hops {
    count: f64,
    changes: f64,
    longest_changes: f64,
}

/// Paths between random pairs of different categories.
fn crossing_shares(set: &EmbeddedSample<'_>, graph: &KnnGraph, rng: &mut StdRng) -> Result<CrossingShares> {
    let category = |index: usize| set.manifest.images[set.gallery[index].0].category;
    let mut pairs = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let from = rng.random_range(0..set.gallery.len());
        let others: Vec<usize> =
            (0..set.gallery.len()).filter(|&other| category(other) != category(from)).collect();
        pairs.extend(others.choose(rng).map(|&to| (from, to)));
    }
    let found = pairs.iter().map(|&(from, to)| path(graph, from, to)).collect::<Result<Vec<_>>>()?;
    let paths: Vec<Hops> = found
        .iter()
        .flatten()
        .map(|(indices, path)| {
            let changes: Vec<bool> =
                indices.windows(2).map(|hop| category(hop[0]) != category(hop[1])).collect();
            Hops {
                count: changes.len() as f64,
                changes: changes.iter().filter(|c| **c).count() as f64,
                longest_changes: f64::from(u8::from(path.longest_edge().is_some_and(|edge| changes[edge]))),
            }
        })
        .collect();
    let average = |of: &dyn Fn(&Hops) -> f64| mean(paths.iter().map(of));
    Ok(CrossingShares {
        paths: paths.len(),
        without_path: pairs.len() - paths.len(),
        hops: average(&|p| p.count),
        changes: average(&|p| p.changes),
        longest_hop: share(&paths, |p| p.longest_changes),
        any_hop: share(&paths, |p| p.changes / p.count),
    })
}

/// The mean over paths, with its standard error.
fn share(paths: &[Hops], of: impl Fn(&Hops) -> f64) -> Option<Share> {
    let share = mean(paths.iter().map(&of))?;
    let count = paths.len() as f64;
    let squares: f64 = paths.iter().map(|p| (of(p) - share).powi(2)).sum();
    let standard_error = (paths.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
    Some(Share { share, standard_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_and_its_standard_error_by_hand() {
        let path = |longest_changes| Hops { count: 4.0, changes: 2.0, longest_changes };
        let paths = [1.0, 0.0, 1.0, 1.0].map(path);
        // Mean 3/4; the sample's variance is (3 (1/4)^2 + (3/4)^2) / 3 = 1/4; its root over that of four paths is 1/4.
        let longest = share(&paths, |p| p.longest_changes).unwrap();
        assert_eq!((longest.share, longest.standard_error), (0.75, Some(0.25)));
        assert_eq!(share(&paths[..1], |p| p.longest_changes).unwrap().standard_error, None);
        assert!(share(&[], |p| p.count).is_none());
    }
}
