//! Dijkstra's search.

use super::{Graph, NodeId};
use crate::error::Result;
use crate::memory;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A shortest path.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortestPath {
    /// The nodes, both ends included; `None` is the centre.
    pub ids: Vec<Option<String>>,
    /// How long each hop is: that into node 1, into node 2, ...
    pub hops: Vec<f64>,
}

impl ShortestPath {
    /// The longest hop, where the path crosses from one kind of image to another (Section 5.3); the first of equals.
    pub fn longest_hop(&self) -> Option<usize> {
        let longer = |best: usize, hop: usize| if self.hops[hop] > self.hops[best] { hop } else { best };
        (0..self.hops.len()).reduce(longer)
    }
}

/// There is no path: the two ends lie in parts of the graph that no edge joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPath {
    /// How many nodes a path from the start can reach, itself included; 0 if there is no such node.
    pub from_start: usize,
    /// The same of the goal.
    pub from_goal: usize,
    /// How many nodes there are.
    pub nodes: usize,
}

/// How many nodes are settled between two looks at whether the user has had enough.
const PATIENCE: usize = 1024;

impl Graph {
    /// The shortest path between two nodes, or why there is none. `wait` is called now and then and may give up by unwinding.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
    pub fn shortest_path(
        &self,
        start: NodeId<'_>,
        goal: NodeId<'_>,
        mut wait: impl FnMut(),
    ) -> Result<std::result::Result<ShortestPath, NoPath>> {
        let nodes = self.nodes();
        let (Some(from), Some(to)) = (self.known(start), self.known(goal)) else {
            return Ok(Err(NoPath { from_start: 0, from_goal: 0, nodes }));
        };
        let neighbours = Neighbours::of(self)?;
        let reached = neighbours.search(from, Some(to), &mut wait)?;
        if !reached.settled[to as usize] {
            let from_goal = neighbours.search(to, None, &mut wait)?.count();
            return Ok(Err(NoPath { from_start: reached.count(), from_goal, nodes }));
        }
        let mut path = vec![to];
        let mut last = to;
        while last != from {
            last = reached.before[last as usize];
            memory::push(&mut path, last)?;
        }
        path.reverse();
        let mut route = ShortestPath {
            ids: memory::with_capacity(path.len())?,
            hops: memory::with_capacity(path.len())?,
        };
        for &node in &path {
            route.ids.push(self.ids[node as usize].as_deref().map(memory::text).transpose()?);
        }
        route.hops.extend(path.windows(2).map(|pair| neighbours.nearest(pair[0], pair[1])));
        Ok(Ok(route))
    }
}

/// Each node's edges side by side, in both directions.
struct Neighbours {
    /// `[nodes + 1]`: where a node's edges begin.
    first: Vec<usize>,
    edges: Vec<(u32, f64)>,
}

