//! Pictures for the network. Small ones are decoded here, in the backend. A decoder cannot be interrupted, nor survive that memory is
//! refused to it; so larger ones are decoded in a process of their own, which the backend forks and kills when the statement is
//! over: by its answer, an error, a cancel, a timeout or the end of the session.
//!
//! What that costs: 1 ms to fork, end and wait, with 128 MB of shared buffers as with 2 GB (neither shared memory nor its page tables are
//! copied), and 0.03 ms for each MB of the session's own memory: a hundredth of what decoding takes of those that it is done for.

use super::client::Channel;
use super::forked::{self, Ties};
use crate::error::{Error, Kind, Result};
use crate::image::{self, Estimate, Limits, Preprocessing, MEGAPIXEL};
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

/// What is decoded in the backend, where no interrupt is looked for meanwhile: less than 150 ms of work.
const SMALL: Estimate = Estimate { memory: 64 << 20, work: 8 * MEGAPIXEL };
/// And the longest such file: what entropy coding takes is a matter of its bytes, at 20 MB a second.
const SMALL_FILE: usize = 2 << 20;

/// Memory that the process may take beyond the estimate of pixels, twice the file, and what it was forked with: for resizing (51 MB
/// at most), the decoder's tables, and what the allocator leaves between.
const MARGIN: u64 = 160 << 20;

/// First byte of what the process sends.
const PIXELS: u8 = b'P';
const ERROR: u8 = b'E';

/// The process that decodes for this session now; 0 if there is none.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// Decodes a picture and prepares its pixels, `[size, size, 3]`; see [`image::prepare`].
///
/// # Errors
/// Those of [`image::prepare`]. [`Kind::OutOfMemory`] also if the process was killed, and [`Kind::Busy`] if the system gives none.
pub fn prepare(bytes: &[u8], preprocessing: &Preprocessing, limits: &Limits) -> Result<Vec<u8>> {
    let estimate = image::estimate(bytes, limits)?;
    let small = estimate.memory <= SMALL.memory && estimate.work <= SMALL.work && bytes.len() <= SMALL_FILE;
    if small {
        return image::prepare(bytes, None, preprocessing, limits);
    }
    let memory = estimate.memory + 2 * bytes.len() as u64 + MARGIN;
    let mut pixels = memory::filled(0, preprocessing.pixel_bytes())?;
    let (mut channel, child) =
        Child::start(bytes, memory, |bytes| image::prepare(bytes, None, preprocessing, limits))?;
    let answer = receive(&mut channel, &mut pixels);
    let status = child.end();
    match answer {
        Ok(result) => result.map(|()| pixels),
        // It ended before it had said all.
        Err(_) => Err(unanswered(status)),
    }
}

fn receive(channel: &mut Channel, pixels: &mut [u8]) -> std::io::Result<Result<()>> {
    let mut tag = [0];
    channel.read_exact(&mut tag)?;
    match tag[0] {
        PIXELS => channel.read_exact(pixels).map(Ok),
        _ => read_error(channel).map(Err),
    }
}

/// The error of a process that ended without an answer.
fn unanswered(status: Option<ExitStatus>) -> Error {
    let found = status.map_or_else(|| "is not known".to_owned(), |status| format!("was {status}"));
    let error = match status.and_then(|status| status.signal()) {
        // Rust's answer to an allocation that was refused, and the kernel's to memory that it promised and does not have.
        Some(libc::SIGABRT | libc::SIGKILL) => Error::new(Kind::OutOfMemory, "out of memory")
            .hint("Give the server more memory, or scale the image down."),
        Some(_) => Error::new(Kind::InvalidImage, "could not decode the image: the decoder crashed")
            .hint("The file may be damaged. Please report it with the file."),
        None => {
            Error::new(Kind::Internal, "could not decode the image: the process that decodes ended too early")
        }
    };
    error.detail(format!("The end of the process that decoded it {found}."))
}

/// The process, killed if it is dropped.
struct Child(libc::pid_t);

