//! The background worker "coopembed inference supervisor": [`coopembed_supervisor_main`].
//!
//! There is one per cluster. Its loop ([`Supervisor::run`]) does four things and nothing else: it keeps the socket and its lock in place,
//! starts a model process when there is none, notices when that process has ended and why, and replaces it when settings change. It
//! calls no model code itself, reads no table and starts no thread.
//!
//! That is because the worker is a child of the postmaster, which restarts the whole cluster when such a child crashes. Whatever may
//! crash, hang or be killed for its memory lives in the model process (`model_process.rs`), which is the worker's own child.
//!
//! The worker is started by the first session that needs it ([`launch`]), or with the server if `shared_preload_libraries` names the
//! library ([`on_load`]).

use super::endpoint::{Endpoint, EndpointState};
use super::executable::wants_program;
use super::library_build::library_build;
use super::model_process::ModelProcess;
use super::process_settings::{CpuFallback, ProcessSettings};
use crate::inference::lifecycle::ExitReason;
use crate::inference::EarlierProcesses;
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How often the supervisor checks its socket and lock: a removed one is restored within this time.
const ENDPOINT_CHECK: Duration = Duration::from_millis(250);
/// A model process that ends before this age counts as a failed start.
const HEALTHY_AGE: Duration = Duration::from_secs(10);
/// The longest pause between two starts.
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(5);

fn worker() -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new("coopembed inference supervisor")
        .set_type("coopembed inference supervisor")
        .set_library("coopembed")
        .set_function("coopembed_supervisor_main")
        // On a hot standby too: queries there embed images as well.
        .set_start_time(BgWorkerStartTime::ConsistentState)
}

/// Called when the library is loaded: determines its build, and registers the worker with the postmaster if `shared_preload_libraries` is
/// being loaded.
pub fn on_load() {
    library_build();
    // SAFETY: reads a flag of this process.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        worker().set_restart_time(Some(Duration::from_secs(5))).load();
    }
}

/// Asks the postmaster to start a supervisor. If there is one already, the new one finds the lock taken and ends.
/// Returns false if all of `max_worker_processes` are in use.
pub fn launch() -> bool {
    // SAFETY: reads this process's own number.
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
    let endpoint = match Endpoint::acquire() {
        Ok(Some(endpoint)) => endpoint,
        Ok(None) => return,
        Err(e) => crate::pg::ereport::raise(e),
    };
    Supervisor::new(endpoint).run();
}

struct Supervisor {
    endpoint: Endpoint,
    /// The error of the last check of the endpoint, so that it is logged once.
    endpoint_error: Option<String>,
    settings: ProcessSettings,
    earlier: EarlierProcesses,
    child: Option<ModelProcess>,
    /// When to start the next model process, if there is none.
    next_start: Instant,
    restart_pause: Duration,
}

