//! Reads damaged pages of an index, as a scan and `coop_index_check()` do: rows or an error, never a panic or an endless loop.
//!
//! The first three bytes of the input choose a query. Then each four bytes overwrite one: three say where (modulo the size of the index), one with what.
#![no_main]

use coopembed::index::{
    decode_group, encode_group, tail_page, train_quantizer, EncodedRows, Cursor, DirectoryPage, DirectoryEntry, PageKind, Meta, SearchMode, NullPage, Pages,
    PageError, Quantizer, PageResult, IndexSnapshot, ExtentState, PageTag, Tid, NO_BLOCK, PAYLOAD,
};
use coopembed::space::{Embedding, Layout, Query};
use half::f16;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const CELLS: usize = 4;
const GROUP: usize = 70;
const ROWS: usize = 2 * GROUP + 20;

/// Pages in memory.
#[derive(Clone, Default)]
struct Memory {
    tags: Vec<PageTag>,
    bytes: Vec<u8>,
}

impl Memory {
    fn put(&mut self, tag: PageTag, bytes: &[u8]) -> u32 {
        let first = self.tags.len();
        let pages = bytes.len().div_ceil(PAYLOAD).max(1);
        self.bytes.extend_from_slice(bytes);
        self.tags.resize(first + pages, tag);
        self.bytes.resize(self.tags.len() * PAYLOAD, 0);
        first as u32
    }

    fn page(&mut self, block: u32) -> &mut [u8] {
        &mut self.bytes[block as usize * PAYLOAD..][..PAYLOAD]
    }
}

impl Pages for Memory {
    fn blocks(&self) -> u32 {
        self.tags.len() as u32
    }

    fn read(&self, block: u32, tag: PageTag, look: &mut dyn FnMut(&[u8])) -> PageResult<()> {
        if self.tags.get(block as usize) != Some(&tag) {
            return Err(PageError::Stale(block));
        }
        look(&self.bytes[block as usize * PAYLOAD..][..PAYLOAD]);
        Ok(())
    }
}

fn tid(row: usize) -> Tid {
    Tid { block: row as u32, offset: 1 }
}

/// Rows that lie in every cell, of unit length in each subspace.
fn rows(layout: Layout) -> Vec<Vec<f16>> {
    let number = |i: usize| ((i as f32 * 12.9898).sin() * 43_758.547).fract();
    let row = |r: usize| (0..layout.dimensions()).map(|d| number(r * 31 + d) + 0.01).collect::<Vec<_>>();
    (0..ROWS)
        .map(|r| Embedding::from_raw(layout, &row(r)).expect("finite").as_ref().values.to_vec())
        .collect()
}

