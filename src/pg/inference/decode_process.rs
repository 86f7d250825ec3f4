//! Decodes images and prepares their pixels. Small images are decoded in the backend itself. A decoder cannot be interrupted, and it does
//! not survive a refused allocation; so larger images are decoded in a process of their own, and so are those of formats whose decoder may
//! end its process (AVIF). The backend forks it, and kills it when the statement ends, whether by its answer, an error, a cancel, a timeout
//! or the end of the session.
//!
//! The cost: 1 ms to fork, end and wait, with 128 MB of shared buffers as with 2 GB (neither shared memory nor its page tables are copied),
//! and 0.03 ms for each MB of the session's own memory. That is a hundredth of the time that decoding such an image takes.

use super::fork::{self, ChildOptions};
use super::latch_socket::LatchSocket;
use crate::error::{Error, Kind, Result};
use crate::image::{self, CropBox, Estimate, Limits, Preprocessing, MEGAPIXEL};
use crate::inference::{read_error, write_error};
use crate::memory;
use pgrx::pg_sys;
use std::ffi::c_int;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The largest image that is decoded in the backend, which handles no interrupts meanwhile: less than 150 ms of work.
const SMALL: Estimate = Estimate { memory: 64 << 20, work: 8 * MEGAPIXEL, isolated: false };
/// The longest file of such an image. The time of entropy decoding depends on the file's bytes: 20 MB a second.
const SMALL_FILE: usize = 2 << 20;

/// Memory that the process may take beyond the memory it was forked with, the estimate for pixels, and twice the file. It is for resizing
/// (at most 51 MB), the decoder's tables, and gaps that the allocator leaves.
const MEMORY_MARGIN: u64 = 160 << 20;

/// First byte of the process's answer: pixels follow, or an error frame.
const PIXELS: u8 = b'P';
const ERROR: u8 = b'E';

/// Process id of this session's decode process; 0 if there is none.
static CHILD_PID: AtomicI32 = AtomicI32::new(0);

/// Decodes an image and prepares the pixels of its part in `crop` (`None`: all of it), `[size, size, 3]`; see [`image::prepare`].
///
/// # Errors
/// Those of [`image::prepare`]. Also [`Kind::OutOfMemory`] if the process was killed, and [`Kind::Busy`] if none could be started.
pub fn prepare(
    bytes: &[u8],
    crop: Option<CropBox>,
    preprocessing: &Preprocessing,
    limits: &Limits,
) -> Result<Vec<u8>> {
    let estimate = image::estimate(bytes, limits)?;
    let small = estimate.memory <= SMALL.memory
        && estimate.work <= SMALL.work
        && !estimate.isolated
        && bytes.len() <= SMALL_FILE;
    if small {
        return image::prepare(bytes, crop, preprocessing, limits);
    }
    let memory = estimate.memory + 2 * bytes.len() as u64 + MEMORY_MARGIN;
    let mut pixels = memory::filled(0, preprocessing.pixel_bytes())?;
    let (mut socket, child) =
        DecodeProcess::start(bytes, memory, |bytes| image::prepare(bytes, crop, preprocessing, limits))?;
    let answer = receive(&mut socket, &mut pixels);
    let status = child.wait_for_exit();
    match answer {
        Ok(result) => result.map(|()| pixels),
        // The process ended before its answer was complete.
        Err(_) => Err(no_answer(status)),
    }
}

/// Receives the pixels, or the decoder's error.
fn receive(socket: &mut LatchSocket, pixels: &mut [u8]) -> std::io::Result<Result<()>> {
    let mut tag = [0];
    socket.read_exact(&mut tag)?;
    match tag[0] {
        PIXELS => socket.read_exact(pixels).map(Ok),
        _ => read_error(socket).map(Err),
    }
}

/// The error of a process that ended without an answer.
fn no_answer(status: Option<ExitStatus>) -> Error {
    let found = status.map_or_else(|| "is not known".to_owned(), |status| format!("was {status}"));
    let error = match status.and_then(|status| status.signal()) {
        // Rust aborts when an allocation is refused; the kernel kills when memory that it promised runs out.
        Some(libc::SIGABRT | libc::SIGKILL) => Error::new(Kind::OutOfMemory, "out of memory")
            .hint("Give the server more memory, or scale the image down."),
        Some(_) => Error::new(Kind::InvalidImage, "could not decode the image: the decoder crashed")
            .hint("The file may be damaged. Please report it with the file."),
        None => Error::new(Kind::Internal, "could not decode the image: the decode process ended too early"),
    };
    error.detail(format!("The exit status of the decode process {found}."))
}

/// A running decode process. Dropping it kills the process.
struct DecodeProcess(libc::pid_t);

