//! Reads lists of names from MATLAB files: cell arrays of character arrays in MAT-files of level 5.

use std::io::Read;

/// Data types of elements ("MAT-File Format", table 1-1).
const UINT8: u32 = 2;
const UINT16: u32 = 4;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;
/// Classes of arrays (table 1-3).
const CELL_CLASS: u8 = 1;
const CHAR_CLASS: u8 = 4;

const HEADER: usize = 128;
/// Most bytes of a decompressed variable: far more than any list of names has.
const MAX_INFLATED: u64 = 64 << 20;

/// The strings of the cell array `name`, in the order of storage; an empty cell is an empty string.
///
/// # Errors
/// A message without a full stop, if the file cannot be read or has no such array.
pub fn strings(file: &[u8], name: &str) -> Result<Vec<String>, String> {
    if file.get(126..HEADER) != Some(b"IM") {
        return Err("this is not a little-endian MAT-file of level 5".into());
    }
    let mut rest = &file[HEADER..];
    while !rest.is_empty() {
        let (kind, data) = element(&mut rest)?;
        let mut inflated = Vec::new();
        let mut matrix = data;
        if kind == COMPRESSED {
            let mut decoder = flate2::read::ZlibDecoder::new(data).take(MAX_INFLATED);
            decoder
                .read_to_end(&mut inflated)
                .map_err(|e| format!("a variable cannot be decompressed ({e})"))?;
            let mut inner = inflated.as_slice();
            match element(&mut inner)? {
                (MATRIX, data) => matrix = data,
                _ => continue,
            }
        } else if kind != MATRIX {
            continue;
        }
        let array = Array::read(matrix)?;
        if array.name == name.as_bytes() {
            return array.texts();
        }
    }
    Err(format!("there is no variable {name}"))
}

/// Takes an element (type and data) from the front of `rest`.
fn element<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let truncated = || "the file is truncated".to_owned();
    let word = |at: usize| -> Result<u32, String> {
        let bytes = rest.get(at..at + 4).ok_or_else(truncated)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let tag = word(0)?;
    // A small element has its length in the upper half of the tag and its data in the same eight bytes.
    let (kind, length, start) =
        if tag >> 16 == 0 { (tag, word(4)? as usize, 8) } else { (tag & 0xffff, (tag >> 16) as usize, 4) };
    let data = rest.get(start..start + length).ok_or_else(truncated)?;
    let end = start + length;
    let padded = if kind == COMPRESSED { end } else { end.next_multiple_of(8) };
    *rest = &rest[padded.min(rest.len())..];
    Ok((kind, data))
}

/// The parts of a matrix element.
struct Array<'a> {
    class: u8,
    name: &'a [u8],
    /// The bytes after its name.
    content: &'a [u8],
}

impl<'a> Array<'a> {
    fn read(mut data: &'a [u8]) -> Result<Self, String> {
        let (kind, flags) = element(&mut data)?;
        let class = *flags.first().filter(|_| kind == UINT32).ok_or("an array has no flags")?;
        let (_, _dimensions) = element(&mut data)?;
        let (_, name) = element(&mut data)?;
        Ok(Self { class, name, content: data })
    }

    fn texts(&self) -> Result<Vec<String>, String> {
        if self.class != CELL_CLASS {
            return Err("the variable is not a cell array".into());
        }
        let mut rest = self.content;
        let mut out = Vec::new();
        while !rest.is_empty() {
            let (kind, data) = element(&mut rest)?;
            if kind != MATRIX {
                return Err("a cell is not an array".into());
            }
            out.push(if data.is_empty() { String::new() } else { Array::read(data)?.text()? });
        }
        Ok(out)
    }

    /// The text of a character array. An empty cell is stored as an empty array of numbers.
    fn text(&self) -> Result<String, String> {
        let mut rest = self.content;
        let (kind, data) = if rest.is_empty() { (UTF8, rest) } else { element(&mut rest)? };
        match kind {
            _ if data.is_empty() => Ok(String::new()),
            _ if self.class != CHAR_CLASS => Err("a cell is not a text".into()),
            UINT8 | UTF8 => Ok(String::from_utf8_lossy(data).into_owned()),
            UINT16 => {
                let units: Vec<u16> =
                    data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
                Ok(String::from_utf16_lossy(&units))
            }
            _ => Err("a cell is not a text".into()),
        }
    }
}
