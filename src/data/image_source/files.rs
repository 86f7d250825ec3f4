//! Images in files.

use super::ImageSource;
use crate::error::{abridged, Error, Kind, Result};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Any regular file, by the path that a user has typed.
pub struct AnyFile {
    /// Most bytes of a file.
    pub max_bytes: u64,
}

/// Files in a folder and below, by paths that others have written.
pub struct Folder {
    root: PathBuf,
    max_bytes: u64,
}

impl Folder {
    /// The folder `root`; files have at most `max_bytes`.
    ///
    /// # Errors
    /// [`Kind::Io`] if there is no such folder.
    pub fn new(root: &Path, max_bytes: u64) -> Result<Self> {
        let root = root.canonicalize().map_err(|e| Error::io("read", root, &e))?;
        if !root.is_dir() {
            return Err(Error::new(Kind::Io, format!("\"{}\" is not a folder", root.display())));
        }
        Ok(Self { root, max_bytes })
    }
}

impl ImageSource for AnyFile {
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        read_file(Path::new(name), self.max_bytes)
    }
}

impl ImageSource for Folder {
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        // Symbolic links are resolved, so none leads out of the folder.
        let path = self.root.join(name);
        let path = path.canonicalize().map_err(|e| Error::io("read", &path, &e))?;
        if !path.starts_with(&self.root) {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("\"{}\" leads out of the folder", abridged(name)),
            )
            .detail(format!("The folder is \"{}\".", self.root.display()))
            .hint("Name a folder above with --root."));
        }
        read_file(&path, self.max_bytes)
    }
}

fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let io = |e| Error::io("read", path, &e);
    // Before opening it: opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(Error::new(
            Kind::InvalidParameter,
            format!("\"{}\" is not a regular file", path.display()),
        ));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(max_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(&path.display().to_string(), max_bytes));
    }
    Ok(bytes)
}

/// The error of an image with more than `max_bytes`.
pub(super) fn too_large(name: &str, max_bytes: u64) -> Error {
    Error::new(Kind::LimitExceeded, format!("\"{}\" is too large", abridged(name)))
        .detail(format!("The limit is {} MB.", max_bytes >> 20))
        .hint("Raise it with --max-size.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("images");
        std::fs::create_dir_all(root.join("a b")).unwrap();
        std::fs::write(root.join("a b/é.png"), b"12").unwrap();
        std::fs::write(parent.path().join("secret"), b"3").unwrap();
        std::os::unix::fs::symlink(parent.path().join("secret"), root.join("link")).unwrap();
        let folder = Folder::new(&root, 2).unwrap();
        assert_eq!(folder.read("a b/é.png").unwrap(), b"12");
        assert_eq!(folder.read("./a b/../a b/é.png").unwrap(), b"12");
        let absolute = parent.path().join("secret").display().to_string();
        for outside in ["../secret", "link", &absolute] {
            assert!(folder.read(outside).unwrap_err().message.contains("leads out"), "{outside}");
        }
        assert_eq!(folder.read("a b").unwrap_err().kind, Kind::InvalidParameter);
        assert_eq!(folder.read("none").unwrap_err().kind, Kind::Io);
        std::fs::write(root.join("large"), b"123").unwrap();
        assert_eq!(folder.read("large").unwrap_err().kind, Kind::LimitExceeded);
    }
}
