//! The index over pages in memory: bounds, order, and how long it takes.

use super::*;
use crate::space::{distance, Embedding, EmbeddingRef, Layout, Query};
use half::f16;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};

/// Pages in memory.
#[derive(Default)]
struct Memory {
    pages: RefCell<Vec<(Option<PageTag>, Vec<u8>)>>,
}

impl Pages for Memory {
    fn blocks(&self) -> u32 {
        self.pages.borrow().len() as u32
    }

    fn read(&self, block: u32, tag: PageTag, look: &mut dyn FnMut(&[u8])) -> PageResult<()> {
        let pages = self.pages.borrow();
        match pages.get(block as usize) {
            Some((found, bytes)) if *found == Some(tag) => {
                look(bytes);
                Ok(())
            }
            _ => Err(PageError::Stale(block)),
        }
    }
}

impl Memory {
    fn put(&self, tag: PageTag, bytes: &[u8]) -> u32 {
        let mut pages = self.pages.borrow_mut();
        let first = pages.len() as u32;
        for chunk in bytes.chunks(PAYLOAD) {
            let mut page = chunk.to_vec();
            page.resize(PAYLOAD, 0);
            pages.push((Some(tag), page));
        }
        first
    }

    fn set(&self, block: u32, bytes: &[u8]) {
        self.pages.borrow_mut()[block as usize].1[..bytes.len()].copy_from_slice(bytes);
    }

    fn edit(&self, block: u32, edit: impl FnOnce(&mut [u8])) {
        edit(&mut self.pages.borrow_mut()[block as usize].1);
    }
}

/// An index over `rows`, in groups of `group` rows; what is left over waits in the tail. TIDs are row numbers from 1.
struct Fixture {
    memory: Memory,
    meta: Meta,
    rows: Vec<Vec<f16>>,
}

impl Fixture {
    fn new(layout: Layout, rows: Vec<Vec<f16>>, cells: usize, group: usize, trained_on: usize) -> Self {
        let memory = Memory::default();
        memory.put(PageTag::of(PageKind::Meta), &[0]);
        let directory = memory.put(PageTag::of(PageKind::Directory), &[0]);
        let sample: Vec<f16> = rows.iter().take(trained_on).flatten().copied().collect();
        let quantizer = train_quantizer(layout, &sample, cells).unwrap();
        let tag = PageTag { kind: PageKind::Quantizer, generation: 1 };
        let at = memory.put(tag, &quantizer.to_bytes().unwrap());
        let encoder = quantizer.into_encoder().unwrap();
        let mut entries = Vec::new();
        let mut batch = EncodedRows::new(layout);
        let grouped = rows.len() / group * group;
        for (i, row) in rows[..grouped].iter().enumerate() {
            encoder.push(&mut batch, tid(i), row).unwrap();
            if batch.rows() == group {
                let (shape, bytes) = encode_group(&batch, cells).unwrap();
                let generation = 2 + entries.len() as u32;
                let first = memory.put(PageTag { kind: PageKind::Group, generation }, &bytes);
                let rows = group as u32;
                entries.push(DirectoryEntry {
                    state: ExtentState::Group,
                    first,
                    pages: shape.pages(),
                    generation,
                    rows,
                    live: rows,
                });
                batch.clear();
            }
        }
        memory.edit(directory, |page| {
            for (i, entry) in entries.iter().enumerate() {
                DirectoryPage::set_entry(page, i, *entry);
            }
        });
        let mut tail = (NO_BLOCK, NO_BLOCK);
        for (i, row) in rows.iter().enumerate().skip(grouped) {
            let mut fits = false;
            if tail.1 != NO_BLOCK {
                memory.edit(tail.1, |page| fits = tail_page::append(page, layout, tid(i), row).unwrap());
            }
            if !fits {
                let next = memory.put(PageTag::of(PageKind::Tail), &[0]);
                memory.edit(next, |page| assert!(tail_page::append(page, layout, tid(i), row).unwrap()));
                match tail.1 {
                    NO_BLOCK => tail.0 = next,
                    last => memory.edit(last, |page| tail_page::set_next(page, next)),
                }
                tail.1 = next;
            }
        }
        let meta = Meta {
            layout: Some(layout),
            cells: cells as u32,
            tail_rows: group as u32,
            reorganizations: 1,
            next_generation: 1000,
            end: memory.pages.borrow().len() as u32,
            directory,
            quantizer: at,
            quantizer_generation: 1,
            tail_first: tail.0,
            tail_last: tail.1,
            tail_pages: 0,
            tail_generation: 0,
            free: NO_BLOCK,
            nulls_first: NO_BLOCK,
            nulls_open: NO_BLOCK,
            horizon: 0,
        };
        memory.set(0, &meta.to_bytes());
        Self { memory, meta, rows }
    }

