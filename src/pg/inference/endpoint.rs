//! Where the inference service listens: a socket in the data directory, and a lock that lets one supervisor own it.
//!
//! Both are files, and somebody may remove them while the service lives, alone or with their folder. Then sessions no longer find the
//! service, or a second supervisor finds the lock free. So the owner checks them regularly.

use crate::error::{Error, Result};
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::time::SystemTime;

/// A folder for temporary files of the server. Base backups leave its contents out.
const FOLDER: &str = "pg_stat_tmp";
/// Where clients connect. The path is relative to the data directory, in which all server processes run: an absolute one might be too
/// long for a socket's address.
pub const SOCKET_PATH: &str = "pg_stat_tmp/coopembed.sock";
/// Locked by the supervisor for as long as it lives; the kernel releases the lock however the supervisor ends.
const LOCK_PATH: &str = "pg_stat_tmp/coopembed.lock";

/// The lock, and the listening socket. Whoever holds it is the cluster's one supervisor.
pub struct Endpoint {
    lock: File,
    listener: UnixListener,
    socket: FileId,
}

/// What [`Endpoint::restore_files`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// Both files are as they were.
    Unchanged,
    /// The socket had been removed or replaced. There is a new one, with another listener.
    NewSocket,
    /// The lock had been removed, and another supervisor holds the new one.
    LockLost,
}

impl Endpoint {
    /// Takes the lock and listens. `None` if another process holds the lock.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`].
    pub fn acquire() -> Result<Option<Self>> {
        let Some(lock) = lock()? else { return Ok(None) };
        let (listener, socket) = listen()?;
        Ok(Some(Self { lock, listener, socket }))
    }

    /// The socket that clients connect to.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Creates the lock file and the socket again if they have been removed.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] if that fails; a later call tries again.
    pub fn restore_files(&mut self) -> Result<EndpointState> {
        let held = self.lock.metadata().ok().as_ref().map(FileId::of);
        if FileId::at(LOCK_PATH) != held {
            match lock()? {
                Some(lock) => self.lock = lock,
                None => return Ok(EndpointState::LockLost),
            }
        }
        if FileId::at(SOCKET_PATH).as_ref() == Some(&self.socket) {
            return Ok(EndpointState::Unchanged);
        }
        (self.listener, self.socket) = listen()?;
        Ok(EndpointState::NewSocket)
    }

    /// Removes the socket, unless it is another supervisor's by now, and releases the lock.
    pub fn release(self) {
        if FileId::at(SOCKET_PATH).as_ref() == Some(&self.socket) {
            let _ = std::fs::remove_file(SOCKET_PATH);
        }
    }
}

/// Identifies a file by device, inode and time of birth. The last, known on most file systems, tells a new file with a reused inode number
/// from the old one.
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

/// Locks the lock file, which is created if need be. `None` if another process holds the lock.
fn lock() -> Result<Option<File>> {
    let failed = |e: std::io::Error| Error::io("lock", LOCK_PATH.as_ref(), &e);
    // The folder, if it has to be created, gets the permissions of the data directory.
    let mode = std::fs::metadata(".").map_err(failed)?.mode() & 0o777;
    match DirBuilder::new().mode(mode).create(FOLDER) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(failed(e)),
        _ => {}
    }
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(LOCK_PATH)
        .map_err(failed)?;
    // SAFETY: a system call on a descriptor that `lock` owns.
    match unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(Some(lock)),
        _ => match std::io::Error::last_os_error() {
            e if e.kind() == ErrorKind::WouldBlock => Ok(None),
            e => Err(failed(e)),
        },
    }
}

/// Creates the socket. The caller holds the lock, so a socket that exists already has no owner.
fn listen() -> Result<(UnixListener, FileId)> {
    let failed = |e: std::io::Error| Error::io("listen on", SOCKET_PATH.as_ref(), &e);
    match std::fs::remove_file(SOCKET_PATH) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    // Only the server's user can reach the data directory. The socket's own permissions say the same, and do not rely on that.
    let listener = UnixListener::bind(SOCKET_PATH).map_err(failed)?;
    std::fs::set_permissions(SOCKET_PATH, Permissions::from_mode(0o600)).map_err(failed)?;
    let id = std::fs::symlink_metadata(SOCKET_PATH).map_err(failed)?;
    Ok((listener, FileId::of(&id)))
}
