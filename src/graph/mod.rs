//! Wandering from image to image (Section 5.3 of arXiv 1904.01421): an undirected graph of nearest neighbours, and the
//! shortest path between two of its nodes.
//!
//! Edges come as the lists of neighbours that an index or a table holds, in any order; ids are interned once, so that a graph
//! takes 16 bytes for each neighbour and each id's own text once.
//!
//! # Does the longest hop cross over?
//!
//! On the 6,000 gallery pictures of the emoji set, on which the shipped model was not trained, 200 paths between random pictures
//! of different categories have 7.4 hops and 3.7 changes of category on average. Their longest hop changes the category in
//! 78.8 ± 2.9 %, any hop in 51.0 ± 1.3 %: the paper's observation holds. Where the category changes once (12 paths) it does so at
//! the longest hop in 33 ± 14 %, and by chance would in 24 ± 4 %: too few to tell. Two pairs had no path.
//! (`tests/bench/transition.sh emoji 0`, the set by `coopembed data emoji --out emoji`.)
//!
//! # Why a swap has to be weighed
//!
//! One value of thirteen attributes weighs little in a distance. Of 424 emoji of skin tones 1 to 4, asked for in tone 5 among the
//! 8,105 pictures that the model was not trained on, the nearest other picture is the same concept in that tone in 36.1 ± 2.3 %
//! with `coop_replace` alone, in 33.7 ± 2.3 % with the plain mix `coop_like(emb) + coop_attr_query('skin_tone', '5')`, in 73.6 ± 2.1 %
//! replaced and with the attribute weighing eight times more besides (the README's example), and in 72.6 ± 2.2 % with
//! `coop_like(emb) + 12 * coop_attr_query('skin_tone', '5')`, the best weights of each kind. (The same run.)
//!
//! # What a kept graph costs
//!
//! For 100,000 rows like the shipped model's (13x50) and k = 5, a graph in everything takes 672 s of processor time, shared by two
//! sessions, one of hues 212 s; a refresh that finds nothing takes 0.7 s, one after 100 changes 16 s, a path in the kept graph
//! 0.7 s. (`tests/bench/transition.sh emoji`, on two cores with five times the work they could do: by the clock the first took 949 s,
//! and 494 s with little beside it.)

mod shortest_path;

pub use shortest_path::{NoPath, ShortestPath};

use super::error::{Error, Kind, Result};
use super::memory;
use std::collections::HashMap;
use std::rc::Rc;

/// A node's name: an image's id, or `None` for the centre that a path may end at.
pub type NodeId<'a> = Option<&'a str>;

/// The most neighbours that all lists have together: searching takes 48 bytes for each, 2.4 GB for this many.
pub const MAX_EDGES: usize = 50_000_000;

/// Bytes that a name takes in the map of names.
const ENTRY: usize = size_of::<(Rc<str>, u32)>();

/// The undirected union of the lists of neighbours of all images.
#[derive(Debug)]
pub struct Graph {
    max_edges: usize,
    numbers: HashMap<Rc<str>, u32>,
    centre: Option<u32>,
    /// `[nodes]`
    ids: Vec<Option<Rc<str>>>,
    /// `[nodes]`: whether the node's own list has come. One that is only named by others may not be walked through.
    listed: Vec<bool>,
    /// One for each neighbour of each list.
    edges: Vec<(u32, u32, f64)>,
}

impl Default for Graph {
    fn default() -> Self {
        Self::with_limit(MAX_EDGES)
    }
}

impl Graph {
    /// A graph without images, of at most `max_edges` neighbours.
    pub fn with_limit(max_edges: usize) -> Self {
        Self {
            max_edges,
            numbers: HashMap::new(),
            centre: None,
            ids: Vec::new(),
            listed: Vec::new(),
            edges: Vec::new(),
        }
    }

    /// The list of one image: its neighbours and how far each is.
    ///
    /// # Errors
    /// [`Kind::DuplicateName`] if the image has had its list, [`Kind::InvalidData`] for a distance that is none,
    /// [`Kind::LimitExceeded`] for too many neighbours, [`Kind::OutOfMemory`].
    pub fn add_neighbours<'a>(
        &mut self,
        id: NodeId<'_>,
        neighbours: impl Iterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let node = self.number(id)?;
        if std::mem::replace(&mut self.listed[node as usize], true) {
            return Err(Error::new(Kind::DuplicateName, format!("several rows have the id {}", named(id)))
                .detail("A path leads from id to id, so each row needs one of its own.")
                .hint("Name a column that is unique."));
        }
        for (other, distance) in neighbours {
            if !(distance >= 0.0 && distance.is_finite()) {
                return Err(Error::new(
                    Kind::InvalidData,
                    format!("the distance between {} and {} is {distance}", named(id), named(Some(other))),
                ));
            }
            if self.edges.len() == self.max_edges {
                return Err(Error::new(Kind::LimitExceeded, "the graph does not fit in memory")
                    .detail(format!("All images together may have {} neighbours.", self.max_edges))
                    .hint("Ask for a smaller k, or of a view that has fewer rows."));
            }
            let other = self.number(Some(other))?;
            memory::push(&mut self.edges, (node, other, distance))?;
        }
        Ok(())
    }

    /// How many images have a list.
    pub fn nodes(&self) -> usize {
        self.listed.iter().filter(|listed| **listed).count()
    }

    fn known(&self, id: NodeId<'_>) -> Option<u32> {
        let node = match id {
            Some(id) => self.numbers.get(id).copied(),
            None => self.centre,
        };
        node.filter(|&node| self.listed[node as usize])
    }

    fn number(&mut self, id: NodeId<'_>) -> Result<u32> {
        let known = match id {
            Some(id) => self.numbers.get(id).copied(),
            None => self.centre,
        };
        if let Some(node) = known {
            return Ok(node);
        }
        let full =
            |_| Error::new(Kind::LimitExceeded, "a graph of more than 4 billion images is not possible");
        let node = u32::try_from(self.ids.len()).map_err(full)?;
        // A name itself is small, or its size is looked at first.
        memory::headroom(id.map_or(0, str::len))?;
        memory::reserve(&mut self.ids, 1)?;
        memory::reserve(&mut self.listed, 1)?;
        self.numbers.try_reserve(1).map_err(|_| memory::out_of_memory(self.numbers.len() * ENTRY))?;
        let id: Option<Rc<str>> = id.map(Rc::from);
        match &id {
            Some(id) => {
                self.numbers.insert(id.clone(), node);
            }
            None => self.centre = Some(node),
        }
        self.ids.push(id);
        self.listed.push(false);
        Ok(node)
    }
}

fn named(id: NodeId<'_>) -> String {
    id.map_or_else(|| "of the centre".to_owned(), |id| format!("\"{id}\""))
}
