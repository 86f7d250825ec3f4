//! Binary forms that round-trip exactly, for `COPY ... BINARY` and drivers that speak the binary protocol.
//!
//! All numbers are in network byte order. Both forms start with a version byte, K and n (2 bytes each) and the model's
//! fingerprint (4 bytes). An embedding goes on with its K·n half-precision numbers; a query with its constant
//! (8 bytes), K weights and the targets of the subspaces of positive weight (4 bytes each).

use super::{Embedding, EmbeddingRef, Layout, Query, QueryRef, MAX_DIMENSIONS};
use crate::error::{Error, Kind, Result};
use half::f16;

/// The version that is written. Independent of the version on disk: clients see this one.
const VERSION: u8 = 1;

const HEADER: usize = 9;

/// Bytes of the longest binary form: a query on all of as many subspaces as there can be.
pub(super) const MAX_BYTES: usize = HEADER + size_of::<f64>() + 2 * MAX_DIMENSIONS * size_of::<f32>();

impl EmbeddingRef<'_> {
    /// The binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = header(self.layout, size_of_val(self.values));
        out.extend(self.values.iter().flat_map(|v| v.to_be_bytes()));
        out
    }
}

impl QueryRef<'_> {
    /// The binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = size_of_val(self.weights) + size_of_val(self.targets);
        let mut out = header(self.layout, size_of_val(&self.constant) + numbers);
        out.extend(self.constant.to_be_bytes());
        out.extend(self.weights.iter().chain(self.targets).flat_map(|v| v.to_be_bytes()));
        out
    }
}

impl Embedding {
    /// Reads the binary form; the bytes must hold it and nothing else.
    ///
    /// # Errors
    /// [`Kind::InvalidBinary`] for another version, a wrong length, an impossible shape, NaN or infinity.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { of: "coopvec", body: "K*n numbers (2 each)", rest: bytes };
        let layout = reader.layout()?;
        let values = reader.rest(layout.dimensions())?;
        Self::from_f16(layout, values.map(f16::from_be_bytes).collect()).map_err(|e| reader.invalid(e))
    }
}

impl Query {
    /// Reads the binary form; the bytes must hold it and nothing else.
    ///
    /// # Errors
    /// [`Kind::InvalidBinary`] for another version, a wrong length, an impossible shape, NaN, infinity, a negative
    /// constant or weight, or no positive weight.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let body = "constant (8), K weights (4 each), n numbers (4 each) for every weight that is not 0";
        let mut reader = Reader { of: "coopquery", body, rest: bytes };
        let layout = reader.layout()?;
        let constant = f64::from_be_bytes(reader.take()?);
        let weights = (0..layout.subspaces())
            .map(|_| reader.take().map(f32::from_be_bytes))
            .collect::<Result<Vec<f32>>>()?;
        let active = weights.iter().filter(|w| **w > 0.0).count();
        let targets = reader.rest(active * layout.subspace_dim())?.map(f32::from_be_bytes).collect();
        Self::from_parts(layout, constant, weights, targets).map_err(|e| reader.invalid(e))
    }
}

/// The first bytes of both forms, with room for `body` more.
fn header(layout: Layout, body: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body);
    out.push(VERSION);
    out.extend((layout.subspaces() as u16).to_be_bytes());
    out.extend((layout.subspace_dim() as u16).to_be_bytes());
    out.extend(layout.fingerprint().to_be_bytes());
    out
}

