//! The approximate search: ranks rows by their cells, and bounds them in that order, until they have been so many or are likely to be
//! enough. Those that have not been bounded yet are missing from the order, so a row may come after one that is farther.
//!
//! A search at a recall estimates distances by sketches first, and bounds the rows that are estimated to be among the nearest: how far off
//! estimates are shows in those. It gives up where it would look at more rows than an exact search can bound in the same time.
//!
//! Groups are ranked by samples of their rows, and are read in the order in which they are likely to have the next row.

use super::best_first::Strategy;
use super::cell_ranking::CellRanking;
use super::lanes::{lanes_of, range_mask};
use super::places::Places;
use super::priority_queue::{Candidate, PriorityQueue, QueueItem};
use super::refine::CoarseRow;
use super::sketch_table::Sketches;
use super::state::SearchState;
use super::waiting_rows::{find_row, EstimatedRow, WaitingRows};
use crate::error::Result;
use crate::index::format::BLOCK_ROWS;
use crate::index::kernels::partition_by_cutoff;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;

/// When an approximate search has bounded enough rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Until {
    /// After so many rows, and again after as many more whenever all of those have been returned.
    Candidates(usize),
    /// When this share of the nearest has been found, as far as [`Places`] can tell.
    Recall(f64),
}

/// The nearest rows by which a search at a recall sees whether it has found them.
const FIRST_ROWS: usize = 64;
/// The nearest rows by which a search for candidates sees how far the nearest are.
const FIRST_CANDIDATES: usize = 16;
/// Rows are bounded so many at a time, or a quarter of those before them.
const BATCH: usize = 64;
/// Rows are sketched at least so many at a time.
const SKETCH_BATCH: usize = 256;
/// So many rows of a group are put into the ranking when it is first read, and four times as many each time after.
const FIRST_RANKED: usize = 512;
/// A search at a recall gives up after this many rows, or one in [`MAX_SHARE`] of all if these are more: sketching them one by one takes as long
/// then as bounding all rows does, many at once. It gives up after this many rows already if it looks as if it had to.
const MAX_ROWS: usize = 4096;
const MAX_SHARE: usize = 8;
/// Ranks are computed anew if the tilt is wrong by more than this factor.
const MAX_MISFIT: f64 = 1.4;
/// The first rows of a sample, by which the first of the group is foreseen.
const SAMPLE_TAIL: usize = 16;
/// How far the foreseen rank may be wrong, in mean distances of the sample's first rows from the next.
const SAMPLE_ERROR: f32 = 3.0;

/// The strategy of approximate searches.
pub struct Approximate {
    until: Until,
    cells: CellRanking,
    /// Rows and groups by their ranks. What is a bound elsewhere is a rank here.
    ranking: PriorityQueue,
    groups: Vec<RankedGroup>,
    places: Places,
    /// [`Places::farthest`] after the last rows.
    farthest: Option<f32>,
    /// For a search at a recall: between ranks and bounds.
    sketches: Option<Sketches>,
    waiting: WaitingRows,
    /// Whether every row has been ranked and sketched.
    is_exhausted: bool,
    /// Whether the nearest rows are too many or too hard to find.
    pub has_given_up: bool,
    /// Ranks of one group's rows; kept for their memory.
    ranks: Vec<f32>,
}

/// What has been done with a group.
struct RankedGroup {
    /// Rows up to this rank are in the ranking, or were.
    passed: f32,
    /// How many rows come into the ranking next.
    next_rows: usize,
    /// `[blocks]`, once it has been read: the rows that have been taken from the ranking, a bit for each.
    taken: Vec<u32>,
}

