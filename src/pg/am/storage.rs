//! Pages of an index relation: read, made, and changed with WAL.

use super::recent;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{
    prefetch, tail_page, Meta, PageError, PageKind, PageResult, PageTag, Pages, PrefetchTarget, PAYLOAD,
};
use crate::pg::{compat, encoding, OrReport};
use pgrx::pg_sys;
use std::cell::Cell;

/// Marks our pages for tools that look at them.
const PAGE_ID: u16 = 0xc00e;
const HEADER: usize = 24;
/// Ours: kind, [`PAGE_ID`], generation.
const SPECIAL: usize = 8;
const _: () = assert!(HEADER + PAYLOAD + SPECIAL == pg_sys::BLCKSZ as usize && PAYLOAD.is_multiple_of(16));

/// An open index, for the length of one call from PostgreSQL.
pub struct Index {
    relation: pg_sys::Relation,
    blocks: Cell<u32>,
    /// See [`super::recent`].
    turn: u32,
    /// The page that will be read next.
    ahead: Cell<Option<Pinned>>,
}

/// A page that stays in memory until dropped.
struct Pinned {
    block: u32,
    buffer: pg_sys::Buffer,
}

impl Pinned {
    fn page(&self) -> *mut u8 {
        // SAFETY: the buffer is pinned.
        unsafe { pg_sys::BufferGetPage(self.buffer).cast() }
    }

    /// Locks it.
    fn lock(self, lock: u32) -> Buffer {
        // SAFETY: the buffer is pinned, and the pin is the result's from here on.
        unsafe { pg_sys::LockBuffer(self.buffer, lock as i32) };
        let buffer = Buffer(self.buffer);
        std::mem::forget(self);
        buffer
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // As for a locked one, below.
        if !std::thread::panicking() {
            // SAFETY: pinned since it was made.
            unsafe { pg_sys::ReleaseBuffer(self.buffer) }
        }
    }
}

impl Index {
    /// # Safety
    /// `relation` must be an index of this access method, open for as long as the result lives.
    pub unsafe fn new(relation: pg_sys::Relation) -> Self {
        Self { relation, blocks: Cell::new(0), turn: recent::turn(), ahead: Cell::new(None) }
    }

    /// The relation.
    pub fn relation(&self) -> pg_sys::Relation {
        self.relation
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        // SAFETY: the relation is open; its name is a C string within.
        unsafe { encoding::name((*(*self.relation).rd_rel).relname.data.as_ptr()) }
    }

