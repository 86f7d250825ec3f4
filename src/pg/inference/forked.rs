//! Processes that a server process forks for itself, the way the postmaster forks its system logger: cut off from the server (shared
//! memory, descriptors, signal handlers, exit callbacks). They are not the postmaster's children, so that however one ends, the
//! cluster does not restart.

use pgrx::pg_sys;
use std::ffi::{c_int, CStr};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

extern "C-unwind" {
    // Not among pgrx's bindings, and so not guarded by it; exported by every server since 8.0, for just such subprocesses. It raises no
    // error (what fails is logged), so that nothing leaves it by longjmp.
    fn PGSharedMemoryDetach();
}

/// What a forked process keeps, and how it goes.
pub struct Ties {
    /// Its title in `ps`.
    pub title: &'static CStr,
    /// The one descriptor that stays open beside standard input, output and error (the server's log).
    pub descriptor: c_int,
    /// The signal that it gets when its parent has ended.
    pub parents_end: c_int,
}

/// Forks. The child calls `pack`, which may still read shared memory, cuts its ties, runs what `pack` returned and leaves with that one's
/// exit code, or `panicked` if it panics.
///
/// # Safety
/// The process must have one thread, which the child then has all of. Neither function may call PostgreSQL, and the second may read
/// no shared memory, where values of a table can be.
pub unsafe fn fork<Live: FnOnce() -> c_int>(
    ties: &Ties,
    panicked: c_int,
    pack: impl FnOnce() -> Live,
) -> std::io::Result<libc::pid_t> {
    // SAFETY: signals are blocked around the fork, so no handler of the parent runs in the child.
    unsafe {
        let parent = libc::getpid();
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, &mut before);
        let pid = libc::fork();
        if pid == 0 {
            let run = std::panic::AssertUnwindSafe(|| {
                let live = pack();
                detach(parent, ties);
                live()
            });
            let code = std::panic::catch_unwind(run).unwrap_or(panicked);
            // None of the exit callbacks and destructors that this process inherited may run.
            libc::_exit(code);
        }
        let error = std::io::Error::last_os_error();
        libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        Ok(pid)
    }
}

/// How a child ended, if it has; waits for its end if `wait` says so.
pub fn ended(pid: libc::pid_t, wait: bool) -> Option<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: asks about our own child.
        let found = unsafe { libc::waitpid(pid, &mut status, if wait { 0 } else { libc::WNOHANG }) };
        let interrupted =
            found < 0 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
        if !interrupted {
            return (found == pid).then(|| ExitStatus::from_raw(status));
        }
    }
}

/// Cuts the ties to the server.
///
/// # Safety
/// To be called in a fresh, single-threaded child of `parent`, with all signals blocked.
unsafe fn detach(parent: libc::pid_t, ties: &Ties) {
    // SAFETY: the server's functions called here are those that its own logger calls at this point; after them, nothing of the
    // server is used. `on_exit_reset` comes first: it also forgets what detaching from dynamic shared memory would do to it,
    // which is still the parent's.
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
        libc::prctl(libc::PR_SET_PDEATHSIG, ties.parents_end);
        if libc::getppid() != parent {
            libc::_exit(0);
        }
        pg_sys::init_ps_display(ties.title.as_ptr());
        pg_sys::on_exit_reset();
        pg_sys::dsm_detach_all();
        PGSharedMemoryDetach();
    }
    close_descriptors_but(ties.descriptor);
    // When memory runs out, the kernel should take this process, which costs an error, not a backend, which costs a
    // restart of the cluster. Where it cannot be said, nothing else is lost.
    let _ = std::fs::write("/proc/self/oom_score_adj", "800");
}

/// Closes all but standard input, output and error and `kept`: the postmaster's death pipe, the lock, sockets and data files
/// are the server's.
fn close_descriptors_but(kept: c_int) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<c_int> = open.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && *fd != kept) {
        // SAFETY: nothing in this process uses the descriptors that it inherited.
        unsafe { libc::close(fd) };
    }
}
