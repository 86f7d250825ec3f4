use super::*;
use crate::error::Kind;
use proptest::prelude::*;

fn graph(lists: &[(NodeId<'static>, &[(&'static str, f64)])]) -> KnnGraph {
    let mut graph = KnnGraph::default();
    for (id, neighbours) in lists {
        graph.add_neighbours(*id, neighbours.iter().copied()).unwrap();
    }
    graph
}

fn path_between(
    graph: &KnnGraph,
    start: &str,
    goal: NodeId<'_>,
) -> std::result::Result<ShortestPath, NoPath> {
    graph.shortest_path(Some(start), goal, || ()).unwrap()
}

#[test]
fn an_edge_leads_both_ways() {
    // a - b is in a's list only, c - b in c's: a - b - c takes 1 + 3, the direct edge 5.
    let graph =
        graph(&[(Some("a"), &[("b", 1.0), ("c", 5.0)]), (Some("b"), &[]), (Some("c"), &[("b", 3.0)])]);
    let path = path_between(&graph, "a", Some("c")).unwrap();
    assert_eq!(
        (path.ids.len(), path.edge_lengths.as_slice(), path.longest_edge()),
        (3, &[1.0, 3.0][..], Some(1))
    );
    assert_eq!(path.ids[1].as_deref(), Some("b"));
    let back = path_between(&graph, "c", Some("a")).unwrap();
    assert_eq!((back.edge_lengths.as_slice(), back.longest_edge()), (&[3.0, 1.0][..], Some(0)));
}

#[test]
fn a_path_from_a_node_to_itself_has_no_edge() {
    let path = path_between(&graph(&[(Some("a"), &[("a", 0.0)])]), "a", Some("a")).unwrap();
    assert_eq!((path.ids.len(), path.edge_lengths.len(), path.longest_edge()), (1, 0, None));
}

#[test]
fn the_centre_is_a_node_without_id() {
    let graph = graph(&[(Some("a"), &[("b", 1.0)]), (Some("b"), &[]), (None, &[("b", 0.5)])]);
    let path = path_between(&graph, "a", None).unwrap();
    assert_eq!(path.ids, [Some("a".to_owned()), Some("b".to_owned()), None]);
    assert_eq!(path.longest_edge(), Some(0));
}

#[test]
fn paths_avoid_nodes_without_a_list() {
    let graph = graph(&[(Some("a"), &[("hidden", 1.0)]), (Some("c"), &[("hidden", 1.0)])]);
    let none = path_between(&graph, "a", Some("c")).unwrap_err();
    assert_eq!(none, NoPath { from_start: 1, from_goal: 1, nodes: 2 });
    assert_eq!(path_between(&graph, "hidden", Some("c")).unwrap_err().from_start, 0);
}

#[test]
fn without_a_path_the_nodes_in_reach_are_counted() {
    let graph = graph(&[
        (Some("a"), &[("b", 1.0)]),
        (Some("b"), &[("a", 1.0)]),
        (Some("c"), &[("d", 1.0)]),
        (Some("d"), &[]),
        (Some("e"), &[("d", 1.0)]),
    ]);
    let none = NoPath { from_start: 2, from_goal: 3, nodes: 5 };
    assert_eq!(path_between(&graph, "a", Some("e")), Err(none));
}

#[test]
fn a_second_list_and_a_distance_that_is_not_finite_are_errors() {
    let mut graph = graph(&[(Some("a"), &[])]);
    assert_eq!(graph.add_neighbours(Some("a"), std::iter::empty()).unwrap_err().kind, Kind::DuplicateName);
    for distance in [f64::NAN, -1.0, f64::INFINITY] {
        let mut lists = KnnGraph::default();
        assert_eq!(
            lists.add_neighbours(Some("b"), [("a", distance)].into_iter()).unwrap_err().kind,
            Kind::InvalidData
        );
    }
}

#[test]
fn a_graph_that_is_too_large_is_an_error() {
    let mut graph = KnnGraph::with_limit(2);
    graph.add_neighbours(Some("a"), [("b", 1.0), ("c", 1.0)].into_iter()).unwrap();
    graph.add_neighbours(Some("c"), std::iter::empty()).unwrap();
    assert_eq!(
        graph.add_neighbours(Some("b"), [("a", 1.0)].into_iter()).unwrap_err().kind,
        Kind::LimitExceeded
    );
}

/// The lengths of all shortest paths, by the Floyd-Warshall algorithm.
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
        let mut graph = KnnGraph::default();
        for (node, id) in ids.iter().enumerate() {
            let list = edges.iter().filter(|e| e.0 == node).map(|e| (ids[e.1].as_str(), e.2));
            graph.add_neighbours(Some(id), list).unwrap();
        }
        let length = all_lengths(12, &edges);
        for a in 0..12 {
            for b in 0..12 {
                match path_between(&graph, &ids[a], Some(&ids[b])) {
                    Ok(path) => {
                        prop_assert_eq!(path.edge_lengths.iter().sum::<f64>(), length[a][b]);
                        prop_assert_eq!(path.ids.len(), path.edge_lengths.len() + 1);
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
