//! The index over pages in memory: bounds are bounds, every row comes once, and damage is an error.

pub mod fixture;
mod timing;

use super::*;
use crate::space::{Embedding, EmbeddingRef, Layout, Query};
use fixture::{absurd, any_query, clustered, tid, Fixture, Memory, Noise};
use half::f16;
use proptest::prelude::*;
use proptest::sample::Index;
use std::cell::Cell;

/// Checks searches over random indexes; returns how many pairs of row and query were compared.
fn check_random_indexes(cases: usize, seed: u64) -> usize {
    let mut noise = Noise(seed);
    let mut pairs = 0;
    for _ in 0..cases {
        let layout = Layout::new(1 + noise.below(4), 1 + noise.below(40), 7).unwrap();
        let (count, wild) = (1 + noise.below(700), noise.below(2) == 0);
        let rows = if wild { absurd(layout, count, &mut noise) } else { clustered(layout, count, noise.0) };
        let cells = [1 + noise.below(CHILDREN), CHILDREN * (1 + noise.below(CHILDREN))][noise.below(2)];
        let group = 1 + count / DIRECTORY_ENTRIES + noise.below(count);
        let trained_on = noise.below(2 * count);
        let fixture = if noise.below(2) == 0 {
            Fixture::new(layout, rows, cells, group, trained_on)
        } else {
            let clusters = noise.below(count / 32 + 2);
            Fixture::clustered(layout, rows, (cells, clusters), group, trained_on, noise.below(count))
        };
        for _ in 0..20 {
            let query = any_query(layout, &fixture.rows, &mut noise, wild);
            fixture.check(&query, SearchMode::Exact);
            pairs += count;
        }
        let query = any_query(layout, &fixture.rows, &mut noise, wild);
        fixture.check(&query, SearchMode::Candidates(1 + noise.below(100)));
        fixture.check(&query, SearchMode::Recall(0.5 + 0.5 * noise.unit()));
        pairs += 2 * count;
    }
    pairs
}

#[test]
fn bounds_never_exceed_distances_and_every_row_comes_once() {
    check_random_indexes(60, 1);
}

#[test]
fn rows_beyond_the_first_cutoff_come_once_and_in_order_too() {
    let layout = Layout::new(3, 6, 7).unwrap();
    for cells in [CHILDREN, MAX_CELLS] {
        let fixture = Fixture::new(layout, clustered(layout, 20_000, 5), cells, 6000, 2000);
        let mut noise = Noise(3);
        for _ in 0..6 {
            let query = any_query(layout, &fixture.rows, &mut noise, false);
            fixture.check(&query, SearchMode::Exact);
            fixture.check(&query, SearchMode::Candidates(300));
            fixture.check(&query, SearchMode::Recall(0.9));
        }
        // Queries on one subspace have a strategy of their own.
        for k in 0..3 {
            let row = EmbeddingRef { layout, values: &fixture.rows[noise.below(20_000)] };
            fixture.check(&Query::like(row, &[k]).unwrap(), SearchMode::Exact);
            fixture.check(&Query::like(row, &[k]).unwrap(), SearchMode::Recall(0.9));
            let target: Vec<f32> = (0..6).map(|d| d as f32 / 8.0 - 0.3).collect();
            fixture.check(&Query::subspace(layout, k, &target).unwrap(), SearchMode::Exact);
        }
    }
}

#[test]
fn equal_rows_by_the_thousand_come_once_and_in_order() {
    let layout = Layout::new(3, 6, 7).unwrap();
    let some = clustered(layout, 3, 5);
    let rows: Vec<Vec<f16>> =
        (0..9000).map(|i| some[usize::from(i % 100 == 7) + usize::from(i % 1000 == 3)].clone()).collect();
    for cells in [CHILDREN, MAX_CELLS] {
        let fixture = Fixture::new(layout, rows.clone(), cells, 2500, 2000);
        for row in &some {
            let row = EmbeddingRef { layout, values: row };
            for mask in [&[0, 1, 2][..], &[0, 2], &[1]] {
                fixture.check(&Query::like(row, mask).unwrap(), SearchMode::Exact);
                fixture.check(&Query::like(row, mask).unwrap(), SearchMode::Recall(0.99));
            }
        }
    }
}

