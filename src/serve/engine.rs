//! The thread that turns what waits into batches.
//!
//! There is no timer that holds a batch open: an idle engine runs a request at once, and what arrives while a batch
//! runs becomes the next one, so batches grow with the load and with nothing else.

use super::lock;
use super::protocol::Priority;
use super::queue::{Queue, Waiting};
use crate::error::{Error, Kind, Result};
use crate::model::ModelDigest;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A model that turns prepared pictures into raw (not yet normalised) embeddings.
pub trait Embedder: Send + Sync {
    /// Bytes of one prepared picture.
    fn pixel_bytes(&self) -> usize;
    /// N = K·n.
    fn dimensions(&self) -> usize;
    /// What it holds in memory, in bytes.
    fn memory_bytes(&self) -> u64;
    /// `[images, pixel_bytes]` to `[images, N]`.
    ///
    /// # Errors
    /// Whatever keeps the model from computing.
    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>>;
}

/// One picture on its way through the engine.
pub struct Job {
    /// The model's digest; jobs with the same one share a batch.
    pub digest: ModelDigest,
    /// The model, kept alive while it is needed even if the registry lets go of it.
    pub embedder: Arc<dyn Embedder>,
    /// The prepared picture.
    pub pixels: Vec<u8>,
    /// Its class.
    pub priority: Priority,
    /// When it gives up waiting.
    pub deadline: Instant,
    /// Set by whoever waits for the answer when it left.
    pub cancelled: Arc<AtomicBool>,
    /// Takes the answer; called once, or dropped if the job was cancelled.
    pub reply: Box<dyn FnOnce(Result<Vec<f32>>) + Send>,
}

/// What the engine counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub requests: AtomicU64,
    pub images: AtomicU64,
    pub batches: AtomicU64,
    pub largest_batch: AtomicU64,
    pub refused: AtomicU64,
    pub expired: AtomicU64,
    pub cancelled: AtomicU64,
    pub errors: AtomicU64,
    pub panics: AtomicU64,
    pub model_microseconds: AtomicU64,
}

struct State {
    queue: Queue<Job>,
    stopping: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Something to compute, or the end.
    work: Condvar,
    /// A deadline came nearer, or the end.
    deadlines: Condvar,
    counters: Counters,
    max_batch: usize,
    on_panic: Box<dyn Fn() + Send + Sync>,
}

