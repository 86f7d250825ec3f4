//! Cache on disk of what a frozen backbone makes of images, a row of numbers each: one append-only file per backbone and preprocessing.
//! A process may be killed at any moment without damage to it.
//!
//! The file has a header (8 bytes of magic, then the length of a row as a little-endian u64) and records of equal length: a 32-byte key,
//! the little-endian numbers, and the first 8 bytes of the SHA-256 of both. Opening checks every record, and truncates the file before the first that is
//! damaged.

use crate::error::{Error, Kind, Result};
use half::f16;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const KEY_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 8;

/// Identifies a cached row.
pub type Key = [u8; KEY_BYTES];

/// What the rows of a cache are, and so how their numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Feature vectors, in f32.
    Features,
    /// Feature maps, in f16.
    Maps,
}

impl RowKind {
    /// The start of a file. The last character is the format's version.
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Features => b"coopfea1",
            Self::Maps => b"coopmap1",
        }
    }

    /// The extension of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Maps => "maps",
        }
    }

    /// Bytes of a record with a row of so many numbers.
    pub fn record_bytes(self, numbers: usize) -> usize {
        KEY_BYTES + self.bytes() * numbers + CHECKSUM_BYTES
    }

    fn bytes(self) -> usize {
        match self {
            Self::Features => 4,
            Self::Maps => 2,
        }
    }

    fn write(self, row: &[f32], to: &mut Vec<u8>) {
        match self {
            Self::Features => row.iter().for_each(|x| to.extend_from_slice(&x.to_le_bytes())),
            Self::Maps => row.iter().for_each(|x| to.extend_from_slice(&f16::from_f32(*x).to_le_bytes())),
        }
    }

    fn read(self, bytes: &[u8], row: &mut [f32]) {
        let numbers = row.iter_mut().zip(bytes.chunks_exact(self.bytes()));
        match self {
            Self::Features => numbers.for_each(|(x, b)| *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Self::Maps => numbers.for_each(|(x, b)| *x = f16::from_le_bytes([b[0], b[1]]).to_f32()),
        }
    }
}

/// An open cache, locked against other processes.
#[derive(Debug)]
pub struct RowCache {
    path: PathBuf,
    file: File,
    kind: RowKind,
    /// Numbers of a row.
    numbers: usize,
    /// Position of each row's record in the file.
    offsets: HashMap<Key, u64>,
    /// Length of the file up to the last whole record.
    end: u64,
}

