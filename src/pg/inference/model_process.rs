//! The model process: forked by the supervisor (`forked.rs`), and then nothing but `serve::process`, here or in a program.
//!
//! It dies with the supervisor.

use super::engine::become_program;
use super::forked::{self, Ties};
use super::worker::{build, ProcessSettings};
use crate::inference::process::{self, say, End, DRAIN};
use crate::inference::{ModelLoader, Options, Past};
use candle_core::Device;
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Grace beyond [`DRAIN`] before a model process that was asked to leave is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A model process, seen from the supervisor.
#[derive(Debug)]
pub struct ModelProcess {
    /// Its process id.
    pub pid: libc::pid_t,
    /// When it was forked.
    pub started: Instant,
    asked_to_leave: Option<Instant>,
}

impl ModelProcess {
    /// Forks. Returns in the supervisor only.
    pub fn start(listener: &UnixListener, settings: &ProcessSettings, past: Past) -> std::io::Result<Self> {
        let ties = Ties {
            title: c"coopembed model process",
            descriptor: listener.as_raw_fd(),
            parents_end: libc::SIGKILL,
        };
        let live = || {
            std::panic::set_hook(Box::new(|panic| say(&panic.to_string())));
            serve(listener, settings, past).code()
        };
        // SAFETY: the supervisor has one thread, and to serve needs nothing of PostgreSQL.
        let pid = unsafe { forked::fork(&ties, End::NoStart.code(), || live) }?;
        Ok(Self { pid, started: Instant::now(), asked_to_leave: None })
    }

    /// Has it answer what it has begun on and then end.
    pub fn ask_to_leave(&mut self) {
        if self.asked_to_leave.is_none() {
            self.asked_to_leave = Some(Instant::now());
            self.signal(libc::SIGTERM);
        }
    }

    /// Whether its end was our wish.
    pub fn was_asked_to_leave(&self) -> bool {
        self.asked_to_leave.is_some()
    }

    /// Kills it if it was asked to leave and did not; returns when to look again.
    pub fn insist(&mut self) -> Duration {
        let Some(asked) = self.asked_to_leave else { return Duration::from_secs(60) };
        if asked.elapsed() > DRAIN + GRACE {
            self.signal(libc::SIGKILL);
        }
        Duration::from_secs(1)
    }

    /// Ends it now.
    pub fn kill(self) {
        self.signal(libc::SIGKILL);
        forked::ended(self.pid, true);
    }

    /// How it ended, if it has.
    fn ended(&self) -> Option<ExitStatus> {
        forked::ended(self.pid, false)
    }

    fn signal(&self, signal: c_int) {
        // SAFETY: our own child, not yet waited for, so the number is still its.
        unsafe { libc::kill(self.pid, signal) };
    }
}

/// The supervisor's slot for its child.
pub trait Slot {
    /// Empties the slot if the process in it ended.
    fn take_if_ended(&mut self) -> Option<(ModelProcess, ExitStatus)>;
}

impl Slot for Option<ModelProcess> {
    fn take_if_ended(&mut self) -> Option<(ModelProcess, ExitStatus)> {
        let status = self.as_ref()?.ended()?;
        self.take().map(|process| (process, status))
    }
}

/// Serves until told to end.
fn serve(listener: &UnixListener, settings: &ProcessSettings, past: Past) -> End {
    if let Some(threads) = settings.threads {
        // Read by the thread pools of rayon and candle when they start, which is later.
        for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
            std::env::set_var(name, threads.to_string());
        }
    }
    raise_descriptor_limit();
    let mut options = Options {
        build: build(),
        device: "cpu".to_owned(),
        queue_length: settings.queue_length,
        max_batch: settings.max_batch,
        connections: settings.connections,
        memory_limit: settings.memory_limit,
        past,
    };
    options.device = become_program(listener, settings, &options);
    let loader = ModelLoader { device: Device::Cpu, max_batch: settings.max_batch };
    let listener =
        listener.try_clone().map_err(|e| crate::error::Error::io("listen on", "socket".as_ref(), &e));
    // All threads inherit the mask that blocks the signal awaited.
    let end = listener.and_then(|listener| process::run(listener, options, loader, wait_for_sigterm));
    end.unwrap_or_else(|e| {
        say(&format!("could not start: {}", e.report()));
        End::NoStart
    })
}

/// Waits for the supervisor's SIGTERM, which is blocked.
fn wait_for_sigterm() {
    let mut signal = 0;
    // SAFETY: a set of one signal.
    unsafe {
        let mut ends: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut ends);
        libc::sigaddset(&mut ends, libc::SIGTERM);
        while libc::sigwait(&ends, &mut signal) != 0 {}
    }
}

/// Each connection takes two descriptors; the soft limit is often 1,024.
fn raise_descriptor_limit() {
    // SAFETY: plain system calls on a local record.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
