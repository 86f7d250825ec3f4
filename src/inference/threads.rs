//! What the service's threads have in common: spawning, locking, and the text of a panic.

use crate::error::{Error, Kind, Result};
use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Spawns a thread whose name shows up in debuggers and in `/proc`.
///
/// # Errors
/// [`Kind::Io`] if the system refuses another thread.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|e| Error::new(Kind::Io, format!("could not start a thread: {e}")))
}

/// Locks `mutex`, poisoned or not: model code, the only code here that may panic, never runs while a lock of this folder is held, so
/// the data behind a poisoned mutex is consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The message of a caught panic.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("No message.").to_owned()
}
