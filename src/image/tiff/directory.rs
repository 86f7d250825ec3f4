//! The first directory of a TIFF or BigTIFF file: tags and their values.

/// Entries by tag. Each has a type, a count, and the values or their position.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    big: bool,
    /// Position of the first entry.
    at: usize,
    entries: usize,
}

impl<'a> Directory<'a> {
    /// The directory that the header points to, if the file has it.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
        let mut directory =
            Self { bytes, little_endian: bytes.starts_with(b"II"), big: false, at: 0, entries: 0 };
        directory.big = directory.short(2)? == 43;
        let start = usize::try_from(directory.offset(if directory.big { 8 } else { 4 })?).ok()?;
        (directory.entries, directory.at) = if directory.big {
            (usize::try_from(directory.number(start, 8)?).ok()?.min(65_535), start.checked_add(8)?)
        } else {
            (usize::from(directory.short(start)?), start.checked_add(2)?)
        };
        let size = directory.entries * if directory.big { 20 } else { 12 };
        bytes.get(directory.at..directory.at.checked_add(size)?)?;
        Some(directory)
    }

    /// Whether numbers have their least significant byte first.
    pub(super) fn is_little_endian(&self) -> bool {
        self.little_endian
    }

    fn short(&self, at: usize) -> Option<u16> {
        self.number(at, 2).map(|value| value as u16)
    }

    fn offset(&self, at: usize) -> Option<u64> {
        self.number(at, if self.big { 8 } else { 4 })
    }

    /// An unsigned number of `size` bytes.
    fn number(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.little_endian { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
    }

    /// The position of a tag's values, the bytes that each takes, and their number.
    fn find(&self, tag: u16) -> Option<(usize, usize, usize)> {
        let (entry_size, inline) = if self.big { (20, 8) } else { (12, 4) };
        let entry =
            (0..self.entries).map(|i| self.at + entry_size * i).find(|at| self.short(*at) == Some(tag))?;
        let size: usize = match self.short(entry + 2)? {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => 1,
        };
        let count = usize::try_from(self.number(entry + 4, inline)?).ok()?;
        let value = entry + 4 + inline;
        let fits = size.checked_mul(count)? <= inline;
        let at = if fits { value } else { usize::try_from(self.offset(value)?).ok()? };
        Some((at, size, count))
    }

    /// Whether the file ends before the values of one of these tags do.
    pub(super) fn is_cut_off(&self, tags: &[u16]) -> bool {
        tags.iter().any(|tag| self.find(*tag).is_some() && self.data(*tag).is_none())
    }

    /// A tag's values, as far as the file has them.
    pub(super) fn values(&self, tag: u16) -> impl Iterator<Item = u64> + '_ {
        let (at, size, count) = self.find(tag).unwrap_or((0, 1, 0));
        (0..count).map_while(move |i| self.number(at.checked_add(size * i)?, size))
    }

    /// A tag's first value.
    pub(super) fn value(&self, tag: u16) -> Option<u64> {
        self.values(tag).next()
    }

    /// The bytes of a tag's values.
    pub(super) fn data(&self, tag: u16) -> Option<&'a [u8]> {
        let (at, size, count) = self.find(tag)?;
        self.bytes.get(at..at.checked_add(size.checked_mul(count)?)?)
    }
}
