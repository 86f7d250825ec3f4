//! What computes in the model process: the library itself, on the CPU, or a program beside it, which alone is linked with CUDA. So the
//! library loads on every server, and CUDA is never begun in a process that forks.

use super::worker::ProcessSettings;
use crate::inference::process::say;
use crate::inference::Options;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The program's name in PostgreSQL's library folder, where `make engine` puts it.
const PROGRAM: &str = "coopembed-cuda";

/// Why the program does not compute. Everybody may read it in `coop_stat_worker.device`, and the program's path, a superuser's setting, is
/// not in it: that is in the server's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It needs a driver.
    NoDriver,
    /// The system could not run it.
    NotRun,
    /// It could not use its device.
    NoDevice,
    /// It ended before it served, with this status.
    EndedAtOnce(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoDriver => f.write_str("this host has no NVIDIA driver"),
            Self::NotRun => f.write_str("the program cannot be run, see the server's log"),
            Self::NoDevice => f.write_str("the program could not use it, see the server's log"),
            Self::EndedAtOnce(status) => {
                write!(f, "the program ended at once, {status}, see the server's log")
            }
        }
    }
}

/// Becomes the program if one is to be used; returns, in the words of `coop_stat_worker.device`, what computes otherwise.
pub fn become_program(listener: &UnixListener, settings: &ProcessSettings, options: &Options) -> String {
    let Some((path, device)) = choose(settings) else { return "cpu".to_owned() };
    let (refused, cause) = match &settings.refused {
        Some(why) => (why.clone(), String::new()),
        None if device != "cpu" && !driver_loads() => (Refusal::NoDriver, String::new()),
        None => match exec(&path, &device, listener, options) {
            Ok(never) => match never {},
            Err(e) => (Refusal::NotRun, format!(": {e}")),
        },
    };
    say(&format!(
        "computes on the CPU, not on {device}: {refused} (the program is {}{cause})",
        path.display()
    ));
    format!("cpu ({device}: {refused})")
}

/// The program and its device, if `coopembed.device` and `coopembed.engine` want one.
pub fn choose(settings: &ProcessSettings) -> Option<(PathBuf, String)> {
    let device = match settings.device.as_str() {
        "auto" | "cuda" => "cuda:0",
        device => device,
    };
    if !settings.engine.as_os_str().is_empty() {
        return Some((settings.engine.clone(), device.to_owned()));
    }
    // SAFETY: set when the server started, and a C string.
    let folder = unsafe { CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()) };
    let program = Path::new(std::ffi::OsStr::from_bytes(folder.to_bytes())).join(PROGRAM);
    // Nothing is amiss where a server has neither GPU nor program and did not ask for one.
    let asked = settings.device != "auto" || program.exists();
    (device != "cpu" && asked).then(|| (program, device.to_owned()))
}

/// Whether this host has the part of CUDA that comes with the driver.
fn driver_loads() -> bool {
    // SAFETY: loading it only runs its initializers; CUDA itself is not begun. This process is about to become another one.
    unsafe { !libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_LAZY).is_null() }
}

enum Never {}

/// Replaces this process by the program, with the listening socket as standard input.
fn exec(path: &Path, device: &str, listener: &UnixListener, options: &Options) -> std::io::Result<Never> {
    let options = serde_json::to_string(options)?;
    let arguments = ["coopembed: model process", "engine", "--device", device, "--options", &options];
    let arguments = arguments.map(CString::new).into_iter().collect::<Result<Vec<_>, _>>()?;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut pointers: Vec<_> = arguments.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: strings and pointers live until the process is another one; a program begins with no signal blocked.
    unsafe {
        if libc::dup2(listener.as_raw_fd(), 0) < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let (mut none, mut before): (libc::sigset_t, libc::sigset_t) =
            (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, &mut before);
        libc::execv(path.as_ptr(), pointers.as_ptr());
        let error = std::io::Error::last_os_error();
        libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        Err(error)
    }
}