impl DecodeProcess {
    /// Forks a process that runs `prepare` on the bytes, with at most `memory` bytes more than this process has, and sends the answer to
    /// the socket returned.
    fn start(
        bytes: &[u8],
        memory: u64,
        prepare: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<(LatchSocket, Self)> {
        kill_at_exit();
        let not_started = |e: std::io::Error| {
            let kind = match e.raw_os_error() {
                Some(libc::ENOMEM) => Kind::OutOfMemory,
                _ => Kind::Busy,
            };
            Error::new(kind, format!("could not start a process to decode the image: {e}")).hint(
                "Large images are decoded in a process of their own. See the operating system's limits.",
            )
        };
        let (ours, theirs) = UnixStream::pair().map_err(not_started)?;
        let socket = LatchSocket::from_stream(ours).map_err(not_started)?;
        let options = ChildOptions {
            title: c"coopembed image decoder",
            kept_descriptor: theirs.as_raw_fd(),
            parent_death_signal: libc::SIGTERM,
        };
        let copy_and_run = || {
            // A small value may still be in shared memory, in the buffer of the page that it was read from.
            let own = memory::copied(bytes);
            || child_main(memory, || prepare(&own?), &theirs)
        };
        // SAFETY: a backend has one thread. The decoders do not call PostgreSQL, and read the child's own copy of the bytes.
        let pid = unsafe { fork::fork(&options, 1, copy_and_run) }.map_err(not_started)?;
        CHILD_PID.store(pid, Ordering::Relaxed);
        Ok((socket, Self(pid)))
    }

    /// Waits until it has ended.
    fn wait_for_exit(self) -> Option<ExitStatus> {
        let status = fork::wait_for_exit(self.0);
        CHILD_PID.store(0, Ordering::Relaxed);
        std::mem::forget(self);
        status
    }
}

impl Drop for DecodeProcess {
    fn drop(&mut self) {
        kill();
    }
}

/// Kills the session's decode process, if there is one, and waits until it has ended.
fn kill() {
    let pid = CHILD_PID.swap(0, Ordering::Relaxed);
    if pid > 0 {
        // SAFETY: a system call. The process is our child and has not been waited for, so no other process can have its number.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        fork::wait_for_exit(pid);
    }
}

/// Has the decode process killed when the session ends by FATAL, which unwinds nothing in Rust. (If the session itself is killed, the
/// kernel signals the process.) An orphan would become a child of the container's first process, which may be the postmaster, and
/// that takes any killed child for a crash.
fn kill_at_exit() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    unsafe extern "C-unwind" fn at_exit(_code: c_int, _argument: pg_sys::Datum) {
        kill();
    }
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: the callback lives as long as the process, since this library is never unloaded.
        unsafe { pg_sys::on_proc_exit(Some(at_exit), pg_sys::Datum::null()) };
    }
}

/// The decode process's main function. Returns its exit code.
fn child_main(memory: u64, prepare: impl FnOnce() -> Result<Vec<u8>>, mut parent: &UnixStream) -> c_int {
    // Panics of decoders are caught and become errors with their messages, so nothing is to be printed.
    std::panic::set_hook(Box::new(|_| ()));
    exit_with_parent();
    limit_memory(memory);
    let prepared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(prepare))
        .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "preparing the image panicked")));
    let sent = match prepared {
        Ok(pixels) => parent.write_all(&[PIXELS]).and_then(|()| parent.write_all(&pixels)),
        Err(error) => parent.write_all(&[ERROR]).and_then(|()| write_error(&mut parent, &error)),
    };
    c_int::from(sent.is_err())
}

/// Exits with code 0 when the parent has died. Its new parent may be the postmaster, which would take a killed child for a crash.
fn exit_with_parent() {
    extern "C" fn exit(_signal: c_int) {
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: system calls on local records; the handler does nothing but exit.
    unsafe {
        libc::signal(libc::SIGTERM, exit as *const () as libc::sighandler_t);
        let mut terminate: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut terminate);
        libc::sigaddset(&mut terminate, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_UNBLOCK, &terminate, std::ptr::null_mut());
    }
}

/// Limits this process's memory to what it has now and `more` bytes, and has it write no core file when they do not suffice.
fn limit_memory(more: u64) {
    let has = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = has.as_deref().and_then(|has| has.split_whitespace().next()?.parse::<u64>().ok());
    // SAFETY: system calls on local records.
    unsafe {
        let page = u64::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(0);
        let limit = |resource, most: u64| {
            let mut limit: libc::rlimit = std::mem::zeroed();
            if libc::getrlimit(resource, &mut limit) == 0 {
                limit.rlim_cur = limit.rlim_cur.min(most);
                libc::setrlimit(resource, &limit);
            }
        };
        limit(libc::RLIMIT_CORE, 0);
        if let Some(pages) = pages {
            limit(libc::RLIMIT_AS, (pages * page).saturating_add(more));
        }
    }
}
