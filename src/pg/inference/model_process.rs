//! The model process: forked by the supervisor, it alone has model weights in memory and runs model code. It serves the listening socket
//! (`src/inference/lifecycle.rs`), or executes a separate program that does. The kernel kills it when the supervisor dies.

use super::executable::exec_program_or_describe_cpu;
use super::fork::{self, ChildOptions};
use super::library_build::library_build;
use super::process_settings::ProcessSettings;
use crate::inference::lifecycle::{self, ExitReason, DRAIN};
use crate::inference::{log_line, EarlierProcesses, ModelLoader, ServerOptions};
use candle_core::Device;
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long after [`DRAIN`] a model process that was asked to end is killed.
const GRACE: Duration = Duration::from_secs(5);

/// The supervisor's handle of its model process.
#[derive(Debug)]
pub struct ModelProcess {
    /// Its process id, for the log.
    pub pid: libc::pid_t,
    /// When it was forked.
    pub started: Instant,
    asked_to_end: Option<Instant>,
}

impl ModelProcess {
    /// Forks a model process that serves `listener`. Returns in the supervisor only.
    ///
    /// # Errors
    /// Those of fork.
    pub fn start(
        listener: &UnixListener,
        settings: &ProcessSettings,
        earlier: EarlierProcesses,
    ) -> std::io::Result<Self> {
        let options = ChildOptions {
            title: c"coopembed model process",
            kept_descriptor: listener.as_raw_fd(),
            parent_death_signal: libc::SIGKILL,
        };
        let run = || {
            std::panic::set_hook(Box::new(|panic| log_line(&panic.to_string())));
            serve(listener, settings, earlier).code()
        };
        // SAFETY: the supervisor has one thread, and what the child runs neither calls PostgreSQL nor reads shared memory.
        let pid = unsafe { fork::fork(&options, ExitReason::StartFailed.code(), || run) }?;
        Ok(Self { pid, started: Instant::now(), asked_to_end: None })
    }

    /// Asks it to answer the requests that it has begun, and then to end.
    pub fn ask_to_end(&mut self) {
        if self.asked_to_end.is_none() {
            self.asked_to_end = Some(Instant::now());
            self.signal(libc::SIGTERM);
        }
    }

    /// Whether the supervisor asked it to end.
    pub fn was_asked_to_end(&self) -> bool {
        self.asked_to_end.is_some()
    }

    /// Kills it if it was asked to end and has not within [`DRAIN`] and [`GRACE`]. Returns when to check again.
    pub fn kill_if_overdue(&mut self) -> Duration {
        let Some(asked) = self.asked_to_end else { return Duration::from_secs(60) };
        if asked.elapsed() > DRAIN + GRACE {
            self.signal(libc::SIGKILL);
        }
        Duration::from_secs(1)
    }

    /// Kills it at once.
    pub fn kill(self) {
        self.signal(libc::SIGKILL);
        fork::wait_for_exit(self.pid);
    }

    /// Its exit status, if it has ended.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        fork::exit_status(self.pid)
    }

    fn signal(&self, signal: c_int) {
        // SAFETY: a system call. The process is our child and has not been waited for, so no other process can have its number.
        unsafe { libc::kill(self.pid, signal) };
    }
}

/// The model process's main function: serves until it has to end.
fn serve(listener: &UnixListener, settings: &ProcessSettings, earlier: EarlierProcesses) -> ExitReason {
    if let Some(threads) = settings.threads {
        // Read when the thread pools of rayon and candle start, which is later.
        for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
            std::env::set_var(name, threads.to_string());
        }
    }
    raise_descriptor_limit();
    let mut options = ServerOptions {
        build: library_build(),
        device: "cpu".to_owned(),
        queue_length: settings.queue_length,
        max_batch: settings.max_batch,
        connections: settings.connections,
        memory_limit: settings.memory_limit,
        earlier_processes: earlier,
    };
    options.device = exec_program_or_describe_cpu(listener, settings, &options);
    let loader = ModelLoader { device: Device::Cpu, max_batch: settings.max_batch };
    let listener =
        listener.try_clone().map_err(|e| crate::error::Error::io("listen on", "socket".as_ref(), &e));
    // All threads that start from here on inherit the mask that blocks SIGTERM, so that only sigwait() receives it.
    let reason = listener.and_then(|listener| lifecycle::serve(listener, options, loader, wait_for_sigterm));
    reason.unwrap_or_else(|e| {
        log_line(&format!("could not start: {}", e.report()));
        ExitReason::StartFailed
    })
}

/// Waits for the supervisor's SIGTERM, which is blocked in all threads.
fn wait_for_sigterm() {
    let mut signal = 0;
    // SAFETY: system calls on local records.
    unsafe {
        let mut terminate: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut terminate);
        libc::sigaddset(&mut terminate, libc::SIGTERM);
        while libc::sigwait(&terminate, &mut signal) != 0 {}
    }
}

/// Raises the soft limit of open descriptors, often 1,024, to the hard one: each connection takes two.
fn raise_descriptor_limit() {
    // SAFETY: system calls on a local record.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
