//! Where the inference service listens: a socket in the data directory, and the lock that makes one supervisor its owner.
//!
//! Both are files, and a file can be removed while the service lives: by somebody who cleans up, or with the whole folder. Then nobody
//! finds the service any more, or a second supervisor finds the lock free. So its owner looks after them.

use crate::error::{Error, Result};
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::time::SystemTime;

/// Of temporary files of the server. Base backups leave it out.
const FOLDER: &str = "pg_stat_tmp";
/// Where clients connect. Relative to the data directory, where all server processes run, so no path is too long.
pub const SOCKET: &str = "pg_stat_tmp/coopembed.sock";
/// Held by the supervisor for as long as it lives; the kernel lets go of it however it ends.
const LOCK: &str = "pg_stat_tmp/coopembed.lock";

/// The right to serve the cluster, and the socket to do so.
pub struct Post {
    lock: File,
    listener: UnixListener,
    socket: FileId,
}

/// What [`Post::look_after`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// All is as it was.
    None,
    /// The socket was gone or another one: there is a new one, with another listener.
    NewSocket,
    /// The lock was gone, and another supervisor has taken the new one.
    Lost,
}

impl Post {
    /// Takes the lock and listens; `None` if another process has the lock.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`].
    pub fn take() -> Result<Option<Self>> {
        let Some(lock) = lock()? else { return Ok(None) };
        let (listener, socket) = listen()?;
        Ok(Some(Self { lock, listener, socket }))
    }

    /// What clients connect to.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Makes lock and socket anew where they are gone.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] if that fails; a later call tries again.
    pub fn look_after(&mut self) -> Result<Change> {
        let held = self.lock.metadata().ok().as_ref().map(FileId::of);
        if FileId::at(LOCK) != held {
            match lock()? {
                Some(lock) => self.lock = lock,
                None => return Ok(Change::Lost),
            }
        }
        if FileId::at(SOCKET).as_ref() == Some(&self.socket) {
            return Ok(Change::None);
        }
        (self.listener, self.socket) = listen()?;
        Ok(Change::NewSocket)
    }

    /// Removes the socket, unless it is another supervisor's by now.
    pub fn leave(self) {
        if FileId::at(SOCKET).as_ref() == Some(&self.socket) {
            let _ = std::fs::remove_file(SOCKET);
        }
    }
}

/// Which file it is, though another one may get its number; its birth is known on most file systems.
#[derive(Debug, PartialEq, Eq)]
struct FileId(u64, u64, Option<SystemTime>);

impl FileId {
    fn of(file: &Metadata) -> Self {
        Self(file.dev(), file.ino(), file.created().ok())
    }

    fn at(path: &str) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().as_ref().map(Self::of)
    }
}

/// The right to be the cluster's supervisor, or `None` if another process has it.
fn lock() -> Result<Option<File>> {
    let failed = |e: std::io::Error| Error::io("lock", LOCK.as_ref(), &e);
    // For whom the data directory is, this folder is.
    let mode = std::fs::metadata(".").map_err(failed)?.mode() & 0o777;
    match DirBuilder::new().mode(mode).create(FOLDER) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(failed(e)),
        _ => {}
    }
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(LOCK).map_err(failed)?;
    // SAFETY: a system call on a descriptor we own.
    match unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(Some(lock)),
        _ => match std::io::Error::last_os_error() {
            e if e.kind() == ErrorKind::WouldBlock => Ok(None),
            e => Err(failed(e)),
        },
    }
}

/// A new socket. Under the lock: whatever is in its place is nobody's.
fn listen() -> Result<(UnixListener, FileId)> {
    let failed = |e: std::io::Error| Error::io("listen on", SOCKET.as_ref(), &e);
    match std::fs::remove_file(SOCKET) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    // The data directory is closed to other users; the socket need not rely on it.
    let listener = UnixListener::bind(SOCKET).map_err(failed)?;
    std::fs::set_permissions(SOCKET, Permissions::from_mode(0o600)).map_err(failed)?;
    let id = std::fs::symlink_metadata(SOCKET).map_err(failed)?;
    Ok((listener, FileId::of(&id)))
}
