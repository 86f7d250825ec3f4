//! Best-first search: rows in the order of lower bounds of their distances, one at a time, as many as are asked for.

use super::frontier::{Frontier, Item};
use super::group::{parse_norm, parse_rows, parse_starts, pieces, Piece, BLOCK};
use super::kernels::{accumulate, divide, settle};
use super::layout::Tid;
use super::pages::{Extent, PageResult, Pages};
use super::prepared::{Active, Prepared};
use super::refine::{Group, Refiner, MOST};
use super::snapshot::IndexSnapshot;
use crate::memory;
use crate::space::QueryRef;
use std::ops::Range;

/// How a search goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchMode {
    /// Every row in the order of its bound.
    Exact,
    /// Ranks rows by their cells alone, and bounds only so many of them at a time. Queries on fewer than four subspaces are
    /// exact even so: too many rows share so few cells, and there is less to gain.
    Approximate {
        /// How many rows to bound before the first is returned, and whenever all those have been.
        candidates: usize,
    },
}

/// What a search has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Rows in groups and tail.
    pub rows: u64,
    /// Rows whose distance from the query was bounded by more than their place in a cell.
    pub bounded: u64,
    /// Rows whose bound was sharpened with all bits.
    pub refined: u64,
    /// Rows returned.
    pub returned: u64,
}

/// For queries on one subspace the pieces that are not in the frontier, for others the rows of a group that are beyond the cut.
const CLOSED: u32 = 0;
const COARSE: u32 = 1 << 30;
const REFINED: u32 = 2 << 30;
const TAIL: u32 = 3 << 30;
const KINDS: u32 = 3 << 30;

/// So many rows of all groups go into the frontier at first, or [`FIRST_SHARE`] of all: more than most queries look at.
const FIRST_ROWS: usize = 2048;
const FIRST_SHARE: usize = 32;

/// The fewest subspaces whose cells tell rows apart well enough to rank them.
const FEWEST_RANKED: usize = 4;

/// A search in progress. Its pages may change under it: then [`Search::next`] says [`PageError::Stale`], and the search has to
/// be started again.
pub struct Search {
    query: Prepared,
    groups: Vec<Group>,
    /// All pieces, as they lie; only for queries on one subspace.
    pieces: Vec<Closed>,
    tail: Vec<(Tid, f64)>,
    frontier: Frontier,
    /// Rows that an approximate search has not looked at, by the distances of their cells' centres.
    ranking: Option<Ranking>,
    /// Rows of a bound beyond this are not in the frontier one by one.
    cut: f32,
    /// The share of all rows that the cut is meant to let in.
    share: f64,
    /// Rows of groups that were put into the frontier one by one; only for queries on one subspace.
    pushed: usize,
    reorganizations: u32,
    stats: SearchStats,
    buffers: Buffers,
}

/// A piece, or what is left of it.
struct Closed {
    /// What no row that is left is below; infinite if none is.
    bound: f32,
    /// Its rows up to this bound are in the frontier, or were.
    above: f32,
    group: u32,
    piece: Piece,
}

struct Ranking {
    frontier: Frontier,
    /// Rows to look at at a time.
    candidates: usize,
    /// 16 bytes a subspace.
    table: Vec<u8>,
}

#[derive(Default)]
struct Buffers {
    bytes: Vec<u8>,
    rows: Vec<u16>,
    sums: Vec<f32>,
    items: Vec<Item>,
    ranges: Vec<Range<usize>>,
    torn: Vec<u8>,
    chosen: Vec<usize>,
    refiner: Refiner,
}

