//! The container of AVIF (HEIF, ISO/IEC 23008-12): items, their properties and references, and where their data is.

use super::damaged;
use crate::error::Result;
use crate::image::decode_error::unsupported;
use crate::memory;

/// An item of the file, with what belongs to it.
#[derive(Debug, Default, Clone)]
pub(super) struct Item {
    pub(super) id: u32,
    /// `av01` for an image, `grid` for one put together from others.
    pub(super) kind: [u8; 4],
    /// Whether positions are in the `idat` box instead of the file.
    in_idat: bool,
    extents: Vec<(u64, u64)>,
    /// Indices of its properties.
    properties: Vec<usize>,
}

/// What the `meta` box says: items by id, the boxes that describe them, and how they refer to each other.
#[derive(Default)]
pub(super) struct Container<'a> {
    bytes: &'a [u8],
    primary: u32,
    items: Vec<Item>,
    properties: Vec<([u8; 4], &'a [u8])>,
    /// Kind of the reference (`dimg`, `auxl`, ...), the item that refers, and those it refers to.
    references: Vec<([u8; 4], u32, Vec<u32>)>,
    idat: &'a [u8],
    /// Entries of all kinds that have been read.
    entries: usize,
}

/// The most items: each is searched for by its id.
const MAX_ITEMS: usize = 4096;
/// The most entries of all kinds. Some take no byte of the file, as an extent without position and length.
const MAX_ENTRIES: usize = 1 << 16;