/// A healthy index: two groups, a tail, rows without embedding.
static HEALTHY: LazyLock<(Memory, Layout, Vec<Vec<f16>>)> = LazyLock::new(|| {
    let layout = Layout::new(4, 5, 7).expect("small");
    let rows = rows(layout);
    let mut memory = Memory::default();
    memory.put(PageTag::of(PageKind::Meta), &[]);
    let directory = memory.put(PageTag::of(PageKind::Directory), &[]);
    let quantizer = train_quantizer(layout, &rows.concat(), CELLS).expect("small");
    let at = memory.put(PageTag { kind: PageKind::Quantizer, generation: 1 }, &quantizer.to_bytes().expect("small"));
    let encoder = quantizer.into_encoder().expect("small");
    for (i, group) in rows[..2 * GROUP].chunks(GROUP).enumerate() {
        let mut batch = EncodedRows::new(layout);
        for (j, row) in group.iter().enumerate() {
            encoder.push(&mut batch, tid(i * GROUP + j), row).expect("small");
        }
        let (shape, bytes) = encode_group(&batch, CELLS).expect("small");
        let generation = 2 + i as u32;
        let first = memory.put(PageTag { kind: PageKind::Group, generation }, &bytes);
        let rows = GROUP as u32;
        let entry = DirectoryEntry { state: ExtentState::Group, first, pages: shape.pages(), generation, rows, live: rows };
        DirectoryPage::set_entry(memory.page(directory), i, entry);
    }
    let tail = memory.put(PageTag::of(PageKind::Tail), &[]);
    for (i, row) in rows.iter().enumerate().skip(2 * GROUP) {
        assert!(tail_page::append(memory.page(tail), layout, tid(i), row).expect("healthy"));
    }
    let nulls = memory.put(PageTag::of(PageKind::Nulls), &[]);
    NullPage::set_tids(memory.page(nulls), &[tid(ROWS), tid(ROWS + 1)]);
    let meta = Meta {
        layout: Some(layout),
        cells: CELLS as u32,
        tail_rows: GROUP as u32,
        reorganizations: 1,
        next_generation: 10,
        end: memory.blocks(),
        directory,
        quantizer: at,
        quantizer_generation: 1,
        tail_first: tail,
        tail_last: tail,
        tail_pages: 1,
        tail_generation: 0,
        free: NO_BLOCK,
        nulls_first: nulls,
        nulls_open: nulls,
        horizon: 0,
    };
    memory.page(0)[..Meta::SIZE].copy_from_slice(&meta.to_bytes());
    (memory, layout, rows)
});

/// What `coop_index_check()` reads of an index without its table.
fn check(pages: &Memory) -> PageResult<()> {
    let meta = Meta::read(pages)?;
    let snapshot = IndexSnapshot::read(pages, &mut (), &mut |_| {}, &mut |_, _, _| Ok(()))?;
    meta.scan_nulls(pages, &mut |_, _| Ok(()))?;
    for (extent, shape) in &snapshot.groups {
        decode_group(pages, *extent, shape)?;
    }
    if let (Some(layout), Some(extent)) = (meta.layout, meta.quantizer_extent()) {
        Quantizer::read(pages, extent, layout, meta.cells as usize)?.into_encoder()?;
    }
    Ok(())
}

/// All rows of a scan: how many there are, at most as many as pages can hold.
fn scan(pages: &Memory, query: &Query, mode: SearchMode) -> PageResult<usize> {
    let mut cursor = Cursor::new(query.clone(), mode);
    let (mut found, mut last) = (0, 0.0);
    while let Some((_, bound)) = cursor.next(pages)? {
        // Damage may have made another model of it.
        let bound = bound.unwrap_or(last);
        assert!(bound >= last || mode != SearchMode::Exact, "{bound} after {last}");
        last = bound;
        found += 1;
        assert!(found <= pages.bytes.len(), "the scan does not end");
    }
    Ok(found)
}

fuzz_target!(|bytes: &[u8]| {
    let (healthy, layout, rows) = &*HEALTHY;
    let Some((&[row, mask, candidates], damage)) = bytes.split_first_chunk() else { return };
    let subspaces: Vec<usize> = (0..4).filter(|k| mask & 1 << k != 0).collect();
    let Ok(like) = Embedding::from_f16(*layout, rows[row as usize % rows.len()].clone()) else { return };
    let Ok(query) = Query::like(like.as_ref(), if subspaces.is_empty() { &[0] } else { &subspaces }) else {
        return;
    };
    let mode = match candidates {
        0..128 => SearchMode::Exact,
        many => SearchMode::Approximate { candidates: usize::from(many - 127) },
    };
    let mut pages = healthy.clone();
    let size = pages.bytes.len();
    for &[a, b, c, value] in damage.as_chunks().0 {
        pages.bytes[u32::from_le_bytes([a, b, c, 0]) as usize % size] = value;
    }
    let (checked, scanned) = (check(&pages), scan(&pages, &query, mode));
    if damage.len() < 4 {
        assert!(checked.is_ok() && scanned.is_ok_and(|found| found == ROWS), "a healthy index");
    }
});
