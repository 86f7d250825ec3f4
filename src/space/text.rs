//! Text forms that round-trip exactly.
//!
//! An embedding is `KxN@fingerprint:[v,v,...]`, say `2x2@0000002a:[0.6,0.8,1,0]`. A query names its constant and,
//! for each subspace of positive weight, weight and target: `2x2@0000002a:{0;1:2*[0.6,0.8]}`.
//!
//! Both may also be `\x` and the hexadecimal digits of their binary form, as with PostgreSQL's bytea: illegible, and written and read
//! many times as fast.

use super::binary::MAX_BYTES;
use super::embedding::wrong_length;
use super::{Embedding, EmbeddingRef, Layout, Query, QueryRef};
use crate::error::{abridged, Error, Kind, Result};
use crate::memory;
use half::f16;
use std::fmt;
use std::str::FromStr;

/// What the hexadecimal form begins with.
const HEX: &str = "\\x";

impl EmbeddingRef<'_> {
    /// The hexadecimal form.
    pub fn to_hex(&self) -> String {
        format!("{HEX}{}", const_hex::encode(self.to_bytes()))
    }
}

impl QueryRef<'_> {
    /// The hexadecimal form.
    pub fn to_hex(&self) -> String {
        format!("{HEX}{}", const_hex::encode(self.to_bytes()))
    }
}

impl fmt::Display for EmbeddingRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.layout)?;
        list(f, self.values, |f, &v| half(f, v))
    }
}

impl fmt::Display for QueryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{{{}", self.layout, self.constant)?;
        for (k, weight, target) in self.active() {
            write!(f, ";{k}:{weight}*")?;
            list(f, target, |f, v| write!(f, "{v}"))?;
        }
        f.write_str("}")
    }
}

/// `[v,v,...]`.
fn list<T>(
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

/// The shortest decimal that reads back as the same half-precision number: half as long as that of the same number in single
/// precision, for five digits tell any two of them apart.
fn half(f: &mut fmt::Formatter<'_>, value: f16) -> fmt::Result {
    let bits = value.to_bits() & 0x7fff;
    let magnitude = f64::from(f16::from_bits(bits));
    // With as many decimals as are coarser than the number's last bit, 2^(exponent - 25), at most one decimal reads back as it; whatever
    // is shorter is that one with zeros at its end. Products of eleven bits and a power of ten below 10^22 are exact.
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
    // From the end: the decimals, the point, and at least one digit before it.
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

impl FromStr for Embedding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(digits) = text.trim().strip_prefix(HEX) {
            return from_hex("coopvec", digits, Embedding::from_bytes);
        }
        let malformed = || malformed("coopvec", text, "8x50@1a2b3c4d:[0.1,0.2,...]");
        let (layout, body) = layout(text.trim()).ok_or_else(malformed)?;
        let layout = layout?;
        let values = numbers(body, layout, layout.dimensions(), f16::from_f64).ok_or_else(malformed)??;
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
        let (layout, body) = layout(text.trim()).ok_or_else(malformed)?;
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
                numbers(target, layout, layout.subspace_dim(), |v| v as f32).ok_or_else(malformed)?;
            targets.extend(target.map_err(of_subspace)?);
            if weights[k] <= 0.0 {
                return Err(malformed()
                    .detail(format!("Subspace {k} needs a positive weight; found {}.", weights[k])));
            }
        }
        Query::from_parts(layout, constant, weights, targets).map_err(of_text)
    }
}

