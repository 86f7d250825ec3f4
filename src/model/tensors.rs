//! safetensors files: reading untrusted ones, checking their tensors, writing our own.

use crate::error::{Error, Kind, Result};
use crate::memory;
use candle_core::{DType, Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// A tensor that a file is expected to hold.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether the file may omit it.
    pub optional: bool,
}

impl Expected {
    /// A tensor that the file must hold.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), shape: shape.into(), optional: false }
    }

    /// A tensor that the file may omit.
    pub fn optional(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self { optional: true, ..Self::new(name, shape) }
    }
}

/// Everything that is wrong with a set of tensors, so that a user sees all faults at once.
#[derive(Debug, Default)]
pub struct TensorFaults {
    missing: Vec<String>,
    unexpected: Vec<String>,
    other: Vec<String>,
}

impl TensorFaults {
    /// Compares the expected tensors with the shapes found. `known` accepts further names that are not a fault.
    pub fn find(
        expected: &[Expected],
        found: &BTreeMap<&str, &[usize]>,
        known: impl Fn(&str) -> bool,
    ) -> Self {
        let mut faults = Self::default();
        for Expected { name, shape, optional } in expected {
            match found.get(name.as_str()) {
                None if *optional => {}
                None => faults.missing.push(name.clone()),
                Some(found) if *found == shape.as_slice() => {}
                Some(found) => faults.other(name, format!("found shape {found:?}, expected {shape:?}")),
            }
        }
        let expected: std::collections::HashSet<&str> = expected.iter().map(|e| e.name.as_str()).collect();
        let others = found.keys().filter(|name| !expected.contains(**name) && !known(name));
        faults.unexpected = others.map(ToString::to_string).collect();
        faults
    }

    /// Adds another fault of one tensor.
    pub fn other(&mut self, name: &str, what: impl std::fmt::Display) {
        self.other.push(format!("\"{name}\": {what}"));
    }

    /// Turns the faults into an error whose DETAIL lists all of them.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] with this message if there are any.
    pub fn into_result(self, message: impl Into<String>) -> Result<()> {
        let parts: Vec<String> = [("Missing", &self.missing), ("Unexpected", &self.unexpected)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} ({}): {}.", names.len(), names.join(", ")))
            .chain(self.other.iter().map(|o| format!("{o}.")))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidModel, message).detail(parts.join(" ")))
    }
}

/// A safetensors file in memory whose header has been checked against its length.
#[derive(Debug)]
pub struct TensorFile<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
    metadata: HashMap<String, String>,
}

