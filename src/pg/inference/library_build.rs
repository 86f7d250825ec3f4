//! Which build of the library this process has loaded. A session and the model process compare builds when they connect: after an upgrade
//! the first session with the newer library has the older model process replaced.

use crate::inference::Build;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

static BUILD: OnceLock<Build> = OnceLock::new();

/// The build of this process's library. It is determined once, when the library is loaded: later the file may be a newer one.
pub fn library_build() -> Build {
    BUILD.get_or_init(|| Build::this(installed_at().unwrap_or(0))).clone()
}

/// When the library's file was put in place, in nanoseconds since 1970. That is its change time: copying a file may preserve the other
/// times, but never this one.
fn installed_at() -> Option<u64> {
    // SAFETY: `info` is a local record of plain data, for which all zeros is valid. dladdr fills it in for any address and returns 0 if
    // it cannot; the name that it points to lives as long as the library is loaded, which is never unloaded.
    let path = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(library_build as *const libc::c_void, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        OsStr::from_bytes(std::ffi::CStr::from_ptr(info.dli_fname).to_bytes())
    };
    let file = std::fs::metadata(path).ok()?;
    u64::try_from(file.ctime() * 1_000_000_000 + file.ctime_nsec()).ok()
}