    /// Whether changes have to be in the WAL (PostgreSQL's macro RelationNeedsWAL).
    pub fn needs_wal(&self) -> bool {
        // SAFETY: the relation is open; wal_level is set at server start.
        unsafe {
            let relation = &*self.relation;
            let permanent = (*relation.rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT;
            // 0 is no subtransaction.
            let old = relation.rd_createSubid == 0 && compat::new_file(relation) == 0;
            permanent && (pg_sys::wal_level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32 || old)
        }
    }

    /// How many blocks a fork has right now.
    pub fn fork_blocks(&self, fork: pg_sys::ForkNumber::Type) -> u32 {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.relation, fork) }
    }

    /// Pins a page of the main fork.
    fn pin(&self, block: u32) -> Pinned {
        match self.ahead.take() {
            Some(pinned) if pinned.block == block => pinned,
            _ => {
                // SAFETY: the relation is open, and an index of ours.
                let buffer = unsafe { recent::read(self.relation, block, self.turn) };
                Pinned { block, buffer }
            }
        }
    }

    /// Pins and locks a page of the main fork.
    fn buffer(&self, block: u32, lock: u32) -> Buffer {
        let pinned = self.pin(block);
        // While the lock is taken, what is looked at first comes nearer: header, special space, first lines.
        let page = pinned.page();
        for at in [0, 64, 128, 192, HEADER + PAYLOAD] {
            prefetch(page.wrapping_add(at));
        }
        pinned.lock(lock)
    }

    fn exists(&self, block: u32) -> bool {
        block < self.blocks.get() || block < self.count_blocks()
    }

    /// A page to change, locked exclusively, if it is what `tag` says.
    pub fn lock(&self, block: u32, tag: PageTag) -> PageResult<Buffer> {
        if !self.exists(block) {
            return Err(PageError::Stale(block));
        }
        let buffer = self.buffer(block, pg_sys::BUFFER_LOCK_EXCLUSIVE);
        if buffer.tag() == Some(tag) {
            Ok(buffer)
        } else {
            Err(PageError::Stale(block))
        }
    }

    /// A page of a former tail, be it another model's, locked exclusively.
    pub fn lock_free_tail(&self, block: u32) -> PageResult<Buffer> {
        if !self.exists(block) {
            return Err(PageError::Stale(block));
        }
        let buffer = self.buffer(block, pg_sys::BUFFER_LOCK_EXCLUSIVE);
        if buffer.tag().is_some_and(|tag| tag.kind == PageKind::Tail) {
            Ok(buffer)
        } else {
            Err(PageError::Stale(block))
        }
    }

    /// The page after a page of former tails.
    pub fn next_free_tail(&self, block: u32) -> PageResult<u32> {
        if !self.exists(block) {
            return Err(PageError::Stale(block));
        }
        let buffer = self.buffer(block, pg_sys::BUFFER_LOCK_SHARE);
        match buffer.tag() {
            Some(tag) if tag.kind == PageKind::Tail => Ok(tail_page::next(buffer.payload())),
            _ => Err(PageError::Stale(block)),
        }
    }

    /// The metapage, locked exclusively, and what it says.
    pub fn lock_meta(&self) -> Result<(Buffer, Meta)> {
        let buffer = self.lock(0, PageTag::of(PageKind::Meta)).map_err(PageError::into_error)?;
        let meta = Meta::from_bytes(buffer.payload()).map_err(PageError::into_error)?;
        Ok((buffer, meta))
    }

    /// What the metapage says.
    pub fn meta(&self) -> Result<Meta> {
        Meta::read(self).map_err(PageError::into_error)
    }

    /// A block that belongs to nobody, to be filled: pinned and locked exclusively. The file grows as needed; whoever
    /// calls has made `block` its own.
    pub fn new_page(&self, block: u32) -> Buffer {
        self.new_page_in(pg_sys::ForkNumber::MAIN_FORKNUM, block)
    }

    /// [`Index::new_page`] in any fork.
    pub fn new_page_in(&self, fork: pg_sys::ForkNumber::Type, block: u32) -> Buffer {
        // SAFETY: the relation is open. The file grows under its extension lock; pages that another crash or abort left
        // at its end are passed over, and used when their number comes.
        unsafe {
            while self.fork_blocks(fork) <= block {
                pg_sys::LockRelationForExtension(self.relation, pg_sys::ExclusiveLock as i32);
                if self.fork_blocks(fork) <= block {
                    let mode = pg_sys::ReadBufferMode::RBM_NORMAL;
                    let new = pg_sys::ReadBufferExtended(
                        self.relation,
                        fork,
                        pg_sys::InvalidBlockNumber,
                        mode,
                        std::ptr::null_mut(),
                    );
                    pg_sys::ReleaseBuffer(new);
                }
                pg_sys::UnlockRelationForExtension(self.relation, pg_sys::ExclusiveLock as i32);
            }
            let mode = pg_sys::ReadBufferMode::RBM_ZERO_AND_LOCK;
            Buffer(pg_sys::ReadBufferExtended(self.relation, fork, block, mode, std::ptr::null_mut()))
        }
    }

    fn count_blocks(&self) -> u32 {
        self.blocks.set(self.fork_blocks(pg_sys::ForkNumber::MAIN_FORKNUM));
        self.blocks.get()
    }
}

