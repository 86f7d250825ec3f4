//! Chooses the strategy of a search by its query and mode.

use super::approximate::{Approximate, Until};
use super::best_first::BestFirst;
use super::one_subspace::OneSubspace;
use super::prepared_query::PreparedQuery;
use super::several_subspaces::SeveralSubspaces;
use super::state::{SearchState, SearchStats};
use crate::index::format::Tid;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::index::snapshot::IndexSnapshot;
use crate::space::QueryRef;

/// Whether a search may return rows out of order to save time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SearchMode {
    /// Every row in the order of its bound.
    Exact,
    /// Ranks rows by their cells and sketches until about this share of the nearest is found. Queries on two or three subspaces are exact all the
    /// same: so many rows share so few cells that ranking them takes longer. So is a search of an index without samples and sketches, and one
    /// where ranks tell too little of the rows.
    Recall(f64),
    /// Ranks rows by their cells, and bounds so many before the first is returned, and again whenever all of those have been. Queries on fewer
    /// than four subspaces are exact all the same.
    Candidates(usize),
}

impl SearchMode {
    /// The share of the nearest rows that is to be found; `None` where a number of candidates is set instead.
    pub fn recall(self) -> Option<f64> {
        match self {
            Self::Exact => Some(1.0),
            Self::Recall(recall) => Some(recall),
            Self::Candidates(_) => None,
        }
    }
}

/// The fewest subspaces whose cells tell rows apart well enough to rank them.
pub const MIN_RANKED_SUBSPACES: usize = 4;

/// A search in progress: rows in the order of lower bounds of their distances, one at a time, as many as are asked for. When
/// its pages change under it, [`Search::next`] returns [`PageError::Stale`](crate::index::PageError::Stale), and the search
/// has to be started again.
pub enum Search {
    OneSubspace(BestFirst<OneSubspace>),
    SeveralSubspaces(BestFirst<SeveralSubspaces>),
    Approximate(BestFirst<Approximate>),
}

impl Search {
    /// Starts a search over the groups of `snapshot` and the rows of its tail, whose distances are known: bounds what has to be
    /// bounded before the first row can be returned. It ends at the first bound above the distance `limit`.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`PageError::Failed`](crate::index::PageError::Failed) if the query is another model's, pages
    /// are damaged, or memory is refused.
    pub fn start<P: Pages + ?Sized>(
        pages: &P,
        snapshot: &IndexSnapshot,
        tail: Vec<(Tid, f64)>,
        query: QueryRef<'_>,
        mode: SearchMode,
        limit: f64,
    ) -> PageResult<Self> {
        let query = PreparedQuery::new(pages, &snapshot.meta, query)?;
        let subspaces = query.active.len();
        let state = SearchState::new(query, snapshot, tail, limit)?;
        let (recall, candidates) = match mode {
            SearchMode::Recall(recall) => (Some(recall).filter(|_| snapshot.meta.has_samples()), None),
            SearchMode::Candidates(count) => (None, Some(count)),
            SearchMode::Exact => (None, None),
        };
        let until = recall.map(Until::Recall).or(candidates.map(Until::Candidates));
        match until {
            _ if subspaces == 1 => {
                BestFirst::start(state, OneSubspace::new(recall), pages).map(Self::OneSubspace)
            }
            Some(until) if subspaces >= MIN_RANKED_SUBSPACES => {
                let strategy = Approximate::new(&state, until)?;
                BestFirst::start(state, strategy, pages).map(Self::Approximate)
            }
            _ => {
                let strategy = SeveralSubspaces::new(&state)?;
                BestFirst::start(state, strategy, pages).map(Self::SeveralSubspaces)
            }
        }
    }

    /// The next row, and a distance that is not above its own, nor, in an exact search, below that of the row before.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; after [`PageError::Stale`](crate::index::PageError::Stale) the search has to be started again.
    pub fn next<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<(Tid, f64)>> {
        match self {
            Self::OneSubspace(search) => search.next(pages),
            Self::SeveralSubspaces(search) => search.next(pages),
            Self::Approximate(search) => search.next(pages),
        }
    }

    /// Whether a search at a recall has found that an exact one is faster. Its rows are of no use then.
    pub fn has_given_up(&self) -> bool {
        match self {
            Self::Approximate(search) => search.strategy.has_given_up,
            Self::OneSubspace(_) | Self::SeveralSubspaces(_) => false,
        }
    }

    /// Whether rows come in the order of their bounds, whatever the mode.
    pub fn is_exact(&self) -> bool {
        match self {
            Self::OneSubspace(search) => search.strategy.is_exact(),
            Self::SeveralSubspaces(_) => true,
            Self::Approximate(_) => false,
        }
    }

    /// The metapage's counter when the search was started.
    pub fn reorganizations(&self) -> u32 {
        self.state().reorganizations
    }

    /// What has been done so far.
    pub fn stats(&self) -> SearchStats {
        self.state().stats
    }

    fn state(&self) -> &SearchState {
        match self {
            Self::OneSubspace(search) => &search.state,
            Self::SeveralSubspaces(search) => &search.state,
            Self::Approximate(search) => &search.state,
        }
    }
}