impl Search {
    /// Of the groups of `snapshot` and the rows of its tail with their distances, bounds what has to be bounded before the first row can be
    /// returned.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`super::PageError::Failed`] if the query is another model's, or memory is refused.
    pub fn start<P: Pages + ?Sized>(
        pages: &P,
        snapshot: IndexSnapshot,
        tail: Vec<(Tid, f64)>,
        query: QueryRef<'_>,
        mode: SearchMode,
    ) -> PageResult<Self> {
        let mut search = Self {
            query: Prepared::new(pages, &snapshot.meta, query)?,
            groups: memory::with_capacity(snapshot.groups.len())?,
            pieces: Vec::new(),
            tail,
            frontier: Frontier::new(),
            ranking: None,
            cut: f32::INFINITY,
            share: 1.0,
            pushed: 0,
            reorganizations: snapshot.meta.reorganizations,
            stats: SearchStats::default(),
            buffers: Buffers::default(),
        };
        search.add_tail()?;
        let single = search.query.active.len() == 1;
        let rows: usize = snapshot.groups.iter().map(|(_, shape)| shape.rows).sum();
        let mut wanted = FIRST_ROWS.max(rows / FIRST_SHARE);
        let many = search.query.active.len() >= FEWEST_RANKED;
        if let (SearchMode::Approximate { candidates }, true, Some(layout)) =
            (mode, many, snapshot.meta.layout)
        {
            let candidates = candidates.max(1);
            let table = search.query.cell_table(layout.subspaces())?;
            search.ranking = Some(Ranking { frontier: Frontier::new(), candidates, table });
            wanted = FIRST_ROWS.max(2 * candidates);
        }
        search.share = wanted as f64 / rows.max(1) as f64;
        search.cut = if search.share < 0.5 && !single { f32::NEG_INFINITY } else { f32::INFINITY };
        for (extent, shape) in snapshot.groups {
            search.stats.rows += shape.rows as u64;
            let planes = memory::collect(search.query.active.iter().map(|a| shape.plane(a.k)))?;
            let group = Group {
                extent,
                shape,
                planes,
                starts: Vec::new(),
                norms: Vec::new(),
                above: f32::NEG_INFINITY,
            };
            search.groups.push(group);
            let number = search.groups.len() - 1;
            if single {
                search.list_pieces(pages, number)?;
            } else {
                search.bound_rows(pages, number)?;
                search.sift(number, f32::NEG_INFINITY)?;
            }
        }
        search.close()?;
        search.look_at_more(pages)?;
        Ok(search)
    }

    /// The metapage's counter when the search was started.
    pub fn reorganizations(&self) -> u32 {
        self.reorganizations
    }

    /// What has been done so far.
    pub fn stats(&self) -> SearchStats {
        self.stats
    }

    /// The next row, and a distance that is not above its own nor below that of the row before.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; after [`super::PageError::Stale`] the search has to be started again.
    pub fn next<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<(Tid, f64)>> {
        loop {
            let Some(item) = self.frontier.pop()? else {
                if self.look_at_more(pages)? {
                    continue;
                }
                return Ok(None);
            };
            let index = item.index & !KINDS;
            match item.index & KINDS {
                CLOSED if self.query.active.len() == 1 => self.open_more(pages, item.bound)?,
                CLOSED => self.look_beyond(pages, item)?,
                COARSE => self.refine_with_next(pages, item)?,
                REFINED => {
                    let group = &self.groups[item.group as usize];
                    let tid = Tid::from_bytes(group.extent.array(pages, group.shape.tid(index as usize))?);
                    if tid.is_live() {
                        self.stats.returned += 1;
                        return Ok(Some((tid, self.query.distance(item.bound))));
                    }
                }
                _ => {
                    let (tid, _) = self.tail[index as usize];
                    self.stats.returned += 1;
                    return Ok(Some((tid, self.query.distance(item.bound))));
                }
            }
        }
    }

    fn add_tail(&mut self) -> PageResult<()> {
        self.frontier.reserve(self.tail.len())?;
        for (i, (_, distance)) in self.tail.iter().enumerate() {
            let bound = self.query.bound(*distance);
            self.frontier.push(Item { bound, group: 0, index: TAIL | i as u32 });
        }
        self.stats.rows += self.tail.len() as u64;
        self.stats.bounded += self.tail.len() as u64;
        Ok(())
    }