impl Approximate {
    /// A search over the groups of `state`.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(state: &SearchState, until: Until) -> Result<Self> {
        let group = || RankedGroup { passed: f32::NEG_INFINITY, next_rows: FIRST_RANKED, taken: Vec::new() };
        Ok(Self {
            until,
            cells: CellRanking::new(&state.query, None)?,
            ranking: PriorityQueue::new(),
            groups: memory::collect(state.groups.iter().map(|_| group()))?,
            places: match until {
                Until::Candidates(_) => Places::new(FIRST_CANDIDATES, 1.0),
                Until::Recall(recall) => Places::new(FIRST_ROWS, recall),
            },
            farthest: None,
            sketches: match until {
                Until::Candidates(_) => None,
                Until::Recall(_) => Some(Sketches::new(&state.query)?),
            },
            waiting: WaitingRows::default(),
            is_exhausted: false,
            has_given_up: false,
            ranks: Vec::new(),
        })
    }

    /// Ranks all groups by their samples, and forgets former ranks.
    fn rank_groups<P: Pages + ?Sized>(&mut self, state: &SearchState, pages: &P) -> PageResult<()> {
        self.ranking = PriorityQueue::new();
        self.ranking.reserve(state.groups.len())?;
        for (number, group) in (0..).zip(&mut self.groups) {
            (group.passed, group.next_rows) = (f32::NEG_INFINITY, FIRST_RANKED);
            let shape = state.groups[number as usize].shape;
            self.cells.rank(pages, &state.groups[number as usize], shape.sample(), &mut self.ranks)?;
            let bound = first_rank(&mut self.ranks, shape.rows);
            self.ranking.push(QueueItem { bound, candidate: Candidate::Unopened { group: number } });
        }
        Ok(())
    }

    /// Ranks every row of a group, and puts the next of them into the ranking.
    fn rank_rows<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        number: u32,
    ) -> PageResult<()> {
        let (group, ranked) = (&state.groups[number as usize], &mut self.groups[number as usize]);
        let rows = group.shape.rows;
        self.cells.rank(pages, group, group.shape.cells_of_rows(), &mut self.ranks)?;
        if ranked.taken.is_empty() {
            state.stats.ranked += rows as u64;
            ranked.taken = memory::filled(0, rows.div_ceil(BLOCK_ROWS))?;
        }
        // A quantile of a sample is near enough.
        let (step, passed) = ((rows / 1024).max(1), ranked.passed);
        let beyond = self.ranks[..rows].iter().copied().step_by(step).filter(|&rank| rank > passed);
        let mut sample: Vec<f32> = memory::collect(beyond)?;
        let next = ranked.next_rows / step;
        let cutoff = match sample.len() > next + next / 2 {
            true => *sample.select_nth_unstable_by(next, f32::total_cmp).1,
            false => f32::INFINITY,
        };
        (ranked.passed, ranked.next_rows) = (cutoff, ranked.next_rows.saturating_mul(4));
        self.ranking.reserve(rows + 1)?;
        let mut next_rank = f32::INFINITY;
        let blocks = self.ranks.as_chunks::<BLOCK_ROWS>().0.iter().zip(&ranked.taken);
        for (block, (ranks, taken)) in blocks.enumerate() {
            let first = block * BLOCK_ROWS;
            let (mask, beyond) = partition_by_cutoff(ranks, passed, cutoff);
            next_rank = next_rank.min(beyond);
            for lane in lanes_of(mask & range_mask(0..BLOCK_ROWS.min(rows - first)) & !taken) {
                let candidate = Candidate::CoarseRow { row: (first + lane) as u16, group: number };
                self.ranking.push(QueueItem { bound: ranks[lane], candidate });
            }
        }
        if next_rank < f32::INFINITY {
            self.ranking
                .push(QueueItem { bound: next_rank, candidate: Candidate::Unopened { group: number } });
        }
        Ok(())
    }

    /// Takes the next `count` rows of the ranking, or all that are left, sorted by group and number. They have no estimate yet.
    fn next_ranked<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        count: usize,
    ) -> PageResult<Vec<EstimatedRow>> {
        let mut rows = Vec::new();
        while rows.len() < count {
            let Some(item) = self.ranking.pop()? else { break };
            if let Some(row) = item.coarse_row() {
                let number = row.row.number();
                self.groups[row.group as usize].taken[number / BLOCK_ROWS] |= 1 << (number % BLOCK_ROWS);
                let (group, row, place) = (row.group, number as u16, self.places.advance(1));
                memory::push(&mut rows, EstimatedRow { group, row, place, estimate: 0.0 })?;
            } else if let Candidate::Unopened { group } = item.candidate {
                self.rank_rows(state, pages, group)?;
            }
        }
        // In the order in which they lie.
        rows.sort_unstable_by_key(|row| (row.group, row.row));
        Ok(rows)
    }

    /// Looks at the next `count` rows of the ranking; returns how many there were.
    fn look_at_next<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        count: usize,
    ) -> PageResult<usize> {
        let rows = self.next_ranked(state, pages, count)?;
        let Some(sketches) = &mut self.sketches else {
            self.refine(state, pages, &rows)?;
            return Ok(rows.len());
        };
        for of_group in rows.chunk_by(|a, b| a.group == b.group) {
            let group = &state.groups[of_group[0].group as usize];
            let numbers = of_group.iter().map(|row| row.row.into());
            sketches.estimate(pages, group, numbers, &mut |i, estimate| {
                self.waiting.push(EstimatedRow { estimate, ..of_group[i] })
            })?;
        }
        state.stats.sketched += rows.len() as u64;
        let mut refined = 0;
        loop {
            let near = match self.places.farthest_estimate() {
                Some(cutoff) => self.waiting.take_within(cutoff)?,
                None => self.waiting.take_nearest(self.places.missing())?,
            };
            if near.is_empty() {
                break;
            }
            refined += near.len();
            self.refine(state, pages, &near)?;
        }
        self.is_exhausted = rows.is_empty();
        Ok(rows.len().max(refined))
    }

    /// Bounds rows, which must be sorted by group and number, by all bits of their codes.
    fn refine<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        rows: &[EstimatedRow],
    ) -> PageResult<()> {
        // A row beyond the nearest so far need not be known any better.
        let limit = self.farthest.unwrap_or(f32::INFINITY);
        let mut coarse: Vec<CoarseRow> = memory::collect(rows.iter().copied().map(CoarseRow::from))?;
        let (places, mut outcome) = (&mut self.places, Ok(()));
        state.refine(pages, &mut coarse, limit, |refined| {
            if let Some(row) = find_row(rows, refined.group, refined.row.number()).filter(|_| outcome.is_ok())
            {
                outcome = places.push(refined.bound, row.place, row.estimate - refined.bound);
            }
        })?;
        outcome?;
        state.stats.bounded += rows.len() as u64;
        self.farthest = self.places.farthest();
        Ok(())
    }

    /// Ranks rows anew if the nearest are at another distance than the ranking expects.
    fn adapt_ranking<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        if let Some(nearest) = self.farthest {
            if self.cells.misfit(&state.query, nearest)? > MAX_MISFIT {
                self.cells = CellRanking::new(&state.query, Some(nearest))?;
                self.rank_groups(state, pages)?;
            }
        }
        Ok(())
    }

    /// Looks at rows until there are enough of them, or `most`; returns whether more may be in the queue now.
    fn look_at_enough<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        most: usize,
    ) -> PageResult<bool> {
        let first = match self.sketches {
            Some(_) => SKETCH_BATCH,
            None => BATCH,
        };
        let mut all = 0;
        while all < most {
            let count = first.max(self.places.count() / 4).min(most - all);
            let rows = self.look_at_next(state, pages, count)?;
            all += rows;
            if let Until::Recall(_) = self.until {
                let is_enough = self.farthest.filter(|_| self.is_exhausted || self.places.are_enough());
                // Other rows may come when the nearest have been returned.
                if let Some(bound) = is_enough {
                    let candidate = Candidate::Unopened { group: ALL_GROUPS };
                    state.queue.reserve(1)?;
                    state.queue.push(QueueItem { bound, candidate });
                    return Ok(true);
                }
                let (looked_at, most) = (self.places.count(), MAX_ROWS.max(state.grouped_rows() / MAX_SHARE));
                let is_hopeless =
                    looked_at >= MAX_ROWS && self.places.needed().is_some_and(|needed| needed > most as f32);
                self.has_given_up = looked_at > most || is_hopeless;
                if self.has_given_up {
                    break;
                }
            }
            if rows == 0 {
                break;
            }
            self.adapt_ranking(state, pages)?;
        }
        Ok(all > 0)
    }
}