impl<'a> TensorFile<'a> {
    /// Parses the header.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if the bytes are not a complete safetensors file; [`Kind::OutOfMemory`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let invalid = |e: safetensors::SafeTensorError| {
            Error::new(Kind::InvalidModel, "the weights are not a complete safetensors file")
                .detail(format!("{e}; there are {} bytes.", bytes.len()))
                .hint("Copy the file again: it may have been cut short.")
        };
        // A file starts with the length of its header. Make sure that parsing that much JSON fits into memory.
        let promised = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        memory::headroom_for_json(usize::try_from(promised).unwrap_or(usize::MAX).min(bytes.len()))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(invalid)?;
        let file = SafeTensors::deserialize(bytes).map_err(invalid)?;
        Ok(Self {
            tensors: file.tensors().into_iter().collect(),
            metadata: header.metadata().clone().unwrap_or_default(),
        })
    }

    /// An entry of the file's free-form metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The shape of a tensor; `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(TensorView::shape)
    }

    /// Checks the expected tensors: names, shapes, number formats, and that all numbers are finite. `known` accepts further names
    /// that are not a fault.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] with this message and every fault in its DETAIL.
    pub fn check(&self, message: &str, expected: &[Expected], known: impl Fn(&str) -> bool) -> Result<()> {
        let found = self.tensors.iter().map(|(name, view)| (name.as_str(), view.shape())).collect();
        let mut faults = TensorFaults::find(expected, &found, known);
        for Expected { name, .. } in expected {
            let Some(view) = self.tensors.get(name) else { continue };
            match non_finite(view) {
                Err(dtype) => faults.other(name, format!("numbers are {dtype:?}, expected F16 or F32")),
                Ok(0) => {}
                Ok(count) => faults.other(name, format!("{count} numbers are NaN or infinite")),
            }
        }
        faults.into_result(message)
    }

    /// Makes sure that there is memory to load a network from the tensors that `of` selects; candle and the kernels allocate
    /// without a way to refuse. Each number is in memory twice in single precision (decoded, and packed for a kernel), kernels round up to whole
    /// vectors, and one tensor at a time passes through up to four more copies.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`].
    pub fn headroom_for_network(&self, of: impl Fn(&str) -> bool) -> Result<()> {
        const SMALL: usize = 16 << 20;
        let numbers = self.tensors.iter().filter(|(name, _)| of(name)).map(|(_, view)| view.data().len());
        let (all, largest) =
            numbers.fold((0, 0), |(all, largest): (usize, usize), bytes| (all + bytes, largest.max(bytes)));
        // Stored numbers take 2 or 4 bytes, in memory 4.
        memory::headroom(
            all.saturating_mul(6).saturating_add(largest.saturating_mul(8)).saturating_add(SMALL),
        )
    }

    /// The numbers of a tensor in f32, row by row.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if there is no such tensor or its numbers are neither f16 nor f32; [`Kind::OutOfMemory`].
    pub fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        decode(self.view(name)?)
    }

    /// A tensor in f32 in main memory.
    ///
    /// # Errors
    /// As [`TensorFile::numbers`].
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let view = self.view(name)?;
        Ok(Tensor::from_vec(decode(view)?, view.shape(), &Device::Cpu)?)
    }

    /// All tensors whose name starts with `prefix`, under their names without it.
    ///
    /// # Errors
    /// As [`TensorFile::numbers`].
    pub fn tensors_under(&self, prefix: &str) -> Result<Tensors> {
        let names = self.tensors.keys().filter_map(|name| Some((name, name.strip_prefix(prefix)?)));
        names.map(|(name, short)| Ok((short.to_owned(), self.tensor(name)?))).collect()
    }

    fn view(&self, name: &str) -> Result<&TensorView<'a>> {
        let invalid = |detail| {
            Error::new(Kind::InvalidModel, format!("tensor \"{name}\" cannot be used")).detail(detail)
        };
        let view = self.tensors.get(name).ok_or_else(|| invalid("It is missing.".to_owned()))?;
        match view.dtype() {
            Dtype::F16 | Dtype::F32 => Ok(view),
            other => Err(invalid(format!("Its numbers are {other:?}, expected F16 or F32."))),
        }
    }
}

/// How many numbers are NaN or infinite; the format as an error if it is neither f16 nor f32.
fn non_finite(view: &TensorView<'_>) -> std::result::Result<usize, Dtype> {
    // NaN and infinity are the numbers whose exponent has all bits set.
    match view.dtype() {
        Dtype::F16 => {
            let bits = view.data().chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
            Ok(bits.filter(|b| b & 0x7c00 == 0x7c00).count())
        }
        Dtype::F32 => {
            let bits = view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            Ok(bits.filter(|b| b & 0x7f80_0000 == 0x7f80_0000).count())
        }
        other => Err(other),
    }
}

/// Decodes a view of f16 or f32 numbers.
fn decode(view: &TensorView<'_>) -> Result<Vec<f32>> {
    if view.dtype() == Dtype::F32 {
        return memory::collect(view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
    }
    let bytes = view.data().as_chunks().0;
    let mut numbers = memory::filled(0f32, bytes.len())?;
    // In chunks: SIMD converts many at once, and the chunk is the only extra copy.
    let mut halves = [f16::ZERO; 1024];
    for (bytes, numbers) in bytes.chunks(halves.len()).zip(numbers.chunks_mut(halves.len())) {
        let halves = &mut halves[..bytes.len()];
        halves.iter_mut().zip(bytes).for_each(|(half, bytes)| *half = f16::from_le_bytes(*bytes));
        halves.convert_to_f32_slice(numbers);
    }
    Ok(numbers)
}

/// How a file stores the numbers of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Everything in f32.
    Single,
    /// Matrices and filters in f16, vectors in f32: vectors take little room, and a variance of batch normalisation may be smaller
    /// than f16 can express.
    HalfMatrices,
}