    /// One subspace: pieces, by their annulus alone.
    fn list_pieces<P: Pages + ?Sized>(&mut self, pages: &P, number: usize) -> PageResult<()> {
        let group = &mut self.groups[number];
        let bytes = &mut self.buffers.bytes;
        let plane = &group.planes[0];
        let first = plane.norm.start;
        group.extent.copy(pages, first..plane.radii.end, bytes)?;
        memory::push(&mut group.norms, parse_norm(bytes)?)?;
        let starts =
            parse_starts(&bytes[plane.starts.start - first..plane.starts.end - first], group.shape.rows)?;
        let radii = &bytes[plane.radii.start - first..];
        let active = &self.query.active[0];
        memory::reserve(&mut self.pieces, pieces(&starts).count())?;
        for (piece, radii) in pieces(&starts).zip(radii.chunks_exact(8)) {
            let (inner, outer) = radius_pair(radii);
            let bound = active.annulus(piece.cell.into(), inner, outer) * active.weight;
            self.pieces.push(Closed { bound, above: f32::NEG_INFINITY, group: number as u32, piece });
        }
        memory::push(&mut group.starts, starts)?;
        Ok(())
    }

    /// One subspace: has the frontier say when a piece may be next.
    fn close(&mut self) -> PageResult<()> {
        let bounds = self.pieces.iter().map(|closed| closed.bound);
        if let Some(bound) = bounds.reduce(f32::min).filter(|bound| bound.is_finite()) {
            self.frontier.reserve(1)?;
            self.frontier.push(Item { bound, group: 0, index: CLOSED });
        }
        Ok(())
    }

    /// One subspace: a row of a closed piece may be next, not nearer than `least`. Pieces are opened in rounds, the nearest first, in each
    /// about as many rows as in all before: so they are read in the order in which they lie, and about twice as many as need be at most.
    /// Of their rows, those beyond the cut stay where they are: what is in the frontier costs time and memory.
    fn open_more<P: Pages + ?Sized>(&mut self, pages: &P, least: f32) -> PageResult<()> {
        let rows: usize = self.groups.iter().map(|group| group.shape.rows).sum();
        let first = (2 * FIRST_ROWS).max(rows / 64);
        // Where the cut is, this round has to find out.
        let exploring = self.pushed == 0 || least > self.cut;
        let wanted = if exploring { first.max(self.pushed) } else { first.max(self.stats.bounded as usize) };
        if exploring {
            self.cut = f32::INFINITY;
        }
        let step = self.pieces.len().div_ceil(4096);
        let mut sample: Vec<f32> =
            memory::collect(self.pieces.iter().step_by(step).map(|closed| closed.bound))?;
        let rank = wanted / BLOCK / step;
        // What could come before the next row has to be opened in any case.
        let next = self.frontier.least()?.unwrap_or(f32::NEG_INFINITY);
        let limit = if rank < sample.len() {
            sample.select_nth_unstable_by(rank, f32::total_cmp).1.max(least).max(next).min(self.cut)
        } else {
            self.cut
        };
        let (before, mut fresh) = (self.pushed, Vec::new());
        let mut closed = std::mem::take(&mut self.pieces);
        for of_group in closed.chunk_by_mut(|a, b| a.group == b.group) {
            self.open(pages, of_group, limit, exploring.then_some(&mut fresh))?;
        }
        self.pieces = closed;
        if exploring && !fresh.is_empty() {
            // As if the rest were like what this round saw, which is the nearest: no more will be let in.
            let share = if before == 0 { 1.0 / 16.0 } else { (8 * self.pushed) as f64 / rows as f64 };
            let rank = (fresh.len() as f64 * share) as usize;
            if rank < fresh.len() {
                self.cut = *fresh.select_nth_unstable_by(rank, f32::total_cmp).1;
            }
        }
        self.close()
    }

