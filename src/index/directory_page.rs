//! A directory page: entries for the extents of the index, and a link to the next directory page.

use super::format::{u32_at, DIRECTORY_ENTRY, DIRECTORY_HEADER};

/// What an extent of pages is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentState {
    /// The entry describes no extent.
    Unused,
    /// A group that readers see.
    Group,
    /// Pages that a later extent may use.
    Free,
    /// Pages that are being written, or were when the server stopped.
    Building,
}

/// What the directory knows of one extent of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// What the extent is used for.
    pub state: ExtentState,
    /// First block of the extent.
    pub first: u32,
    /// Number of blocks.
    pub pages: u32,
    /// The generation in the tags of its pages.
    pub generation: u32,
    /// Rows of the group, including removed ones.
    pub rows: u32,
    /// Rows of the group that VACUUM has left.
    pub live: u32,
}

impl DirectoryEntry {
    /// An entry that describes no extent.
    pub const UNUSED: Self =
        Self { state: ExtentState::Unused, first: 0, pages: 0, generation: 0, rows: 0, live: 0 };

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let state = match u32_at(bytes, 0) {
            0 => ExtentState::Unused,
            1 => ExtentState::Group,
            2 => ExtentState::Free,
            3 => ExtentState::Building,
            _ => return None,
        };
        Some(Self {
            state,
            first: u32_at(bytes, 4),
            pages: u32_at(bytes, 8),
            generation: u32_at(bytes, 12),
            rows: u32_at(bytes, 16),
            live: u32_at(bytes, 20),
        })
    }

    fn to_bytes(self) -> [u8; DIRECTORY_ENTRY] {
        let fields = [self.state as u32, self.first, self.pages, self.generation, self.rows, self.live];
        let mut out = [0; DIRECTORY_ENTRY];
        for (bytes, field) in out.chunks_exact_mut(4).zip(fields) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        out
    }
}

/// Reads and edits the payload of a directory page.
pub struct DirectoryPage;

impl DirectoryPage {
    /// The next directory page; [`NO_BLOCK`](super::NO_BLOCK) on the last one.
    pub fn next(bytes: &[u8]) -> u32 {
        u32_at(bytes, 0)
    }

    /// Links the next directory page.
    pub fn set_next(bytes: &mut [u8], next: u32) {
        bytes[..4].copy_from_slice(&next.to_le_bytes());
    }

    /// Entry `i` of this page; `None` if its state is not one of [`ExtentState`].
    pub fn entry(bytes: &[u8], i: usize) -> Option<DirectoryEntry> {
        DirectoryEntry::from_bytes(&bytes[DIRECTORY_HEADER + i * DIRECTORY_ENTRY..][..DIRECTORY_ENTRY])
    }

    /// Writes entry `i` of this page.
    pub fn set_entry(bytes: &mut [u8], i: usize, entry: DirectoryEntry) {
        bytes[DIRECTORY_HEADER + i * DIRECTORY_ENTRY..][..DIRECTORY_ENTRY].copy_from_slice(&entry.to_bytes());
    }
}
