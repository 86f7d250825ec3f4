//! Dijkstra's algorithm: the shortest path between two nodes of a graph of nearest neighbours.

use super::knn_graph::{KnnGraph, NodeId};
use crate::error::Result;
use crate::memory;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[cfg(test)]
mod tests;

/// A path of minimal total length between two nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortestPath {
    /// The nodes from start to goal, both included; `None` is the centre.
    pub ids: Vec<Option<String>>,
    /// `[nodes - 1]`: the length of the edge into the second node, the third, ...
    pub edge_lengths: Vec<f64>,
}

impl ShortestPath {
    /// The longest edge, where the path crosses from one kind of image to another (Section 5.3); the first of equals. `None`
    /// if the path has no edge.
    pub fn longest_edge(&self) -> Option<usize> {
        let lengths = &self.edge_lengths;
        let longer = |best: usize, edge: usize| if lengths[edge] > lengths[best] { edge } else { best };
        (0..lengths.len()).reduce(longer)
    }
}

/// There is no path: start and goal lie in parts of the graph that no edge connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPath {
    /// Nodes that can be reached from the start, itself included; 0 if either end is not in the graph.
    pub from_start: usize,
    /// Nodes that can be reached from the goal, itself included; 0 if either end is not in the graph.
    pub from_goal: usize,
    /// Nodes of the graph.
    pub nodes: usize,
}

/// Nodes that are settled between two checks for interrupts.
const NODES_PER_CHECK: usize = 1024;

impl KnnGraph {
    /// The shortest path between two nodes, or why there is none. Calls `check_interrupts` now and then, which may cancel the
    /// search by unwinding.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
    pub fn shortest_path(
        &self,
        start: NodeId<'_>,
        goal: NodeId<'_>,
        mut check_interrupts: impl FnMut(),
    ) -> Result<std::result::Result<ShortestPath, NoPath>> {
        let nodes = self.nodes();
        let (Some(from), Some(to)) = (self.listed_node(start), self.listed_node(goal)) else {
            return Ok(Err(NoPath { from_start: 0, from_goal: 0, nodes }));
        };
        let adjacency = AdjacencyList::new(self)?;
        let tree = adjacency.dijkstra(from, Some(to), &mut check_interrupts)?;
        if !tree.settled[to as usize] {
            let from_goal = adjacency.dijkstra(to, None, &mut check_interrupts)?.settled_nodes();
            return Ok(Err(NoPath { from_start: tree.settled_nodes(), from_goal, nodes }));
        }
        let mut path = vec![to];
        let mut last = to;
        while last != from {
            last = tree.predecessor[last as usize];
            memory::push(&mut path, last)?;
        }
        path.reverse();
        let mut ids = memory::with_capacity(path.len())?;
        for &node in &path {
            ids.push(self.ids[node as usize].as_deref().map(memory::text).transpose()?);
        }
        let lengths = path.windows(2).map(|pair| adjacency.edge_length(pair[0], pair[1]));
        Ok(Ok(ShortestPath { ids, edge_lengths: memory::collect(lengths)? }))
    }
}

/// Each node's edges side by side, in both directions.
struct AdjacencyList {
    /// `[nodes + 1]`: index of each node's first edge, and the end.
    first: Vec<usize>,
    /// The node at the other end, and the length.
    edges: Vec<(u32, f64)>,
}

impl AdjacencyList {
    /// Leaves out edges to nodes without a list of their own.
    fn new(graph: &KnnGraph) -> Result<Self> {
        let listed = |&&(a, b, _): &&(u32, u32, f64)| graph.listed[a as usize] && graph.listed[b as usize];
        let mut first = memory::filled(0, graph.ids.len() + 1)?;
        for &(a, b, _) in graph.edges.iter().filter(listed) {
            first[a as usize + 1] += 1;
            first[b as usize + 1] += 1;
        }
        for node in 1..first.len() {
            first[node] += first[node - 1];
        }
        let mut free = memory::copied(&first)?;
        let mut edges = memory::filled((0, 0.0), first.last().copied().unwrap_or(0))?;
        for &(a, b, distance) in graph.edges.iter().filter(listed) {
            for (from, to) in [(a, b), (b, a)] {
                edges[free[from as usize]] = (to, distance);
                free[from as usize] += 1;
            }
        }
        Ok(Self { first, edges })
    }

    fn edges_of(&self, node: u32) -> &[(u32, f64)] {
        &self.edges[self.first[node as usize]..self.first[node as usize + 1]]
    }

    /// The length of the shortest edge between two nodes that have one.
    fn edge_length(&self, a: u32, b: u32) -> f64 {
        self.edges_of(a).iter().filter(|edge| edge.0 == b).map(|edge| edge.1).fold(f64::INFINITY, f64::min)
    }

    /// Settles nodes in the order of their distance from `start`, until `goal` is settled or no node is left in reach.
    fn dijkstra(
        &self,
        start: u32,
        goal: Option<u32>,
        check_interrupts: &mut impl FnMut(),
    ) -> Result<ShortestPathTree> {
        let nodes = self.first.len() - 1;
        let mut tree = ShortestPathTree {
            settled: memory::filled(false, nodes)?,
            predecessor: memory::filled(start, nodes)?,
        };
        let mut distance = memory::filled(f64::INFINITY, nodes)?;
        let mut queue = BinaryHeap::from([Reverse((Length(0.0), start))]);
        distance[start as usize] = 0.0;
        let mut settled = 0;
        while let Some(Reverse((Length(length), node))) = queue.pop() {
            if std::mem::replace(&mut tree.settled[node as usize], true) {
                continue;
            }
            if goal == Some(node) {
                break;
            }
            settled += 1;
            if settled % NODES_PER_CHECK == 0 {
                check_interrupts();
            }
            for &(next, edge_length) in self.edges_of(node) {
                let length = length + edge_length;
                if length < distance[next as usize] {
                    distance[next as usize] = length;
                    tree.predecessor[next as usize] = node;
                    let bytes = queue.len() * size_of::<(f64, u32)>();
                    queue.try_reserve(1).map_err(|_| memory::out_of_memory(bytes))?;
                    queue.push(Reverse((Length(length), next)));
                }
            }
        }
        Ok(tree)
    }
}

/// What a search from one node has found.
struct ShortestPathTree {
    /// `[nodes]`: true if the shortest path to the node is known.
    settled: Vec<bool>,
    /// `[nodes]`: the node before it on the shortest path from the start.
    predecessor: Vec<u32>,
}

impl ShortestPathTree {
    fn settled_nodes(&self) -> usize {
        self.settled.iter().filter(|settled| **settled).count()
    }
}

/// The length of a path, which is never NaN.
#[derive(Clone, Copy, PartialEq)]
struct Length(f64);

impl Eq for Length {}

impl PartialOrd for Length {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Length {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
