//! Text forms that round-trip exactly.
//!
//! An embedding is `KxN@fingerprint:[v,v,...]`, say `2x2@0000002a:[0.6,0.8,1,0]`. A query names its constant and,
//! for each subspace of positive weight, weight and target: `2x2@0000002a:{0;1:2*[0.6,0.8]}`.

use super::{Embedding, EmbeddingRef, Layout, Query, QueryRef};
use crate::error::{abridged, Error, Kind, Result};
use half::f16;
use std::fmt;
use std::str::FromStr;

impl fmt::Display for EmbeddingRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.layout)?;
        list(f, self.values.iter().map(|v| v.to_f32()))
    }
}

impl fmt::Display for QueryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{{{}", self.layout, self.constant)?;
        for (k, weight, target) in self.active() {
            write!(f, ";{k}:{weight}*")?;
            list(f, target.iter().copied())?;
        }
        f.write_str("}")
    }
}

/// The shortest decimals that read back as the same numbers.
fn list(f: &mut fmt::Formatter<'_>, values: impl Iterator<Item = f32>) -> fmt::Result {
    f.write_str("[")?;
    for (i, v) in values.enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        write!(f, "{v}")?;
    }
    f.write_str("]")
}

impl FromStr for Embedding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = || malformed("coopvec", text, "8x50@1a2b3c4d:[0.1,0.2,...]");
        let (layout, body) = layout(text.trim()).ok_or_else(malformed)?;
        let layout = layout?;
        let values = numbers(body).ok_or_else(malformed)?;
        Embedding::from_f16(layout, values.iter().map(|&v| f16::from_f64(v)).collect())
            .map_err(|e| Error { kind: Kind::InvalidText, ..e })
    }
}

impl FromStr for Query {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
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
            let target = numbers(target).ok_or_else(malformed)?;
            if target.len() != layout.subspace_dim() || weights[k] <= 0.0 {
                return Err(malformed().detail(format!(
                    "Subspace {k} needs a positive weight and {} numbers; found {} and {}.",
                    layout.subspace_dim(),
                    weights[k],
                    target.len()
                )));
            }
            targets.extend(target.iter().map(|&v| v as f32));
        }
        Query::from_parts(layout, constant, weights, targets)
            .map_err(|e| Error { kind: Kind::InvalidText, ..e })
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

/// `[v,v,...]`.
fn numbers(text: &str) -> Option<Vec<f64>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    inner.split(',').map(|v| plain_decimal(v).or_else(|| v.trim().parse().ok())).collect()
}

/// Digits with at most one point among them, if they are so few that a quotient of two exact numbers is the nearest there is:
/// what our own output looks like, read in a fourth of the time that the general way takes.
fn plain_decimal(text: &str) -> Option<f64> {
    /// Powers of ten, all of them exact.
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // With a point, 15 digits: below 2^53.
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let (mut number, mut point) = (0u64, None);
    for (i, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = 10 * number + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(i),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |at| digits.len() - 1 - at);
    if number >= 1 << 53 || decimals == 0 && point.is_some() {
        return None;
    }
    let value = number as f64 / POWERS[decimals];
    Some(if negative { -value } else { value })
}

fn malformed(of: &str, text: &str, example: &str) -> Error {
    Error::new(Kind::InvalidText, format!("invalid input syntax for type {of}: \"{}\"", abridged(text)))
        .hint(format!("The form is {example}"))
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
                let read = plain_decimal(&s).map(f64::to_bits);
                prop_assert!(read.is_none() || read == s.parse().ok().map(f64::to_bits), "{}", s);
            }
        }

        #[test]
        fn any_text_parses_or_errs_without_panic(s in "\\PC{0,40}") {
            let _ = s.parse::<Embedding>();
            let _ = s.parse::<Query>();
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
