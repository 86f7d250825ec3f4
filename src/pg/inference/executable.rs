//! Which executable computes in the model process: the library itself, on the CPU, or a separate program (`coopembed engine`). Only the
//! program is linked with CUDA. So the library loads on every server, and CUDA is never initialised in a process that forks.

use super::process_settings::{CpuFallback, ProcessSettings};
use crate::inference::{log_line, ServerOptions};
use pgrx::pg_sys;
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The program's name in PostgreSQL's library folder, where `make engine` installs it.
const PROGRAM: &str = "coopembed-cuda";

/// Executes the program if the settings want one; then this never returns. Otherwise returns what computes instead, as
/// `coop_stat_worker.device` shows it.
pub fn exec_program_or_describe_cpu(
    listener: &UnixListener,
    settings: &ProcessSettings,
    options: &ServerOptions,
) -> String {
    let Some((path, device)) = chosen_program(settings) else { return "cpu".to_owned() };
    let (fallback, cause) = match &settings.cpu_fallback {
        Some(fallback) => (fallback.clone(), String::new()),
        None if device != "cpu" && !driver_is_present() => (CpuFallback::NoDriver, String::new()),
        None => match exec(&path, &device, listener, options) {
            Ok(never) => match never {},
            Err(e) => (CpuFallback::NotExecutable, format!(": {e}")),
        },
    };
    log_line(&format!(
        "computes on the CPU, not on {device}: {fallback} (the program is {}{cause})",
        path.display()
    ));
    format!("cpu ({device}: {fallback})")
}

/// Whether a model process with these settings would execute a program.
pub fn wants_program(settings: &ProcessSettings) -> bool {
    settings.cpu_fallback.is_none() && chosen_program(settings).is_some()
}

/// The program and the device it should use, if `coopembed.device` and `coopembed.engine` ask for one.
fn chosen_program(settings: &ProcessSettings) -> Option<(PathBuf, String)> {
    let device = match settings.device.as_str() {
        "auto" | "cuda" => "cuda:0",
        device => device,
    };
    if !settings.engine.as_os_str().is_empty() {
        return Some((settings.engine.clone(), device.to_owned()));
    }
    // SAFETY: a C string in static memory, set when the server started and never changed.
    let folder = unsafe { CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()) };
    let program = Path::new(std::ffi::OsStr::from_bytes(folder.to_bytes())).join(PROGRAM);
    // With "auto", a server that has no such program computes on the CPU without complaint.
    let asked_for = settings.device != "auto" || program.exists();
    (device != "cpu" && asked_for).then(|| (program, device.to_owned()))
}

/// Whether this host has the part of CUDA that comes with the driver.
fn driver_is_present() -> bool {
    // SAFETY: loading the driver's library runs its initializers, which do not initialise CUDA; and this process either executes
    // another program next, or never uses the library.
    unsafe { !libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_LAZY).is_null() }
}

/// Replaces this process by the program, with the listening socket as its standard input.
fn exec(
    path: &Path,
    device: &str,
    listener: &UnixListener,
    options: &ServerOptions,
) -> std::io::Result<Infallible> {
    let options = serde_json::to_string(options)?;
    let arguments = ["coopembed: model process", "engine", "--device", device, "--options", &options];
    let arguments = arguments.map(CString::new).into_iter().collect::<Result<Vec<_>, _>>()?;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut pointers: Vec<_> = arguments.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the strings and the null-terminated array of pointers live until execv has copied them or failed. The signal masks are
    // local records; a program has to start with no signal blocked, and the old mask is restored if it does not start.
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