    fn distance(&self, i: usize, query: &Query) -> f64 {
        let layout = query.layout();
        distance(EmbeddingRef { layout, values: &self.rows[i] }, query.as_ref()).unwrap()
    }

    /// All rows in the order of a scan, checked: bounds that grow and are bounds; every row once.
    fn check(&self, query: &Query, mode: SearchMode) -> SearchStats {
        let mut cursor = Cursor::new(query.clone(), mode);
        let (mut last, mut seen) = (0.0, vec![false; self.rows.len()]);
        while let Some((tid, bound)) = cursor.next(&self.memory).map_err(PageError::into_error).unwrap() {
            let row = tid.block as usize;
            assert!(!seen[row], "row {row} came twice");
            seen[row] = true;
            let bound = bound.expect("a distance from its own model's rows");
            assert!(bound >= last || mode != SearchMode::Exact, "{bound} after {last}");
            last = bound;
            let distance = self.distance(row, query);
            assert!(bound <= distance, "row {row}: {bound} is above {distance} for {query:?}");
        }
        assert!(seen.iter().all(|s| *s), "rows are missing");
        cursor.stats()
    }

    /// The executor's reordering: the k nearest, and how many rows were fetched for them.
    fn nearest(&self, query: &Query, mode: SearchMode, k: usize) -> (Vec<(f64, usize)>, SearchStats) {
        let mut cursor = Cursor::new(query.clone(), mode);
        let mut found: Vec<(f64, usize)> = Vec::new();
        while let Some((tid, bound)) = cursor.next(&self.memory).map_err(PageError::into_error).unwrap() {
            found.push((self.distance(tid.block as usize, query), tid.block as usize));
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            if found.len() >= k && bound.is_some_and(|bound| found[k - 1].0 <= bound) {
                break;
            }
        }
        found.truncate(k);
        (found, cursor.stats())
    }
}

fn tid(row: usize) -> Tid {
    Tid { block: row as u32, offset: 1 }
}

/// A small generator of pseudo-random numbers, uniform and normal.
struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    fn normal(&mut self) -> f32 {
        ((-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()) as f32
    }
}

/// Rows around 12 random unit centres for each subspace, noise of 0.1 in each dimension, each subspace of unit length.
fn clustered(layout: Layout, rows: usize, seed: u64) -> Vec<Vec<f16>> {
    let (k, n) = (layout.subspaces(), layout.subspace_dim());
    let mut noise = Noise(seed);
    let centres: Vec<f32> = (0..k * 12)
        .flat_map(|_| {
            let v: Vec<f32> = (0..n).map(|_| noise.normal()).collect();
            let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt();
            v.into_iter().map(move |x| x / norm)
        })
        .collect();
    (0..rows)
        .map(|_| {
            let raw: Vec<f32> = (0..k)
                .flat_map(|k| {
                    let c = (12 * k + noise.below(12)) * n;
                    (c..c + n).map(|i| centres[i] + 0.1 * noise.normal()).collect::<Vec<_>>()
                })
                .collect();
            Embedding::from_raw(layout, &raw).unwrap().as_ref().values.to_vec()
        })
        .collect()
}

