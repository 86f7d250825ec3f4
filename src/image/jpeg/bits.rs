//! JPEG's entropy-coded data: bits between markers, and Huffman codes in them.

/// Why a file is not a whole JPEG; goes into an error's DETAIL.
pub(super) type Damage = &'static str;

pub(super) const ENDS_EARLY: Damage = "the data of a scan ends before its last pixel";
pub(super) const BAD_CODE: Damage = "a scan contains a code that does not exist";
pub(super) const LEFT_OVER: Damage = "a scan has data left after its last pixel";
pub(super) const TOO_MANY: Damage = "a block has more than 64 coefficients";
const BAD_TABLE: Damage = "a Huffman table is invalid";

/// Reads the bits of one scan. Past a marker or the end of the file it returns zeros; [`BitReader::check`] tells.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Position of the next byte that is not in `buffer`.
    at: usize,
    /// The next bits, the first in the highest place; zeros or a part of the byte at `at` below them.
    buffer: u64,
    /// Number of bits in `buffer`; less than zero once more were used than there are.
    count: i32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, buffer: 0, count: 0 }
    }

    /// Makes at least 32 bits available, if the scan has as many.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(next) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let next = u64::from_be_bytes(*next);
            // Whether a byte is 0xff: whether one of the complement is zero.
            let has_ff = (!next).wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080;
            if has_ff == 0 && self.count >= 0 {
                self.buffer |= next >> self.count;
                self.at += (63 - self.count as usize) >> 3;
                self.count |= 56;
                return;
            }
        }
        self.refill_by_bytes();
    }

    #[inline(never)]
    fn refill_by_bytes(&mut self) {
        while (0..=56).contains(&self.count) {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xff {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits as i32;
    }

    /// The next bits; at most 16, of at least as many that [`BitReader::refill`] made available.
    #[inline(always)]
    pub(super) fn take(&mut self, bits: u32) -> u32 {
        let value = (self.buffer >> 1 >> (63 - bits)) as u32;
        self.skip(bits);
        value
    }

    /// A bit, after a refill if there is none.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.refill();
        self.take(1) != 0
    }

    /// The next symbol of a code, after a refill.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, Damage> {
        self.refill();
        let entry = table.lookup[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        if entry & LENGTH != 0 {
            self.skip(entry & LENGTH);
            return Ok((entry >> 8) as u8);
        }
        self.long_symbol(table)
    }

    /// The symbol of a code longer than the lookup table's.
    #[cold]
    fn long_symbol(&mut self, table: &HuffmanTable) -> Result<u8, Damage> {
        let bits = (self.buffer >> 48) as u32;
        for length in LOOKUP_BITS + 1..=16 {
            let code = bits >> (16 - length);
            if code < table.end[length as usize] {
                let index = code.wrapping_add(table.offset[length as usize]) & 0xff;
                self.skip(length);
                return Ok(table.symbols[index as usize]);
            }
        }
        Err(if self.count < 16 { ENDS_EARLY } else { BAD_CODE })
    }

    /// The coefficients of a block after its first, in natural order and not dequantised.
    #[inline(always)]
    pub(super) fn ac_coefficients(
        &mut self,
        table: &HuffmanTable,
        block: &mut [i16; 64],
    ) -> Result<(), Damage> {
        let mut k = 1;
        while k < 64 {
            self.refill();
            let entry = table.ac[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
            if entry & WITH_VALUE != 0 {
                k += (entry >> 8 & 15) as usize;
                block[usize::from(ZIGZAG[k]) & 63] = (entry >> 16) as i16;
                self.skip(entry & LENGTH);
                k += 1;
                continue;
            }
            let symbol = if entry & LENGTH != 0 {
                self.skip(entry & LENGTH);
                (entry >> 8) as u8
            } else {
                self.long_symbol(table)?
            };
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 {
                if run < 15 {
                    break;
                }
                k += 16;
                continue;
            }
            k += run;
            block[usize::from(ZIGZAG[k]) & 63] = extend(self.take(size), size);
            k += 1;
        }
        if k > 64 {
            return Err(TOO_MANY);
        }
        Ok(())
    }

    /// Fails if more bits were used than the scan has.
    #[inline(always)]
    pub(super) fn check(&self) -> Result<(), Damage> {
        if self.count < 0 {
            return Err(ENDS_EARLY);
        }
        Ok(())
    }

    /// Ends a scan or restart interval: less than a byte may be left before the next marker. Returns the position of the marker's
    /// 0xff, or of the end of the file. A file without any more markers may be padded with zeros.
    pub(super) fn finish(&self) -> Result<usize, Damage> {
        self.check()?;
        if self.count < 8 && matches!(self.bytes.get(self.at), None | Some(0xff)) {
            return Ok(self.at);
        }
        // A file whose scan was cut off and padded has its zeros within the scan, too: then the last bytes that were used are such.
        let unused = self.at.saturating_sub(self.count as usize / 8);
        let (used, rest) = self.bytes.split_at(unused.min(self.bytes.len()));
        let ends_in_zeros = used.ends_with(&[0; 4]);
        let is_padding = self.buffer << (self.count % 8) == 0 && rest.iter().all(|byte| *byte == 0);
        if is_padding && !ends_in_zeros {
            return Ok(self.bytes.len());
        }
        Err(LEFT_OVER)
    }

    /// Continues after the restart marker with this number (0 to 7).
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Damage> {
        let mut at = self.finish()?;
        while self.bytes.get(at..at + 2) == Some(&[0xff, 0xff]) {
            at += 1;
        }
        if self.bytes.get(at..at + 2) != Some(&[0xff, 0xd0 + number]) {
            return Err(if at + 1 < self.bytes.len() { "a restart marker is missing" } else { ENDS_EARLY });
        }
        *self = Self::new(self.bytes, at + 2);
        Ok(())
    }
}

/// A coefficient from its bits: the upper half of the range is positive (F.2.2.1 of the standard, EXTEND).
#[inline(always)]
pub(super) fn extend(bits: u32, size: u32) -> i16 {
    let value = bits as i32;
    (if size > 0 && value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }) as i16
}

