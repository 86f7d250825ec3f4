//! Figure 3 of the paper: questions of the three kinds and their nearest answers.

use super::data::{Answer, Kind, Question};
use super::sample::Embedded;
use super::thumbnails::Gallery;
use crate::data::manifest::ImageEntry;
use crate::error::Result;
use crate::eval::metrics::ranking;
use crate::eval::protocol::{NamedQueries, Prototypes};
use crate::space::{distance, embedding_distance, Embedding, Query};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// How many of the nearest answers are shown.
const ANSWERS: usize = 10;

/// Up to `count` questions of each kind, drawn at random among those that have a right answer in the gallery.
///
/// # Errors
/// [`crate::error::Kind::Mismatch`] for queries of another model.
pub fn draw(
    set: &Embedded<'_>,
    queries: &Prototypes,
    count: usize,
    rng: &mut StdRng,
    pictures: &mut Gallery,
) -> Result<Vec<Kind>> {
    let mut asker = Asker { set, pictures };
    Ok(vec![
        Kind { name: "instance", questions: asker.instances(count, rng)? },
        Kind { name: "attribute", questions: asker.attributes(&queries.attributes, count, rng)? },
        Kind { name: "category", questions: asker.categories(&queries.categories, count, rng)? },
    ])
}

struct Asker<'s, 'a> {
    set: &'s Embedded<'a>,
    pictures: &'s mut Gallery,
}

/// An attribute and the values that have not been asked for.
struct Unasked<'q> {
    /// Its column in the data set.
    column: usize,
    attribute: &'q NamedQueries,
    values: Vec<&'q (String, Option<Query>)>,
}

/// What an image is, and whether it is right.
type Judge<'j> = dyn Fn(&ImageEntry) -> (bool, String) + 'j;

impl Asker<'_, '_> {
    /// With pictures: this very instance. Without query images each gallery image may ask the others.
    fn instances(&mut self, count: usize, rng: &mut StdRng) -> Result<Vec<Question>> {
        let (set, manifest) = (self.set, self.set.manifest);
        let askers = if set.queries.is_empty() { &set.gallery } else { &set.queries };
        let mut order: Vec<&(usize, Embedding)> = askers.iter().collect();
        order.shuffle(rng);
        let mut asked = std::collections::HashSet::new();
        let mut questions = Vec::new();
        for (image, embedding) in order {
            let instance = manifest.images[*image].instance;
            if questions.len() == count || !asked.insert(instance) {
                continue;
            }
            let judge =
                |e: &ImageEntry| (e.instance == instance, manifest.instances[e.instance as usize].clone());
            let distance = |e: &Embedding| embedding_distance(e.as_ref(), embedding.as_ref());
            let text = manifest.instances[instance as usize].clone();
            if let Some(mut question) = self.ask(text, Some(*image), &judge, &distance)? {
                question.image = Some(self.pictures.place(*image));
                questions.push(question);
            }
        }
        Ok(questions)
    }

    /// Values of all attributes in turn, so that few questions show many attributes.
    fn attributes(&mut self, of: &[NamedQueries], count: usize, rng: &mut StdRng) -> Result<Vec<Question>> {
        let manifest = self.set.manifest;
        let mut attributes = Vec::new();
        for attribute in of {
            let Some(column) = manifest.attributes.iter().position(|m| m.name == attribute.name) else {
                continue;
            };
            let mut values: Vec<_> = attribute.queries.iter().collect();
            values.shuffle(rng);
            attributes.push(Unasked { column, attribute, values });
        }
        attributes.shuffle(rng);
        let mut questions = Vec::new();
        while questions.len() < count && !attributes.is_empty() {
            for unasked in attributes.iter_mut().take(count - questions.len()) {
                questions.extend(self.next_value(unasked)?);
            }
            attributes.retain(|a| !a.values.is_empty());
        }
        Ok(questions)
    }

    /// The next value of an attribute that has a right answer.
    fn next_value(&mut self, unasked: &mut Unasked<'_>) -> Result<Option<Question>> {
        let manifest = self.set.manifest;
        let (column, name) = (unasked.column, &unasked.attribute.name);
        let known = &manifest.attributes[column].values;
        while let Some((value, query)) = unasked.values.pop() {
            let judge = |e: &ImageEntry| match e.values[column] {
                Some(v) => (known[v as usize] == *value, known[v as usize].clone()),
                None => (false, format!("no {name}")),
            };
            let question = self.ask_stored(format!("{name} = {value}"), query.as_ref(), &judge)?;
            if question.is_some() {
                return Ok(question);
            }
        }
        Ok(None)
    }

    fn categories(&mut self, of: &NamedQueries, count: usize, rng: &mut StdRng) -> Result<Vec<Question>> {
        let manifest = self.set.manifest;
        let mut order: Vec<_> = of.queries.iter().collect();
        order.shuffle(rng);
        let mut questions = Vec::new();
        for (name, query) in order {
            if questions.len() == count {
                break;
            }
            let judge = |e: &ImageEntry| {
                let category = &manifest.categories[e.category as usize];
                (category == name, category.clone())
            };
            questions.extend(self.ask_stored(name.clone(), query.as_ref(), &judge)?);
        }
        Ok(questions)
    }

    fn ask_stored(
        &mut self,
        text: String,
        query: Option<&Query>,
        judge: &Judge<'_>,
    ) -> Result<Option<Question>> {
        let Some(query) = query else { return Ok(None) };
        self.ask(text, None, judge, &|e| distance(e.as_ref(), query.as_ref()))
    }

    /// Ranks the gallery but for the image that asks; `None` if nothing in it is right.
    fn ask(
        &mut self,
        text: String,
        asker: Option<usize>,
        judge: &Judge<'_>,
        distance: &dyn Fn(&Embedding) -> Result<f64>,
    ) -> Result<Option<Question>> {
        let images = &self.set.manifest.images;
        let ranked: Vec<&(usize, Embedding)> =
            self.set.gallery.iter().filter(|(i, _)| Some(*i) != asker).collect();
        let positives = ranked.iter().filter(|(i, _)| judge(&images[*i]).0).count();
        if positives == 0 {
            return Ok(None);
        }
        let distances = ranked.iter().map(|(_, e)| distance(e)).collect::<Result<Vec<f64>>>()?;
        let nearest = ranking(&distances).into_iter().take(ANSWERS);
        let answers = nearest.map(|at| {
            let image = ranked[at].0;
            let (right, text) = judge(&images[image]);
            Answer { image: self.pictures.place(image), right, text, distance: distances[at] }
        });
        let answers = answers.collect();
        Ok(Some(Question { text, image: None, positives, ranked: ranked.len(), answers }))
    }
}