/// A number from everywhere that half precision reaches, the borders more often than they deserve.
fn any_half(noise: &mut Noise) -> f16 {
    match noise.below(8) {
        0 => f16::ZERO,
        1 => f16::from_bits(1 + noise.below(0x3ff) as u16),
        2 => f16::MAX,
        3 => f16::MIN,
        _ => loop {
            let v = f16::from_bits(noise.below(65536) as u16);
            if v.is_finite() {
                break v;
            }
        },
    }
}

/// Rows that no sane model makes: any numbers at all, equal rows, rows that differ in the last bit, zeros.
fn absurd(layout: Layout, rows: usize, noise: &mut Noise) -> Vec<Vec<f16>> {
    let n = layout.dimensions();
    let mut out: Vec<Vec<f16>> = Vec::new();
    for _ in 0..rows {
        let row = match noise.below(6) {
            0 => vec![f16::ZERO; n],
            1 => (0..n).map(|_| any_half(noise)).collect(),
            2 if !out.is_empty() => out[noise.below(out.len())].clone(),
            3 if !out.is_empty() => {
                let mut row = out[noise.below(out.len())].clone();
                let at = noise.below(n);
                let near = f16::from_bits(row[at].to_bits() ^ 1);
                row[at] = if near.is_finite() { near } else { row[at] };
                row
            }
            _ => (0..n).map(|_| f16::from_f32(noise.normal() / (n as f32).sqrt())).collect(),
        };
        out.push(row);
    }
    out
}

/// A query with any mask: at a row, near one, on the way to it, or anywhere; weights from one end of single precision to the other.
fn any_query(layout: Layout, rows: &[Vec<f16>], noise: &mut Noise, absurd: bool) -> Query {
    let n = layout.subspace_dim();
    let only = (noise.below(3) == 0).then(|| noise.below(layout.subspaces()));
    loop {
        let (mut weights, mut targets) = (Vec::new(), Vec::new());
        for k in 0..layout.subspaces() {
            if only.map_or(noise.below(2) == 0, |o| o != k) {
                weights.push(0.0);
                continue;
            }
            weights.push(match noise.below(if absurd { 4 } else { 2 }) {
                0 => 1.0,
                1 => 0.01 + 4.0 * noise.unit() as f32,
                2 => f32::from_bits(1 + noise.below(0x7f7f_ffff) as u32),
                _ => [f32::MIN_POSITIVE, 1e-40, f32::MAX][noise.below(3)],
            });
            let row = &rows[noise.below(rows.len())][layout.range(k)];
            let length = noise.unit() as f32;
            match noise.below(if absurd { 6 } else { 3 }) {
                0 => targets.extend(row.iter().map(|v| v.to_f32())),
                1 => targets.extend(row.iter().map(|v| v.to_f32() + 0.05 * noise.normal())),
                // Like the mean of rows that have little in common.
                2 => targets.extend(row.iter().map(|v| length * v.to_f32() + 0.02 * noise.normal())),
                3 => targets.extend((0..n).map(|_| any_half(noise).to_f32())),
                4 => targets.extend((0..n).map(|_| f32::from_bits(1 + noise.below(0x7f7f_ffff) as u32))),
                _ => targets.extend(row.iter().map(|v| v.to_f32() + 1e-25 * noise.normal())),
            }
        }
        let constant = [0.0, noise.unit(), 1e300 * noise.unit()][noise.below(if absurd { 3 } else { 2 })];
        if let Ok(q) = Query::from_parts(layout, constant, weights, targets) {
            return q;
        }
    }
}