impl Pages for Index {
    fn read(&self, block: u32, tag: PageTag, look: &mut dyn FnMut(&[u8])) -> PageResult<()> {
        pgrx::check_for_interrupts!();
        if !self.exists(block) {
            return Err(PageError::Stale(block));
        }
        let buffer = self.buffer(block, pg_sys::BUFFER_LOCK_SHARE);
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
        if !self.exists(block) {
            return Err(PageError::Stale(block));
        }
        // Both pins before the lock: the next page may have to come from disk.
        let pinned = self.pin(block);
        let mut ahead = PrefetchTarget::NONE;
        if self.exists(next) {
            let next = self.pin(next);
            ahead = PrefetchTarget::new(next.page().wrapping_add(HEADER));
            // What is looked at before its bytes.
            prefetch(next.page());
            prefetch(next.page().wrapping_add(HEADER + PAYLOAD));
            self.ahead.set(Some(next));
        }
        let buffer = pinned.lock(pg_sys::BUFFER_LOCK_SHARE);
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

/// A pinned and locked page; let go on drop.
pub struct Buffer(pg_sys::Buffer);

impl Buffer {
    fn page(&self) -> *mut u8 {
        // SAFETY: the buffer is pinned.
        unsafe { pg_sys::BufferGetPage(self.0).cast() }
    }

    /// What the page says it is; `None` if it is none of ours.
    fn tag(&self) -> Option<PageTag> {
        // SAFETY: a locked page of BLCKSZ bytes.
        let page = unsafe { std::slice::from_raw_parts(self.page(), pg_sys::BLCKSZ as usize) };
        let [kind, kind_high, id, id_high, generation @ ..] = *page.last_chunk::<SPECIAL>()?;
        let special = u16::from_ne_bytes([page[16], page[17]]);
        if u16::from_le_bytes([id, id_high]) != PAGE_ID || usize::from(special) != HEADER + PAYLOAD {
            return None;
        }
        let kind = match u16::from_le_bytes([kind, kind_high]) {
            1 => PageKind::Meta,
            2 => PageKind::Directory,
            3 => PageKind::Quantizer,
            4 => PageKind::Group,
            5 => PageKind::Tail,
            6 => PageKind::Nulls,
            _ => return None,
        };
        Some(PageTag { kind, generation: u32::from_le_bytes(generation) })
    }

    /// Our bytes of it.
    pub fn payload(&self) -> &[u8] {
        // SAFETY: a locked page of BLCKSZ bytes.
        unsafe { std::slice::from_raw_parts(self.page().add(HEADER), PAYLOAD) }
    }

    /// Fills a new page without WAL: for builds, which log the whole file in the end.
    pub fn fill_unlogged(&self, tag: PageTag, bytes: &[u8]) {
        // SAFETY: a page that is pinned and locked exclusively.
        unsafe {
            initialize(self.page(), tag);
            payload_mut(self.page())[..bytes.len()].copy_from_slice(bytes);
            pg_sys::MarkBufferDirty(self.0);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // An error on its way out: the abort of the transaction releases pins and locks. Doing it here as well would count
        // PostgreSQL's interrupt holdoffs, which the error has reset, below zero.
        if !std::thread::panicking() {
            // SAFETY: pinned and locked since it was made.
            unsafe { pg_sys::UnlockReleaseBuffer(self.0) }
        }
    }
}

/// # Safety
/// `page` must be BLCKSZ bytes that are ours to write.
unsafe fn initialize(page: *mut u8, tag: PageTag) {
    // SAFETY: as promised.
    unsafe {
        pg_sys::PageInit(page.cast(), pg_sys::BLCKSZ as usize, SPECIAL);
        // All of the payload counts, or WAL leaves it out as a hole.
        let header = page.cast::<pg_sys::PageHeaderData>();
        (*header).pd_lower = (HEADER + PAYLOAD) as u16;
        let special = std::slice::from_raw_parts_mut(page.add(HEADER + PAYLOAD), SPECIAL);
        special[..2].copy_from_slice(&(tag.kind as u16).to_le_bytes());
        special[2..4].copy_from_slice(&PAGE_ID.to_le_bytes());
        special[4..].copy_from_slice(&tag.generation.to_le_bytes());
    }
}

/// # Safety
/// `page` must be BLCKSZ bytes that are ours to write for as long as the result lives.
unsafe fn payload_mut<'a>(page: *mut u8) -> &'a mut [u8] {
    // SAFETY: as promised.
    unsafe { std::slice::from_raw_parts_mut(page.add(HEADER), PAYLOAD) }
}

/// Pages that change together or not at all, after a crash too.
pub struct Change {
    state: *mut pg_sys::GenericXLogState,
}

impl Change {
    /// Begins a change.
    pub fn new(index: &Index) -> Self {
        // SAFETY: the relation is open.
        Self { state: unsafe { pg_sys::GenericXLogStart(index.relation) } }
    }

    /// A page to edit. At most four in one change.
    pub fn edit<'a>(&'a self, buffer: &'a mut Buffer) -> &'a mut [u8] {
        // SAFETY: the buffer is locked exclusively and outlives the change; PostgreSQL hands out a copy of its page, one
        // for each buffer, that lives as long as the change.
        unsafe { payload_mut(pg_sys::GenericXLogRegisterBuffer(self.state, buffer.0, 0).cast()) }
    }

    /// A page to fill, whatever was there.
    pub fn fill<'a>(&'a self, buffer: &'a mut Buffer, tag: PageTag) -> &'a mut [u8] {
        let image = pg_sys::GENERIC_XLOG_FULL_IMAGE as i32;
        // SAFETY: as above.
        unsafe {
            let page = pg_sys::GenericXLogRegisterBuffer(self.state, buffer.0, image).cast();
            initialize(page, tag);
            payload_mut(page)
        }
    }

    /// Applies and logs the change.
    pub fn commit(self) {
        // SAFETY: begun and not ended; what it registered is still locked.
        unsafe { pg_sys::GenericXLogFinish(self.state) };
        std::mem::forget(self);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun and not ended.
            unsafe { pg_sys::GenericXLogAbort(self.state) }
        }
    }
}

/// The right to move rows: the heavyweight lock on block 0.
/// Whoever needs it asks for it as an argument.
pub struct MoveRight<'a>(&'a Index);

impl<'a> MoveRight<'a> {
    /// Waits for it.
    pub fn wait(index: &'a Index) -> Self {
        // SAFETY: the relation is open.
        unsafe { pg_sys::LockPage(index.relation, 0, pg_sys::ExclusiveLock as i32) };
        Self(index)
    }

