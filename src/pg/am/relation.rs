//! An open index: its pages, read through the trait [`Pages`] or locked to be changed.

use super::page_buffer::{LockedBuffer, PinnedBuffer};
use super::recent_buffers;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{tail_page, Meta, PageError, PageKind, PageResult, PageTag, Pages, PrefetchTarget};
use crate::pg::{compat, text, OrReport};
use pgrx::pg_sys;
use std::cell::Cell;

const SHARE: u32 = pg_sys::BUFFER_LOCK_SHARE;
const EXCLUSIVE: u32 = pg_sys::BUFFER_LOCK_EXCLUSIVE;

/// An open index, for the length of one call from PostgreSQL.
pub struct IndexRelation {
    relation: pg_sys::Relation,
    /// How many blocks the main fork had when it was last measured. It only grows.
    blocks: Cell<u32>,
    /// Which blocks are read through the buffer table; see [`recent_buffers`].
    read_number: u32,
    /// The page that will probably be read next, and its block.
    next: Cell<Option<(u32, PinnedBuffer)>>,
}

impl IndexRelation {
    /// # Safety
    /// `relation` must be an index of this access method, open for as long as the result lives.
    pub unsafe fn new(relation: pg_sys::Relation) -> Self {
        let read_number = recent_buffers::next_read_number();
        Self { relation, blocks: Cell::new(0), read_number, next: Cell::new(None) }
    }

    /// PostgreSQL's description of the index.
    pub fn relation(&self) -> pg_sys::Relation {
        self.relation
    }

    /// The index's name without its schema, for messages.
    pub fn name(&self) -> String {
        // SAFETY: the relation is open, and its name is a C string within its description.
        unsafe { text::catalog_name((*(*self.relation).rd_rel).relname.data.as_ptr()) }
    }

    /// An error of which the message begins with the index's name.
    pub fn error(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("index \"{}\" {what}", self.name()))
    }

    /// The error where the index would need more blocks than a relation can have (32 TB).
    pub fn full(&self) -> Error {
        self.error(ErrorKind::LimitExceeded, "cannot grow any more")
    }

    /// Whether changes have to be in the WAL: PostgreSQL's macro RelationNeedsWAL.
    pub fn needs_wal(&self) -> bool {
        // SAFETY: the relation is open; wal_level is set when the server starts.
        unsafe {
            let relation = &*self.relation;
            let permanent = (*relation.rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT;
            // InvalidSubTransactionId is 0.
            let file_is_older =
                relation.rd_createSubid == 0 && compat::new_file_subtransaction(relation) == 0;
            permanent && (pg_sys::wal_level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32 || file_is_older)
        }
    }

    /// How many blocks a fork has right now.
    pub fn fork_blocks(&self, fork: pg_sys::ForkNumber::Type) -> u32 {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.relation, fork) }
    }

    /// Pins a page of the main fork, which must exist.
    fn pin(&self, block: u32) -> PinnedBuffer {
        match self.next.take() {
            Some((next, pinned)) if next == block => pinned,
            _ => {
                // SAFETY: the relation is an open index of this access method, and the pin is the result's.
                unsafe {
                    PinnedBuffer::from_pin(recent_buffers::read(self.relation, block, self.read_number))
                }
            }
        }
    }

    /// Pins and locks a page of the main fork, which must exist.
    fn pin_and_lock(&self, block: u32, mode: u32) -> LockedBuffer {
        let pinned = self.pin(block);
        // The processor loads it while the lock is taken.
        pinned.prefetch_start();
        pinned.lock(mode)
    }

    fn check_exists(&self, block: u32) -> PageResult<()> {
        if block < self.blocks.get() || block < self.count_blocks() {
            return Ok(());
        }
        Err(PageError::Stale(block))
    }

    /// Locks a page exclusively, to change it, if it holds what `tag` says.
    pub fn lock(&self, block: u32, tag: PageTag) -> PageResult<LockedBuffer> {
        self.check_exists(block)?;
        let buffer = self.pin_and_lock(block, EXCLUSIVE);
        if buffer.tag() != Some(tag) {
            return Err(PageError::Stale(block));
        }
        Ok(buffer)
    }

    /// Locks a page exclusively that a former tail left free, be it of another model.
    pub fn lock_free_tail(&self, block: u32) -> PageResult<LockedBuffer> {
        self.free_tail(block, EXCLUSIVE)
    }

    /// The page after `block` in the list of free tail pages.
    pub fn next_free_tail(&self, block: u32) -> PageResult<u32> {
        Ok(tail_page::next(self.free_tail(block, SHARE)?.payload()))
    }

    fn free_tail(&self, block: u32, mode: u32) -> PageResult<LockedBuffer> {
        self.check_exists(block)?;
        let buffer = self.pin_and_lock(block, mode);
        // Its generation is that of the tail it once belonged to.
        if buffer.tag().is_none_or(|tag| tag.kind != PageKind::Tail) {
            return Err(PageError::Stale(block));
        }
        Ok(buffer)
    }

    /// Locks a page of the directory exclusively.
    pub fn lock_directory(&self, block: u32) -> Result<LockedBuffer> {
        self.lock(block, PageTag::of(PageKind::Directory)).map_err(PageError::into_error)
    }

    /// Locks the metapage exclusively, and reads it.
    pub fn lock_meta(&self) -> Result<(LockedBuffer, Meta)> {
        let buffer = self.lock(0, PageTag::of(PageKind::Meta)).map_err(PageError::into_error)?;
        let meta = Meta::from_bytes(buffer.payload()).map_err(PageError::into_error)?;
        Ok((buffer, meta))
    }

    /// Reads the metapage.
    pub fn meta(&self) -> Result<Meta> {
        Meta::read(self).map_err(PageError::into_error)
    }

    /// Pins and locks exclusively a block that belongs to nobody yet; its content is to be replaced. The file grows as needed. The caller
    /// has made `block` its own, in a directory entry or by holding the metapage's lock.
    pub fn new_page(&self, block: u32) -> LockedBuffer {
        self.new_page_in(pg_sys::ForkNumber::MAIN_FORKNUM, block)
    }

    /// [`IndexRelation::new_page`] in any fork.
    pub fn new_page_in(&self, fork: pg_sys::ForkNumber::Type, block: u32) -> LockedBuffer {
        let no_strategy = std::ptr::null_mut();
        // SAFETY: the relation is open, and the pin and the lock of the page are the result's. The file grows by one page at a time under its
        // extension lock. Blocks that a crash or an abort left at its end are used when `block` comes to them.
        unsafe {
            while self.fork_blocks(fork) <= block {
                pg_sys::LockRelationForExtension(self.relation, pg_sys::ExclusiveLock as i32);
                if self.fork_blocks(fork) <= block {
                    let mode = pg_sys::ReadBufferMode::RBM_NORMAL;
                    let new_block = pg_sys::InvalidBlockNumber;
                    let new = pg_sys::ReadBufferExtended(self.relation, fork, new_block, mode, no_strategy);
                    pg_sys::ReleaseBuffer(new);
                }
                pg_sys::UnlockRelationForExtension(self.relation, pg_sys::ExclusiveLock as i32);
            }
            let mode = pg_sys::ReadBufferMode::RBM_ZERO_AND_LOCK;
            let buffer = pg_sys::ReadBufferExtended(self.relation, fork, block, mode, no_strategy);
            LockedBuffer::from_lock(buffer)
        }
    }

    fn count_blocks(&self) -> u32 {
        self.blocks.set(self.fork_blocks(pg_sys::ForkNumber::MAIN_FORKNUM));
        self.blocks.get()
    }
}