/// Rows between rows that are near each other, as images of one kind of product lie, with little noise.
fn between_near_rows(layout: Layout, count: usize) -> Vec<Vec<f16>> {
    let (some, mut noise) = (clustered(layout, 120, 9), Noise(4));
    let near = |i: usize, other: usize| {
        let squared = |k: usize| {
            let range = layout.range(k);
            let pairs = some[i][range.clone()].iter().zip(&some[other][range]);
            pairs.map(|(a, b)| (a.to_f32() - b.to_f32()).powi(2)).sum::<f32>()
        };
        (0..layout.subspaces()).map(squared).sum::<f32>()
    };
    let of_row = |i: usize| {
        let mut others: Vec<usize> = (0..some.len()).filter(|&other| other != i).collect();
        others.sort_by(|&a, &b| near(i, a).total_cmp(&near(i, b)));
        others
    };
    let neighbours: Vec<Vec<usize>> = (0..some.len()).map(of_row).collect();
    let mut row = |_| {
        let i = noise.below(some.len());
        let (a, b, share) = (&some[i], &some[neighbours[i][noise.below(8)]], noise.unit() as f32);
        let mixed: Vec<f32> = a
            .iter()
            .zip(b)
            .map(|(a, b)| (1.0 - share) * a.to_f32() + share * b.to_f32() + 0.01 * noise.normal())
            .collect();
        Embedding::from_raw(layout, &mixed).unwrap().as_ref().values.to_vec()
    };
    (0..count).map(&mut row).collect()
}

#[test]
fn a_search_at_a_recall_finds_the_share_that_it_promises_and_looks_at_few_rows() {
    let layout = Layout::new(6, 16, 7).unwrap();
    for rows in [between_near_rows(layout, 30_000), clustered(layout, 30_000, 6)] {
        let fixture = Fixture::clustered(layout, rows, (MAX_CELLS, 12), 4096, 8192, 10_000);
        for recall in [0.9, 0.99] {
            for mask in [&[2][..], &[1, 4], &[0, 3, 5], &[0, 1, 2, 3], &[0, 1, 2, 3, 4, 5]] {
                let (mut right, mut refined) = (0, 0);
                for i in 0..40 {
                    let row = EmbeddingRef { layout, values: &fixture.rows[i * 700] };
                    let query = Query::like(row, mask).unwrap();
                    let (exact, _) = fixture.nearest(&query, SearchMode::Exact, 10);
                    let (found, stats) = fixture.nearest(&query, SearchMode::Recall(recall), 10);
                    right += found.iter().filter(|found| found.0 <= exact[9].0).count();
                    refined += stats.refined as usize;
                }
                let found = right as f64 / 400.0;
                assert!(found >= recall - 0.01, "{found} of {recall} in {mask:?}");
                assert!(refined / 40 < 6000, "{} of 30000 rows refined in {mask:?}", refined / 40);
            }
        }
    }
}

#[test]
fn a_search_at_a_recall_for_whose_rows_their_cells_say_nothing_becomes_an_exact_one() {
    let layout = Layout::new(4, 30, 7).unwrap();
    let mut noise = Noise(8);
    let mut row = |_| {
        let raw: Vec<f32> = (0..120).map(|_| noise.normal()).collect();
        Embedding::from_raw(layout, &raw).unwrap().as_ref().values.to_vec()
    };
    let fixture = Fixture::new(layout, (0..40_000).map(&mut row).collect(), MAX_CELLS, 10_000, 4096);
    let query = Query::superspace(layout, vec![0.01; 120]).unwrap();
    let (found, stats) = fixture.nearest(&query, SearchMode::Recall(0.99), 10);
    assert_eq!(found, fixture.nearest(&query, SearchMode::Exact, 10).0);
    assert_eq!(stats.bounded, 40_000, "as in an exact search");
    fixture.check(&query, SearchMode::Recall(0.99));
}

/// `SEED=... cargo test --release a_hundred_million -- --ignored`
#[test]
#[ignore = "takes a minute"]
fn a_hundred_million_bounds_never_exceed_distances() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let mut pairs = 0;
    for round in 0.. {
        pairs += check_random_indexes(100, seed + round * 1000);
        if pairs >= 100_000_000 {
            break;
        }
    }
    println!("{pairs} pairs");
}

