//! Forking a child process that is cut off from the server: no shared memory, descriptors, signal handlers or exit callbacks, as when the
//! postmaster forks its system logger. The child is not the postmaster's, so however it ends, the cluster does not restart.

use pgrx::pg_sys;
use std::ffi::{c_int, CStr};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

extern "C-unwind" {
    // Not in pgrx's bindings, and so without its guard against longjmp. Every server since 8.0 exports it, for subprocesses like
    // these. It raises no error: failures are logged.
    fn PGSharedMemoryDetach();
}

/// What a forked child keeps of its parent.
pub struct ChildOptions {
    /// Its title in `ps`.
    pub title: &'static CStr,
    /// The one descriptor that stays open besides standard input, output and error (the server's log).
    pub kept_descriptor: c_int,
    /// The signal that the kernel sends it when its parent has died.
    pub parent_death_signal: c_int,
}

/// Forks. The child calls `prepare`, which may still read shared memory; detaches from the server; runs what `prepare` returned; and exits
/// with its result, or with `panic_exit_code` if it panics.
///
/// # Safety
/// This process must have one thread. Neither function may call PostgreSQL, and the second may not read shared memory, in which values
/// of a table can be.
pub unsafe fn fork<Run: FnOnce() -> c_int>(
    options: &ChildOptions,
    panic_exit_code: c_int,
    prepare: impl FnOnce() -> Run,
) -> std::io::Result<libc::pid_t> {
    // SAFETY: all signals are blocked around fork, so that no handler of the parent runs in the child. The caller promises that there is
    // one thread, so the child's copy of memory is consistent and no lock in it is held by a thread that no longer exists. The child
    // leaves by _exit and never returns into the parent's frames.
    unsafe {
        let parent = libc::getpid();
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, &mut before);
        let pid = libc::fork();
        if pid == 0 {
            let child = std::panic::AssertUnwindSafe(|| {
                let run = prepare();
                detach_from_server(parent, options);
                run()
            });
            let code = std::panic::catch_unwind(child).unwrap_or(panic_exit_code);
            // Not exit(): the exit callbacks and destructors that the child inherited must not run.
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

/// The exit status of a child that has ended; `None` while it runs.
pub fn exit_status(pid: libc::pid_t) -> Option<ExitStatus> {
    waitpid(pid, libc::WNOHANG)
}

/// Waits until a child has ended. `None` if it cannot be waited for.
pub fn wait_for_exit(pid: libc::pid_t) -> Option<ExitStatus> {
    waitpid(pid, 0)
}

fn waitpid(pid: libc::pid_t, flags: c_int) -> Option<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: a system call that writes to a local number.
        let found = unsafe { libc::waitpid(pid, &mut status, flags) };
        let interrupted =
            found < 0 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
        if !interrupted {
            return (found == pid).then(|| ExitStatus::from_raw(status));
        }
    }
}

/// Cuts a child off from the server.
///
/// # Safety
/// Must be called in a newly forked, single-threaded child of `parent`, with all signals blocked.
unsafe fn detach_from_server(parent: libc::pid_t, options: &ChildOptions) {
    // SAFETY: the server's functions called here are those that its own system logger calls at this point; nothing of the server is
    // used after them. `on_exit_reset` comes first, so that detaching from dynamic shared memory runs no callback: those would act on
    // memory that is still the parent's.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        // All signals stay blocked, in every thread to come, except those that report a crash.
        let mut crashes: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut crashes);
        for crash in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGABRT,
            libc::SIGTRAP,
            libc::SIGSYS,
        ] {
            libc::sigaddset(&mut crashes, crash);
        }
        libc::sigprocmask(libc::SIG_UNBLOCK, &crashes, std::ptr::null_mut());
        // The postmaster signals its children's process groups; a session of its own keeps the child out of them.
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, options.parent_death_signal);
        // The parent may have died before prctl, and then no signal comes.
        if libc::getppid() != parent {
            libc::_exit(0);
        }
        pg_sys::init_ps_display(options.title.as_ptr());
        pg_sys::on_exit_reset();
        pg_sys::dsm_detach_all();
        PGSharedMemoryDetach();
    }
    close_descriptors_except(options.kept_descriptor);
    // When memory runs out, the kernel should kill this process, which costs a statement an error, rather than a backend, which costs
    // the cluster a restart. If this cannot be written, nothing else depends on it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "800");
}

/// Closes all descriptors but standard input, output and error and `kept`. The others are the server's: the postmaster's death pipe, the
/// supervisor's lock, sockets and data files.
fn close_descriptors_except(kept: c_int) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<c_int> = open.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && *fd != kept) {
        // SAFETY: a system call. Nothing in this process owns or uses the descriptors that it inherited.
        unsafe { libc::close(fd) };
    }
}
