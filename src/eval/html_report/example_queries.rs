//! Example queries of the three tasks and their nearest gallery images (Figure 3 of the paper).

use super::image_sample::EmbeddedSample;
use super::page_data::{ExampleGroup, ExampleQuery, ExampleResult};
use super::thumbnails::Thumbnails;
use crate::data::manifest::ImageEntry;
use crate::error::Result;
use crate::eval::metrics::ranking;
use crate::eval::stored_queries::{NamedQueries, StoredQueries};
use crate::space::{distance, embedding_distance, Embedding, Query};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// How many of the nearest images are shown.
const RESULTS: usize = 10;

/// Up to `count` queries of each task, drawn at random among those that have a relevant image in the gallery.
///
/// # Errors
/// [`crate::error::Kind::Mismatch`] for queries of another model.
pub fn draw(
    set: &EmbeddedSample<'_>,
    stored: &StoredQueries,
    count: usize,
    rng: &mut StdRng,
    thumbnails: &mut Thumbnails,
) -> Result<Vec<ExampleGroup>> {
    let mut examples = ExampleBuilder { set, thumbnails };
    Ok(vec![
        ExampleGroup { name: "instance", questions: examples.instances(count, rng)? },
        ExampleGroup { name: "attribute", questions: examples.attributes(&stored.attributes, count, rng)? },
        ExampleGroup { name: "category", questions: examples.categories(&stored.categories, count, rng)? },
    ])
}

/// Makes example queries and registers the images that they show.
struct ExampleBuilder<'s, 'a> {
    set: &'s EmbeddedSample<'a>,
    thumbnails: &'s mut Thumbnails,
}

/// An attribute and its values that have not been used yet.
struct RemainingValues<'q> {
    /// The attribute's column in the data set.
    column: usize,
    attribute: &'q NamedQueries,
    values: Vec<&'q (String, Option<Query>)>,
}

/// Returns whether an image is relevant, and the name of its instance, value or category.
type Relevance<'j> = dyn Fn(&ImageEntry) -> (bool, String) + 'j;

impl ExampleBuilder<'_, '_> {
    /// Instances. If there are no query images, gallery images query the others.
    fn instances(&mut self, count: usize, rng: &mut StdRng) -> Result<Vec<ExampleQuery>> {
        let (set, manifest) = (self.set, self.set.manifest);
        let images = if set.queries.is_empty() { &set.gallery } else { &set.queries };
        let mut order: Vec<&(usize, Embedding)> = images.iter().collect();
        order.shuffle(rng);
        let mut used = std::collections::HashSet::new();
        let mut examples = Vec::new();
        for (image, embedding) in order {
            let instance = manifest.images[*image].instance;
            if examples.len() == count || !used.insert(instance) {
                continue;
            }
            let relevance =
                |e: &ImageEntry| (e.instance == instance, manifest.instances[e.instance as usize].clone());
            let distance = |e: &Embedding| embedding_distance(e.as_ref(), embedding.as_ref());
            let text = manifest.instances[instance as usize].clone();
            if let Some(mut example) = self.run(text, Some(*image), &relevance, &distance)? {
                example.image = Some(self.thumbnails.index_of(*image));
                examples.push(example);
            }
        }
        Ok(examples)
    }

    /// Values of all attributes in turn, so that few queries cover many attributes.
    fn attributes(
        &mut self,
        of: &[NamedQueries],
        count: usize,
        rng: &mut StdRng,
    ) -> Result<Vec<ExampleQuery>> {
        let manifest = self.set.manifest;
        let mut attributes = Vec::new();
        for attribute in of {
            let Some(column) = manifest.attributes.iter().position(|m| m.name == attribute.name) else {
                continue;
            };
            let mut values: Vec<_> = attribute.queries.iter().collect();
            values.shuffle(rng);
            attributes.push(RemainingValues { column, attribute, values });
        }
        attributes.shuffle(rng);
        let mut examples = Vec::new();
        while examples.len() < count && !attributes.is_empty() {
            for remaining in attributes.iter_mut().take(count - examples.len()) {
                examples.extend(self.next_value(remaining)?);
            }
            attributes.retain(|a| !a.values.is_empty());
        }
        Ok(examples)
    }

    /// The next value of an attribute that has a relevant image.
    fn next_value(&mut self, remaining: &mut RemainingValues<'_>) -> Result<Option<ExampleQuery>> {
        let manifest = self.set.manifest;
        let (column, name) = (remaining.column, &remaining.attribute.name);
        let known = &manifest.attributes[column].values;
        while let Some((value, query)) = remaining.values.pop() {
            let relevance = |e: &ImageEntry| {
                let shown: Vec<&str> = e.values[column].iter().map(|v| known[v as usize].as_str()).collect();
                let text = if shown.is_empty() { format!("no {name}") } else { shown.join(", ") };
                (shown.contains(&value.as_str()), text)
            };
            let example = self.run_stored(format!("{name} = {value}"), query.as_ref(), &relevance)?;
            if example.is_some() {
                return Ok(example);
            }
        }
        Ok(None)
    }

    fn categories(&mut self, of: &NamedQueries, count: usize, rng: &mut StdRng) -> Result<Vec<ExampleQuery>> {
        let manifest = self.set.manifest;
        let mut order: Vec<_> = of.queries.iter().collect();
        order.shuffle(rng);
        let mut examples = Vec::new();
        for (name, query) in order {
            if examples.len() == count {
                break;
            }
            let relevance = |e: &ImageEntry| {
                let category = &manifest.categories[e.category as usize];
                (category == name, category.clone())
            };
            examples.extend(self.run_stored(name.clone(), query.as_ref(), &relevance)?);
        }
        Ok(examples)
    }

    fn run_stored(
        &mut self,
        text: String,
        query: Option<&Query>,
        relevance: &Relevance<'_>,
    ) -> Result<Option<ExampleQuery>> {
        let Some(query) = query else { return Ok(None) };
        self.run(text, None, relevance, &|e| distance(e.as_ref(), query.as_ref()))
    }

    /// Ranks the gallery except the query image; `None` if it has no relevant image.
    fn run(
        &mut self,
        text: String,
        query_image: Option<usize>,
        relevance: &Relevance<'_>,
        distance: &dyn Fn(&Embedding) -> Result<f64>,
    ) -> Result<Option<ExampleQuery>> {
        let images = &self.set.manifest.images;
        let ranked: Vec<&(usize, Embedding)> =
            self.set.gallery.iter().filter(|(i, _)| Some(*i) != query_image).collect();
        let positives = ranked.iter().filter(|(i, _)| relevance(&images[*i]).0).count();
        if positives == 0 {
            return Ok(None);
        }
        let distances = ranked.iter().map(|(_, e)| distance(e)).collect::<Result<Vec<f64>>>()?;
        let nearest = ranking(&distances).into_iter().take(RESULTS);
        let answers = nearest.map(|at| {
            let image = ranked[at].0;
            let (right, text) = relevance(&images[image]);
            ExampleResult { image: self.thumbnails.index_of(image), right, text, distance: distances[at] }
        });
        let answers = answers.collect();
        Ok(Some(ExampleQuery { text, image: None, positives, ranked: ranked.len(), answers }))
    }
}
