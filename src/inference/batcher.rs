//! The threads that turn waiting jobs into batches and run them.
//!
//! No timer holds a batch open. An idle batcher runs a job at once, and whatever arrives while a batch runs becomes the next batch, so
//! batches grow with the load and with nothing else. Once a full batch is waiting, a second thread gathers its pixels while the model
//! still works on the previous one. A smaller batch is gathered only when its turn comes, so that it takes in whatever arrives until
//! then.

use super::counters::{BatchSizeBucket, Counters};
use super::jobs::{is_bulk, Batch, BufferPool, Job};
use super::queue::{queue_full, wait_timed_out, Queue, Waiting};
use super::threads::{lock, panic_message, spawn};
use super::wire_protocol::Priority;
use crate::error::{Error, Kind, Result};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

struct State {
    queue: Queue<Job>,
    /// A full batch that runs as soon as the model is done with the current one.
    gathered_ahead: Option<Batch>,
    /// `Some` while such a batch is being gathered: whether it is a bulk batch.
    gathering_bulk: Option<bool>,
    /// Whether the model is running a batch.
    busy: bool,
    stopping: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread that runs batches: a job came, a batch was gathered, or the batcher stops.
    work: Condvar,
    /// Wakes the thread that gathers ahead: a full batch may be waiting, or the batcher stops.
    full_batch: Condvar,
    /// Wakes the thread that watches deadlines: the nearest deadline changed, or the batcher stops.
    nearest_deadline: Condvar,
    buffers: BufferPool,
    counters: Counters,
    max_batch: usize,
    on_broken: Box<dyn Fn() + Send + Sync>,
}

/// The queue and its three threads: one runs batches, one gathers the next full batch, one watches deadlines.
pub struct Batcher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Batcher {
    /// Starts the threads. `on_broken` is called when model code panicked, since its thread pools may then be unusable, and when the
    /// model's device is lost.
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
                gathered_ahead: None,
                gathering_bulk: None,
                busy: false,
                stopping: false,
            }),
            work: Condvar::new(),
            full_batch: Condvar::new(),
            nearest_deadline: Condvar::new(),
            buffers: BufferPool::default(),
            counters: Counters::default(),
            max_batch: max_batch.max(1),
            on_broken: Box::new(on_broken),
        });
        let mut batcher = Self { shared, threads: Vec::new() };
        batcher.spawn("batches", Shared::run_batches)?;
        batcher.spawn("ahead", Shared::gather_ahead)?;
        batcher.spawn("deadlines", Shared::watch_deadlines)?;
        Ok(batcher)
    }

    fn spawn(&mut self, name: &str, run: fn(&Shared)) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.threads.push(spawn(name, move || run(&shared))?);
        Ok(())
    }

    /// Queues a job. If it is refused (wrong size, queue full), the error is its reply.
    pub fn submit(&self, job: Job) {
        let counters = &self.shared.counters;
        counters.requests.fetch_add(1, Relaxed);
        counters.decode.add(job.decode);
        if job.pixels.len() != job.embedder.pixel_bytes() {
            counters.errors.fetch_add(1, Relaxed);
            let (found, expected) = (job.pixels.len(), job.embedder.pixel_bytes());
            return (job.reply)(Err(Error::new(Kind::Mismatch, "the prepared image has the wrong size")
                .detail(format!("Found {found} bytes; model {} takes {expected}.", job.digest))));
        }
        let mut state = lock(&self.shared.state);
        let nearest = state.queue.next_deadline().is_none_or(|next| job.deadline < next);
        let (priority, since, deadline) = (job.priority, job.since, job.deadline);
        match state.queue.push(Waiting { priority, since, deadline, request: job }) {
            Ok(()) => {
                let enough = state.busy
                    && state.gathered_ahead.is_none()
                    && state.queue.len() >= self.shared.max_batch;
                drop(state);
                self.shared.work.notify_one();
                if enough {
                    self.shared.full_batch.notify_one();
                }
                if nearest {
                    self.shared.nearest_deadline.notify_one();
                }
            }
            Err(job) => {
                let length = state.queue.len();
                drop(state);
                counters.refused.fetch_add(1, Relaxed);
                (job.reply)(Err(queue_full(length)));
            }
        }
    }

    /// Removes cancelled jobs from the queue, so that they take up no room in it.
    pub fn remove_cancelled(&self) {
        let gone = lock(&self.shared.state).queue.remove(|job| job.cancelled.load(Relaxed));
        self.shared.counters.cancelled.fetch_add(gone.len() as u64, Relaxed);
    }

    /// Names and current values of the queue's length and the batcher's counters.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let queued = lock(&self.shared.state).queue.len() as u64;
        let mut counters = vec![("queue_length".to_owned(), queued)];
        counters.extend(self.shared.counters.named_values());
        counters
    }

    /// A histogram of batch sizes.
    pub fn batch_sizes(&self) -> Vec<BatchSizeBucket> {
        self.shared.counters.batch_sizes()
    }
}

