//! Transitions from image to image (Section 5.3 of arXiv 1904.01421): an undirected graph of nearest neighbours, and the
//! shortest path between two of its nodes.
//!
//! | file | |
//! |---|---|
//! | `knn_graph` | [`KnnGraph`]: collects lists of neighbours |
//! | `shortest_path` | Dijkstra's algorithm on it |
//!
//! # Does the longest edge cross from one category to another?
//!
//! On the 6,000 gallery images of the emoji set, on which the shipped model was not trained, 200 paths between random images
//! of different categories have 7.4 edges and 3.7 changes of category on average. Their longest edge changes the category in
//! 78.8 ± 2.9 %, any edge in 51.0 ± 1.3 %: the paper's observation holds. Where the category changes once (12 paths) it does so
//! at the longest edge in 33 ± 14 %, and by chance would in 24 ± 4 %: too few to tell. Two pairs have no path.
//! (`tests/bench/transition.sh emoji 0`, on the set made by `coopembed data emoji --out emoji`.)
//!
//! # Why a replaced value has to be weighted
//!
//! One value of thirteen attributes weighs little in a distance. Take 424 emoji of skin tones 1 to 4, and ask for tone 5 among
//! the 8,105 images that the model was not trained on. How often the nearest other image is the same concept in that tone
//! (same run):
//!
//! | query | |
//! |---|---|
//! | `coop_replace` alone | 36.1 ± 2.3 % |
//! | `coop_like(emb) + coop_attr_query('skin_tone', '5')` | 33.7 ± 2.3 % |
//! | `coop_replace`, and the attribute with eight times the weight (the README's example) | 73.6 ± 2.1 % |
//! | `coop_like(emb) + 12 * coop_attr_query('skin_tone', '5')`, the best weight | 72.6 ± 2.2 % |
//!
//! # What a stored graph costs
//!
//! For 100,000 rows like the shipped model's (13x50) and k = 5, a graph over all attributes takes 672 s of processor time, shared
//! by two sessions, and one over hues 212 s; a refresh that finds nothing takes 0.7 s, one after 100 changes 16 s, a path in the
//! stored graph 0.7 s. (`tests/bench/transition.sh emoji`, on two cores with five times the work they could do: the first took
//! 949 s by the clock, and 494 s on an idle machine.)

mod knn_graph;
mod shortest_path;

pub use knn_graph::{KnnGraph, NodeId};
pub use shortest_path::{NoPath, ShortestPath};