    /// Bounds the rows of those pieces of a group that are not beyond `limit`; rows up to the cut go into the frontier.
    fn open<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        closed: &mut [Closed],
        limit: f32,
        mut fresh: Option<&mut Vec<f32>>,
    ) -> PageResult<()> {
        let Buffers { bytes: errors, ranges, torn, chosen, .. } = &mut self.buffers;
        chosen.clear();
        memory::reserve(chosen, closed.len())?;
        chosen.extend((0..closed.len()).filter(|&i| closed[i].bound <= limit && closed[i].bound.is_finite()));
        let Some(number) = chosen.first().map(|&i| closed[i].group) else { return Ok(()) };
        let group = &self.groups[number as usize];
        let (plane, active) = (&group.planes[0], &mut self.query.active[0]);
        errors.clear();
        memory::reserve(errors, chosen.len() * BLOCK)?;
        errors.resize(chosen.len() * BLOCK, 0);
        self.frontier.reserve(chosen.len() * BLOCK)?;
        if let Some(fresh) = &mut fresh {
            memory::reserve(fresh, chosen.len() * BLOCK)?;
        }
        ranges.clear();
        memory::reserve(ranges, chosen.len())?;
        ranges.extend(chosen.iter().map(|&i| {
            let positions = closed[i].piece.positions();
            plane.errors.start + positions.start..plane.errors.start + positions.end
        }));
        group.extent.gather(pages, ranges, &mut |n, from, bytes| {
            let first = closed[chosen[n]].piece.lanes().start;
            errors[n * BLOCK + first + from..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        let size = group.shape.block_size();
        let block = |piece: Piece| usize::from(piece.first) / BLOCK;
        ranges.clear();
        ranges.extend(chosen.iter().map(|&i| {
            let at = plane.high.start + block(closed[i].piece) * size;
            at..at + size
        }));
        let (frontier, stats, cut, pushed) =
            (&mut self.frontier, &mut self.stats, self.cut, &mut self.pushed);
        let norm = group.norms[0];
        let mut bound = |n: usize, codes: &[u8]| {
            let closed = &mut closed[chosen[n]];
            let (table, scale) = active.table(closed.piece.cell.into(), norm)?;
            let mut sums = [0; BLOCK];
            accumulate(codes, table, &mut sums);
            let mut squares = [0.0; BLOCK];
            let errors = errors[n * BLOCK..].first_chunk().unwrap_or(&[0; BLOCK]);
            settle(&sums, scale, errors, &mut squares);
            let mut bounds = [f32::INFINITY; BLOCK];
            let lanes = closed.piece.lanes();
            for (bound, square) in bounds[lanes.clone()].iter_mut().zip(&squares[lanes]) {
                *bound = square * active.weight;
            }
            let (near, beyond) = divide(&bounds, closed.above, cut);
            for lane in places(near & bits(closed.piece.lanes())) {
                let bound = bounds[lane].max(closed.bound);
                let position = (block(closed.piece) * BLOCK + lane) as u32;
                frontier.push(Item { bound, group: number, index: COARSE | position });
                *pushed += 1;
                if let Some(fresh) = &mut fresh {
                    fresh.push(bound);
                }
            }
            if closed.above == f32::NEG_INFINITY {
                stats.bounded += u64::from(closed.piece.len);
            }
            (closed.bound, closed.above) = (beyond.max(closed.bound), cut);
            Ok(())
        };
        group.extent.gather_whole(pages, ranges, torn, &mut bound)
    }

    /// Several subspaces: bounds every row of a group by 4-bit codes, or ranks it by its cells.
    fn bound_rows<P: Pages + ?Sized>(&mut self, pages: &P, number: usize) -> PageResult<()> {
        let group = &mut self.groups[number];
        let Buffers { bytes, rows, sums, .. } = &mut self.buffers;
        sums.clear();
        memory::reserve(sums, group.shape.rows.next_multiple_of(BLOCK))?;
        sums.resize(group.shape.rows.next_multiple_of(BLOCK), 0.0);
        if let Some(ranking) = &self.ranking {
            let size = ranking.table.len();
            scan_blocks(pages, group.extent, group.shape.cells_of_rows(), size, &mut |block, codes| {
                let mut counts = [0; BLOCK];
                accumulate(codes, &ranking.table, &mut counts);
                for (sum, count) in sums[block * BLOCK..].iter_mut().zip(counts) {
                    *sum = count as f32;
                }
                Ok(())
            })?;
            return Ok(());
        }
        let first_time = group.starts.len() < self.query.active.len();
        for (active, plane) in self.query.active.iter_mut().zip(&group.planes) {
            let first = plane.norm.start;
            group.extent.copy(pages, first..plane.rows.end, bytes)?;
            let within = |section: &Range<usize>| section.start - first..section.end - first;
            let norm = parse_norm(bytes)?;
            let starts = parse_starts(&bytes[within(&plane.starts)], group.shape.rows)?;
            parse_rows(&bytes[within(&plane.rows)], group.shape.rows, rows)?;
            let errors = &bytes[within(&plane.errors)];
            let mut cut = pieces(&starts).peekable();
            scan_blocks(
                pages,
                group.extent,
                plane.high.clone(),
                group.shape.block_size(),
                &mut |block, codes| {
                    while let Some(piece) = cut.next_if(|p| usize::from(p.first) / BLOCK == block) {
                        add_piece(active, piece, norm, codes, errors, rows, sums)?;
                    }
                    Ok(())
                },
            )?;
            if first_time {
                memory::push(&mut group.starts, starts)?;
            }
        }
        if first_time {
            self.stats.bounded += group.shape.rows as u64;
        }
        Ok(())
    }

    /// Puts the rows of a group whose bounds have just been computed into the frontier, those between `above` and the cut;
    /// the others together as one item, to be bounded again when their time comes. It rarely does, and rows that are not
    /// in the frontier cost neither time nor memory.
    fn sift(&mut self, number: usize, above: f32) -> PageResult<()> {
        let group = &mut self.groups[number];
        let rows = group.shape.rows;
        // What the last block has no rows for is beyond everything.
        self.buffers.sums[rows..].fill(f32::INFINITY);
        let sums = &self.buffers.sums;
        if self.cut <= above || self.cut == f32::NEG_INFINITY {
            let mut sample: Vec<f32> =
                memory::collect(sums[..rows].iter().copied().step_by((rows / 4096).max(1)))?;
            let rank = (sample.len() as f64 * self.share) as usize;
            self.cut = if rank < sample.len() {
                *sample.select_nth_unstable_by(rank, f32::total_cmp).1
            } else {
                f32::INFINITY
            };
        }
        self.cut = self.cut.max(above);
        let to = self.ranking.as_mut().map_or(&mut self.frontier, |r| &mut r.frontier);
        to.reserve(rows + 1)?;
        let mut least = f32::INFINITY;
        for (block, bounds) in sums.as_chunks::<BLOCK>().0.iter().enumerate() {
            let (near, beyond) = divide(bounds, above, self.cut);
            least = least.min(beyond);
            let first = block * BLOCK;
            for lane in places(near & bits(0..BLOCK.min(rows - first))) {
                let index = COARSE | (first + lane) as u32;
                to.push(Item { bound: bounds[lane], group: number as u32, index });
            }
        }
        group.above = self.cut;
        if least < f32::INFINITY {
            to.push(Item { bound: least, group: number as u32, index: CLOSED });
        }
        Ok(())
    }

    /// The rows of a group that are beyond the cut it was sifted with may be next.
    fn look_beyond<P: Pages + ?Sized>(&mut self, pages: &P, item: Item) -> PageResult<()> {
        let number = item.group as usize;
        self.bound_rows(pages, number)?;
        let above = self.groups[number].above;
        if self.cut < item.bound {
            self.share *= 8.0;
            self.cut = f32::NEG_INFINITY;
        }
        self.sift(number, above)
    }

    /// An approximate search has returned what it had: bounds the next rows of the ranking.
    fn look_at_more<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<bool> {
        let mut items = Vec::new();
        while let Some(ranking) = self.ranking.as_mut().filter(|r| items.len() < r.candidates) {
            match ranking.frontier.pop()? {
                Some(item) if item.index & KINDS == CLOSED => self.look_beyond(pages, item)?,
                // What ranks rows does not bound them.
                Some(item) => memory::push(&mut items, Item { bound: 0.0, ..item })?,
                None => break,
            }
        }
        self.refine(pages, &mut items)?;
        self.stats.bounded += items.len() as u64;
        Ok(!items.is_empty())
    }

    /// Refines a row and some of those that come after it: a quarter as many as have been needed so far. Together they cost less, and
    /// most will be needed for one of the next answers.
    fn refine_with_next<P: Pages + ?Sized>(&mut self, pages: &P, item: Item) -> PageResult<()> {
        let most = (self.stats.refined as usize / 4).clamp(1, MOST);
        let (mut items, mut others) = (std::mem::take(&mut self.buffers.items), Vec::new());
        items.clear();
        memory::push(&mut items, item)?;
        while items.len() < most && others.len() < most {
            match self.frontier.pop()? {
                Some(item) if item.index & KINDS == COARSE => memory::push(&mut items, item)?,
                // It may hold rows that come before those after it.
                Some(item) if item.index & KINDS == CLOSED => {
                    memory::push(&mut others, item)?;
                    break;
                }
                Some(item) => memory::push(&mut others, item)?,
                None => break,
            }
        }
        self.frontier.reserve(others.len())?;
        others.into_iter().for_each(|item| self.frontier.push(item));
        self.refine(pages, &mut items)?;
        self.buffers.items = items;
        Ok(())
    }

    /// Sharpens the bounds of rows with all bits.
    fn refine<P: Pages + ?Sized>(&mut self, pages: &P, items: &mut [Item]) -> PageResult<()> {
        // In the order in which they lie.
        items.sort_unstable_by_key(|item| (item.group, item.index));
        let (query, frontier, refiner) = (&mut self.query, &mut self.frontier, &mut self.buffers.refiner);
        for items in items.chunk_by(|a, b| a.group == b.group).flat_map(|items| items.chunks(MOST)) {
            let group = &mut self.groups[items[0].group as usize];
            let number = |item: Item| (item.index & !KINDS) as usize;
            frontier.reserve(items.len())?;
            refiner.refine(pages, query, group, items, number, &mut |item, row| {
                frontier.push(Item { index: REFINED | row as u32, ..item });
            })?;
            self.stats.refined += items.len() as u64;
        }
        Ok(())
    }
}

/// A bit for each of some places in a block.
fn bits(lanes: Range<usize>) -> u32 {
    let first = |count: usize| ((1u64 << count) - 1) as u32;
    first(lanes.end) & !first(lanes.start)
}

/// The places whose bits are set.
fn places(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        let found = bits != 0;
        bits &= bits.wrapping_sub(1);
        found.then_some(place)
    })
}