    /// Takes it if nobody has it.
    pub fn get(index: &'a Index) -> Option<Self> {
        // SAFETY: the relation is open.
        let got = unsafe { pg_sys::ConditionalLockPage(index.relation, 0, pg_sys::ExclusiveLock as i32) };
        got.then(|| Self(index))
    }

    /// The index whose rows may be moved.
    pub fn index(&self) -> &'a Index {
        self.0
    }
}

impl Drop for MoveRight<'_> {
    fn drop(&mut self) {
        // After an error the end of the transaction gives it back.
        if !std::thread::panicking() {
            // SAFETY: taken, and the relation is still open.
            unsafe { pg_sys::UnlockPage(self.0.relation, 0, pg_sys::ExclusiveLock as i32) }
        }
    }
}

/// Raises what reading pages came to.
impl<T> OrReport<T> for PageResult<T> {
    fn or_report(self) -> T {
        self.map_err(PageError::into_error).or_report()
    }
}

/// Our TID as PostgreSQL has it.
pub fn item_pointer(tid: crate::index::Tid) -> pg_sys::ItemPointerData {
    pg_sys::ItemPointerData {
        ip_blkid: pg_sys::BlockIdData { bi_hi: (tid.block >> 16) as u16, bi_lo: tid.block as u16 },
        ip_posid: tid.offset,
    }
}

/// PostgreSQL's TID as we have it.
pub fn tid(pointer: pg_sys::ItemPointerData) -> crate::index::Tid {
    let block = u32::from(pointer.ip_blkid.bi_hi) << 16 | u32::from(pointer.ip_blkid.bi_lo);
    crate::index::Tid { block, offset: pointer.ip_posid }
}

/// An error that names the index.
pub fn refuse(index: &Index, kind: ErrorKind, what: &str) -> Error {
    Error::new(kind, format!("index \"{}\" {what}", index.name()))
}
