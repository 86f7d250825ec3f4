//! Images, from wherever they are into the folder, by several workers.

use super::image_store::{ImageStore, StoreError};
use super::journal::{Journal, Known, StoredImage};
use crate::commands::workers::answer_in_threads;
use crate::data::image_source::ImageSource;
use crate::error::{Error, Kind, Result};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TryRecvError};
use std::sync::Arc;

/// Images after which the journal is written out.
const FLUSH_EVERY: usize = 64;

/// What became of an image.
#[derive(Debug, Clone)]
pub enum ImageState {
    /// A worker has it.
    UnderWay,
    /// It is in the folder.
    Stored(StoredImage),
    /// It could not be read from where it is.
    Unreadable(String),
    /// It is larger than the limit.
    TooLarge(String),
    /// It cannot be decoded.
    Undecodable(String),
}

/// An image to fetch.
#[derive(Debug)]
pub enum Wanted {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Those of this path or URL.
    Name(String),
}

struct Job {
    number: usize,
    wanted: Wanted,
}

/// What a worker answers.
struct Answer {
    number: usize,
    /// The digest of the image's bytes, if it could be read.
    digest: Option<String>,
    /// An error ends the run.
    state: Result<ImageState>,
}

/// All images, by number, and the workers that fetch them. The workers end when it is dropped.
pub struct Fetcher {
    jobs: SyncSender<Job>,
    answers: Receiver<Answer>,
    journal: Journal,
    states: Vec<ImageState>,
    tokens: Vec<Option<String>>,
    retries_undecodable: bool,
    under_way: usize,
    unflushed: usize,
    /// Images that were fetched and stored.
    pub fetched: usize,
}

impl Fetcher {
    /// Starts `workers` threads. Paths and URLs are read from `source`. With `retries_undecodable`, an image that does not decode is tried
    /// again in the next run, because other bytes may be behind the same name then.
    ///
    /// # Errors
    /// [`Kind::Io`] if the system gives no thread.
    pub fn start(
        workers: usize,
        source: &Arc<dyn ImageSource>,
        store: &ImageStore,
        journal: Journal,
        retries_undecodable: bool,
    ) -> Result<Self> {
        // Images that wait are in memory, so few do.
        let (jobs, waiting) = sync_channel::<Job>(2 * workers);
        let (source, store) = (Arc::clone(source), store.clone());
        let answers = answer_in_threads(workers, waiting, move |Job { number, wanted }| {
            fetch(number, &*source, &store, wanted)
        })?;
        let (states, tokens) = (Vec::new(), Vec::new());
        Ok(Self {
            jobs,
            answers,
            journal,
            states,
            tokens,
            retries_undecodable,
            under_way: 0,
            unflushed: 0,
            fetched: 0,
        })
    }

    /// The tokens of images that need not be fetched.
    pub fn known_tokens(&self) -> Vec<&str> {
        self.journal.known.keys().map(String::as_str).collect()
    }

    /// The number of an image that earlier runs have left; `None` if it is not known.
    pub fn known(&mut self, token: &str) -> Option<usize> {
        let state = match self.journal.known.get(token)? {
            Known::Stored(image) => ImageState::Stored(image.clone()),
            Known::Undecodable(why) => ImageState::Undecodable(why.clone()),
        };
        Some(self.add(state, None))
    }

    /// An image of which something is known already.
    pub fn add(&mut self, state: ImageState, token: Option<String>) -> usize {
        self.states.push(state);
        self.tokens.push(token);
        self.states.len() - 1
    }

    /// Says what became of image `number`, which was added before.
    pub fn set(&mut self, number: usize, state: ImageState) {
        self.states[number] = state;
    }

    /// Fetches an image, and returns its number. Waits while the workers have enough to do.
    ///
    /// # Errors
    /// Those of writing an image or the journal.
    pub fn fetch(&mut self, token: Option<String>, wanted: Wanted) -> Result<usize> {
        let number = self.add(ImageState::UnderWay, token);
        self.fetch_as(number, wanted)?;
        Ok(number)
    }

    /// Fetches image `number`, which was added before.
    ///
    /// # Errors
    /// As [`Fetcher::fetch`].
    pub fn fetch_as(&mut self, number: usize, wanted: Wanted) -> Result<()> {
        self.under_way += 1;
        self.jobs.send(Job { number, wanted }).map_err(|_| gone())?;
        loop {
            match self.answers.try_recv() {
                Ok(answer) => self.take(answer)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(gone()),
            }
        }
    }

    /// Waits for the workers, and writes out the journal. Called after a failure as well: what is done is kept.
    ///
    /// # Errors
    /// As [`Fetcher::fetch`].
    pub fn finish(&mut self) -> Result<()> {
        let mut result = Ok(());
        while self.under_way > 0 {
            let answer = self.answers.recv().map_err(|_| gone())?;
            result = result.and(self.take(answer));
        }
        result.and(self.journal.flush())
    }

    /// What became of each image.
    pub fn states(&self) -> &[ImageState] {
        &self.states
    }

    fn take(&mut self, Answer { number, digest, state }: Answer) -> Result<()> {
        self.under_way -= 1;
        let state = state?;
        let known = match &state {
            ImageState::Stored(image) => Some(Known::Stored(image.clone())),
            ImageState::Undecodable(why) if !self.retries_undecodable => {
                Some(Known::Undecodable(why.clone()))
            }
            _ => None,
        };
        if let Some(known) = known {
            self.fetched += usize::from(matches!(known, Known::Stored(_)));
            if let Some(token) = self.tokens[number].take().or(digest) {
                self.journal.record(&token, known)?;
                self.unflushed += 1;
            }
        }
        if self.unflushed >= FLUSH_EVERY {
            self.unflushed = 0;
            self.journal.flush()?;
        }
        self.states[number] = state;
        Ok(())
    }
}

/// Reads an image and puts it into the folder.
fn fetch(number: usize, source: &dyn ImageSource, store: &ImageStore, wanted: Wanted) -> Answer {
    let bytes = match wanted {
        Wanted::Bytes(bytes) => bytes,
        Wanted::Name(name) => match source.read(&name) {
            Ok(bytes) => bytes,
            Err(e) if e.kind == Kind::LimitExceeded => {
                return Answer { number, digest: None, state: Ok(ImageState::TooLarge(in_one_line(&e))) }
            }
            Err(e) => {
                return Answer { number, digest: None, state: Ok(ImageState::Unreadable(in_one_line(&e))) }
            }
        },
    };
    let digest = ImageStore::digest(&bytes);
    let state = match store.store(&bytes, &digest) {
        Ok(image) => Ok(ImageState::Stored(image)),
        Err(StoreError::Undecodable(e)) => Ok(ImageState::Undecodable(in_one_line(&e))),
        Err(StoreError::Write(e)) => Err(e),
    };
    Answer { number, digest: Some(digest), state }
}

/// Message and DETAIL of an error.
pub fn in_one_line(e: &Error) -> String {
    let detail = e.detail.as_ref().map_or(String::new(), |d| format!(". {}", d.trim_end_matches('.')));
    format!("{}{detail}", e.message).replace('\n', " ")
}

fn gone() -> Error {
    Error::new(Kind::Internal, "the workers have ended")
}
