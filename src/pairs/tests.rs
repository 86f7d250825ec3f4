use super::{Files, PairJoin};
use crate::error::Kind;
use crate::index::tests::fixture::SpillMemory;
use crate::space::{embedding_distance, Embedding, Layout};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Files in memory, which counts how many there have been.
#[derive(Default, Clone)]
struct MemoryFiles(Rc<Cell<usize>>);

impl Files for MemoryFiles {
    type File = SpillMemory;

    fn create(&self) -> SpillMemory {
        self.0.set(self.0.get() + 1);
        SpillMemory::default()
    }
}

/// Pseudo-random numbers between -1 and 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Rows around some points, each as far from its point as `spread` says.
fn rows(layout: Layout, count: usize, points: usize, spread: f32, seed: u64) -> Vec<Embedding> {
    let mut noise = Noise(seed);
    let points: Vec<Vec<f32>> =
        (0..points).map(|_| (0..layout.dimensions()).map(|_| noise.next()).collect()).collect();
    let row = |i: usize| {
        let raw: Vec<f32> = points[i % points.len()].iter().map(|x| x + spread * noise.next()).collect();
        Embedding::from_raw(layout, &raw).unwrap()
    };
    (0..count).map(row).collect()
}

type Pairs = BTreeMap<(String, String), f64>;

/// The pairs that a join in so many bytes finds, and how many files it made.
fn join(rows: &[Embedding], threshold: f64, memory: usize) -> (Pairs, usize) {
    let files = MemoryFiles::default();
    let mut join = PairJoin::new(threshold, memory, files.clone());
    for (i, row) in rows.iter().enumerate() {
        join.push(i.to_string().as_bytes(), row.as_ref()).unwrap();
    }
    let mut pairs = Pairs::new();
    let text = |id: &[u8]| String::from_utf8(id.to_vec()).unwrap();
    let mut found = |a: &[u8], b: &[u8], distance: f64| {
        assert!(a < b);
        assert_eq!(pairs.insert((text(a), text(b)), distance), None, "a pair came twice");
        Ok(())
    };
    join.finish(&mut || (), &mut found).unwrap();
    (pairs, files.0.get())
}

/// All rows against all.
fn all_pairs(rows: &[Embedding], threshold: f64) -> Pairs {
    let mut pairs = Pairs::new();
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate().skip(i + 1) {
            let distance = embedding_distance(a.as_ref(), b.as_ref()).unwrap();
            if distance <= threshold {
                let (a, b) = (i.to_string(), j.to_string());
                pairs.insert((a.clone().min(b.clone()), a.max(b)), distance);
            }
        }
    }
    pairs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn pairs_are_those_of_all_rows_against_all(
        shape in prop::sample::select(vec![(1, 2), (2, 3), (3, 8), (5, 20)]),
        count in 0usize..2000, points in 1usize..60, spread in 0f32..0.6, threshold in 0f64..0.7, seed: u64,
    ) {
        let rows = rows(Layout::new(shape.0, shape.1, 42).unwrap(), count, points, spread, seed);
        prop_assert_eq!(join(&rows, threshold, usize::MAX).0, all_pairs(&rows, threshold));
    }
}

#[test]
fn rows_in_files_make_the_same_pairs() {
    // Points far from each other are split; many that fill the space are not, and then blocks are compared.
    for (shape, count, points, spread, threshold, is_split) in
        [((4, 40), 5000, 900, 0.05, 0.2, false), ((4, 160), 1500, 4, 0.1, 0.3, true)]
    {
        let rows = rows(Layout::new(shape.0, shape.1, 42).unwrap(), count, points, spread, 7);
        let (pairs, files) = join(&rows, threshold, 0);
        assert!(!pairs.is_empty());
        assert_eq!(files > 1, is_split, "{files} files");
        assert_eq!(pairs, all_pairs(&rows, threshold));
    }
}

