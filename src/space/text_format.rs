//! The text formats of embeddings and queries, which round-trip exactly.
//!
//! An embedding is `KxN@fingerprint:[v,v,...]`, say `2x2@0000002a:[0.6,0.8,1,0]`, or the numbers alone where the model is known. A query names its constant and,
//! for each subspace of positive weight, weight and target: `2x2@0000002a:{0;1:2*[0.6,0.8]}`.
//!
//! Both can also be written as `\x` and the hexadecimal digits of their binary format, as PostgreSQL's bytea: illegible, but many
//! times as fast to write and read.

use super::binary_format::MAX_BYTES;
use super::embedding::wrong_length;
use super::{Embedding, EmbeddingRef, Layout, Query, QueryRef};
use crate::error::{abridged, Error, Kind, Result};
use crate::memory;
use half::f16;
use std::fmt;
use std::str::FromStr;

#[cfg(test)]
mod tests;

/// The prefix of the hexadecimal format.
const HEX: &str = "\\x";

/// The form of an embedding without its model.
const BARE_LIST: &str = "[0.1,0.2,...]";

impl EmbeddingRef<'_> {
    /// Encodes the hexadecimal format.
    pub fn to_hex(&self) -> String {
        format!("{HEX}{}", const_hex::encode(self.to_bytes()))
    }
}

impl QueryRef<'_> {
    /// Encodes the hexadecimal format.
    pub fn to_hex(&self) -> String {
        format!("{HEX}{}", const_hex::encode(self.to_bytes()))
    }
}

impl fmt::Display for EmbeddingRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.layout)?;
        write_list(f, self.values, |f, &v| write_half(f, v))
    }
}

impl fmt::Display for QueryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{{{}", self.layout, self.constant)?;
        for (k, weight, target) in self.active() {
            write!(f, ";{k}:{weight}*")?;
            write_list(f, target, |f, v| write!(f, "{v}"))?;
        }
        f.write_str("}")
    }
}

/// Writes `[v,v,...]`.
pub(super) fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    values: &[T],
    one: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str("[")?;
    for (i, v) in values.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        one(f, v)?;
    }
    f.write_str("]")
}

/// Writes the shortest decimal that reads back as the same half-precision number. It is half as long as that of the same
/// number in single precision, because five digits tell any two half-precision numbers apart.
pub(super) fn write_half(f: &mut fmt::Formatter<'_>, value: f16) -> fmt::Result {
    let bits = value.to_bits() & 0x7fff;
    let magnitude = f64::from(f16::from_bits(bits));
    // Start with as many decimals as are still coarser than the number's last bit, 2^(exponent - 25): of these at most one
    // reads back as the number, and shorter ones are that one without its trailing zeros. All products are exact: eleven bits
    // times a power of ten below 10^22.
    let exponent = u32::from(bits >> 10).max(1);
    let mut decimals = 25_u32.saturating_sub(exponent) * 77 / 256;
    let mut power = 10_u64.pow(decimals) as f64;
    let mut digits = (magnitude * power + 0.5) as u64;
    while f16::from_f64(digits as f64 / power).to_bits() != bits {
        decimals += 1;
        power *= 10.0;
        digits = (magnitude * power + 0.5) as u64;
    }
    while decimals > 0 && digits.is_multiple_of(10) {
        decimals -= 1;
        digits /= 10;
    }
    // Written from the end: the decimals, the point, and at least one digit before it.
    let mut text = [0; 16];
    let (mut at, mut place, mut rest) = (text.len(), 0, digits);
    while place <= decimals || rest > 0 {
        if place == decimals && decimals > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        place += 1;
    }
    if value.is_sign_negative() {
        at -= 1;
        text[at] = b'-';
    }
    f.write_str(str::from_utf8(&text[at..]).map_err(|_| fmt::Error)?)
}

impl Embedding {
    /// Whether a text is of the form `[v,v,...]`, without a model.
    pub fn is_bare_list(text: &str) -> bool {
        text.trim_start().starts_with('[')
    }

