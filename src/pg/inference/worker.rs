//! The supervisor of the inference service: one background worker per cluster that owns the socket and the model
//! process, starts a new one when it dies, and calls no model code itself.
//!
//! It is a child of the postmaster, which restarts the whole cluster when such a child crashes; so everything that may
//! crash, be killed for its memory or hang lives in the model process (`model_process.rs`), which is not.

use super::engine::{self, Refusal};
use super::model_process::{ModelProcess, Slot};
use super::socket::{Change, Post};
use crate::inference::process::End;
use crate::inference::{Build, Past};
use crate::pg::guc;
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How often the supervisor looks after its socket: one that is removed is back within this time.
const LOOK: Duration = Duration::from_millis(250);
/// A model process that lives at least this long was not a failed start.
const HEALTHY: Duration = Duration::from_secs(10);
/// The longest pause before another start.
const MAX_PAUSE: Duration = Duration::from_secs(5);
static BUILD: OnceLock<Build> = OnceLock::new();

/// This process's library. Known since it was loaded: the file may be another one later.
pub fn build() -> Build {
    BUILD.get_or_init(|| Build::this(library_installed().unwrap_or(0))).clone()
}

/// When the library's file was last put in place, in nanoseconds: copying preserves other times, never this one.
fn library_installed() -> Option<u64> {
    // SAFETY: dladdr fills the record in for any address of ours, and says so.
    let path = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(build as *const libc::c_void, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        OsStr::from_bytes(std::ffi::CStr::from_ptr(info.dli_fname).to_bytes())
    };
    let file = std::fs::metadata(path).ok()?;
    u64::try_from(file.ctime() * 1_000_000_000 + file.ctime_nsec()).ok()
}

fn worker() -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new("coopembed inference supervisor")
        .set_type("coopembed inference supervisor")
        .set_library("coopembed")
        .set_function("coopembed_supervisor_main")
        // On a hot standby too: queries there embed pictures as well.
        .set_start_time(BgWorkerStartTime::ConsistentState)
}

/// Called when the library is loaded: remembers its build, and has the postmaster keep a supervisor if it preloads us.
pub fn on_load() {
    build();
    // SAFETY: a plain variable of the server.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        worker().set_restart_time(Some(Duration::from_secs(5))).load();
    }
}

/// Asks the postmaster for a supervisor. Harmless if there is one: the newcomer finds the lock taken and leaves.
/// False if all of `max_worker_processes` are in use.
pub fn launch() -> bool {
    // SAFETY: a plain variable of the server.
    let me = unsafe { pg_sys::MyProcPid };
    worker().set_restart_time(None).set_notify_pid(me).load_dynamic().is_ok()
}

/// The background worker's main function.
#[pg_guard]
#[no_mangle]
pub extern "C-unwind" fn coopembed_supervisor_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(
        SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM | SignalWakeFlags::SIGCHLD,
    );
    let post = match Post::take() {
        Ok(Some(post)) => post,
        Ok(None) => return,
        Err(e) => crate::pg::ereport::raise(e),
    };
    Supervisor::new(post).run();
}

/// What the model process is started with; other settings travel with each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// Most waiting requests.
    pub queue_length: usize,
    /// Most pictures in a batch.
    pub max_batch: usize,
    /// Most bytes of models; `None` is no limit.
    pub memory_limit: Option<u64>,
    /// `coopembed.device`.
    pub device: String,
    /// `coopembed.engine`.
    pub engine: PathBuf,
    /// Why the last program could not use its device: the library computes instead until settings change.
    pub refused: Option<Refusal>,
    /// Threads; `None` is one for each processor.
    pub threads: Option<usize>,
    /// Most connections: one for every process of the server that can run SQL, and some for those just leaving.
    pub connections: usize,
}

impl ProcessSettings {
    fn current() -> Self {
        Self {
            queue_length: guc::queue_length(),
            max_batch: guc::max_batch(),
            memory_limit: guc::memory_limit(),
            device: guc::device(),
            engine: guc::engine(),
            refused: None,
            threads: guc::threads(),
            // SAFETY: set by the postmaster before any of its children starts.
            connections: unsafe { pg_sys::MaxBackends }.unsigned_abs() as usize * 2 + 16,
        }
    }
}

impl ProcessSettings {
    /// Whether the next model process becomes a program, if that can be run.
    fn has_program(&self) -> bool {
        self.refused.is_none() && engine::choose(self).is_some()
    }
}

struct Supervisor {
    post: Post,
    /// What went wrong when the socket was last looked after.
    trouble: Option<String>,
    settings: ProcessSettings,
    past: Past,
    child: Option<ModelProcess>,
    /// When to start the next model process, if there is none.
    next_start: Instant,
    pause: Duration,
}