#[test]
fn nearest_rows_are_those_of_brute_force() {
    let layout = Layout::new(4, 20, 7).unwrap();
    let fixture = Fixture::new(layout, clustered(layout, 3000, 5), 16, 900, 1000);
    let mut noise = Noise(3);
    for _ in 0..100 {
        let query = any_query(layout, &fixture.rows, &mut noise, false);
        let (found, _) = fixture.nearest(&query, SearchMode::Exact, 10);
        let mut all: Vec<f64> = (0..3000).map(|i| fixture.distance(i, &query)).collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), all[..10]);
    }
}

#[test]
fn an_index_keeps_the_oldest_format_that_can_say_what_it_is() {
    let layout = Layout::new(2, 5, 7).unwrap();
    let meta = Fixture::new(layout, clustered(layout, 10, 1), 4, 1000, 10).meta;
    let changed = Meta { layout: None, tail_generation: 9, horizon: 1 << 40 | 77, ..meta };
    let finer = Meta { cells: MAX_CELLS as u32, ..meta };
    for (meta, version) in [(meta, OLDEST_VERSION), (changed, 3), (finer, VERSION)] {
        assert_eq!(meta.to_bytes()[4..8], version.to_le_bytes());
        assert_eq!(Meta::from_bytes(&meta.to_bytes()).map_err(PageError::into_error).unwrap(), meta);
    }
}

#[test]
fn a_metapage_with_impossible_cells_is_damaged() {
    let layout = Layout::new(2, 5, 7).unwrap();
    let meta = Fixture::new(layout, clustered(layout, 10, 1), 4, 1000, 10).meta;
    for (version, cells) in [(2, 0), (2, 17), (3, 32), (4, 17), (4, 272)] {
        let mut bytes = meta.to_bytes();
        bytes[4..8].copy_from_slice(&u32::to_le_bytes(version));
        bytes[16..20].copy_from_slice(&u32::to_le_bytes(cells));
        let error = Meta::from_bytes(&bytes).unwrap_err().into_error();
        assert!(error.detail.is_some_and(|detail| detail.contains("cells")), "{version} {cells}");
    }
}

#[test]
fn without_a_distance_every_row_comes_once() {
    let layout = Layout::new(2, 5, 7).unwrap();
    let fixture = Fixture::new(layout, clustered(layout, 2900, 5), 4, 900, 1000);
    let queries = [(2, 5, 8), (2, 7, 7), (9, 9, 7), (1, 5, 7)].map(|(k, n, fingerprint)| {
        let other = Layout::new(k, n, fingerprint).unwrap();
        Cursor::new(Query::superspace(other, vec![0.5; other.dimensions()]).unwrap(), SearchMode::Exact)
    });
    for mut cursor in queries.into_iter().chain([Cursor::unordered()]) {
        let mut seen = vec![false; fixture.rows.len()];
        while let Some((tid, bound)) = cursor.next(&fixture.memory).map_err(PageError::into_error).unwrap() {
            assert_eq!(bound, None);
            assert!(!std::mem::replace(&mut seen[tid.block as usize], true), "{tid:?} came twice");
        }
        assert!(seen.iter().all(|s| *s), "rows are missing");
    }
}

#[test]
fn the_largest_embeddings_work() {
    for (k, n) in [(1, MAX_INDEX_DIMENSIONS), (2, 1000), (64, 5), (MAX_INDEX_DIMENSIONS, 1), (3, 511)] {
        let layout = Layout::new(k, n, 7).unwrap();
        let mut noise = Noise(9);
        for cells in [3, 2 * CHILDREN] {
            let fixture = Fixture::new(layout, absurd(layout, 70, &mut noise), cells, 66, 40);
            for _ in 0..4 {
                let query = any_query(layout, &fixture.rows, &mut noise, true);
                fixture.check(&query, SearchMode::Exact);
                fixture.check(&query, SearchMode::Recall(0.9));
            }
        }
    }
}