/// Codes up to this length are found at once.
const LOOKUP_BITS: u32 = 10;
/// In an entry: the bits to skip.
const LENGTH: u32 = 0x1f;
/// In an entry for coefficients: it has the value, too, in the upper 16 bits.
const WITH_VALUE: u32 = 0x80;

/// A Huffman code. Entries of the tables have the length of the code in their lowest bits (0 for a longer code) and the symbol
/// above.
pub(super) struct HuffmanTable {
    lookup: Box<[u32; 1 << LOOKUP_BITS]>,
    /// As `lookup`, and where the coefficient's bits follow within the table's width, run and value of the coefficient.
    ac: Box<[u32; 1 << LOOKUP_BITS]>,
    /// Per length: one more than the greatest code.
    end: [u32; 17],
    /// Per length: what to add to a code for the index of its symbol.
    offset: [u32; 17],
    symbols: [u8; 256],
}

impl HuffmanTable {
    /// The code with `counts` symbols of each length from 1 to 16.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Damage> {
        let mut table = Self {
            lookup: Box::new([0; 1 << LOOKUP_BITS]),
            ac: Box::new([0; 1 << LOOKUP_BITS]),
            end: [0; 17],
            offset: [0; 17],
            symbols: [0; 256],
        };
        table.symbols.get_mut(..symbols.len()).ok_or(BAD_TABLE)?.copy_from_slice(symbols);
        let (mut code, mut index) = (0u32, 0u32);
        for length in 1..=16u32 {
            let count = u32::from(counts[length as usize - 1]);
            table.offset[length as usize] = index.wrapping_sub(code);
            if code + count > 1 << length {
                return Err(BAD_TABLE);
            }
            for i in 0..count {
                if length <= LOOKUP_BITS {
                    table.fill(code + i, length, symbols[(index + i) as usize]);
                }
            }
            code += count;
            index += count;
            table.end[length as usize] = if count > 0 { code } else { 0 };
            code <<= 1;
        }
        Ok(table)
    }

    /// Enters a code into the lookup tables.
    fn fill(&mut self, code: u32, length: u32, symbol: u8) {
        let spare = LOOKUP_BITS - length;
        let size = u32::from(symbol & 15);
        for rest in 0..1 << spare {
            let at = ((code << spare) + rest) as usize;
            let entry = u32::from(symbol) << 8 | length;
            self.lookup[at] = entry;
            self.ac[at] = entry;
            if (1..=spare).contains(&size) {
                let value = extend(rest >> (spare - size), size) as u16;
                let run = u32::from(symbol >> 4);
                self.ac[at] = u32::from(value) << 16 | run << 8 | WITH_VALUE | (length + size);
            }
        }
    }
}

/// Natural positions of coefficients in the order of the file. A run can pass the end by 15.
pub(super) const ZIGZAG: [u8; 80] = {
    const ORDER: [u8; 64] = [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,
        6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38,
        31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];
    let mut table = [63; 80];
    let mut k = 0;
    while k < 64 {
        table[k] = ORDER[k];
        k += 1;
    }
    table
};