impl Supervisor {
    fn new(post: Post) -> Self {
        let settings = ProcessSettings::current();
        let (next_start, pause) = (Instant::now(), Duration::ZERO);
        Self { post, trouble: None, settings, past: Past::default(), child: None, next_start, pause }
    }

    /// Until SIGTERM, or until a newer library or another supervisor asks for its turn.
    fn run(mut self) {
        let mut lost = false;
        while !BackgroundWorker::sigterm_received() {
            if BackgroundWorker::sighup_received() {
                self.reload();
            }
            if self.reap() {
                log!("coopembed: a newer build of the library is in use; this supervisor ends");
                break;
            }
            if !lost {
                lost = self.look_after_post();
            }
            if lost && self.child.is_none() {
                break;
            }
            let nap = self.keep_running(lost);
            wait_latch(nap.min(LOOK));
            pgrx::check_for_interrupts!();
        }
        if let Some(child) = self.child.take() {
            child.kill();
        }
        self.post.leave();
    }

    /// Has the model process follow to a new socket. Whether another supervisor has taken over instead; then it only ends what it has begun
    /// on.
    fn look_after_post(&mut self) -> bool {
        let change = match self.post.look_after() {
            Ok(change) => change,
            Err(e) => {
                // Once, not each time.
                if self.trouble.as_ref() != Some(&e.message) {
                    warning!("coopembed: {}; the inference service cannot be reached", e.message);
                    self.trouble = Some(e.message);
                }
                return false;
            }
        };
        self.trouble = None;
        match change {
            Change::None => return false,
            Change::NewSocket => log!(
                "coopembed: the socket was removed; there is a new one, and the model process is replaced"
            ),
            Change::Lost => {
                log!("coopembed: the lock was removed, and another supervisor has a new one; this one ends")
            }
        }
        if let Some(child) = &mut self.child {
            child.ask_to_leave();
        }
        change == Change::Lost
    }

    /// Replaces a model process that runs with other settings than the configuration files now say.
    fn reload(&mut self) {
        // SAFETY: the main loop of a background worker, outside any transaction, is where this is done.
        unsafe {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
        let current = ProcessSettings::current();
        let before = ProcessSettings { refused: None, ..self.settings.clone() };
        if current != before {
            self.settings = current;
            if let Some(child) = &mut self.child {
                log!("coopembed: settings changed; the model process is replaced");
                child.ask_to_leave();
            }
        }
    }

    /// Takes note of a model process that ended; whether it ended in favour of a newer library.
    fn reap(&mut self) -> bool {
        let Some((child, status)) = self.child.take_if_ended() else { return false };
        let lived = child.started.elapsed();
        let end = status.code().and_then(End::of);
        if end == Some(End::NewerClient) {
            return true;
        }
        let refusal = match end {
            Some(End::NoDevice) => Some(Refusal::NoDevice),
            // Libraries that it needs are missing, say. (A program that a signal ends may do better next time.)
            None | Some(End::NoStart) if status.code().is_some() && lived < HEALTHY => {
                self.settings.has_program().then(|| Refusal::EndedAtOnce(status.to_string()))
            }
            _ => None,
        };
        let refused = refusal.is_some();
        if refused {
            self.settings.refused = refusal;
        }
        if end == Some(End::Restart) {
            self.settings.refused = None;
        }
        let expected = refused || child.was_asked_to_leave() || end == Some(End::Restart);
        self.past.replaced += u64::from(expected);
        self.past.crashed += u64::from(!expected);
        self.pause = match (expected, lived >= HEALTHY) {
            (true, _) => Duration::ZERO,
            (false, true) => Duration::from_millis(100),
            (false, false) => (self.pause * 2).clamp(Duration::from_millis(100), MAX_PAUSE),
        };
        self.next_start = Instant::now() + self.pause;
        if !expected {
            warning!(
                "coopembed: the model process (PID {}) ended after {:.1} s with {status}; a new one starts",
                child.pid,
                lived.as_secs_f64()
            );
        }
        false
    }

    /// Starts a model process when it is time to, unless it is the last one's; returns how long to sleep.
    fn keep_running(&mut self, last: bool) -> Duration {
        if let Some(child) = &mut self.child {
            return child.insist();
        }
        if last {
            return LOOK;
        }
        let now = Instant::now();
        if now < self.next_start {
            return self.next_start - now;
        }
        match ModelProcess::start(self.post.listener(), &self.settings, self.past) {
            Ok(child) => {
                log!("coopembed: model process started (PID {})", child.pid);
                self.child = Some(child);
                Duration::from_secs(60)
            }
            Err(e) => {
                warning!("coopembed: could not start the model process: {e}");
                self.next_start = now + MAX_PAUSE;
                MAX_PAUSE
            }
        }
    }
}

/// Sleeps until a signal or the time is up; ends with the postmaster.
fn wait_latch(nap: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = nap.as_millis().clamp(1, 60_000) as std::ffi::c_long;
    // SAFETY: the process's own latch.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}
