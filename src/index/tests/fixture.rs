//! An index over pages in memory, and the rows and queries of its tests.

use crate::error::Result;
use crate::index::*;
use crate::space::{distance, Embedding, EmbeddingRef, Layout, Query};
use half::f16;
use std::cell::RefCell;

/// Pages in memory.
#[derive(Default)]
pub struct Memory {
    pages: RefCell<Vec<(Option<PageTag>, Vec<u8>)>>,
}

impl Pages for Memory {
    fn blocks(&self) -> u32 {
        self.pages.borrow().len() as u32
    }

    fn read(&self, block: u32, tag: PageTag, visit: &mut dyn FnMut(&[u8])) -> PageResult<()> {
        let pages = self.pages.borrow();
        match pages.get(block as usize) {
            Some((found, bytes)) if *found == Some(tag) => {
                visit(bytes);
                Ok(())
            }
            _ => Err(PageError::Stale(block)),
        }
    }
}

impl Memory {
    pub fn put(&self, tag: PageTag, bytes: &[u8]) -> u32 {
        let mut pages = self.pages.borrow_mut();
        let first = pages.len() as u32;
        for chunk in bytes.chunks(PAYLOAD) {
            let mut page = chunk.to_vec();
            page.resize(PAYLOAD, 0);
            pages.push((Some(tag), page));
        }
        first
    }

    pub fn set(&self, block: u32, bytes: &[u8]) {
        self.pages.borrow_mut()[block as usize].1[..bytes.len()].copy_from_slice(bytes);
    }

    pub fn edit(&self, block: u32, edit: impl FnOnce(&mut [u8])) {
        edit(&mut self.pages.borrow_mut()[block as usize].1);
    }
}

/// An index over `rows`, in groups of `group` rows; the rest is in the tail. The block of a TID is the number of its row.
pub struct Fixture {
    pub memory: Memory,
    pub meta: Meta,
    pub rows: Vec<Vec<f16>>,
}

/// Bytes in memory in place of a temporary file.
#[derive(Default)]
pub struct SpillMemory(Vec<u8>);

impl Spill for SpillMemory {
    type At = usize;

    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(self.0.len() - bytes.len())
    }

    fn read(&mut self, at: &usize, out: &mut [u8]) -> Result<()> {
        out.copy_from_slice(&self.0[*at..*at + out.len()]);
        Ok(())
    }
}

impl Fixture {
    /// Groups are of rows as they come.
    pub fn new(layout: Layout, rows: Vec<Vec<f16>>, cells: usize, group: usize, trained_on: usize) -> Self {
        Self::build(layout, rows, cells, group, trained_on, None)
    }

    /// All rows are in groups, of at most `group` rows that are near each other. In memory are at most `in_memory` rows at a time.
    pub fn clustered(
        layout: Layout,
        rows: Vec<Vec<f16>>,
        (cells, clusters): (usize, usize),
        group: usize,
        trained_on: usize,
        in_memory: usize,
    ) -> Self {
        Self::build(layout, rows, cells, group, trained_on, Some((clusters, in_memory)))
    }

    fn build(
        layout: Layout,
        rows: Vec<Vec<f16>>,
        cells: usize,
        group: usize,
        trained_on: usize,
        clusters: Option<(usize, usize)>,
    ) -> Self {
        let memory = Memory::default();
        memory.put(PageTag::of(PageKind::Meta), &[0]);
        let directory = memory.put(PageTag::of(PageKind::Directory), &[0]);
        let step = (rows.len() / trained_on.max(1)).max(1);
        let sample: Vec<f16> = rows.iter().step_by(step).take(trained_on).flatten().copied().collect();
        let quantizer = train_quantizer(layout, &sample, cells).unwrap();
        let tag = PageTag { kind: PageKind::Quantizer, generation: 1 };
        let at = memory.put(tag, &quantizer.to_bytes().unwrap());
        let encoder = quantizer.into_encoder().unwrap();
        let mut entries = Vec::new();
        let mut batch = EncodedRows::new(layout);
        let mut write_group = |batch: &EncodedRows| {
            let (shape, bytes) = encode_group(batch, cells)?;
            let generation = 2 + entries.len() as u32;
            let first = memory.put(PageTag { kind: PageKind::Group, generation }, &bytes);
            let (pages, rows) = (shape.pages(), shape.rows as u32);
            let state = ExtentState::Group;
            entries.push(DirectoryEntry { state, first, pages, generation, rows, live: rows });
            Ok(())
        };
        let clusters = clusters.and_then(|(clusters, in_memory)| {
            let clusters = Clusters::train(layout, &sample, clusters).unwrap()?;
            let limit = in_memory * EncodedRows::row_memory(layout);
            Some((ClusterSort::new(clusters, layout, limit, SpillMemory::default()).unwrap(), limit / 2))
        });
        let mut grouped = rows.len() / group * group;
        if let Some((mut sort, limit)) = clusters {
            grouped = rows.len();
            for (i, row) in rows.iter().enumerate() {
                sort.push(&encoder, tid(i), row).unwrap();
            }
            sort.into_groups(group, limit, write_group).unwrap();
        } else {
            for (i, row) in rows[..grouped].iter().enumerate() {
                encoder.push(&mut batch, tid(i), row).unwrap();
                if batch.rows() == group {
                    write_group(&batch).unwrap();
                    batch.clear();
                }
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

    pub fn distance(&self, i: usize, query: &Query) -> f64 {
        let layout = query.layout();
        distance(EmbeddingRef { layout, values: &self.rows[i] }, query.as_ref()).unwrap()
    }

    /// Scans all rows and checks that bounds do not decrease, that none exceeds the row's distance, and that every row comes once.
    pub fn check(&self, query: &Query, mode: SearchMode) -> SearchStats {
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

    /// The k nearest rows, found as the executor does: by reordering the rows of a scan by their true distance.
    pub fn nearest(&self, query: &Query, mode: SearchMode, k: usize) -> (Vec<(f64, usize)>, SearchStats) {
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

pub fn tid(row: usize) -> Tid {
    Tid { block: row as u32, offset: 1 }
}

/// A small generator of pseudo-random numbers, uniform and normal.
pub struct Noise(pub u64);

impl Noise {
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    pub fn normal(&mut self) -> f32 {
        ((-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()) as f32
    }
}

/// Rows around 12 random unit centres for each subspace, noise of 0.1 in each dimension, each subspace of unit length.
pub fn clustered(layout: Layout, rows: usize, seed: u64) -> Vec<Vec<f16>> {
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

/// Any finite half-precision number; zero, subnormal numbers and the largest ones are more likely than others.
pub fn any_half(noise: &mut Noise) -> f16 {
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

/// Rows that no real model makes: any numbers at all, equal rows, rows that differ in the last bit, zeros.
pub fn absurd(layout: Layout, rows: usize, noise: &mut Noise) -> Vec<Vec<f16>> {
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

/// A query with any mask, whose targets are a row, near a row, a shortened row, or if `absurd` anything at all; then weights also
/// cover the range of single precision.
pub fn any_query(layout: Layout, rows: &[Vec<f16>], noise: &mut Noise, absurd: bool) -> Query {
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
                // Short, as the mean of rows that have little in common.
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