/// How many pairs of row and query were looked at.
fn compare(cases: usize, seed: u64) -> usize {
    let mut noise = Noise(seed);
    let mut pairs = 0;
    for _ in 0..cases {
        let layout = Layout::new(1 + noise.below(4), 1 + noise.below(40), 7).unwrap();
        let (count, wild) = (1 + noise.below(700), noise.below(2) == 0);
        let rows = if wild { absurd(layout, count, &mut noise) } else { clustered(layout, count, noise.0) };
        let (cells, group) = (1 + noise.below(MAX_CELLS), 1 + count / DIRECTORY_ENTRIES + noise.below(count));
        let trained_on = noise.below(2 * count);
        let fixture = Fixture::new(layout, rows, cells, group, trained_on);
        for _ in 0..20 {
            let query = any_query(layout, &fixture.rows, &mut noise, wild);
            fixture.check(&query, SearchMode::Exact);
            pairs += count;
        }
        let query = any_query(layout, &fixture.rows, &mut noise, wild);
        fixture.check(&query, SearchMode::Approximate { candidates: 1 + noise.below(100) });
        pairs += count;
    }
    pairs
}

#[test]
fn bounds_are_bounds_and_every_row_comes_once() {
    compare(60, 1);
}

#[test]
fn rows_beyond_the_first_cut_come_once_and_in_order_too() {
    let layout = Layout::new(3, 6, 7).unwrap();
    let fixture = Fixture::new(layout, clustered(layout, 20_000, 5), 16, 6000, 2000);
    let mut noise = Noise(3);
    for _ in 0..6 {
        let query = any_query(layout, &fixture.rows, &mut noise, false);
        fixture.check(&query, SearchMode::Exact);
        fixture.check(&query, SearchMode::Approximate { candidates: 300 });
    }
    // One subspace is searched in another way: in rounds.
    for k in 0..3 {
        let row = EmbeddingRef { layout, values: &fixture.rows[noise.below(20_000)] };
        fixture.check(&Query::like(row, &[k]).unwrap(), SearchMode::Exact);
        let target: Vec<f32> = (0..6).map(|d| d as f32 / 8.0 - 0.3).collect();
        fixture.check(&Query::subspace(layout, k, &target).unwrap(), SearchMode::Exact);
    }
}

/// `SEED=... cargo test --release a_hundred_million_pairs -- --ignored`
#[test]
#[ignore = "takes a minute"]
fn a_hundred_million_pairs_have_bounds_that_are_bounds() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let mut pairs = 0;
    for round in 0.. {
        pairs += compare(100, seed + round * 1000);
        if pairs >= 100_000_000 {
            break;
        }
    }
    println!("{pairs} pairs");
}

