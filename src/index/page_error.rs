//! Why a page could not be used: it may have changed hands, or it is damaged.

use crate::error::{Error, Kind};

/// Why a page could not be used.
#[derive(Debug)]
pub enum PageError {
    /// This block is not what the reader expected. Either what the reader knows of the index is out of date, or the index is
    /// damaged; the metapage's counter of reorganizations tells which.
    Stale(u32),
    /// The page is damaged or cannot be read, or memory was refused.
    Failed(Error),
}

/// A value read from pages.
pub type PageResult<T> = std::result::Result<T, PageError>;

impl From<Error> for PageError {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

impl PageError {
    /// The error for the user, once it is known that the index was not reorganized in the meantime.
    pub fn into_error(self) -> Error {
        match self {
            Self::Failed(e) => e,
            Self::Stale(block) => {
                corrupted(format!("Block {block} is not the kind of page that the index has there."))
            }
        }
    }

    /// The contents of a page contradict themselves or other pages.
    pub fn corrupt(detail: impl Into<String>) -> Self {
        Self::Failed(corrupted(detail))
    }
}

fn corrupted(detail: impl Into<String>) -> Error {
    Error::new(Kind::Corrupted, "the index is corrupt").detail(detail).hint("Rebuild it with REINDEX.")
}
