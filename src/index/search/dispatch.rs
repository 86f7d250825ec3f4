//! Chooses the strategy of a search by its query and mode.

use super::approximate::Approximate;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchMode {
    /// Every row in the order of its bound.
    Exact,
    /// Ranks rows by their cells alone, and bounds only `candidates` of them at a time. Queries on fewer than four subspaces are
    /// exact all the same: too many rows share so few cells, and there is less to gain.
    Approximate {
        /// How many rows to bound before the first is returned, and again whenever all of those have been.
        candidates: usize,
    },
}

/// The fewest subspaces whose cells tell rows apart well enough to rank them.
const MIN_RANKED_SUBSPACES: usize = 4;

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
    /// bounded before the first row can be returned.
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
    ) -> PageResult<Self> {
        let query = PreparedQuery::new(pages, &snapshot.meta, query)?;
        let subspaces = query.active.len();
        let state = SearchState::new(query, snapshot, tail)?;
        match (mode, snapshot.meta.layout) {
            _ if subspaces == 1 => BestFirst::start(state, OneSubspace::new(), pages).map(Self::OneSubspace),
            (SearchMode::Approximate { candidates }, Some(layout)) if subspaces >= MIN_RANKED_SUBSPACES => {
                let strategy = Approximate::new(&state, layout.subspaces(), candidates)?;
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