impl Supervisor {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            endpoint_error: None,
            settings: ProcessSettings::current(),
            earlier: EarlierProcesses::default(),
            child: None,
            next_start: Instant::now(),
            restart_pause: Duration::ZERO,
        }
    }

    /// Supervises until SIGTERM, until a session uses a newer library, or until another supervisor has taken over.
    fn run(mut self) {
        let mut taken_over = false;
        while !BackgroundWorker::sigterm_received() {
            if BackgroundWorker::sighup_received() {
                self.reload_settings();
            }
            if self.reap_child() {
                log!("coopembed: a newer build of the library is in use; this supervisor ends");
                break;
            }
            if !taken_over {
                taken_over = self.check_endpoint();
            }
            if taken_over && self.child.is_none() {
                break;
            }
            let nap = self.start_or_check_child(taken_over);
            wait_latch(nap.min(ENDPOINT_CHECK));
            pgrx::check_for_interrupts!();
        }
        if let Some(child) = self.child.take() {
            child.kill();
        }
        self.endpoint.release();
    }

    /// Restores a removed socket and has the model process replaced by one that serves the new socket. Returns whether another supervisor
    /// has taken over instead; then this one's model process only finishes the requests that it has begun.
    fn check_endpoint(&mut self) -> bool {
        let state = match self.endpoint.restore_files() {
            Ok(state) => state,
            Err(e) => {
                if self.endpoint_error.as_ref() != Some(&e.message) {
                    warning!("coopembed: {}; the inference service cannot be reached", e.message);
                    self.endpoint_error = Some(e.message);
                }
                return false;
            }
        };
        self.endpoint_error = None;
        match state {
            EndpointState::Unchanged => return false,
            EndpointState::NewSocket => log!(
                "coopembed: the socket was removed; there is a new one, and the model process is replaced"
            ),
            EndpointState::LockLost => {
                log!("coopembed: the lock was removed, and another supervisor has a new one; this one ends")
            }
        }
        if let Some(child) = &mut self.child {
            child.ask_to_end();
        }
        state == EndpointState::LockLost
    }

    /// Reads the configuration files again, and replaces a model process that runs with other settings.
    fn reload_settings(&mut self) {
        // SAFETY: this is the main loop of a background worker, outside of any transaction, where settings may change.
        unsafe {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
        let current = ProcessSettings::current();
        let before = ProcessSettings { cpu_fallback: None, ..self.settings.clone() };
        if current != before {
            self.settings = current;
            if let Some(child) = &mut self.child {
                log!("coopembed: settings changed; the model process is replaced");
                child.ask_to_end();
            }
        }
    }

    /// Handles the end of the model process, if it has ended. Returns whether it ended because a session uses a newer library.
    fn reap_child(&mut self) -> bool {
        let Some(status) = self.child.as_ref().and_then(ModelProcess::exit_status) else { return false };
        let Some(child) = self.child.take() else { return false };
        let age = child.started.elapsed();
        let reason = status.code().and_then(ExitReason::from_code);
        if reason == Some(ExitReason::NewerClient) {
            return true;
        }
        let fallback = self.cpu_fallback(reason, status, age);
        let fell_back = fallback.is_some();
        if fell_back {
            self.settings.cpu_fallback = fallback;
        }
        if reason == Some(ExitReason::RestartRequested) {
            self.settings.cpu_fallback = None;
        }
        let expected = fell_back || child.was_asked_to_end() || reason == Some(ExitReason::RestartRequested);
        self.earlier.replaced += u64::from(expected);
        self.earlier.crashed += u64::from(!expected);
        self.restart_pause = match (expected, age >= HEALTHY_AGE) {
            (true, _) => Duration::ZERO,
            (false, true) => Duration::from_millis(100),
            (false, false) => (self.restart_pause * 2).clamp(Duration::from_millis(100), MAX_RESTART_PAUSE),
        };
        self.next_start = Instant::now() + self.restart_pause;
        if !expected {
            warning!(
                "coopembed: the model process (PID {}) ended after {:.1} s with {status}; a new one starts",
                child.pid,
                age.as_secs_f64()
            );
        }
        false
    }

    /// Why the next model process has to compute on the CPU, if the one that ended says so.
    fn cpu_fallback(
        &self,
        reason: Option<ExitReason>,
        status: ExitStatus,
        age: Duration,
    ) -> Option<CpuFallback> {
        match reason {
            Some(ExitReason::DeviceUnusable) => Some(CpuFallback::DeviceUnusable),
            // A program that exits at once will do so again: libraries that it needs are missing, say. One that a signal killed may do
            // better next time.
            None | Some(ExitReason::StartFailed) if status.code().is_some() && age < HEALTHY_AGE => {
                wants_program(&self.settings).then(|| CpuFallback::EndedAtOnce(status.to_string()))
            }
            _ => None,
        }
    }

    /// Starts a model process if there is none and it is time to, unless `taken_over`. Returns when to call this again.
    fn start_or_check_child(&mut self, taken_over: bool) -> Duration {
        if let Some(child) = &mut self.child {
            return child.kill_if_overdue();
        }
        if taken_over {
            return ENDPOINT_CHECK;
        }
        let now = Instant::now();
        if now < self.next_start {
            return self.next_start - now;
        }
        match ModelProcess::start(self.endpoint.listener(), &self.settings, self.earlier) {
            Ok(child) => {
                log!("coopembed: model process started (PID {})", child.pid);
                self.child = Some(child);
                Duration::from_secs(60)
            }
            Err(e) => {
                warning!("coopembed: could not start the model process: {e}");
                self.next_start = now + MAX_RESTART_PAUSE;
                MAX_RESTART_PAUSE
            }
        }
    }
}

/// Sleeps until a signal comes or the time is up. Exits when the postmaster has died.
fn wait_latch(nap: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = nap.as_millis().clamp(1, 60_000) as std::ffi::c_long;
    // SAFETY: waits for and resets this process's own latch, which lives as long as the process.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}
