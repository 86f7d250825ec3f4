//! The images of the folder. A file is named by the digest of its bytes: nothing that a table says becomes part of a path.

use super::journal::StoredImage;
use crate::error::{Error, Result};
use crate::image::{file_extension, Decoded, Limits};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

const IMAGES: &str = "images";
/// Digits of the digest in a file's name: 128 bits.
const DIGITS: usize = 32;

/// The folder's images.
#[derive(Debug, Clone)]
pub struct ImageStore {
    folder: PathBuf,
}

/// Why an image is not stored.
#[derive(Debug)]
pub enum StoreError {
    /// It cannot be decoded.
    Undecodable(Error),
    /// It could not be written: nor can any other.
    Write(Error),
}

impl ImageStore {
    /// The images of `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The digest that an image is known by, in hexadecimal.
    pub fn digest(bytes: &[u8]) -> String {
        const_hex::encode(Sha256::digest(bytes))
    }

    /// Decodes an image, and writes its bytes as they are.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn store(&self, bytes: &[u8], digest: &str) -> std::result::Result<StoredImage, StoreError> {
        let decoded = Decoded::new(bytes, &Limits::default()).map_err(StoreError::Undecodable)?;
        let (width, height) = decoded.dimensions();
        drop(decoded);
        let name = digest.get(..DIGITS).unwrap_or(digest);
        let path = format!("{IMAGES}/{}/{name}.{}", name.get(..2).unwrap_or_default(), file_extension(bytes));
        self.write(&path, bytes).map_err(StoreError::Write)?;
        Ok(StoredImage { path, bytes: bytes.len() as u64, width, height })
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(path);
        if fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        let temporary = path.with_extension(format!("{:?}.tmp", std::thread::current().id()));
        fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path)).map_err(|e| {
            // Part of a file takes the space that a second try needs.
            let _ = fs::remove_file(&temporary);
            Error::io("write", &path, &e)
        })
    }

    /// Another name for a stored image, number `copy` (from 2): two rows may not have one path.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`].
    pub fn link(&self, path: &str, copy: usize) -> Result<String> {
        let (stem, extension) = path.rsplit_once('.').unwrap_or((path, ""));
        let link = format!("{stem}-{copy}.{extension}");
        let (from, to) = (self.folder.join(path), self.folder.join(&link));
        if !to.exists() {
            // Not every file system has hard links.
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(|_| ()))
                .map_err(|e| Error::io("write", &to, &e))?;
        }
        Ok(link)
    }

    /// Removes files that an earlier run has left and that are not among `kept`, and returns how many. Files with other names than
    /// [`ImageStore::store`] gives are left alone.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`].
    pub fn remove_others(&self, kept: &HashSet<&str>) -> Result<usize> {
        let mut removed = 0;
        for folder in entries(&self.folder.join(IMAGES))? {
            let two = file_name(&folder);
            if two.len() != 2 || !folder.is_dir() {
                continue;
            }
            for file in entries(&folder)? {
                let name = file_name(&file);
                let is_ours = name.len() > DIGITS
                    && name.starts_with(&two)
                    && name.bytes().take(DIGITS).all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if is_ours && !kept.contains(format!("{IMAGES}/{two}/{name}").as_str()) {
                    fs::remove_file(&file).map_err(|e| Error::io("remove", &file, &e))?;
                    removed += usize::from(!name.ends_with(".tmp"));
                }
            }
        }
        Ok(removed)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let all = match fs::read_dir(folder) {
        Ok(all) => all,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", folder, &e)),
    };
    all.map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<_>>()
        .map_err(|e| Error::io("read", folder, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};

    fn png(size: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        RgbImage::new(size, 3).write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn bytes_are_kept_as_they_are_under_a_name_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::new(folder.path());
        let add = |bytes: &[u8]| store.store(bytes, &ImageStore::digest(bytes));
        let stored = add(&png(5)).unwrap();
        assert_eq!((stored.width, stored.height), (5, 3));
        assert!(stored.path.starts_with("images/") && stored.path.ends_with(".png"), "{}", stored.path);
        assert_eq!(fs::read(folder.path().join(&stored.path)).unwrap(), png(5));
        assert_eq!(add(&png(5)).unwrap(), stored);
        assert!(matches!(add(b"<html>"), Err(StoreError::Undecodable(_))));
        let link = store.link(&stored.path, 2).unwrap();
        assert_eq!(fs::read(folder.path().join(link)).unwrap(), png(5));
    }

    #[test]
    fn what_no_row_has_any_more_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::new(folder.path());
        let [kept, old] =
            [4, 6].map(|size| store.store(&png(size), &ImageStore::digest(&png(size))).unwrap().path);
        let link = store.link(&kept, 2).unwrap();
        let mine = folder.path().join(&kept).with_file_name("mine.png");
        fs::write(&mine, b"x").unwrap();
        fs::write(folder.path().join(&kept).with_extension("ThreadId(1).tmp"), b"x").unwrap();
        assert_eq!(store.remove_others(&HashSet::from([kept.as_str()])).unwrap(), 2);
        assert!(folder.path().join(&kept).exists() && mine.exists());
        assert!(!folder.path().join(&old).exists() && !folder.path().join(&link).exists());
        assert_eq!(fs::read_dir(mine.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_ends_the_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(IMAGES), b"a file").unwrap();
        let error = ImageStore::new(folder.path()).store(&png(5), &ImageStore::digest(&png(5)));
        assert!(matches!(error, Err(StoreError::Write(_))));
    }
}