impl Neighbours {
    /// Edges to nodes without a list are left out.
    fn of(graph: &Graph) -> Result<Self> {
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

    fn at(&self, node: u32) -> &[(u32, f64)] {
        &self.edges[self.first[node as usize]..self.first[node as usize + 1]]
    }

    /// The length of the edge between two nodes that have one.
    fn nearest(&self, a: u32, b: u32) -> f64 {
        self.at(a).iter().filter(|edge| edge.0 == b).map(|edge| edge.1).fold(f64::INFINITY, f64::min)
    }

    /// Settles nodes in the order of their distance from `start` until `goal` is among them.
    fn search(&self, start: u32, goal: Option<u32>, wait: &mut impl FnMut()) -> Result<Reached> {
        let nodes = self.first.len() - 1;
        let mut reached =
            Reached { settled: memory::filled(false, nodes)?, before: memory::filled(start, nodes)? };
        let mut distance = memory::filled(f64::INFINITY, nodes)?;
        let mut heap = BinaryHeap::from([Reverse((Length(0.0), start))]);
        distance[start as usize] = 0.0;
        let mut count = 0;
        while let Some(Reverse((Length(length), node))) = heap.pop() {
            if std::mem::replace(&mut reached.settled[node as usize], true) {
                continue;
            }
            if goal == Some(node) {
                break;
            }
            count += 1;
            if count % PATIENCE == 0 {
                wait();
            }
            for &(next, hop) in self.at(node) {
                let further = length + hop;
                if further < distance[next as usize] {
                    distance[next as usize] = further;
                    reached.before[next as usize] = node;
                    heap.try_reserve(1)
                        .map_err(|_| memory::out_of_memory(heap.len() * size_of::<(f64, u32)>()))?;
                    heap.push(Reverse((Length(further), next)));
                }
            }
        }
        Ok(reached)
    }
}

/// How far a search came.
struct Reached {
    settled: Vec<bool>,
    /// The node before each on the shortest path from the start.
    before: Vec<u32>,
}

impl Reached {
    fn count(&self) -> usize {
        self.settled.iter().filter(|settled| **settled).count()
    }
}

/// A length, which is never NaN.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    fn graph(lists: &[(NodeId<'static>, &[(&'static str, f64)])]) -> Graph {
        let mut graph = Graph::default();
        for (id, neighbours) in lists {
            graph.add_neighbours(*id, neighbours.iter().copied()).unwrap();
        }
        graph
    }

    fn route(graph: &Graph, start: &str, goal: NodeId<'_>) -> std::result::Result<ShortestPath, NoPath> {
        graph.shortest_path(Some(start), goal, || ()).unwrap()
    }

    #[test]
    fn an_edge_leads_both_ways_and_the_longest_hop_is_the_crossing() {
        // a - b is in a's list only, c - b in c's: a - b - c takes 1 + 3, the direct edge 5.
        let graph =
            graph(&[(Some("a"), &[("b", 1.0), ("c", 5.0)]), (Some("b"), &[]), (Some("c"), &[("b", 3.0)])]);
        let path = route(&graph, "a", Some("c")).unwrap();
        assert_eq!((path.ids.len(), path.hops.as_slice(), path.longest_hop()), (3, &[1.0, 3.0][..], Some(1)));
        assert_eq!(path.ids[1].as_deref(), Some("b"));
        let back = route(&graph, "c", Some("a")).unwrap();
        assert_eq!((back.hops.as_slice(), back.longest_hop()), (&[3.0, 1.0][..], Some(0)));
    }

    #[test]
    fn from_a_node_to_itself_is_no_hop() {
        let path = route(&graph(&[(Some("a"), &[("a", 0.0)])]), "a", Some("a")).unwrap();
        assert_eq!((path.ids.len(), path.hops.len(), path.longest_hop()), (1, 0, None));
    }

    #[test]
    fn a_centre_is_a_node_without_id() {
        let graph = graph(&[(Some("a"), &[("b", 1.0)]), (Some("b"), &[]), (None, &[("b", 0.5)])]);
        let path = route(&graph, "a", None).unwrap();
        assert_eq!(path.ids, [Some("a".to_owned()), Some("b".to_owned()), None]);
        assert_eq!(path.longest_hop(), Some(0));
    }

    #[test]
    fn nobody_walks_through_a_node_whose_list_has_not_come() {
        let graph = graph(&[(Some("a"), &[("hidden", 1.0)]), (Some("c"), &[("hidden", 1.0)])]);
        let none = route(&graph, "a", Some("c")).unwrap_err();
        assert_eq!(none, NoPath { from_start: 1, from_goal: 1, nodes: 2 });
        assert_eq!(route(&graph, "hidden", Some("c")).unwrap_err().from_start, 0);
    }

    #[test]
    fn without_a_path_one_learns_how_far_one_came() {
        let graph = graph(&[
            (Some("a"), &[("b", 1.0)]),
            (Some("b"), &[("a", 1.0)]),
            (Some("c"), &[("d", 1.0)]),
            (Some("d"), &[]),
            (Some("e"), &[("d", 1.0)]),
        ]);
        let none = NoPath { from_start: 2, from_goal: 3, nodes: 5 };
        assert_eq!(route(&graph, "a", Some("e")), Err(none));
    }

    #[test]
    fn a_second_list_and_an_impossible_distance_are_errors() {
        let mut graph = graph(&[(Some("a"), &[])]);
        assert_eq!(
            graph.add_neighbours(Some("a"), std::iter::empty()).unwrap_err().kind,
            Kind::DuplicateName
        );
        for distance in [f64::NAN, -1.0, f64::INFINITY] {
            let mut lists = Graph::default();
            assert_eq!(
                lists.add_neighbours(Some("b"), [("a", distance)].into_iter()).unwrap_err().kind,
                Kind::InvalidData
            );
        }
    }

    #[test]
    fn a_graph_that_is_too_large_is_an_error() {
        let mut graph = Graph::with_limit(2);
        graph.add_neighbours(Some("a"), [("b", 1.0), ("c", 1.0)].into_iter()).unwrap();
        graph.add_neighbours(Some("c"), std::iter::empty()).unwrap();
        assert_eq!(
            graph.add_neighbours(Some("b"), [("a", 1.0)].into_iter()).unwrap_err().kind,
            Kind::LimitExceeded
        );
    }

    /// All shortest lengths by Floyd and Warshall's method.
    fn all_lengths(nodes: usize, edges: &[(usize, usize, f64)]) -> Vec<Vec<f64>> {
        let mut length = vec![vec![f64::INFINITY; nodes]; nodes];
        (0..nodes).for_each(|i| length[i][i] = 0.0);
        for &(a, b, d) in edges {
            length[a][b] = d.min(length[a][b]);
            length[b][a] = length[a][b];
        }
        for via in 0..nodes {
            for a in 0..nodes {
                for b in 0..nodes {
                    length[a][b] = length[a][b].min(length[a][via] + length[via][b]);
                }
            }
        }
        length
    }

    proptest! {
        #[test]
        fn paths_are_shortest(edges in prop::collection::vec((0usize..12, 0usize..12, 0u32..20), 0..40)) {
            // Whole numbers, so that sums are exact whatever their order.
            let edges: Vec<(usize, usize, f64)> = edges.into_iter().map(|(a, b, d)| (a, b, d.into())).collect();
            let ids: Vec<String> = (0..12).map(|i| format!("image {i}")).collect();
            let mut graph = Graph::default();
            for (node, id) in ids.iter().enumerate() {
                let list = edges.iter().filter(|e| e.0 == node).map(|e| (ids[e.1].as_str(), e.2));
                graph.add_neighbours(Some(id), list).unwrap();
            }
            let length = all_lengths(12, &edges);
            for a in 0..12 {
                for b in 0..12 {
                    match route(&graph, &ids[a], Some(&ids[b])) {
                        Ok(path) => {
                            prop_assert_eq!(path.hops.iter().sum::<f64>(), length[a][b]);
                            prop_assert_eq!(path.ids.len(), path.hops.len() + 1);
                        }
                        Err(none) => {
                            let reach = |from: usize| length[from].iter().filter(|l| l.is_finite()).count();
                            prop_assert!(length[a][b].is_infinite());
                            prop_assert_eq!((none.from_start, none.from_goal, none.nodes), (reach(a), reach(b), 12));
                        }
                    }
                }
            }
        }
    }
}