/// Reads big-endian numbers one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self, size: usize) -> Option<u64> {
        let (head, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(head.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn short(&mut self) -> Option<u32> {
        self.number(2).map(|value| value as u32)
    }

    fn kind(&mut self) -> Option<[u8; 4]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next box: its kind and content.
    fn next_box(&mut self) -> Option<([u8; 4], &'a [u8])> {
        let whole = self.0;
        let size = self.number(4)?;
        let kind = self.kind()?;
        let size = match size {
            0 => whole.len() as u64,
            1 => self.number(8)?,
            size => size,
        };
        let content = whole.get(whole.len() - self.0.len()..usize::try_from(size).ok()?)?;
        self.0 = whole.get(size as usize..)?;
        Some((kind, content))
    }

    /// What a full box begins with: a byte of version and three of flags.
    fn full(&mut self) -> Option<(u8, u32)> {
        let both = self.number(4)? as u32;
        Some(((both >> 24) as u8, both & 0xff_ffff))
    }
}

impl<'a> Container<'a> {
    /// Reads a file's `meta` box.
    ///
    /// # Errors
    /// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) if it is missing, contradicts itself, or has more than [`MAX_ENTRIES`].
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut file = Reader(bytes);
        let mut is_video = false;
        while let Some((kind, content)) = file.next_box() {
            is_video |= kind == *b"moov";
            if kind == *b"meta" {
                let mut container = Self { bytes, ..Self::default() };
                container.read_meta(content).ok_or_else(damaged)?;
                return Ok(container);
            }
        }
        // A sequence of images without a still one.
        Err(if is_video { unsupported("AVIF without a still image") } else { super::truncated() })
    }

    fn read_meta(&mut self, content: &'a [u8]) -> Option<()> {
        let mut meta = Reader(content);
        meta.full()?;
        while let Some((kind, content)) = meta.next_box() {
            let mut reader = Reader(content);
            match &kind {
                b"pitm" => {
                    let (version, _) = reader.full()?;
                    self.primary = reader.number(if version == 0 { 2 } else { 4 })? as u32;
                }
                b"iinf" => self.read_items(reader)?,
                b"iloc" => self.read_locations(reader)?,
                b"iref" => self.read_references(reader)?,
                b"iprp" => self.read_properties(reader)?,
                b"idat" => self.idat = content,
                _ => {}
            }
        }
        Some(())
    }

    /// Counts an entry; `None` if there are too many.
    fn count(&mut self) -> Option<()> {
        self.entries += 1;
        (self.entries <= MAX_ENTRIES).then_some(())
    }

    /// The item with an id, which may be mentioned before it is declared.
    fn entry(&mut self, id: u32) -> Option<&mut Item> {
        self.count()?;
        let at = match self.items.iter().position(|item| item.id == id) {
            Some(at) => at,
            None if self.items.len() < MAX_ITEMS => {
                self.items.push(Item { id, ..Item::default() });
                self.items.len() - 1
            }
            None => return None,
        };
        self.items.get_mut(at)
    }

    fn read_items(&mut self, mut reader: Reader<'a>) -> Option<()> {
        let (version, _) = reader.full()?;
        reader.number(if version == 0 { 2 } else { 4 })?;
        while let Some((kind, content)) = reader.next_box() {
            let mut entry = Reader(content);
            let (version, _) = entry.full()?;
            if kind != *b"infe" || version < 2 {
                continue;
            }
            let id = entry.number(if version == 2 { 2 } else { 4 })? as u32;
            entry.short()?;
            self.entry(id)?.kind = entry.kind()?;
        }
        Some(())
    }

    fn read_locations(&mut self, mut reader: Reader<'a>) -> Option<()> {
        let (version, _) = reader.full()?;
        let sizes = reader.short()? as usize;
        let (offset, length, base) = (sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15);
        let index = if version == 0 { 0 } else { sizes & 15 };
        if [offset, length, base, index].iter().any(|size| !matches!(size, 0 | 4 | 8)) {
            return None;
        }
        let count = reader.number(if version < 2 { 2 } else { 4 })?;
        for _ in 0..count {
            let id = reader.number(if version < 2 { 2 } else { 4 })? as u32;
            let method = if version == 0 { 0 } else { reader.short()? & 15 };
            // The data must be in this file.
            reader.short()?;
            let start = reader.number(base)?;
            let extents = reader.short()?;
            let mut found = Vec::new();
            for _ in 0..extents {
                self.count()?;
                reader.number(index)?;
                let at = start.checked_add(reader.number(offset)?)?;
                found.push((at, reader.number(length)?));
            }
            let item = self.entry(id)?;
            item.in_idat = method == 1;
            item.extents = found;
        }
        Some(())
    }

    fn read_references(&mut self, mut reader: Reader<'a>) -> Option<()> {
        let (version, _) = reader.full()?;
        let size = if version == 0 { 2 } else { 4 };
        while let Some((kind, content)) = reader.next_box() {
            let mut entry = Reader(content);
            let from = entry.number(size)? as u32;
            let count = entry.short()?;
            let mut to = Vec::new();
            for _ in 0..count {
                self.count()?;
                to.push(entry.number(size)? as u32);
            }
            self.count()?;
            self.references.push((kind, from, to));
        }
        Some(())
    }

    fn read_properties(&mut self, mut reader: Reader<'a>) -> Option<()> {
        while let Some((kind, content)) = reader.next_box() {
            let mut inner = Reader(content);
            match &kind {
                b"ipco" => {
                    while let Some(property) = inner.next_box() {
                        self.count()?;
                        self.properties.push(property);
                    }
                }
                b"ipma" => {
                    let (version, flags) = inner.full()?;
                    for _ in 0..inner.number(4)? {
                        let id = inner.number(if version == 0 { 2 } else { 4 })? as u32;
                        let wide = flags & 1 == 1;
                        let count = inner.number(1)?;
                        let item = self.entry(id)?;
                        for _ in 0..count {
                            let association = inner.number(if wide { 2 } else { 1 })? as usize;
                            let index = association & if wide { 0x7fff } else { 0x7f };
                            item.properties.extend(index.checked_sub(1));
                        }
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    /// The item that is the image.
    pub(super) fn primary(&self) -> Result<&Item> {
        self.item(self.primary)
    }

    fn item(&self, id: u32) -> Result<&Item> {
        self.items.iter().find(|item| item.id == id).ok_or_else(damaged)
    }

    /// The properties of an item, of one kind.
    pub(super) fn properties<'s>(
        &'s self,
        item: &'s Item,
        kind: &'s [u8; 4],
    ) -> impl Iterator<Item = &'a [u8]> + 's {
        let all = item.properties.iter().filter_map(|index| self.properties.get(*index));
        all.filter(move |(found, _)| found == kind).map(|(_, content)| *content)
    }

    /// Width and height in pixels, before rotation.
    ///
    /// # Errors
    /// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) if the item does not say.
    pub(super) fn size(&self, item: &Item) -> Result<(u32, u32)> {
        let mut reader = Reader(self.properties(item, b"ispe").next().ok_or_else(damaged)?);
        let mut size = || {
            reader.full()?;
            Some((reader.number(4)? as u32, reader.number(4)? as u32))
        };
        size().ok_or_else(damaged)
    }

    /// The items that an item refers to.
    pub(super) fn referenced(&self, kind: [u8; 4], from: u32) -> impl Iterator<Item = &Item> {
        let to = self.references.iter().filter(move |(found, id, _)| (*found, *id) == (kind, from));
        to.flat_map(|(.., to)| to).filter_map(|id| self.item(*id).ok())
    }

    /// The alpha of an image.
    pub(super) fn alpha(&self, of: &Item) -> Option<&Item> {
        let auxiliary = self.references.iter().filter(|(kind, _, to)| kind == b"auxl" && to.contains(&of.id));
        let mut items = auxiliary.filter_map(|(_, from, _)| self.item(*from).ok());
        items.find(|item| {
            let mut kinds =
                self.properties(item, b"auxC").map(|content| content.get(4..).unwrap_or_default());
            kinds.any(|kind| {
                kind.starts_with(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
                    || kind.starts_with(b"urn:mpeg:hevc:2015:auxid:1")
            })
        })
    }

    /// An item's data.
    ///
    /// # Errors
    /// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) if the file does not have all of it.
    pub(super) fn data(&self, item: &Item) -> Result<Vec<u8>> {
        let source = if item.in_idat { self.idat } else { self.bytes };
        let mut data = Vec::new();
        for (at, length) in &item.extents {
            let rest =
                usize::try_from(*at).ok().and_then(|at| source.get(at..)).ok_or_else(super::truncated)?;
            let length =
                if *length == 0 { rest.len() } else { usize::try_from(*length).unwrap_or(usize::MAX) };
            let part = rest.get(..length).ok_or_else(super::truncated)?;
            if data.len() + part.len() > self.bytes.len() {
                return Err(damaged());
            }
            memory::extend(&mut data, part)?;
        }
        if data.is_empty() {
            return Err(super::truncated());
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(8 + content.len() as u32).to_be_bytes()[..], kind, content].concat()
    }

    /// A file whose one item, or as many as that, have this many extents each, which take no bytes.
    fn with_extents(items: u16, extents: u16) -> Vec<u8> {
        // Version 0, and sizes of 0 for positions, lengths and bases.
        let mut locations = [&[0; 6][..], &items.to_be_bytes()].concat();
        for id in 0..items {
            locations.extend([id.to_be_bytes(), [0; 2], extents.to_be_bytes()].concat());
        }
        let meta = [&[0; 4][..], &of_box(b"iloc", &locations)].concat();
        of_box(b"meta", &meta)
    }

    #[test]
    fn entries_that_take_no_bytes_do_not_take_memory_without_end() {
        assert!(Container::read(&with_extents(4, 1000)).is_ok());
        assert!(Container::read(&with_extents(2, 65_535)).is_err());
        assert!(Container::read(&with_extents(4096, 65_535)).is_err());
        assert!(Container::read(&with_extents(4097, 0)).is_err());
    }
}