fn radius_pair(bytes: &[u8]) -> (f32, f32) {
    let number = |at| f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    (number(0), number(4))
}

/// Adds to each row of a piece what its 4-bit codes say; `codes` are its block's, `errors` and `rows` the whole group's.
fn add_piece(
    active: &mut Active,
    piece: Piece,
    norm: f32,
    codes: &[u8],
    errors: &[u8],
    rows: &[u16],
    sums: &mut [f32],
) -> PageResult<()> {
    let weight = active.weight;
    let (table, scale) = active.table(piece.cell.into(), norm)?;
    let (positions, lanes) = (piece.positions(), piece.lanes());
    let mut block_errors = [0; BLOCK];
    block_errors[lanes.clone()].copy_from_slice(&errors[positions.clone()]);
    let mut counts = [0; BLOCK];
    accumulate(codes, table, &mut counts);
    let mut squares = [0.0; BLOCK];
    settle(&counts, scale, &block_errors, &mut squares);
    for (&square, &row) in squares[lanes].iter().zip(&rows[positions]) {
        sums[usize::from(row)] += square * weight;
    }
    Ok(())
}

/// Shows `look` each block of `size` bytes in `range`: where it lies, or a copy if it lies on several pages.
fn scan_blocks<P: Pages + ?Sized>(
    pages: &P,
    extent: Extent,
    range: Range<usize>,
    size: usize,
    look: &mut dyn FnMut(usize, &[u8]) -> PageResult<()>,
) -> PageResult<()> {
    let mut torn: Vec<u8> = memory::with_capacity(size)?;
    let mut block = 0;
    extent.stream(pages, range, &mut |_, mut bytes, ahead| {
        // As many bytes of the next page as of this one, at the same place: the processor does not see it coming.
        let mut at = 0;
        let mut load = |bytes: usize| {
            ahead.prefetch(at..at + bytes);
            at += bytes;
        };
        if !torn.is_empty() {
            let (missing, rest) = bytes.split_at(bytes.len().min(size - torn.len()));
            torn.extend_from_slice(missing);
            load(missing.len());
            bytes = rest;
            if torn.len() == size {
                look(block, &torn)?;
                block += 1;
                torn.clear();
            }
        }
        let whole = bytes.chunks_exact(size);
        torn.extend_from_slice(whole.remainder());
        load(whole.remainder().len());
        for codes in whole {
            load(size);
            look(block, codes)?;
            block += 1;
        }
        Ok(())
    })
}