/// Takes numbers off the front of a message.
struct Reader<'a> {
    /// The SQL type, for the errors.
    of: &'static str,
    /// What follows the header, for the hint.
    body: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return Err(self.error(format!("The message ends {} bytes early.", N - self.rest.len())));
        };
        self.rest = rest;
        Ok(*head)
    }

    fn layout(&mut self) -> Result<Layout> {
        let [version] = self.take()?;
        if version != VERSION {
            return Err(self
                .error(format!("The message is of version {version}; this server reads version {VERSION}."))
                .hint("Send the text form, which all versions read."));
        }
        let k = u16::from_be_bytes(self.take()?);
        let n = u16::from_be_bytes(self.take()?);
        let fingerprint = u32::from_be_bytes(self.take()?);
        Layout::new(k.into(), n.into(), fingerprint).map_err(|e| self.invalid(e))
    }

    /// The last `count` numbers of N bytes: exactly what is left.
    fn rest<const N: usize>(&self, count: usize) -> Result<impl Iterator<Item = [u8; N]> + 'a> {
        let (numbers, odd) = self.rest.as_chunks();
        if numbers.len() != count || !odd.is_empty() {
            return Err(self.error(format!(
                "Expected {} more bytes after shape and weights, found {}.",
                count * N,
                self.rest.len()
            )));
        }
        Ok(numbers.iter().copied())
    }

    fn error(&self, detail: String) -> Error {
        Error::new(Kind::InvalidBinary, format!("invalid binary format for type {}", self.of)).detail(detail).hint(format!(
            "The form is: version {VERSION} (1 byte), K (2), n (2), fingerprint (4), {}; big-endian, nothing after it.",
            self.body
        ))
    }

    /// An error of what the message says, as one of the message.
    fn invalid(&self, e: Error) -> Error {
        self.error(match e.detail {
            Some(detail) => format!("{}: {detail}", e.message),
            None => e.message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn embedding() -> Embedding {
        "2x2@0000002a:[0.5,1,0,-2]".parse().unwrap()
    }

    fn query() -> Query {
        "2x2@0000002a:{0.25;1:2*[0.5,1]}".parse().unwrap()
    }

    #[test]
    fn the_forms_are_what_the_documentation_says() {
        // struct.pack('>BHHI4e', 1, 2, 2, 42, 0.5, 1, 0, -2).hex()
        let bytes = [1, 0, 2, 0, 2, 0, 0, 0, 42, 0x38, 0, 0x3c, 0, 0, 0, 0xc0, 0];
        assert_eq!(embedding().as_ref().to_bytes(), bytes);
        // struct.pack('>BHHId4f', 1, 2, 2, 42, 0.25, 0, 2, 0.5, 1).hex()
        let mut bytes = vec![1, 0, 2, 0, 2, 0, 0, 0, 42, 0x3f, 0xd0, 0, 0, 0, 0, 0, 0];
        bytes.extend([0, 0, 0, 0, 0x40, 0, 0, 0, 0x3f, 0, 0, 0, 0x3f, 0x80, 0, 0]);
        assert_eq!(query().as_ref().to_bytes(), bytes);
    }

    #[test]
    fn every_truncation_and_any_trailing_byte_is_refused() {
        let (e, q) = (embedding().as_ref().to_bytes(), query().as_ref().to_bytes());
        for end in 0..e.len() {
            assert_eq!(Embedding::from_bytes(&e[..end]).unwrap_err().kind, Kind::InvalidBinary, "{end}");
        }
        for end in 0..q.len() {
            assert_eq!(Query::from_bytes(&q[..end]).unwrap_err().kind, Kind::InvalidBinary, "{end}");
        }
        let long = Embedding::from_bytes(&[&e[..], &[0]].concat()).unwrap_err();
        assert!(long.detail.unwrap().ends_with("found 9."));
        assert!(long.hint.unwrap().contains("K*n numbers (2 each); big-endian"));
        let long = Query::from_bytes(&[&q[..], &[0]].concat()).unwrap_err();
        assert!(long.hint.unwrap().contains("K weights (4 each)"));
    }

    #[test]
    fn other_versions_impossible_shapes_and_nan_are_refused() {
        let broken = |at: usize, with: &[u8]| {
            let mut bytes = embedding().as_ref().to_bytes();
            bytes[at..at + with.len()].copy_from_slice(with);
            Embedding::from_bytes(&bytes).unwrap_err()
        };
        assert!(broken(0, &[2]).detail.unwrap().contains("version 2; this server reads version 1"));
        assert!(broken(1, &[0, 0]).detail.unwrap().contains("0 subspaces"));
        assert!(broken(1, &[255, 255, 255, 255]).detail.unwrap().contains("65535 subspaces"));
        let nan = broken(11, &f16::NAN.to_be_bytes());
        assert_eq!(nan.kind, Kind::InvalidBinary);
        assert!(nan.detail.unwrap().contains("Number 2 is NaN"));
        assert!(broken(9, &f16::INFINITY.to_be_bytes()).detail.unwrap().contains("Number 1 is inf"));

        let broken = |at: usize, with: &[u8]| {
            let mut bytes = query().as_ref().to_bytes();
            bytes[at..at + with.len()].copy_from_slice(with);
            Query::from_bytes(&bytes).unwrap_err().kind
        };
        assert_eq!(broken(9, &(-1f64).to_be_bytes()), Kind::InvalidBinary);
        assert_eq!(broken(17, &f32::NAN.to_be_bytes()), Kind::InvalidBinary);
        assert_eq!(broken(17, &(-1f32).to_be_bytes()), Kind::InvalidBinary);
        assert_eq!(broken(25, &f32::NAN.to_be_bytes()), Kind::InvalidBinary);
    }

    #[test]
    fn a_weight_or_constant_of_minus_zero_is_zero_as_in_text() {
        let mut bytes = query().as_ref().to_bytes();
        bytes[9..17].copy_from_slice(&(-0f64).to_be_bytes());
        bytes[17..21].copy_from_slice(&(-0f32).to_be_bytes());
        let read = Query::from_bytes(&bytes).unwrap();
        let again: Query = read.as_ref().to_string().parse().unwrap();
        assert_eq!(read.as_ref().to_bytes(), again.as_ref().to_bytes());
        assert_eq!(read.as_ref().to_string(), "2x2@0000002a:{0;1:2*[0.5,1]}");
    }

    proptest! {
        #[test]
        fn embeddings_round_trip(fp in any::<u32>(), k in 1usize..9, n in 1usize..9, seed in any::<u64>()) {
            let l = Layout::new(k, n, fp).unwrap();
            let values: Vec<f16> = (0..k * n)
                .map(|i| f16::from_bits((seed.rotate_left(i as u32) ^ i as u64) as u16))
                .map(|v| if v.is_finite() { v } else { f16::NEG_ZERO })
                .collect();
            let e = Embedding::from_f16(l, values.clone()).unwrap();
            let back = Embedding::from_bytes(&e.as_ref().to_bytes()).unwrap();
            prop_assert_eq!(back.layout(), l);
            let bits = |v: &[f16]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(back.as_ref().values), bits(&values));
        }

        #[test]
        fn queries_round_trip(
            fp in any::<u32>(),
            c in 0.0f64..1e9,
            w in 0.01f32..1e9,
            t in prop::collection::vec(-1e30f32..1e30, 6),
        ) {
            let l = Layout::new(3, 3, fp).unwrap();
            let q = Query::from_parts(l, c, vec![w, 0.0, 1.0], t).unwrap();
            prop_assert_eq!(Query::from_bytes(&q.as_ref().to_bytes()).unwrap(), q);
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_panic(mut b in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(version) = b.first_mut() {
                *version = VERSION;
            }
            let _ = Embedding::from_bytes(&b);
            let _ = Query::from_bytes(&b);
        }
    }
}