/// Rows that have not been bounded are one item of the queue, which names no group.
const ALL_GROUPS: u32 = 0;

/// About the smallest rank of a group's `rows` rows, by the `ranks` of a sample: as if ranks below those of the sample's first rows
/// followed an exponential distribution. Negative infinity if there are too few of them.
fn first_rank(ranks: &mut [f32], rows: usize) -> f32 {
    if ranks.len() <= SAMPLE_TAIL {
        return f32::NEG_INFINITY;
    }
    let share = SAMPLE_TAIL as f32 / ranks.len() as f32;
    let (first, edge, _) = ranks.select_nth_unstable_by(SAMPLE_TAIL, f32::total_cmp);
    let excess = first.iter().map(|rank| *edge - rank).sum::<f32>() / SAMPLE_TAIL as f32;
    *edge - excess * ((share * rows as f32).max(1.0).ln() + SAMPLE_ERROR)
}

impl Strategy for Approximate {
    fn start<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        self.rank_groups(state, pages)?;
        self.refill(state, pages).map(|_| ())
    }

    /// All rows that a search at a recall was to find have been returned.
    fn open<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        _all_groups: u32,
        _bound: f32,
    ) -> PageResult<()> {
        self.places.want_more();
        self.farthest = self.places.farthest();
        self.refill(state, pages).map(|_| ())
    }

    /// Looks at the next rows of the ranking.
    fn refill<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<bool> {
        let most = match self.until {
            Until::Candidates(count) => count.max(1),
            Until::Recall(_) => usize::MAX,
        };
        self.look_at_enough(state, pages, most)
    }
}