/// Encodes a safetensors file with one entry of metadata. (The crate keeps metadata in a hash map: with a second entry the bytes
/// would differ from run to run.)
///
/// # Errors
/// [`Kind::InvalidModel`] for a number that is not finite or beyond the range of its precision.
pub fn write_tensors(tensors: &Tensors, precision: Precision, metadata: (&str, String)) -> Result<Vec<u8>> {
    let mut faults = TensorFaults::default();
    let mut encoded = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let numbers: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let half = precision == Precision::HalfMatrices && tensor.rank() > 1;
        let limit = if half { f16::MAX.to_f32() } else { f32::MAX };
        let outside = numbers.iter().filter(|x| x.is_nan() || x.abs() > limit).count();
        if outside > 0 {
            faults.other(name, format!("{outside} numbers are NaN or over {limit}"));
        }
        let (dtype, bytes): (_, Vec<u8>) = if half {
            (Dtype::F16, numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect())
        } else {
            (Dtype::F32, numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
        };
        encoded.push((name, dtype, tensor.dims().to_vec(), bytes));
    }
    faults.into_result("the tensors cannot be stored")?;
    let internal = |e| Error::new(Kind::Internal, format!("could not write safetensors: {e}"));
    let views = encoded
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).map_err(internal)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let (key, value) = metadata;
    safetensors::serialize(views, Some(HashMap::from([(key.to_owned(), value)]))).map_err(internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose first 8 bytes claim a header of `length` bytes.
    fn headed(length: u64, header: &str) -> Vec<u8> {
        [&length.to_le_bytes(), header.as_bytes()].concat()
    }

    #[test]
    fn a_wrong_header_length_is_refused() {
        for length in [0, 1, 3, 1 << 20, 100_000_000, 100_000_001, 1 << 32, i64::MAX as u64, u64::MAX] {
            let e = TensorFile::parse(&headed(length, "{}")).unwrap_err();
            assert_eq!(e.kind, Kind::InvalidModel, "{length}: {e:?}");
        }
        assert!(TensorFile::parse(b"{}").is_err());
        assert!(TensorFile::parse(&headed(2, "{}")).is_ok());
    }

    #[test]
    fn a_deeply_nested_header_is_refused() {
        for nested in ["[".repeat(1_000_000), r#"{"a":"#.repeat(1_000_000)] {
            let e = TensorFile::parse(&headed(nested.len() as u64, &nested)).unwrap_err();
            assert_eq!(e.kind, Kind::InvalidModel);
        }
    }

    #[test]
    fn wrong_tensor_offsets_and_shapes_are_refused() {
        for tensor in [
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400000000]}}"#,
            r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
        ] {
            let mut file = headed(tensor.len() as u64, tensor);
            file.extend([0; 4]);
            assert_eq!(TensorFile::parse(&file).unwrap_err().kind, Kind::InvalidModel, "{tensor}");
        }
    }

    #[test]
    fn numbers_of_any_count_are_decoded() {
        for count in [0, 1, 1023, 1024, 1025, 5000] {
            let numbers: Vec<f16> = (0..count).map(|i| f16::from_f32(i as f32 / 7.0)).collect();
            let tensor = Tensor::from_slice(&numbers, count, &Device::Cpu).unwrap();
            let file = safetensors::serialize([("a", &tensor)], None).unwrap();
            let read = TensorFile::parse(&file).unwrap().numbers("a").unwrap();
            assert_eq!(read, numbers.iter().map(|n| n.to_f32()).collect::<Vec<_>>());
        }
    }
}