impl RowCache {
    /// Opens or creates the cache in `folder` for rows of so many numbers. `context` identifies everything that rows depend on
    /// besides their key; it names the file.
    ///
    /// # Errors
    /// [`Kind::Busy`] if another process has it open, [`Kind::InvalidData`] if the file is not a cache of such rows, [`Kind::Io`].
    pub fn open(folder: &Path, context: &Key, kind: RowKind, numbers: usize) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        let name: String = context[..16].iter().map(|b| format!("{b:02x}")).collect();
        let path = folder.join(format!("{name}.{}", kind.extension()));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|e| Error::io("open", &path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(Kind::Busy, format!("\"{}\" is in use", path.display()))
                    .hint("Another training or evaluation is computing the same rows; wait for it, or name another folder with --cache."));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, &e)),
        }
        let mut cache = Self { path, file, kind, numbers, offsets: HashMap::new(), end: 0 };
        cache.recover()?;
        Ok(cache)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the row of a key is cached.
    pub fn contains(&self, key: &Key) -> bool {
        self.offsets.contains_key(key)
    }

    /// Reads a row into `row`.
    ///
    /// # Errors
    /// [`Kind::Internal`] if it is not cached, [`Kind::Io`].
    pub fn read(&self, key: &Key, row: &mut [f32]) -> Result<()> {
        let offset =
            self.offsets.get(key).ok_or_else(|| Error::new(Kind::Internal, "a row is not cached"))?;
        let mut bytes = vec![0; self.kind.bytes() * self.numbers];
        self.file
            .read_exact_at(&mut bytes, offset + KEY_BYTES as u64)
            .map_err(|e| Error::io("read", &self.path, &e))?;
        self.kind.read(&bytes, row);
        Ok(())
    }

    /// Appends rows; a key that is already cached keeps its row.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn append<'a>(&mut self, rows: impl IntoIterator<Item = (&'a Key, &'a [f32])>) -> Result<()> {
        let mut bytes = Vec::new();
        let mut added = Vec::new();
        for (key, row) in rows {
            if self.contains(key) {
                continue;
            }
            let start = bytes.len();
            added.push((*key, self.end + start as u64));
            bytes.extend_from_slice(key);
            self.kind.write(row, &mut bytes);
            let check = Sha256::digest(&bytes[start..]);
            bytes.extend_from_slice(&check[..CHECKSUM_BYTES]);
        }
        self.file.write_all_at(&bytes, self.end).map_err(|e| Error::io("write", &self.path, &e))?;
        self.end += bytes.len() as u64;
        self.offsets.extend(added);
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        [self.kind.magic().as_slice(), &(self.numbers as u64).to_le_bytes()].concat()
    }

    /// Finds all whole records, and truncates the file after them. Writes the header of a new file.
    fn recover(&mut self) -> Result<()> {
        let path = self.path.clone();
        let io = |action: &'static str| move |e| Error::io(action, &path, &e);
        let length = self.file.metadata().map_err(io.clone()("read"))?.len();
        let header = self.header();
        if length < header.len() as u64 {
            self.file.set_len(0).map_err(io.clone()("write"))?;
            self.file.write_all(&header).map_err(io.clone()("write"))?;
            self.end = header.len() as u64;
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(0)).map_err(io.clone()("read"))?;
        let mut reader = BufReader::with_capacity(1 << 20, &self.file);
        let mut found = vec![0; header.len()];
        reader.read_exact(&mut found).map_err(io.clone()("read"))?;
        if found != header {
            return Err(Error::new(
                Kind::InvalidData,
                format!("\"{}\" is not such a cache", self.path.display()),
            )
            .hint("Remove the file, or name another folder with --cache."));
        }
        let mut record = vec![0; self.kind.record_bytes(self.numbers)];
        let mut end = header.len() as u64;
        let mut offsets = HashMap::new();
        while end + record.len() as u64 <= length {
            reader.read_exact(&mut record).map_err(io.clone()("read"))?;
            let (content, check) = record.split_at(record.len() - CHECKSUM_BYTES);
            if Sha256::digest(content)[..CHECKSUM_BYTES] != *check {
                break;
            }
            let mut key = [0; KEY_BYTES];
            key.copy_from_slice(&content[..KEY_BYTES]);
            offsets.insert(key, end);
            end += record.len() as u64;
        }
        self.file.set_len(end).map_err(io("write"))?;
        (self.offsets, self.end) = (offsets, end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(i: u8) -> Key {
        [i; KEY_BYTES]
    }

    fn open(folder: &Path) -> Result<RowCache> {
        RowCache::open(folder, &key(9), RowKind::Features, 3)
    }

    fn row(cache: &RowCache, i: u8) -> [f32; 3] {
        let mut row = [0.0; 3];
        cache.read(&key(i), &mut row).unwrap();
        row
    }

    #[test]
    fn rows_persist_and_the_first_of_a_key_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = open(dir.path()).unwrap();
        cache.append([(&key(1), [1.0, 2.0, 3.0].as_slice()), (&key(2), &[-1.5, 0.0, 1e-30])]).unwrap();
        cache.append([(&key(1), [7.0; 3].as_slice())]).unwrap();
        drop(cache);
        let cache = open(dir.path()).unwrap();
        assert_eq!((row(&cache, 1), row(&cache, 2)), ([1.0, 2.0, 3.0], [-1.5, 0.0, 1e-30]));
        assert!(!cache.contains(&key(3)) && cache.read(&key(3), &mut [0.0; 3]).is_err());
    }

    #[test]
    fn a_truncated_file_keeps_its_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = open(dir.path()).unwrap();
        cache.append((1..=3).map(|i| (KEYS[i], ROW.as_slice()))).unwrap();
        let (path, record, header) =
            (cache.path.clone(), KEY_BYTES + 12 + CHECKSUM_BYTES, cache.header().len());
        drop(cache);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), header + 3 * record);
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut cache = open(dir.path()).unwrap();
            assert_eq!(cache.offsets.len(), length.saturating_sub(header) / record, "{length}");
            cache.append([(KEYS[4], ROW.as_slice())]).unwrap();
            drop(cache);
            assert!(open(dir.path()).unwrap().contains(KEYS[4]));
        }
    }

    static KEYS: [&Key; 5] =
        [&[0; KEY_BYTES], &[1; KEY_BYTES], &[2; KEY_BYTES], &[3; KEY_BYTES], &[4; KEY_BYTES]];
    static ROW: [f32; 3] = [0.5, 1.5, 2.5];

    #[test]
    fn a_damaged_record_and_those_after_it_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = open(dir.path()).unwrap();
        cache.append((1..=3).map(|i| (KEYS[i], ROW.as_slice()))).unwrap();
        let (path, record, header) =
            (cache.path.clone(), KEY_BYTES + 12 + CHECKSUM_BYTES, cache.header().len());
        drop(cache);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[header + record + KEY_BYTES + 1] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let cache = open(dir.path()).unwrap();
        assert!(cache.contains(KEYS[1]) && !cache.contains(KEYS[2]) && !cache.contains(KEYS[3]));
    }

    #[test]
    fn a_cache_in_use_and_an_unrelated_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path()).unwrap();
        assert_eq!(open(dir.path()).unwrap_err().kind, Kind::Busy);
        std::fs::write(&cache.path, [7; 100]).unwrap();
        drop(cache);
        assert_eq!(open(dir.path()).unwrap_err().kind, Kind::InvalidData);
    }
}