    /// Parses `[v,v,...]` as an embedding of this layout.
    ///
    /// # Errors
    /// [`Kind::InvalidText`] for another form, or another number of numbers.
    pub fn from_bare_list(layout: Layout, text: &str) -> Result<Self> {
        let malformed = || malformed("coopvec", text, BARE_LIST);
        let values = parse_numbers(text.trim(), layout, layout.dimensions(), f16::from_f64)
            .ok_or_else(malformed)??;
        Self::from_f16(layout, values).map_err(of_text)
    }
}

impl FromStr for Embedding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(digits) = text.trim().strip_prefix(HEX) {
            return from_hex("coopvec", digits, Embedding::from_bytes);
        }
        let malformed = || match text.trim_start().starts_with('{') {
            true => malformed("coopvec", text, BARE_LIST)
                .hint("Pass an array as what it is: ARRAY[0.1,0.2,...], or $1::float8[]."),
            false => malformed("coopvec", text, "8x50@1a2b3c4d:[0.1,0.2,...]"),
        };
        let (layout, body) = parse_layout(text.trim()).ok_or_else(malformed)?;
        let layout = layout?;
        let values =
            parse_numbers(body, layout, layout.dimensions(), f16::from_f64).ok_or_else(malformed)??;
        Embedding::from_f16(layout, values).map_err(of_text)
    }
}

impl FromStr for Query {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(digits) = text.trim().strip_prefix(HEX) {
            return from_hex("coopquery", digits, Query::from_bytes);
        }
        let malformed = || malformed("coopquery", text, "8x50@1a2b3c4d:{0;3:1*[0.1,0.2,...]}");
        let (layout, body) = parse_layout(text.trim()).ok_or_else(malformed)?;
        let layout = layout?;
        let body = body.strip_prefix('{').and_then(|b| b.strip_suffix('}')).ok_or_else(malformed)?;
        let mut parts = body.split(';');
        let constant: f64 = parts.next().and_then(|c| c.trim().parse().ok()).ok_or_else(malformed)?;
        let mut weights = vec![0.0; layout.subspaces()];
        let mut targets = Vec::new();
        let mut next = 0;
        for part in parts {
            let (k, rest) = part.split_once(':').ok_or_else(malformed)?;
            let (weight, target) = rest.split_once('*').ok_or_else(malformed)?;
            let k: usize = k.trim().parse().map_err(|_| malformed())?;
            if k < next || k >= layout.subspaces() {
                return Err(malformed().detail(format!(
                    "Subspaces are numbered from 0 to {} and come in order; found {k}.",
                    layout.subspaces() - 1
                )));
            }
            next = k + 1;
            weights[k] = weight.trim().parse().map_err(|_| malformed())?;
            let of_subspace = |e: Error| Error { message: format!("{} in subspace {k}", e.message), ..e };
            let target =
                parse_numbers(target, layout, layout.subspace_dim(), |v| v as f32).ok_or_else(malformed)?;
            targets.extend(target.map_err(of_subspace)?);
            if weights[k] <= 0.0 {
                return Err(malformed()
                    .detail(format!("Subspace {k} needs a positive weight; found {}.", weights[k])));
            }
        }
        Query::from_parts(layout, constant, weights, targets).map_err(of_text)
    }
}

/// Parses `KxN@fingerprint:` and returns what follows; `None` if the text is not of that form.
fn parse_layout(text: &str) -> Option<(Result<Layout>, &str)> {
    let (head, body) = text.split_once(':')?;
    let (shape, fingerprint) = head.split_once('@')?;
    let (k, n) = shape.split_once('x')?;
    let (k, n) = (k.trim().parse().ok()?, n.trim().parse().ok()?);
    let hex = fingerprint.trim();
    if hex.len() != 8 {
        return None;
    }
    Some((Layout::new(k, n, u32::from_str_radix(hex, 16).ok()?), body.trim()))
}

