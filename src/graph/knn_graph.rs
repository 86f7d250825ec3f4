//! The graph of nearest neighbours, built from lists that an index or a table yields.

use crate::error::{Error, Kind, Result};
use crate::memory;
use std::collections::HashMap;
use std::rc::Rc;

/// What a node is known by: an image's id, or `None` for the centre, a point in which a path may end.
pub type NodeId<'a> = Option<&'a str>;

/// The most edges of a graph: a search takes 48 bytes for each, 2.4 GB for this many.
const MAX_EDGES: usize = 50_000_000;

/// Bytes of an entry of [`KnnGraph::numbers`].
const MAP_ENTRY: usize = size_of::<(Rc<str>, u32)>();

/// The undirected union of all images' lists of nearest neighbours.
///
/// Lists may come in any order. Ids are interned, so that a graph takes 16 bytes per neighbour and the text of each id once.
#[derive(Debug)]
pub struct KnnGraph {
    max_edges: usize,
    /// The number of each id.
    numbers: HashMap<Rc<str>, u32>,
    /// The number of the centre.
    centre: Option<u32>,
    /// `[nodes]`.
    pub(super) ids: Vec<Option<Rc<str>>>,
    /// `[nodes]`: true once the node's own list has been added. Paths avoid nodes that only occur in the lists of others:
    /// the caller may not be allowed to see those rows.
    pub(super) listed: Vec<bool>,
    /// Both ends and the distance, for each neighbour of each list.
    pub(super) edges: Vec<(u32, u32, f64)>,
}

impl Default for KnnGraph {
    fn default() -> Self {
        Self::with_limit(MAX_EDGES)
    }
}

impl KnnGraph {
    /// An empty graph that takes at most `max_edges` edges.
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

    /// Adds the list of one image: its neighbours, and the distance of each.
    ///
    /// # Errors
    /// [`Kind::DuplicateName`] if the image's list has been added before, [`Kind::InvalidData`] for a distance that is
    /// negative or not finite, [`Kind::LimitExceeded`] for too many neighbours, [`Kind::OutOfMemory`].
    pub fn add_neighbours<'a>(
        &mut self,
        id: NodeId<'_>,
        neighbours: impl Iterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let node = self.intern(id)?;
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
            let other = self.intern(Some(other))?;
            memory::push(&mut self.edges, (node, other, distance))?;
        }
        Ok(())
    }

    /// The number of nodes whose list has been added.
    pub fn nodes(&self) -> usize {
        self.listed.iter().filter(|listed| **listed).count()
    }

    /// The number of a node whose list has been added.
    pub(super) fn listed_node(&self, id: NodeId<'_>) -> Option<u32> {
        self.number(id).filter(|&node| self.listed[node as usize])
    }

    fn number(&self, id: NodeId<'_>) -> Option<u32> {
        match id {
            Some(id) => self.numbers.get(id).copied(),
            None => self.centre,
        }
    }

    /// The number of a node; a new one if there is none yet.
    fn intern(&mut self, id: NodeId<'_>) -> Result<u32> {
        if let Some(node) = self.number(id) {
            return Ok(node);
        }
        let full =
            |_| Error::new(Kind::LimitExceeded, "a graph of more than 4 billion images is not possible");
        let node = u32::try_from(self.ids.len()).map_err(full)?;
        // Rc::from aborts if memory is refused, so make sure first that it is there.
        memory::headroom(id.map_or(0, str::len))?;
        memory::reserve(&mut self.ids, 1)?;
        memory::reserve(&mut self.listed, 1)?;
        self.numbers.try_reserve(1).map_err(|_| memory::out_of_memory(self.numbers.len() * MAP_ENTRY))?;
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

/// The id as messages show it.
fn named(id: NodeId<'_>) -> String {
    id.map_or_else(|| "of the centre".to_owned(), |id| format!("\"{id}\""))
}