impl Drop for Batcher {
    /// Stops the threads; the batch that runs now is finished first.
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.work.notify_all();
        self.shared.full_batch.notify_all();
        self.shared.nearest_deadline.notify_all();
        for thread in self.threads.drain(..) {
            // A thread's panic was logged when it happened.
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

    /// Waits for the next batch to run; `None` when the batcher stops.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = lock(&self.state);
        state.busy = false;
        loop {
            if state.stopping {
                return None;
            }
            // An interactive job goes before a bulk batch, even one that is already gathered.
            let interactive_first = state.queue.starts_with(Priority::Interactive);
            let may_run = |ahead: &mut Batch| !(interactive_first && is_bulk(&ahead.jobs));
            if let Some(batch) = state.gathered_ahead.take_if(may_run) {
                state.busy = true;
                self.full_batch.notify_one();
                return Some(batch);
            }
            // The batch being gathered will be ready in a moment, and its jobs came before those that wait now.
            if state.gathering_bulk.is_some_and(|is_bulk| !(interactive_first && is_bulk)) {
                state = wait(&self.work, state);
                continue;
            }
            let jobs = self.take_jobs(&mut state);
            if jobs.is_empty() {
                state = wait(&self.work, state);
                continue;
            }
            state.busy = true;
            drop(state);
            self.full_batch.notify_one();
            return Some(self.buffers.gather(jobs));
        }
    }

    /// Gathers full batches while the model works.
    fn gather_ahead(&self) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let full_batch_waits =
                state.busy && state.gathered_ahead.is_none() && self.next_batch_len(&state) >= self.max_batch;
            let jobs = if full_batch_waits { self.take_jobs(&mut state) } else { Vec::new() };
            if jobs.is_empty() {
                state = wait(&self.full_batch, state);
                continue;
            }
            state.gathering_bulk = Some(is_bulk(&jobs));
            drop(state);
            let batch = self.buffers.gather(jobs);
            state = lock(&self.state);
            (state.gathered_ahead, state.gathering_bulk) = (Some(batch), None);
            self.work.notify_one();
        }
    }

    /// How many jobs the next batch could have, at most.
    fn next_batch_len(&self, state: &State) -> usize {
        state.queue.count_next(self.max_batch, |a, b| a.digest == b.digest)
    }

    /// Takes the next batch's jobs from the queue, as many as their model prefers. Empty if none wait.
    fn take_jobs(&self, state: &mut State) -> Vec<Job> {
        while let Some(first) = state.queue.first() {
            let waiting = self.next_batch_len(state);
            let wanted = first.embedder.preferred_batch_size(waiting).clamp(1, waiting);
            let mut jobs = state.queue.next_batch(wanted, |a, b| a.digest == b.digest);
            let taken = jobs.len();
            jobs.retain(|job| !job.cancelled.load(Relaxed));
            self.counters.cancelled.fetch_add((taken - jobs.len()) as u64, Relaxed);
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
        // Unwind safety: after a panic the model is not used again, only dropped.
        let outcome = catch_unwind(AssertUnwindSafe(|| model.embed(&pixels, jobs.len())));
        self.counters.count_batch(jobs.len(), start.elapsed());
        self.buffers.recycle(pixels);
        match outcome {
            Ok(Ok(values)) if values.len() == jobs.len() * model.dimensions() => {
                for (job, values) in jobs.into_iter().zip(values.chunks(model.dimensions())) {
                    self.answer(job, check_finite(values));
                }
            }
            Ok(Ok(values)) => {
                let error =
                    Error::new(Kind::Internal, "the model returned the wrong number of values").detail(
                        format!("Found {}, expected {} x {}.", values.len(), jobs.len(), model.dimensions()),
                    );
                self.fail_all(jobs, &error);
            }
            Ok(Err(error)) => {
                self.fail_all(jobs, &error);
                if model.is_device_lost() {
                    (self.on_broken)();
                }
            }
            Err(panic) => {
                self.counters.panics.fetch_add(1, Relaxed);
                let error = Error::new(Kind::Internal, "the model failed unexpectedly")
                    .detail(panic_message(&*panic));
                self.fail_all(jobs, &error);
                (self.on_broken)();
            }
        }
    }

    fn fail_all(&self, jobs: Vec<Job>, error: &Error) {
        for job in jobs {
            self.answer(job, Err(error.clone()));
        }
    }

    fn answer(&self, job: Job, answer: Result<Vec<f32>>) {
        let counter = if answer.is_ok() { &self.counters.images } else { &self.counters.errors };
        counter.fetch_add(1, Relaxed);
        (job.reply)(answer);
    }

    /// Answers jobs that waited too long with an error, also while a batch runs.
    fn watch_deadlines(&self) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let expired = state.queue.remove_expired(Instant::now());
            if expired.is_empty() {
                let nap = state.queue.next_deadline().map_or(Duration::MAX, |d| d - Instant::now());
                state =
                    self.nearest_deadline.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(state);
            self.counters.expired.fetch_add(expired.len() as u64, Relaxed);
            for job in expired {
                (job.reply)(Err(wait_timed_out()));
            }
            state = lock(&self.state);
        }
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition.wait(state).unwrap_or_else(PoisonError::into_inner)
}

/// Fails on NaN and infinity, which would make every distance to this embedding meaningless.
fn check_finite(values: &[f32]) -> Result<Vec<f32>> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(values.to_vec());
    }
    Err(Error::new(Kind::Internal, "the model returned a number that is not finite")
        .hint("The model's weights may be damaged; load the model again."))
}