impl Pages for IndexRelation {
    fn read(&self, block: u32, tag: PageTag, look: &mut dyn FnMut(&[u8])) -> PageResult<()> {
        pgrx::check_for_interrupts!();
        self.check_exists(block)?;
        let buffer = self.pin_and_lock(block, SHARE);
        if buffer.tag() != Some(tag) {
            return Err(PageError::Stale(block));
        }
        look(buffer.payload());
        Ok(())
    }

    fn read_before(
        &self,
        block: u32,
        tag: PageTag,
        next: u32,
        look: &mut dyn FnMut(&[u8], PrefetchTarget),
    ) -> PageResult<()> {
        pgrx::check_for_interrupts!();
        self.check_exists(block)?;
        // Both pages are pinned before the first is locked: the second may have to be read from disk, and nobody should wait for that.
        let pinned = self.pin(block);
        let mut ahead = PrefetchTarget::NONE;
        if self.check_exists(next).is_ok() {
            let next_page = self.pin(next);
            ahead = PrefetchTarget::new(next_page.payload_address());
            next_page.prefetch_header();
            self.next.set(Some((next, next_page)));
        }
        let buffer = pinned.lock(SHARE);
        if buffer.tag() != Some(tag) {
            return Err(PageError::Stale(block));
        }
        look(buffer.payload(), ahead);
        Ok(())
    }

    fn blocks(&self) -> u32 {
        self.count_blocks()
    }
}

/// Raises the error that reading pages ended with.
impl<T> OrReport<T> for PageResult<T> {
    fn or_report(self) -> T {
        self.map_err(PageError::into_error).or_report()
    }
}

/// The TID of a row of the table, as PostgreSQL has it.
pub fn item_pointer(tid: crate::index::Tid) -> pg_sys::ItemPointerData {
    pg_sys::ItemPointerData {
        ip_blkid: pg_sys::BlockIdData { bi_hi: (tid.block >> 16) as u16, bi_lo: tid.block as u16 },
        ip_posid: tid.offset,
    }
}

/// The TID of a row of the table, as the index has it.
pub fn tid(pointer: pg_sys::ItemPointerData) -> crate::index::Tid {
    let block = u32::from(pointer.ip_blkid.bi_hi) << 16 | u32::from(pointer.ip_blkid.bi_lo);
    crate::index::Tid { block, offset: pointer.ip_posid }
}