impl Child {
    /// Has `prepare` run on the bytes in a process with at most `memory` bytes more than this one, and its answer sent to the channel.
    fn start(
        bytes: &[u8],
        memory: u64,
        prepare: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<(Channel, Self)> {
        kill_at_exit();
        let no_process = |e: std::io::Error| {
            let kind = match e.raw_os_error() {
                Some(libc::ENOMEM) => Kind::OutOfMemory,
                _ => Kind::Busy,
            };
            Error::new(kind, format!("could not start a process to decode the image: {e}")).hint(
                "Large images are decoded in a process of their own. See the operating system's limits.",
            )
        };
        let (ours, theirs) = UnixStream::pair().map_err(no_process)?;
        let channel = Channel::with(ours).map_err(no_process)?;
        let ties = Ties {
            title: c"coopembed image decoder",
            descriptor: theirs.as_raw_fd(),
            parents_end: libc::SIGTERM,
        };
        let pack = || {
            // A small value lies in the page that it was read from, in shared buffers.
            let own = memory::copied(bytes);
            || live(memory, || prepare(&own?), &theirs)
        };
        // SAFETY: a backend has one thread. The decoders use nothing of PostgreSQL, and bytes that are their own.
        let pid = unsafe { forked::fork(&ties, 1, pack) }.map_err(no_process)?;
        CHILD.store(pid, Ordering::Relaxed);
        Ok((channel, Self(pid)))
    }

    /// Waits for its end.
    fn end(self) -> Option<ExitStatus> {
        let status = forked::ended(self.0, true);
        CHILD.store(0, Ordering::Relaxed);
        std::mem::forget(self);
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        kill();
    }
}

/// Kills the process, if there is one, and sees it off.
fn kill() {
    let pid = CHILD.swap(0, Ordering::Relaxed);
    if pid > 0 {
        // SAFETY: our own child, not yet waited for, so the number is still its.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        forked::ended(pid, true);
    }
}

/// Has the process killed when the session ends by FATAL, which nothing in Rust notices. (Where the session itself is killed, the
/// kernel ends it.) Left alone it would become a child of the container's first process, and that may be the postmaster, which
/// takes any killed child for a crash.
fn kill_at_exit() {
    static ASKED: AtomicBool = AtomicBool::new(false);
    unsafe extern "C-unwind" fn at_exit(_code: c_int, _argument: pg_sys::Datum) {
        kill();
    }
    if !ASKED.swap(true, Ordering::Relaxed) {
        // SAFETY: the function lives as long as the process; this library is never unloaded.
        unsafe { pg_sys::on_proc_exit(Some(at_exit), pg_sys::Datum::null()) };
    }
}

/// The whole life of the process. Returns its exit code.
fn live(memory: u64, prepare: impl FnOnce() -> Result<Vec<u8>>, mut parent: &UnixStream) -> c_int {
    // Caught panics of decoders become errors, which say what they said.
    std::panic::set_hook(Box::new(|_| ()));
    leave_with_parent();
    limit_memory(memory);
    let prepared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(prepare))
        .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "preparing the image panicked")));
    let sent = match prepared {
        Ok(pixels) => parent.write_all(&[PIXELS]).and_then(|()| parent.write_all(&pixels)),
        Err(error) => parent.write_all(&[ERROR]).and_then(|()| write_error(&mut parent, &error)),
    };
    c_int::from(sent.is_err())
}

/// Ends without fuss, with exit code 0, when the parent has ended: whoever inherits this process may mind a killed one.
fn leave_with_parent() {
    extern "C" fn leave(_signal: c_int) {
        // SAFETY: may be called in a signal handler.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: the handler does nothing but end the process.
    unsafe {
        libc::signal(libc::SIGTERM, leave as *const () as libc::sighandler_t);
        let mut end: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut end);
        libc::sigaddset(&mut end, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_UNBLOCK, &end, std::ptr::null_mut());
    }
}

/// Lets this process have `more` bytes of memory beyond what it has, and leave no core where they do not suffice.
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
