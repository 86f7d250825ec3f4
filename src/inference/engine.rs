//! The thread that turns what waits into batches.
//!
//! There is no timer that holds a batch open: an idle engine runs a request at once, and what arrives while a batch
//! runs becomes the next one, so batches grow with the load and with nothing else. Once a full batch waits, another
//! thread gathers its pixels while the model still works; a smaller one is gathered when its turn comes, so that
//! whatever arrives until then is part of it.

use super::batch::{is_bulk, Batch, Buffers};
use super::counters::{BatchSize, Counters};
use super::lock;
use super::queue::{Queue, Waiting};
use super::wire::Priority;
use crate::error::{Error, Kind, Result};
use crate::model::ModelDigest;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod tests;

/// A model that turns prepared pictures into raw (not yet normalised) embeddings.
pub trait Embedder: Send + Sync {
    /// Bytes of one prepared picture.
    fn pixel_bytes(&self) -> usize;
    /// N = K·n.
    fn dimensions(&self) -> usize;
    /// What it holds in memory, in bytes.
    fn memory_bytes(&self) -> u64;
    /// How many of `waiting` pictures to take at once: all of them, unless a device works best in certain sizes. On CPUs a
    /// picture takes the same time in batches of 3, 5 or 12 as of 4, 8 or 16, so rounding down would only add batches.
    fn batch_of(&self, waiting: usize) -> usize {
        waiting
    }
    /// `[images, pixel_bytes]` to `[images, N]`.
    ///
    /// # Errors
    /// Whatever keeps the model from computing.
    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>>;
    /// Whether it can never compute again: the process has to be replaced.
    fn is_lost(&self) -> bool {
        false
    }
}

/// One picture on its way through the engine.
pub struct Job {
    /// The model's digest; jobs with the same one share a batch.
    pub digest: ModelDigest,
    /// The model, kept alive while it is needed even if the registry lets go of it.
    pub embedder: Arc<dyn Embedder>,
    /// The prepared picture.
    pub pixels: Vec<u8>,
    /// How long its client took to prepare it; for the statistics.
    pub decode: Duration,
    /// Its class.
    pub priority: Priority,
    /// When it came.
    pub since: Instant,
    /// When it gives up waiting.
    pub deadline: Instant,
    /// Set by whoever waits for the answer when it left.
    pub cancelled: Arc<AtomicBool>,
    /// Takes the answer; called once, or dropped if the job was cancelled.
    pub reply: Box<dyn FnOnce(Result<Vec<f32>>) + Send>,
}

struct State {
    queue: Queue<Job>,
    /// A full batch for when the model is done with the one it works on.
    ahead: Option<Batch>,
    /// Whether one is being gathered, and if so, whether it is bulk.
    gathering: Option<bool>,
    /// Whether the model works.
    busy: bool,
    stopping: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Something to compute, or the end.
    work: Condvar,
    /// Perhaps a full batch to gather, or the end.
    full: Condvar,
    /// A deadline came nearer, or the end.
    deadlines: Condvar,
    buffers: Buffers,
    counters: Counters,
    max_batch: usize,
    on_broken: Box<dyn Fn() + Send + Sync>,
}