/// The queue, the thread that empties it and the thread that minds its deadlines.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the threads. `on_panic` is told when model code panicked: its thread pools may then be unusable.
    ///
    /// # Errors
    /// [`Kind::Io`] if the system gives no thread.
    pub fn start(
        queue_length: usize,
        max_batch: usize,
        on_panic: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { queue: Queue::new(queue_length), stopping: false }),
            work: Condvar::new(),
            deadlines: Condvar::new(),
            counters: Counters::default(),
            max_batch,
            on_panic: Box::new(on_panic),
        });
        let mut engine = Self { shared, threads: Vec::new() };
        engine.spawn("batches", Shared::run_batches)?;
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
        if job.pixels.len() != job.embedder.pixel_bytes() {
            counters.errors.fetch_add(1, Relaxed);
            let (found, expected) = (job.pixels.len(), job.embedder.pixel_bytes());
            return (job.reply)(Err(Error::new(Kind::Mismatch, "prepared picture has the wrong size")
                .detail(format!("Found {found} bytes; model {} takes {expected}.", job.digest))));
        }
        let mut state = lock(&self.shared.state);
        let nearest = state.queue.next_deadline().is_none_or(|next| job.deadline < next);
        let (priority, deadline) = (job.priority, job.deadline);
        match state.queue.push(Waiting { priority, since: Instant::now(), deadline, what: job }) {
            Ok(()) => {
                drop(state);
                self.shared.work.notify_one();
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

    /// Names and values for `coop_status()`.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let c = &self.shared.counters;
        let queued = lock(&self.shared.state).queue.len() as u64;
        [
            ("queue_length", queued),
            ("requests", c.requests.load(Relaxed)),
            ("images", c.images.load(Relaxed)),
            ("batches", c.batches.load(Relaxed)),
            ("largest_batch", c.largest_batch.load(Relaxed)),
            ("refused_queue_full", c.refused.load(Relaxed)),
            ("expired_in_queue", c.expired.load(Relaxed)),
            ("cancelled", c.cancelled.load(Relaxed)),
            ("errors", c.errors.load(Relaxed)),
            ("panics", c.panics.load(Relaxed)),
            ("model_milliseconds", c.model_microseconds.load(Relaxed) / 1000),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

impl Drop for Engine {
    /// Ends the threads after the batch that runs now.
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.work.notify_all();
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
            if !batch.is_empty() {
                self.run(batch);
            }
        }
    }

    /// Waits for work; `None` is the end.
    fn next_batch(&self) -> Option<Vec<Job>> {
        let state = lock(&self.state);
        let idle = |s: &mut State| !s.stopping && s.queue.len() == 0;
        let mut state = self.work.wait_while(state, idle).unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.stopping {
            return None;
        }
        let mut batch = state.queue.next_batch(self.max_batch, |a, b| a.digest == b.digest);
        let before = batch.len();
        batch.retain(|job| !job.cancelled.load(Relaxed));
        self.counters.cancelled.fetch_add((before - batch.len()) as u64, Relaxed);
        Some(batch)
    }

    fn run(&self, batch: Vec<Job>) {
        let model = Arc::clone(&batch[0].embedder);
        let pixels: Vec<u8> = batch.iter().flat_map(|job| &job.pixels).copied().collect();
        let start = Instant::now();
        // Unwind safety: after a panic the model is only dropped.
        let outcome = catch_unwind(AssertUnwindSafe(|| model.embed(&pixels, batch.len())));
        self.count(&batch, start.elapsed());
        match outcome {
            Ok(Ok(values)) if values.len() == batch.len() * model.dimensions() => {
                for (job, values) in batch.into_iter().zip(values.chunks(model.dimensions())) {
                    self.answer(job, finite(values));
                }
            }
            Ok(Ok(values)) => {
                let error =
                    Error::new(Kind::Internal, "the model returned the wrong number of values").detail(
                        format!("Found {}, expected {} x {}.", values.len(), batch.len(), model.dimensions()),
                    );
                self.fail(batch, &error);
            }
            Ok(Err(error)) => self.fail(batch, &error),
            Err(panic) => {
                self.counters.panics.fetch_add(1, Relaxed);
                let error =
                    Error::new(Kind::Internal, "the model failed unexpectedly").detail(panic_text(&*panic));
                self.fail(batch, &error);
                (self.on_panic)();
            }
        }
    }

    fn count(&self, batch: &[Job], took: Duration) {
        let c = &self.counters;
        c.batches.fetch_add(1, Relaxed);
        c.largest_batch.fetch_max(batch.len() as u64, Relaxed);
        c.model_microseconds.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn fail(&self, batch: Vec<Job>, error: &Error) {
        for job in batch {
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
                state = self
                    .deadlines
                    .wait_timeout(state, nap)
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .0;
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

#[cfg(test)]
pub(crate) mod fakes {
    use super::*;
    use std::sync::mpsc::{channel, Receiver, Sender};

    /// A model of two-byte pictures and one dimension. It adds the bytes; it notes the batches it saw; and it waits
    /// for a nod before each batch if asked to.
    pub struct Adder {
        pub batches: Mutex<Vec<Vec<u8>>>,
        nods: Option<Mutex<Receiver<()>>>,
    }

    impl Adder {
        pub fn free() -> Arc<Self> {
            Arc::new(Self { batches: Mutex::default(), nods: None })
        }

        pub fn held() -> (Arc<Self>, Sender<()>) {
            let (nod, nods) = channel();
            (Arc::new(Self { batches: Mutex::default(), nods: Some(Mutex::new(nods)) }), nod)
        }

        /// Returns when `count` batches have begun.
        pub fn begun(&self, count: usize) {
            while lock(&self.batches).len() < count {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    impl Embedder for Adder {
        fn pixel_bytes(&self) -> usize {
            2
        }
        fn dimensions(&self) -> usize {
            1
        }
        fn memory_bytes(&self) -> u64 {
            100
        }
        fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>> {
            assert_eq!(pixels.len(), images * 2);
            lock(&self.batches).push(pixels.iter().step_by(2).copied().collect());
            if let Some(nods) = &self.nods {
                lock(nods).recv().map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
            }
            match pixels[0] {
                251 => Err(Error::new(Kind::InvalidModel, "refused")),
                252 => panic!("lost its mind"),
                253 => Ok(vec![f32::NAN; images]),
                254 => Ok(vec![]),
                _ => {
                    Ok(pixels.as_chunks::<2>().0.iter().map(|p| f32::from(p[0]) + f32::from(p[1])).collect())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fakes::Adder;
    use super::*;
    use std::sync::mpsc::{channel, Receiver};

    struct Sent {
        answer: Receiver<Result<Vec<f32>>>,
        cancelled: Arc<AtomicBool>,
    }

    fn send(engine: &Engine, model: &Arc<Adder>, id: u8, priority: Priority, timeout: Duration) -> Sent {
        let (tx, answer) = channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        engine.submit(Job {
            digest: ModelDigest([Arc::as_ptr(model) as usize as u8; 32]),
            embedder: Arc::clone(model) as _,
            pixels: vec![id, 1],
            priority,
            deadline: Instant::now() + timeout,
            cancelled: Arc::clone(&cancelled),
            reply: Box::new(move |answer| tx.send(answer).unwrap_or(())),
        });
        Sent { answer, cancelled }
    }

    fn counter(engine: &Engine, name: &str) -> u64 {
        engine.counters().into_iter().find(|(n, _)| n == name).unwrap().1
    }

    const LONG: Duration = Duration::from_secs(60);
    use Priority::{Bulk, Interactive};

    #[test]
    fn an_idle_engine_runs_a_request_at_once_and_what_waits_shares_a_batch() {
        let engine = Engine::start(10, 3, || ()).unwrap();
        let (model, nod) = Adder::held();
        let first = send(&engine, &model, 10, Interactive, LONG);
        model.begun(1);
        let rest: Vec<Sent> = (11..15).map(|id| send(&engine, &model, id, Interactive, LONG)).collect();
        (0..3).for_each(|_| nod.send(()).unwrap());
        assert_eq!(first.answer.recv().unwrap().unwrap(), [11.0]);
        for (sent, expected) in rest.iter().zip([12.0, 13.0, 14.0, 15.0]) {
            assert_eq!(sent.answer.recv().unwrap().unwrap(), [expected]);
        }
        assert_eq!(*lock(&model.batches), [vec![10], vec![11, 12, 13], vec![14]]);
        assert_eq!(counter(&engine, "largest_batch"), 3);
        assert_eq!(counter(&engine, "images"), 5);
    }

    #[test]
    fn interactive_requests_go_first() {
        let engine = Engine::start(10, 8, || ()).unwrap();
        let (model, nod) = Adder::held();
        let plug = send(&engine, &model, 1, Interactive, LONG);
        model.begun(1);
        let bulk = send(&engine, &model, 2, Bulk, LONG);
        let interactive = send(&engine, &model, 3, Interactive, LONG);
        (0..3).for_each(|_| nod.send(()).unwrap());
        for sent in [plug, bulk, interactive] {
            sent.answer.recv().unwrap().unwrap();
        }
        assert_eq!(*lock(&model.batches), [vec![1], vec![3], vec![2]]);
    }

    #[test]
    fn a_full_queue_refuses_with_a_hint() {
        let engine = Engine::start(1, 8, || ()).unwrap();
        let (model, nod) = Adder::held();
        let running = send(&engine, &model, 1, Interactive, LONG);
        model.begun(1);
        let waiting = send(&engine, &model, 2, Interactive, LONG);
        let refused = send(&engine, &model, 3, Interactive, LONG).answer.recv().unwrap().unwrap_err();
        assert_eq!(refused.kind, Kind::Busy);
        assert!(refused.hint.unwrap().contains("coopembed.queue_length"));
        (0..2).for_each(|_| nod.send(()).unwrap());
        assert!(running.answer.recv().unwrap().is_ok() && waiting.answer.recv().unwrap().is_ok());
        assert_eq!(counter(&engine, "refused_queue_full"), 1);
    }

    #[test]
    fn a_request_that_waits_too_long_is_told_so_while_the_model_still_works() {
        let engine = Engine::start(9, 8, || ()).unwrap();
        let (model, nod) = Adder::held();
        let running = send(&engine, &model, 1, Interactive, LONG);
        model.begun(1);
        let patient = send(&engine, &model, 2, Interactive, LONG);
        let hasty = send(&engine, &model, 3, Interactive, Duration::from_millis(20));
        let error = hasty.answer.recv().unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::Busy);
        assert!(error.hint.unwrap().contains("coopembed.queue_timeout"));
        (0..2).for_each(|_| nod.send(()).unwrap());
        assert!(running.answer.recv().unwrap().is_ok() && patient.answer.recv().unwrap().is_ok());
        assert_eq!(*lock(&model.batches), [vec![1], vec![2]]);
        assert_eq!(counter(&engine, "expired_in_queue"), 1);
    }

    #[test]
    fn a_cancelled_request_is_skipped_and_frees_its_place() {
        let engine = Engine::start(1, 8, || ()).unwrap();
        let (model, nod) = Adder::held();
        let running = send(&engine, &model, 1, Interactive, LONG);
        model.begun(1);
        let left = send(&engine, &model, 2, Interactive, LONG);
        left.cancelled.store(true, Relaxed);
        engine.forget_cancelled();
        let next = send(&engine, &model, 3, Interactive, LONG);
        (0..2).for_each(|_| nod.send(()).unwrap());
        assert!(running.answer.recv().unwrap().is_ok() && next.answer.recv().unwrap().is_ok());
        assert!(left.answer.recv().is_err(), "nobody answers a client that left");
        assert_eq!(*lock(&model.batches), [vec![1], vec![3]]);
        assert_eq!(counter(&engine, "cancelled"), 1);
    }

    #[test]
    fn a_failing_or_panicking_model_fails_its_batch_and_the_next_one_runs() {
        let panics = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&panics);
        let engine = Engine::start(9, 8, move || {
            seen.fetch_add(1, Relaxed);
        })
        .unwrap();
        let model = Adder::free();
        let error = |id| send(&engine, &model, id, Interactive, LONG).answer.recv().unwrap().unwrap_err();
        assert_eq!(error(251).message, "refused");
        assert_eq!(error(252).detail.unwrap(), "lost its mind");
        assert!(error(253).message.contains("not finite"));
        assert!(error(254).message.contains("wrong number"));
        assert_eq!(send(&engine, &model, 5, Interactive, LONG).answer.recv().unwrap().unwrap(), [6.0]);
        assert_eq!((panics.load(Relaxed), counter(&engine, "panics"), counter(&engine, "errors")), (1, 1, 4));
    }

    #[test]
    fn a_picture_of_the_wrong_size_never_reaches_the_model() {
        let engine = Engine::start(9, 8, || ()).unwrap();
        let model = Adder::free();
        let (tx, answer) = channel();
        engine.submit(Job {
            digest: ModelDigest([0; 32]),
            embedder: Arc::clone(&model) as _,
            pixels: vec![1, 2, 3],
            priority: Interactive,
            deadline: Instant::now() + LONG,
            cancelled: Arc::default(),
            reply: Box::new(move |answer| tx.send(answer).unwrap()),
        });
        assert_eq!(answer.recv().unwrap().unwrap_err().kind, Kind::Mismatch);
        assert!(lock(&model.batches).is_empty());
    }
}