#[test]
fn rows_that_share_a_cell_come_once_and_in_order() {
    let layout = Layout::new(3, 6, 7).unwrap();
    let some = clustered(layout, 4000, 5);
    let mut noise = Noise(6);
    let mut near_one = |_| {
        let raw: Vec<f32> = some[0].iter().map(|v| v.to_f32() + 1e-3 * noise.normal()).collect();
        Embedding::from_raw(layout, &raw).unwrap().as_ref().values.to_vec()
    };
    let half: Vec<Vec<f16>> = (0..4000).map(&mut near_one).chain(some.iter().cloned()).collect();
    for rows in [half, vec![some[0].clone(); 5000]] {
        let fixture = Fixture::new(layout, rows, MAX_CELLS, 2500, 2000);
        for row in [&some[0], &some[1]] {
            let row = EmbeddingRef { layout, values: row };
            for mask in [&[0, 1, 2][..], &[0, 2], &[1]] {
                let query = Query::like(row, mask).unwrap();
                fixture.check(&query, SearchMode::Exact);
                fixture.check(&query, SearchMode::Recall(0.99));
            }
        }
    }
}

/// Pages with a chain that grows: whenever its last page is read, another page is appended, `times` times.
struct Growing<'a> {
    memory: &'a Memory,
    tag: PageTag,
    last: Cell<u32>,
    times: Cell<u32>,
}

impl Pages for Growing<'_> {
    fn blocks(&self) -> u32 {
        self.memory.blocks()
    }

    fn read(&self, block: u32, tag: PageTag, visit: &mut dyn FnMut(&[u8])) -> PageResult<()> {
        if block == self.last.get() && self.times.get() > 0 {
            self.times.set(self.times.get() - 1);
            self.last.set(self.memory.put(self.tag, &[0]));
            // Tail pages and null pages have the link at the same offset.
            self.memory.edit(block, |page| tail_page::set_next(page, self.last.get()));
        }
        self.memory.read(block, tag, visit)
    }
}

#[test]
fn chains_that_grow_under_a_reader_are_accepted_and_cycles_are_errors() {
    let layout = Layout::new(2, 8, 42).unwrap();
    let Fixture { memory, mut meta, .. } = Fixture::new(layout, clustered(layout, 20, 1), 4, 1000, 20);
    meta.nulls_first = memory.put(PageTag::of(PageKind::Nulls), &[0]);
    for (kind, first, last) in [
        (PageKind::Tail, meta.tail_first, meta.tail_last),
        (PageKind::Nulls, meta.nulls_first, meta.nulls_first),
    ] {
        let count_pages = |pages: &dyn Pages| {
            let mut pages_seen = 0;
            match kind {
                PageKind::Tail => meta.scan_tail(pages, layout, &mut |_, _| {
                    pages_seen += 1;
                    Ok(())
                }),
                _ => meta.scan_nulls(pages, &mut |_, _| {
                    pages_seen += 1;
                    Ok(())
                }),
            }
            .map(|()| pages_seen)
        };
        let before = count_pages(&memory).unwrap();
        let times = 3 * memory.blocks();
        let tag = PageTag::of(kind);
        let growing = Growing { memory: &memory, tag, last: Cell::new(last), times: Cell::new(times) };
        assert_eq!(count_pages(&growing).unwrap(), before + times);
        memory.edit(growing.last.get(), |page| tail_page::set_next(page, first));
        let error = count_pages(&memory).unwrap_err().into_error();
        assert!(error.detail.is_some_and(|detail| detail.contains("cycle")), "{kind:?}");
    }
}

#[test]
fn a_group_and_a_quantizer_round_trip() {
    let layout = Layout::new(3, 7, 7).unwrap();
    let rows = clustered(layout, 500, 1);
    for cells in [5, 32] {
        round_trip(layout, &rows, cells);
    }
}

