//! The binary formats of embeddings and queries, for `COPY ... BINARY` and drivers that use the binary protocol. They
//! round-trip exactly.
//!
//! All numbers are in network byte order. Both formats start with a version byte, K and n (2 bytes each) and the model's
//! fingerprint (4 bytes). An embedding continues with its K·n half-precision numbers; a query with its constant
//! (8 bytes), K weights and the targets of the subspaces of positive weight (4 bytes each).

use super::{Embedding, EmbeddingRef, Layout, Query, QueryRef, MAX_DIMENSIONS};
use crate::error::{Error, Kind, Result};
use half::f16;

#[cfg(test)]
mod tests;

/// The version that is written. Clients see it; the types' format on disk has a version of its own.
const VERSION: u8 = 1;

/// Bytes before the numbers: version, K, n, fingerprint.
const HEADER: usize = 9;

/// Bytes of the longest binary format: a query on [`MAX_DIMENSIONS`] subspaces of one dimension.
pub(super) const MAX_BYTES: usize = HEADER + size_of::<f64>() + 2 * MAX_DIMENSIONS * size_of::<f32>();

impl EmbeddingRef<'_> {
    /// Encodes the binary format.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = header(self.layout, size_of_val(self.values));
        out.extend(self.values.iter().flat_map(|v| v.to_be_bytes()));
        out
    }
}

impl QueryRef<'_> {
    /// Encodes the binary format.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = size_of_val(self.weights) + size_of_val(self.targets);
        let mut out = header(self.layout, size_of_val(&self.constant) + numbers);
        out.extend(self.constant.to_be_bytes());
        out.extend(self.weights.iter().chain(self.targets).flat_map(|v| v.to_be_bytes()));
        out
    }
}

impl Embedding {
    /// Decodes the binary format; the bytes must hold it and nothing else.
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
    /// Decodes the binary format; the bytes must hold it and nothing else.
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

/// The header of both formats, with room for `body` more bytes.
fn header(layout: Layout, body: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body);
    out.push(VERSION);
    out.extend((layout.subspaces() as u16).to_be_bytes());
    out.extend((layout.subspace_dim() as u16).to_be_bytes());
    out.extend(layout.fingerprint().to_be_bytes());
    out
}

/// Reads numbers from the front of a message.
struct Reader<'a> {
    /// The SQL type, for the errors.
    of: &'static str,
    /// A description of what follows the header, for the hint.
    body: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next N bytes.
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

    /// The last `count` numbers of N bytes each, which must be all that is left.
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

    /// Turns an error about the decoded values into one about the message.
    fn invalid(&self, e: Error) -> Error {
        self.error(match e.detail {
            Some(detail) => format!("{}: {detail}", e.message),
            None => e.message,
        })
    }
}