/// The queue and its threads: one runs batches, one gathers the next, one minds deadlines.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the threads. `on_broken` is told when model code panicked, as its thread pools may then be unusable, and when its
    /// device is lost.
    ///
    /// # Errors
    /// [`Kind::Io`] if the system gives no thread.
    pub fn start(
        queue_length: usize,
        max_batch: usize,
        on_broken: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: Queue::new(queue_length),
                ahead: None,
                gathering: None,
                busy: false,
                stopping: false,
            }),
            work: Condvar::new(),
            full: Condvar::new(),
            deadlines: Condvar::new(),
            buffers: Buffers::default(),
            counters: Counters::default(),
            max_batch: max_batch.max(1),
            on_broken: Box::new(on_broken),
        });
        let mut engine = Self { shared, threads: Vec::new() };
        engine.spawn("batches", Shared::run_batches)?;
        engine.spawn("ahead", Shared::gather_ahead)?;
        engine.spawn("deadlines", Shared::mind_deadlines)?;
        Ok(engine)
    }

    fn spawn(&mut self, name: &str, run: fn(&Shared)) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&shared))
            .map_err(|e| Error::new(Kind::Io, format!("could not start a thread: {e}")))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Queues a job; a refusal is its answer.
    pub fn submit(&self, job: Job) {
        let counters = &self.shared.counters;
        counters.requests.fetch_add(1, Relaxed);
        counters.decode.add(job.decode);
        if job.pixels.len() != job.embedder.pixel_bytes() {
            counters.errors.fetch_add(1, Relaxed);
            let (found, expected) = (job.pixels.len(), job.embedder.pixel_bytes());
            return (job.reply)(Err(Error::new(Kind::Mismatch, "prepared picture has the wrong size")
                .detail(format!("Found {found} bytes; model {} takes {expected}.", job.digest))));
        }
        let mut state = lock(&self.shared.state);
        let nearest = state.queue.next_deadline().is_none_or(|next| job.deadline < next);
        let (priority, since, deadline) = (job.priority, job.since, job.deadline);
        match state.queue.push(Waiting { priority, since, deadline, what: job }) {
            Ok(()) => {
                let enough =
                    state.busy && state.ahead.is_none() && state.queue.len() >= self.shared.max_batch;
                drop(state);
                self.shared.work.notify_one();
                if enough {
                    self.shared.full.notify_one();
                }
                if nearest {
                    self.shared.deadlines.notify_one();
                }
            }
            Err(job) => {
                let length = state.queue.len();
                drop(state);
                counters.refused.fetch_add(1, Relaxed);
                (job.reply)(Err(full(length)));
            }
        }
    }

    /// Takes cancelled jobs out of the queue, so that they hold no place in it.
    pub fn forget_cancelled(&self) {
        let gone = lock(&self.shared.state).queue.remove(|job| job.cancelled.load(Relaxed));
        self.shared.counters.cancelled.fetch_add(gone.len() as u64, Relaxed);
    }

    /// Names and values of what it counts.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let queued = lock(&self.shared.state).queue.len() as u64;
        let mut counters = vec![("queue_length".to_owned(), queued)];
        counters.extend(self.shared.counters.list());
        counters
    }

    /// How large batches were.
    pub fn batch_sizes(&self) -> Vec<BatchSize> {
        self.shared.counters.batch_sizes()
    }
}

impl Drop for Engine {
    /// Ends the threads after the batch that runs now.
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.work.notify_all();
        self.shared.full.notify_all();
        self.shared.deadlines.notify_all();
        for thread in self.threads.drain(..) {
            // A thread's panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run_batches(&self) {
        while let Some(batch) = self.next_batch() {
            self.run(batch);
        }
    }