fn round_trip(layout: Layout, rows: &[Vec<f16>], cells: usize) {
    let quantizer = train_quantizer(layout, &rows.concat(), cells).unwrap();
    let mut encoded = EncodedRows::new(layout);
    let encoder = quantizer.clone().into_encoder().unwrap();
    rows.iter().enumerate().for_each(|(i, row)| encoder.push(&mut encoded, tid(i), row).unwrap());
    let (shape, bytes) = encode_group(&encoded, cells).unwrap();
    let memory = Memory::default();
    let tag = PageTag { kind: PageKind::Group, generation: 3 };
    let extent = Extent { first: memory.put(tag, &bytes), tag };
    let back = decode_group(&memory, extent, &shape).map_err(PageError::into_error).unwrap();
    assert_eq!((&back.tids, &back.codes), (&encoded.tids, &encoded.codes));
    for (a, b) in back.metadata.iter().zip(&encoded.metadata) {
        assert_eq!((a.cell, a.coarse_error, a.fine_error), (b.cell, b.coarse_error, b.fine_error));
        assert!(a.min_radius <= b.min_radius && a.max_radius >= b.max_radius);
    }
    let mut reader = RowReader::default();
    for row in 0..rows.len() {
        let mut expected = EncodedRows::new(layout);
        expected.extend(&back, row..row + 1).unwrap();
        let one = reader.read(&memory, extent, &shape, row).map_err(PageError::into_error).unwrap();
        assert_eq!(one, expected);
        let mut bytes = Vec::new();
        one.append_bytes(&mut bytes).unwrap();
        assert_eq!(bytes.len(), EncodedRows::row_bytes(layout));
        let mut from_bytes = EncodedRows::new(layout);
        from_bytes.extend_from_bytes(&bytes).unwrap();
        assert_eq!(from_bytes, one);
    }
    let quantizer_extent = Extent { first: memory.put(tag, &quantizer.to_bytes().unwrap()), tag };
    let read =
        Quantizer::read(&memory, quantizer_extent, layout, cells).map_err(PageError::into_error).unwrap();
    assert_eq!(read, quantizer);
}

#[test]
fn a_sketch_that_is_not_of_its_codes_is_damaged() {
    let layout = Layout::new(3, 7, 7).unwrap();
    let fixture = Fixture::new(layout, clustered(layout, 300, 1), MAX_CELLS, 300, 300);
    let snapshot = IndexSnapshot::read(&fixture.memory, &mut (), &mut |_| (), &mut |_, _, _| Ok(()));
    let (extent, shape) = snapshot.map_err(PageError::into_error).unwrap().groups[0];
    for (offset, is_checked) in [(0, true), (1, false), (2, true)] {
        let at = shape.sketch(200, 1).start + offset;
        let flip =
            || fixture.memory.edit(extent.first + (at / PAYLOAD) as u32, |page| page[at % PAYLOAD] ^= 1);
        flip();
        let read = RowReader::default().read(&fixture.memory, extent, &shape, 200);
        // What a correction should be only the row itself tells.
        assert_eq!(
            (read.is_err(), decode_group(&fixture.memory, extent, &shape).is_err()),
            (is_checked, is_checked)
        );
        flip();
    }
}

proptest! {
    #[test]
    fn damaged_pages_are_errors_or_wrong_answers_but_never_a_panic(
        seed in any::<u64>(),
        damage in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..8),
    ) {
        let layout = Layout::new(2, 9, 7).unwrap();
        let mut noise = Noise(seed);
        let cells = [4, 2 * CHILDREN][noise.below(2)];
        let fixture = Fixture::new(layout, clustered(layout, 90, seed), cells, 40, 40);
        for (block, at, value) in damage {
            let block = block.index(fixture.meta.end as usize) as u32;
            let at = at.index(if block == 0 { Meta::SIZE } else { 1200 });
            fixture.memory.edit(block, |page| page[at] = value);
        }
        for mode in [SearchMode::Exact, SearchMode::Candidates(7), SearchMode::Recall(0.9)] {
            let query = any_query(layout, &fixture.rows, &mut noise, false);
            let mut cursor = Cursor::new(query, mode);
            while let Ok(Some(_)) = cursor.next(&fixture.memory) {}
        }
        if let Ok(snapshot) = IndexSnapshot::read(&fixture.memory, &mut (), &mut |_| (), &mut |_, _, _| Ok(())) {
            for (extent, shape) in snapshot.groups {
                let _ = decode_group(&fixture.memory, extent, &shape);
                let _ = RowReader::default().read(&fixture.memory, extent, &shape, shape.rows / 2);
            }
        }
    }
}
