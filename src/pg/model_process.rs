//! The model process: forked by the supervisor the way the postmaster forks its system logger, cut off from the server
//! (shared memory, descriptors, signal handlers, exit callbacks), and then nothing but `serve::process`, here or in a program.
//!
//! It dies with the supervisor. It never calls PostgreSQL after [`detach`], and leaves by `_exit`.

use super::engine::become_program;
use super::worker::{build, ProcessSettings};
use crate::serve::process::{self, say, End, DRAIN};
use crate::serve::{ModelLoader, Options, Past};
use candle_core::Device;
use pgrx::pg_sys;
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Grace beyond [`DRAIN`] before a model process that was asked to leave is killed.
const GRACE: Duration = Duration::from_secs(5);

extern "C-unwind" {
    // Not among pgrx's bindings, and so not guarded by it; exported by every server since 8.0, for just such subprocesses. It raises no
    // error (what fails is logged), so that nothing leaves it by longjmp.
    fn PGSharedMemoryDetach();
}

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
        // SAFETY: this process has one thread, so the child has all of it; signals are blocked around the fork, so no
        // handler of the supervisor runs in the child.
        unsafe {
            let supervisor = libc::getpid();
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &all, &mut before);
            let pid = libc::fork();
            if pid == 0 {
                live(supervisor, listener, settings, past);
            }
            let error = std::io::Error::last_os_error();
            libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
            if pid < 0 {
                return Err(error);
            }
            Ok(Self { pid, started: Instant::now(), asked_to_leave: None })
        }
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
        // SAFETY: waits for our own child, which is dying.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }

    /// How it ended, if it has.
    fn ended(&self) -> Option<ExitStatus> {
        let mut status = 0;
        // SAFETY: asks about our own child.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
        (pid == self.pid).then(|| ExitStatus::from_raw(status))
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

/// The whole life of the model process.
///
/// # Safety
/// To be called in a fresh child of `supervisor`, with all signals blocked.
unsafe fn live(
    supervisor: libc::pid_t,
    listener: &UnixListener,
    settings: &ProcessSettings,
    past: Past,
) -> ! {
    let run = std::panic::AssertUnwindSafe(|| {
        // SAFETY: passed on.
        unsafe { detach(supervisor, listener) };
        serve(listener, settings, past)
    });
    let code = std::panic::catch_unwind(run).unwrap_or(End::NoStart).code();
    // SAFETY: none of the exit callbacks that this process inherited may run.
    unsafe { libc::_exit(code) }
}

/// Cuts the ties to the server.
///
/// # Safety
/// As [`live`].
unsafe fn detach(supervisor: libc::pid_t, listener: &UnixListener) {
    // SAFETY: a fresh, single-threaded child. The server's functions called here are those that its own logger calls
    // at this point; after them, nothing of the server is used.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        // All stay blocked, for every thread to come, but those that mean the end.
        let mut ends: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut ends);
        for end in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGABRT,
            libc::SIGTRAP,
            libc::SIGSYS,
        ] {
            libc::sigaddset(&mut ends, end);
        }
        libc::sigprocmask(libc::SIG_UNBLOCK, &ends, std::ptr::null_mut());
        // Signals that the postmaster sends to its children's process groups are not for us.
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != supervisor {
            libc::_exit(0);
        }
        pg_sys::init_ps_display(c"coopembed model process".as_ptr());
        pg_sys::on_exit_reset();
        pg_sys::dsm_detach_all();
        PGSharedMemoryDetach();
    }
    close_descriptors_but(listener.as_raw_fd());
    // When memory runs out, the kernel should take this process, which costs an error, not a backend, which costs a
    // restart of the cluster. Where it cannot be said, nothing else is lost.
    let _ = std::fs::write("/proc/self/oom_score_adj", "800");
    std::panic::set_hook(Box::new(|panic| say(&panic.to_string())));
}

/// Closes all but standard input, output and error (the server's log) and `kept`: the postmaster's death pipe, the
/// lock, sockets and data files are the server's.
fn close_descriptors_but(kept: c_int) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<c_int> = open.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && *fd != kept) {
        // SAFETY: nothing in this process uses the descriptors that it inherited.
        unsafe { libc::close(fd) };
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