#[test]
fn rows_that_no_hyperplane_splits_are_compared_block_by_block() {
    // All within the threshold of each other, and more than memory holds.
    let layout = Layout::new(4, 160, 42).unwrap();
    let rows = rows(layout, 1500, 1, 0.01, 3);
    let (pairs, _) = join(&rows, 5.0, 0);
    assert_eq!(pairs.len(), 1500 * 1499 / 2);
    assert_eq!(pairs, all_pairs(&rows, 5.0));
    assert_eq!(join(&rows, f64::INFINITY, 0).0.len(), pairs.len());
}

#[test]
fn duplicates_at_distance_zero_are_found_once() {
    let layout = Layout::new(3, 16, 42).unwrap();
    let mut all = rows(layout, 1200, 1200, 0.5, 5);
    all.extend(all[..300].to_vec());
    let (pairs, _) = join(&all, 0.0, usize::MAX);
    assert_eq!(pairs.len(), 300);
    assert!(pairs.values().all(|&distance| distance == 0.0));
}

#[test]
fn rows_of_one_id_are_no_pair_and_ids_are_in_the_order_of_their_bytes() {
    let layout = Layout::new(1, 2, 42).unwrap();
    let row = Embedding::from_raw(layout, &[1.0, 0.0]).unwrap();
    let mut join = PairJoin::new(0.0, 0, MemoryFiles::default());
    for id in ["b", "\u{e9}", "b", "10", "9"] {
        join.push(id.as_bytes(), row.as_ref()).unwrap();
    }
    let mut pairs = Vec::new();
    let mut found = |a: &[u8], b: &[u8], _| {
        pairs.push(format!("{} {}", String::from_utf8_lossy(a), String::from_utf8_lossy(b)));
        Ok(())
    };
    join.finish(&mut || (), &mut found).unwrap();
    pairs.sort();
    assert_eq!(pairs, ["10 9", "10 b", "10 b", "10 é", "9 b", "9 b", "9 é", "b é", "b é"]);
}

#[test]
fn an_embedding_of_another_model_is_an_error_and_so_is_one_that_the_caller_raises() {
    let (ours, theirs) = (Layout::new(1, 2, 42).unwrap(), Layout::new(1, 2, 43).unwrap());
    let row = |layout| Embedding::from_raw(layout, &[1.0, 0.0]).unwrap();
    let mut join = PairJoin::new(0.1, 0, MemoryFiles::default());
    join.push(b"1", row(ours).as_ref()).unwrap();
    assert_eq!(join.push(b"2", row(theirs).as_ref()).unwrap_err().kind, Kind::Mismatch);
    join.push(b"3", row(ours).as_ref()).unwrap();
    let mut found = |_: &[u8], _: &[u8], _| Err(crate::error::Error::new(Kind::Io, "the disk is full"));
    assert_eq!(join.finish(&mut || (), &mut found).unwrap_err().kind, Kind::Io);
}

/// `DATA` has half-precision rows of 13x50: how long all pairs within `THRESHOLD` of `ROWS` of them take.
#[test]
#[ignore = "a measurement"]
fn how_long_all_pairs_take() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let layout = Layout::new(13, 50, 42).unwrap();
    let bytes = 2 * layout.dimensions();
    let count: usize = variable("ROWS").parse().unwrap();
    let mut file = std::io::BufReader::new(std::fs::File::open(variable("DATA")).unwrap());
    let memory = std::env::var("MEMORY_MB").map_or(8, |mb| mb.parse().unwrap()) << 20;
    let mut join = PairJoin::new(variable("THRESHOLD").parse().unwrap(), memory, MemoryFiles::default());
    let mut row = vec![0; bytes];
    for i in 0..count {
        std::io::Read::read_exact(&mut file, &mut row).unwrap();
        let values = row.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]])).collect();
        let embedding = Embedding::from_f16(layout, values).unwrap();
        join.push(i.to_string().as_bytes(), embedding.as_ref()).unwrap();
    }
    let (start, mut pairs) = (std::time::Instant::now(), 0);
    join.finish(&mut || (), &mut |_, _, _| {
        pairs += 1;
        Ok(())
    })
    .unwrap();
    println!("{count} rows: {pairs} pairs in {:.2} s", start.elapsed().as_secs_f64());
}