/// `KxN@fingerprint:` and what follows; `None` if it is not of that form.
fn layout(text: &str) -> Option<(Result<Layout>, &str)> {
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

/// `[v,v,...]` of so many numbers; `None` if it is not of that form. However long the text, no more than those are read and kept.
fn numbers<T>(
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
        let (value, length) = match plain_decimal(rest.as_bytes()).filter(|&(_, length)| end(length)) {
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

/// The number that a text begins with, and its length: digits with at most one point among them, so few that a quotient of two exact
/// numbers is the nearest there is. Our own output looks like that, and is read in a fraction of the time that the general way takes.
fn plain_decimal(text: &[u8]) -> Option<(f64, usize)> {
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
        // Below 2^53.
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

/// What the binary form behind hexadecimal digits says.
fn from_hex<T>(of: &str, digits: &str, read: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    let message = || invalid_syntax(of, &format!("{HEX}{}", abridged(digits)));
    let no_digits = |why: String| {
        Error::new(Kind::InvalidText, message())
            .detail(format!("What follows {HEX} is not pairs of hexadecimal digits: {why}."))
            .hint("The hexadecimal form is what coopembed.output = hex writes.")
    };
    // const_hex would skip it.
    if digits.starts_with("0x") {
        return Err(no_digits("it begins with 0x".to_owned()));
    }
    // Before room is made for what they say.
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

/// An error of what a text says.
fn of_text(e: Error) -> Error {
    Error { kind: Kind::InvalidText, ..e }
}

fn malformed(of: &str, text: &str, example: &str) -> Error {
    Error::new(Kind::InvalidText, invalid_syntax(of, text)).hint(format!("The form is {example}"))
}

fn invalid_syntax(of: &str, text: &str) -> String {
    format!("invalid input syntax for type {of}: \"{}\"", abridged(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn embeddings_round_trip_exactly(bits in prop::collection::vec(any::<u16>(), 6), fp: u32) {
            let values: Vec<f16> = bits.iter().map(|&b| f16::from_bits(b)).collect();
            if let Ok(e) = Embedding::from_f16(Layout::new(3, 2, fp).unwrap(), values) {
                let back: Embedding = e.as_ref().to_string().parse().unwrap();
                let bits = |e: &Embedding| e.as_ref().values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&back), bits(&e));
                prop_assert_eq!(bits(&e.as_ref().to_hex().parse().unwrap()), bits(&e));
            }
        }

        #[test]
        fn queries_round_trip_exactly(t in prop::collection::vec(any::<f32>(), 4), w in 1e-30f32..1e30, c in 0.0f64..1e9) {
            let l = Layout::new(3, 2, 42).unwrap();
            if let Ok(q) = Query::from_parts(l, c, vec![w, 0.0, 1.0], t) {
                prop_assert_eq!(q.as_ref().to_string().parse::<Query>().unwrap(), q);
            }
        }

        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(v: f64, s in "-?[0-9]{0,17}[.]?[0-9]{0,17}", bits: u32, half: u16) {
            for s in [s, v.to_string(), f32::from_bits(bits).to_string(), f16::from_bits(half).to_f32().to_string()] {
                if let Some((read, length)) = plain_decimal(s.as_bytes()) {
                    prop_assert_eq!(Some(read.to_bits()), s[..length].parse().ok().map(f64::to_bits), "{}", s);
                }
            }
        }

        #[test]
        fn any_text_parses_or_errs_without_panic(s in "\\PC{0,40}") {
            let _ = s.parse::<Embedding>();
            let _ = s.parse::<Query>();
        }
    }

    #[test]
    fn every_half_precision_number_is_written_as_the_shortest_decimal_that_reads_back() {
        for bits in (0..=u16::MAX).filter(|&bits| f16::from_bits(bits).is_finite()) {
            let value = f16::from_bits(bits);
            let text =
                Embedding::from_f16(Layout::new(1, 1, 0).unwrap(), vec![value]).unwrap().as_ref().to_string();
            let number = text.strip_prefix("1x1@00000000:[").and_then(|t| t.strip_suffix("]")).unwrap();
            assert_eq!(text.parse::<Embedding>().unwrap().as_ref().values[0].to_bits(), bits, "{number}");
            // The standard library's own reader agrees, and that decimal has no needless digit.
            assert_eq!(f16::from_f64(number.parse().unwrap()).to_bits(), bits, "{number}");
            if let Some((_, decimals)) = number.split_once('.') {
                let shorter = format!("{:.*}", decimals.len() - 1, f64::from(value));
                assert_ne!(f16::from_f64(shorter.parse().unwrap()).to_bits(), bits, "{number}, {shorter}");
            }
            assert!(number.trim_start_matches(['-', '0', '.']).trim_end_matches('0').len() <= 6, "{number}");
        }
    }

    #[test]
    fn the_forms_are_what_the_documentation_says() {
        let e: Embedding = " 2x2@0000002a:[0.5, 1,0,-2] ".parse().unwrap();
        assert_eq!(e.as_ref().to_string(), "2x2@0000002a:[0.5,1,0,-2]");
        let q: Query = "2x2@0000002a:{0.25;1:2*[0.5,1]}".parse().unwrap();
        assert_eq!(q.as_ref().to_string(), "2x2@0000002a:{0.25;1:2*[0.5,1]}");
    }

    #[test]
    fn the_hexadecimal_form_is_that_of_the_binary_one() {
        // struct.pack('>BHHI4e', 1, 2, 2, 42, 0.5, 1, 0, -2).hex()
        let hex = r"\x01000200020000002a38003c000000c000";
        let e: Embedding = "2x2@0000002a:[0.5,1,0,-2]".parse().unwrap();
        assert_eq!((e.as_ref().to_hex().as_str(), &hex.parse::<Embedding>().unwrap()), (hex, &e));
        assert_eq!(format!(" {} ", hex.to_uppercase().replace('X', "x")).parse::<Embedding>().unwrap(), e);
        let q: Query = "2x2@0000002a:{0.25;1:2*[0.5,1]}".parse().unwrap();
        assert_eq!(q.as_ref().to_hex().parse::<Query>().unwrap(), q);

        let failure = |text: &str| text.parse::<Embedding>().unwrap_err();
        for (bad, detail) in [
            (r"\x0", "What follows \\x is not pairs of hexadecimal digits: odd number of digits."),
            (r"\x0x01", "What follows \\x is not pairs of hexadecimal digits: it begins with 0x."),
            (
                r"\x01g0",
                "What follows \\x is not pairs of hexadecimal digits: invalid character 'g' at position 2.",
            ),
            (
                r"\x02000200020000002a38003c000000c000",
                "The message is of version 2; this server reads version 1.",
            ),
            (
                r"\x01000200020000002a38003c000000c0",
                "Expected 8 more bytes after shape and weights, found 7.",
            ),
        ] {
            let e = failure(bad);
            assert_eq!((e.kind, e.detail.as_deref()), (Kind::InvalidText, Some(detail)), "{bad}");
            assert_eq!(bad.parse::<Query>().unwrap_err().kind, Kind::InvalidText, "{bad}");
        }
        assert!(failure(r"\xée").detail.unwrap().starts_with("What follows"));
    }

    #[test]
    fn a_text_of_many_numbers_is_counted_and_not_kept() {
        let million = "1,".repeat(1_000_000);
        let e = format!("1x1@0000002a:[{million}1]").parse::<Embedding>().unwrap_err();
        assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidText, "expected 1 numbers, not 1000001"));
        let e = format!("2x1@0000002a:{{0;1:1*[{million}1]}}").parse::<Query>().unwrap_err();
        assert_eq!(e.message, "expected 1 numbers, not 1000001 in subspace 1");
        let e = format!("\\x{}", "0".repeat(2_000_000)).parse::<Query>().unwrap_err();
        assert_eq!(
            e.detail.unwrap(),
            "What follows \\x is 2000000 digits, and the longest value has 262178."
        );
        assert!(e.message.len() < 200);
    }

    #[test]
    fn malformed_text_says_what_is_wrong() {
        for bad in [
            "",
            "[1,2]",
            "2x2@2a:[1,2,3,4]",
            "2x2@0000002a:[1,2,3]",
            "2x2@0000002a:[1,,2,3]",
            "0x2@0000002a:[]",
            "2x2@0000002a:[1,2,3,nan]",
            "2x2@0000002a:[1,2,3,70000]",
        ] {
            assert!(bad.parse::<Embedding>().is_err(), "{bad}");
        }
        let e = "2x2@0000002a:[1,2,3]".parse::<Embedding>().unwrap_err();
        assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidText, "expected 4 numbers, not 3"));
        for bad in [
            "2x2@0000002a:{}",
            "2x2@0000002a:{0}",
            "2x2@0000002a:{0;2:1*[1,1]}",
            "2x2@0000002a:{0;0:0*[1,1]}",
            "2x2@0000002a:{0;0:1*[1]}",
            "2x2@0000002a:{0;1:1*[1,1];0:1*[1,1]}",
            "2x2@0000002a:{-1;0:1*[1,1]}",
        ] {
            assert!(bad.parse::<Query>().is_err(), "{bad}");
        }
    }
}