    /// Waits for work; `None` is the end.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = lock(&self.state);
        state.busy = false;
        loop {
            if state.stopping {
                return None;
            }
            // Somebody who waits passes a bulk batch that is ready, too.
            let passed = state.queue.starts_with(Priority::Interactive);
            if let Some(batch) = state.ahead.take_if(|ahead| !(passed && is_bulk(&ahead.jobs))) {
                state.busy = true;
                self.full.notify_one();
                return Some(batch);
            }
            // The batch that is being gathered is ready in a moment, and came before what waits now.
            if state.gathering.is_some_and(|is_bulk| !(passed && is_bulk)) {
                state = wait(&self.work, state);
                continue;
            }
            let jobs = self.take(&mut state);
            if jobs.is_empty() {
                state = wait(&self.work, state);
                continue;
            }
            state.busy = true;
            drop(state);
            self.full.notify_one();
            return Some(self.buffers.gather(jobs));
        }
    }

    /// Gathers full batches while the model works.
    fn gather_ahead(&self) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let is_full = state.busy && state.ahead.is_none() && self.waiting(&state) >= self.max_batch;
            let jobs = if is_full { self.take(&mut state) } else { Vec::new() };
            if jobs.is_empty() {
                state = wait(&self.full, state);
                continue;
            }
            state.gathering = Some(is_bulk(&jobs));
            drop(state);
            let batch = self.buffers.gather(jobs);
            state = lock(&self.state);
            (state.ahead, state.gathering) = (Some(batch), None);
            self.work.notify_one();
        }
    }

    /// How many requests the next batch could have, at most.
    fn waiting(&self, state: &State) -> usize {
        state.queue.count_next(self.max_batch, |a, b| a.digest == b.digest)
    }

    /// Takes the next batch's jobs, as many as its model wants; none if none wait.
    fn take(&self, state: &mut State) -> Vec<Job> {
        while let Some(first) = state.queue.first() {
            let waiting = self.waiting(state);
            let wanted = first.embedder.batch_of(waiting).clamp(1, waiting);
            let mut jobs = state.queue.next_batch(wanted, |a, b| a.digest == b.digest);
            let before = jobs.len();
            jobs.retain(|job| !job.cancelled.load(Relaxed));
            self.counters.cancelled.fetch_add((before - jobs.len()) as u64, Relaxed);
            if !jobs.is_empty() {
                return jobs;
            }
        }
        Vec::new()
    }

    fn run(&self, batch: Batch) {
        let Batch { jobs, pixels } = batch;
        let model = Arc::clone(&jobs[0].embedder);
        let start = Instant::now();
        jobs.iter().for_each(|job| self.counters.queue.add(start - job.since));
        // Unwind safety: after a panic the model is only dropped.
        let outcome = catch_unwind(AssertUnwindSafe(|| model.embed(&pixels, jobs.len())));
        self.counters.batch(jobs.len(), start.elapsed());
        self.buffers.put_back(pixels);
        match outcome {
            Ok(Ok(values)) if values.len() == jobs.len() * model.dimensions() => {
                for (job, values) in jobs.into_iter().zip(values.chunks(model.dimensions())) {
                    self.answer(job, finite(values));
                }
            }
            Ok(Ok(values)) => {
                let error =
                    Error::new(Kind::Internal, "the model returned the wrong number of values").detail(
                        format!("Found {}, expected {} x {}.", values.len(), jobs.len(), model.dimensions()),
                    );
                self.fail(jobs, &error);
            }
            Ok(Err(error)) => {
                self.fail(jobs, &error);
                if model.is_lost() {
                    (self.on_broken)();
                }
            }
            Err(panic) => {
                self.counters.panics.fetch_add(1, Relaxed);
                let error =
                    Error::new(Kind::Internal, "the model failed unexpectedly").detail(panic_text(&*panic));
                self.fail(jobs, &error);
                (self.on_broken)();
            }
        }
    }

    fn fail(&self, jobs: Vec<Job>, error: &Error) {
        for job in jobs {
            self.answer(job, Err(error.clone()));
        }
    }

    fn answer(&self, job: Job, answer: Result<Vec<f32>>) {
        let counter = if answer.is_ok() { &self.counters.images } else { &self.counters.errors };
        counter.fetch_add(1, Relaxed);
        (job.reply)(answer);
    }

    /// Answers whoever waited too long, also while a batch runs.
    fn mind_deadlines(&self) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let expired = state.queue.expired(Instant::now());
            if expired.is_empty() {
                let nap = state.queue.next_deadline().map_or(Duration::MAX, |d| d - Instant::now());
                state = self.deadlines.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(state);
            self.counters.expired.fetch_add(expired.len() as u64, Relaxed);
            for job in expired {
                (job.reply)(Err(too_long()));
            }
            state = lock(&self.state);
        }
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition.wait(state).unwrap_or_else(PoisonError::into_inner)
}

/// A number that is not finite would spoil every distance it meets.
fn finite(values: &[f32]) -> Result<Vec<f32>> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(values.to_vec());
    }
    Err(Error::new(Kind::Internal, "the model returned a number that is not finite")
        .hint("The model's weights may be damaged; load the model again."))
}

fn full(length: usize) -> Error {
    Error::new(Kind::Busy, "the inference service's queue is full")
        .detail(format!("{length} requests are waiting."))
        .hint("Run the statement again later, or raise coopembed.queue_length.")
}

/// The answer to a request whose time in the queue is up.
pub(crate) fn too_long() -> Error {
    Error::new(Kind::Busy, "the inference service did not come to this request in time")
        .detail("It waited for coopembed.queue_timeout.")
        .hint("Run the statement again later, or raise coopembed.queue_timeout.")
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("No message.").to_owned()
}