/// Parses `[v,v,...]` with `expected` numbers; `None` if the text is not of that form. However long the text, no more numbers
/// than that are kept.
fn parse_numbers<T>(
    text: &str,
    layout: Layout,
    expected: usize,
    convert: impl Fn(f64) -> T,
) -> Option<Result<Vec<T>>> {
    let mut rest = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut values = match memory::with_capacity(expected) {
        Ok(values) => values,
        Err(e) => return Some(Err(e)),
    };
    let wrong_count = |found| Some(Err(of_text(wrong_length(layout, expected, found))));
    loop {
        if values.len() == expected {
            return wrong_count(expected + 1 + rest.bytes().filter(|&byte| byte == b',').count());
        }
        let end = |length: usize| matches!(rest.as_bytes().get(length), None | Some(b','));
        let (value, length) = match parse_plain_decimal(rest.as_bytes()).filter(|&(_, length)| end(length)) {
            Some(plain) => plain,
            None => {
                let length = rest.find(',').unwrap_or(rest.len());
                (rest[..length].trim().parse().ok()?, length)
            }
        };
        values.push(convert(value));
        if length == rest.len() {
            return if values.len() == expected { Some(Ok(values)) } else { wrong_count(values.len()) };
        }
        rest = &rest[length + 1..];
    }
}

/// A fast path for the number at the beginning of a text, and its length: at most 15 digits with at most one point among
/// them, so that the correctly rounded value is the quotient of two exact numbers. Our own output is of that form. `None` for
/// anything else.
fn parse_plain_decimal(text: &[u8]) -> Option<(f64, usize)> {
    /// Powers of ten, all of them exact.
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let negative = text.first() == Some(&b'-');
    let (mut number, mut digits, mut length, mut point) = (0_u64, 0, usize::from(negative), None);
    while let Some(&byte) = text.get(length) {
        match byte {
            b'0'..=b'9' => {
                number = 10 * number + u64::from(byte - b'0');
                digits += 1;
            }
            b'.' if point.is_none() => point = Some(digits),
            _ => break,
        }
        length += 1;
        // 15 digits are below 2^53, and so exact.
        if digits > 15 {
            return None;
        }
    }
    let decimals = digits - point.unwrap_or(digits);
    if digits == 0 || point == Some(digits) {
        return None;
    }
    let value = number as f64 / POWERS[decimals];
    Some((if negative { -value } else { value }, length))
}

/// Decodes the binary format from hexadecimal digits.
fn from_hex<T>(of: &str, digits: &str, read: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    let message = || invalid_syntax(of, &format!("{HEX}{}", abridged(digits)));
    let no_digits = |why: String| {
        Error::new(Kind::InvalidText, message())
            .detail(format!("What follows {HEX} is not pairs of hexadecimal digits: {why}."))
            .hint("The hexadecimal form is what coopembed.output = hex writes.")
    };
    // const_hex would skip this prefix.
    if digits.starts_with("0x") {
        return Err(no_digits("it begins with 0x".to_owned()));
    }
    // Checked before memory is allocated for the bytes.
    if digits.len() > 2 * MAX_BYTES {
        return Err(Error::new(Kind::InvalidText, message()).detail(format!(
            "What follows {HEX} is {} digits, and the longest value has {}.",
            digits.len(),
            2 * MAX_BYTES
        )));
    }
    let bytes = const_hex::decode(digits).map_err(|e| no_digits(e.to_string()))?;
    read(&bytes).map_err(|e| Error { message: message(), ..of_text(e) })
}

/// Turns an error about parsed values into one about the text.
fn of_text(e: Error) -> Error {
    Error { kind: Kind::InvalidText, ..e }
}

fn malformed(of: &str, text: &str, example: &str) -> Error {
    Error::new(Kind::InvalidText, invalid_syntax(of, text)).hint(format!("The form is {example}"))
}

fn invalid_syntax(of: &str, text: &str) -> String {
    format!("invalid input syntax for type {of}: \"{}\"", abridged(text))
}