#[test]
fn the_nearest_are_those_of_brute_force() {
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
fn the_format_is_the_older_one_until_the_model_changes() {
    let layout = Layout::new(2, 5, 7).unwrap();
    let meta = Fixture::new(layout, clustered(layout, 10, 1), 4, 1000, 10).meta;
    let version = |meta: &Meta| meta.to_bytes()[4..8].to_vec();
    assert_eq!(version(&meta), (VERSION - 1).to_le_bytes());
    let changed = Meta { layout: None, tail_generation: 9, horizon: 1 << 40 | 77, ..meta };
    assert_eq!(version(&changed), VERSION.to_le_bytes());
    for meta in [meta, changed] {
        assert_eq!(Meta::from_bytes(&meta.to_bytes()).map_err(PageError::into_error).unwrap(), meta);
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
fn large_embeddings_work() {
    for (k, n) in [(1, MAX_INDEX_DIMENSIONS), (2, 1000), (MAX_INDEX_DIMENSIONS, 1), (3, 511)] {
        let layout = Layout::new(k, n, 7).unwrap();
        let mut noise = Noise(9);
        let fixture = Fixture::new(layout, absurd(layout, 70, &mut noise), 3, 66, 40);
        for _ in 0..4 {
            let query = any_query(layout, &fixture.rows, &mut noise, true);
            fixture.check(&query, SearchMode::Exact);
        }
    }
}

/// Pages to whose last one of a chain others add another page whenever somebody reads it, so many times.
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

    fn read(&self, block: u32, tag: PageTag, look: &mut dyn FnMut(&[u8])) -> PageResult<()> {
        if block == self.last.get() && self.times.get() > 0 {
            self.times.set(self.times.get() - 1);
            self.last.set(self.memory.put(self.tag, &[0]));
            // The link is at the same place on pages of the tail and on those of rows without an embedding.
            self.memory.edit(block, |page| tail_page::set_next(page, self.last.get()));
        }
        self.memory.read(block, tag, look)
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
        let walk = |pages: &dyn Pages| {
            let mut walked = 0;
            match kind {
                PageKind::Tail => meta.scan_tail(pages, layout, &mut |_, _| {
                    walked += 1;
                    Ok(())
                }),
                _ => meta.scan_nulls(pages, &mut |_, _| {
                    walked += 1;
                    Ok(())
                }),
            }
            .map(|()| walked)
        };
        let before = walk(&memory).unwrap();
        let times = 3 * memory.blocks();
        let tag = PageTag::of(kind);
        let growing = Growing { memory: &memory, tag, last: Cell::new(last), times: Cell::new(times) };
        assert_eq!(walk(&growing).unwrap(), before + times);
        memory.edit(growing.last.get(), |page| tail_page::set_next(page, first));
        let error = walk(&memory).unwrap_err().into_error();
        assert!(error.detail.is_some_and(|detail| detail.contains("cycle")), "{kind:?}");
    }
}

#[test]
fn a_group_comes_back_as_it_went_in() {
    let layout = Layout::new(3, 7, 7).unwrap();
    let rows = clustered(layout, 500, 1);
    let quantizer = train_quantizer(layout, &rows.concat(), 5).unwrap();
    let mut batch = EncodedRows::new(layout);
    let encoder = quantizer.clone().into_encoder().unwrap();
    rows.iter().enumerate().for_each(|(i, row)| encoder.push(&mut batch, tid(i), row).unwrap());
    let (shape, bytes) = encode_group(&batch, 5).unwrap();
    let memory = Memory::default();
    let tag = PageTag { kind: PageKind::Group, generation: 3 };
    let extent = Extent { first: memory.put(tag, &bytes), tag };
    let back = decode_group(&memory, extent, &shape).map_err(PageError::into_error).unwrap();
    assert_eq!((&back.tids, &back.codes), (&batch.tids, &batch.codes));
    for (a, b) in back.metadata.iter().zip(&batch.metadata) {
        assert_eq!((a.cell, a.coarse_error, a.fine_error), (b.cell, b.coarse_error, b.fine_error));
        assert!(a.min_radius <= b.min_radius && a.max_radius >= b.max_radius);
    }
    let quantizer_extent = Extent { first: memory.put(tag, &quantizer.to_bytes().unwrap()), tag };
    let read = Quantizer::read(&memory, quantizer_extent, layout, 5).map_err(PageError::into_error).unwrap();
    assert_eq!(read, quantizer);
}

proptest! {
    #[test]
    fn damaged_pages_are_errors_or_wrong_answers_but_never_a_panic(
        seed in any::<u64>(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let layout = Layout::new(2, 9, 7).unwrap();
        let mut noise = Noise(seed);
        let fixture = Fixture::new(layout, clustered(layout, 90, seed), 4, 40, 40);
        for (block, at, value) in damage {
            let block = block.index(fixture.meta.end as usize) as u32;
            fixture.memory.edit(block, |page| page[at.index(if block == 0 { Meta::SIZE } else { 1200 })] = value);
        }
        for mode in [SearchMode::Exact, SearchMode::Approximate { candidates: 7 }] {
            let query = any_query(layout, &fixture.rows, &mut noise, false);
            let mut cursor = Cursor::new(query, mode);
            while let Ok(Some(_)) = cursor.next(&fixture.memory) {}
        }
        if let Ok(snapshot) = IndexSnapshot::read(&fixture.memory, &mut (), &mut |_| (), &mut |_, _, _| Ok(())) {
            for (extent, shape) in snapshot.groups {
                let _ = decode_group(&fixture.memory, extent, &shape);
            }
        }
    }
}

/// `cargo test --release --lib how_long_a_search_takes -- --ignored --nocapture`
#[test]
#[ignore = "a benchmark"]
fn how_long_a_search_takes() {
    let number = |name: &str, default: usize| std::env::var(name).map_or(default, |v| v.parse().unwrap());
    let (count, group, cells) = (number("ROWS", 200_000), number("GROUP", 16_384), number("CELLS", 16));
    let layout = Layout::new(8, 50, 7).unwrap();
    let rows = clustered(layout, count, 1);
    let start = std::time::Instant::now();
    let fixture = Fixture::new(layout, rows, cells, group.min(count), 8192);
    println!("build {:.2} s", start.elapsed().as_secs_f64());
    let bytes = f64::from(fixture.meta.end) * 8192.0;
    println!("{:.4} bytes a dimension and row", bytes / count as f64 / 400.0);
    let mut noise = Noise(77);
    let mut question = |kind: &str| -> Query {
        let row = |i: usize| EmbeddingRef { layout, values: &fixture.rows[i] };
        let some = noise.below(count);
        let near = |k: usize| {
            // The mean of a few hundred rows around a row: an attribute value's query.
            let target: Vec<f32> = fixture.rows[some][layout.range(k)].iter().map(|v| v.to_f32()).collect();
            let mut mean = [0f32; 50];
            for other in fixture.rows.iter().take(4000).map(|r| &r[layout.range(k)]) {
                if other.iter().zip(&target).map(|(a, b)| a.to_f32() * b).sum::<f32>() > 0.5 {
                    mean.iter_mut().zip(other).for_each(|(m, x)| *m += x.to_f32());
                }
            }
            let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
            mean.iter().map(|x| x / norm * 0.816).collect::<Vec<f32>>()
        };
        match kind {
            "one, like" => Query::like(row(some), &[3]).unwrap(),
            "one, value" => Query::subspace(layout, 3, &near(3)).unwrap(),
            "two, like" => {
                let a = Query::like(row(some), &[3]).unwrap();
                let b = Query::like(row((some + 1) % count), &[6]).unwrap().as_ref().scaled(2.0).unwrap();
                a.as_ref().plus(&b.as_ref()).unwrap()
            }
            "two, value" => {
                let a = Query::subspace(layout, 3, &near(3)).unwrap();
                let b = Query::subspace(layout, 6, &near(6)).unwrap().as_ref().scaled(2.0).unwrap();
                a.as_ref().plus(&b.as_ref()).unwrap()
            }
            _ => Query::like(row(some), &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap(),
        }
    };
    let only = std::env::var("ONLY").unwrap_or_default();
    for (kind, mode) in [
        ("one, like", SearchMode::Exact),
        ("one, value", SearchMode::Exact),
        ("two, like", SearchMode::Exact),
        ("two, value", SearchMode::Exact),
        ("superspace", SearchMode::Exact),
        ("superspace", SearchMode::Approximate { candidates: 50 }),
        ("superspace", SearchMode::Approximate { candidates: 200 }),
        ("two, value", SearchMode::Approximate { candidates: 200 }),
    ] {
        if !kind.contains(&only) {
            continue;
        }
        let (mut times, mut right, mut total) = (Vec::new(), 0, SearchStats::default());
        for _ in 0..50 {
            let query = question(kind);
            let start = std::time::Instant::now();
            let (found, stats) = fixture.nearest(&query, mode, 10);
            times.push(start.elapsed().as_secs_f64() * 1e3);
            let (exact, _) = fixture.nearest(&query, SearchMode::Exact, 10);
            right += found.iter().filter(|f| f.0 <= exact[9].0).count();
            total.bounded += stats.bounded;
            total.refined += stats.refined;
            total.returned += stats.returned;
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{kind:12} {mode:?}: {:.2} ms (best {:.2}), recall {:.3}, bounded {}, refined {}, returned {}",
            times[25],
            times[2],
            right as f64 / 500.0,
            total.bounded / 50,
            total.refined / 50,
            total.returned / 50
        );
    }
}
