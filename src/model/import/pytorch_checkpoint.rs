//! Finds the tensors in a checkpoint file, in any of the three formats that backbones are published in: PyTorch's zip format (since
//! 1.6), its older format, and safetensors.

use super::pickle::{Id, Pickle, Value};
use crate::error::{abridged, Error, Kind, Result};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;

/// The first bytes of files of PyTorch before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c.
const LEGACY_MAGIC: [u8; 15] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// Keys under which training scripts store the state dict beside other things.
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model", "model_state_dict"];

/// A checkpoint in memory. Every tensor has been checked to lie inside of it.
#[derive(Debug)]
pub struct Checkpoint {
    bytes: Vec<u8>,
    tensors: BTreeMap<String, StoredTensor>,
}

/// Where the numbers of a tensor are in the file.
#[derive(Debug, Clone)]
struct StoredTensor {
    shape: Vec<usize>,
    /// Distance between neighbours along each axis, in numbers.
    strides: Vec<usize>,
    number: NumberFormat,
    /// From the tensor's first number to the end of its storage, in bytes of the file.
    data: Range<usize>,
}

/// The format of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberFormat {
    F16,
    Bf16,
    F32,
    F64,
    /// Anything else (integers, complex numbers), by its size in bytes. No backbone needs it.
    Other(usize),
}

impl NumberFormat {
    fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other(bytes) => bytes,
        }
    }

    /// Decodes the number at the start of `b`, which must have at least [`NumberFormat::bytes`] bytes.
    fn read(self, b: &[u8]) -> Option<f32> {
        Some(match self {
            Self::F16 => f16::from_le_bytes([b[0], b[1]]).to_f32(),
            Self::Bf16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Self::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Self::F64 => f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
            Self::Other(_) => return None,
        })
    }

    /// The format of a PyTorch storage class: `torch.FloatStorage` and so on.
    fn of_storage(class: &str) -> Option<Self> {
        Some(match class.rsplit('.').next()? {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "ByteStorage" | "CharStorage" | "BoolStorage" => Self::Other(1),
            "ShortStorage" => Self::Other(2),
            "IntStorage" => Self::Other(4),
            "LongStorage" | "ComplexFloatStorage" => Self::Other(8),
            "ComplexDoubleStorage" => Self::Other(16),
            _ => return None,
        })
    }

    fn of_safetensors(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            Dtype::F32 => Self::F32,
            Dtype::F64 => Self::F64,
            other => Self::Other(other.bitsize().div_ceil(8)),
        }
    }
}

impl Checkpoint {
    /// Finds the tensors of a `.pth` (zip, or the older format before PyTorch 1.6) or `.safetensors` file, by content.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if it is none of them, cut short, or holds no state dict.
    pub fn read(bytes: Vec<u8>) -> Result<Self> {
        let tensors = if bytes.starts_with(b"PK") {
            zip_tensors(&bytes)?
        } else if bytes.starts_with(&LEGACY_MAGIC) {
            legacy_tensors(&bytes)?
        } else if bytes.get(8) == Some(&b'{') {
            safetensors_tensors(&bytes)?
        } else {
            return Err(invalid("It is neither a PyTorch checkpoint (.pth) nor a safetensors file.").hint(
                "A .pth of PyTorch's torch.save(model.state_dict(), ...) or a .safetensors is expected.",
            ));
        };
        Ok(Self { bytes, tensors })
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, stored)| (name.as_str(), stored.shape.as_slice()))
    }

    /// A tensor's numbers, row by row whatever its strides. `None` if there is no such tensor, or if its numbers are not floating
    /// point.
    pub fn numbers(&self, name: &str) -> Option<Vec<f32>> {
        let StoredTensor { shape, strides, number, data } = self.tensors.get(name)?;
        let data = &self.bytes[data.clone()];
        let count = shape.iter().product();
        let mut numbers = Vec::with_capacity(count);
        let mut index = vec![0usize; shape.len()];
        for _ in 0..count {
            let at: usize = index.iter().zip(strides).map(|(i, s)| i * s).sum();
            numbers.push(number.read(&data[at * number.bytes()..])?);
            for (i, size) in index.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        Some(numbers)
    }
}

impl StoredTensor {
    /// A view into a storage; `data` is the range of the whole storage in the file.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if a number would lie outside the storage.
    fn new(name: &str, view: View, number: NumberFormat, data: Range<usize>) -> Result<Self> {
        let View { first, shape, strides } = view;
        let fits = || {
            let count = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size))?;
            let reach = shape.iter().zip(&strides).try_fold(first, |at, (size, stride)| {
                at.checked_add(size.saturating_sub(1).checked_mul(*stride)?)
            })?;
            let start = data.start.checked_add(first.checked_mul(number.bytes())?)?;
            let end = data.start.checked_add(reach.checked_add(1)?.checked_mul(number.bytes())?)?;
            let inside = if count == 0 { start <= data.end } else { end <= data.end };
            (inside && shape.len() == strides.len() && shape.len() <= 8).then_some(start)
        };
        let start = fits().ok_or_else(|| {
            invalid(format!("Tensor \"{}\" reaches outside the numbers that are there.", abridged(name)))
        })?;
        Ok(Self { shape, strides, number, data: start..data.end })
    }
}

/// A tensor as a view into a storage, in numbers.
struct View {
    /// Index of the tensor's first number in the storage.
    first: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

fn safetensors_tensors(bytes: &[u8]) -> Result<BTreeMap<String, StoredTensor>> {
    let (header, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|e| invalid(format!("As a safetensors file: {e}.")))?;
    let start = size_of::<u64>() + header;
    let mut tensors = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let mut strides = vec![1usize; info.shape.len()];
        for axis in (1..info.shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(info.shape[axis]);
        }
        let (from, to) = info.data_offsets;
        let view = View { first: 0, shape: info.shape.clone(), strides };
        let number = NumberFormat::of_safetensors(info.dtype);
        let stored = StoredTensor::new(&name, view, number, start + from..start + to)?;
        tensors.insert(name, stored);
    }
    Ok(tensors)
}

/// PyTorch 1.6 and later: a zip file of `<folder>/data.pkl` and `<folder>/data/<storage>`.
fn zip_tensors(bytes: &[u8]) -> Result<BTreeMap<String, StoredTensor>> {
    let entries = zip_entries(bytes)?;
    let entry = |suffix: &str| entries.iter().find(|(name, _)| name.ends_with(suffix));
    let (name, pickle) = entry("/data.pkl").ok_or_else(|| invalid("It is a zip file without data.pkl."))?;
    if entry("/byteorder").is_some_and(|(_, order)| &bytes[order.clone()] != b"little") {
        return Err(invalid("It was written by a big-endian machine."));
    }
    let folder = name.trim_end_matches(".pkl").to_owned();
    let (pickle, _) = Pickle::read(&bytes[pickle.clone()])?;
    tensors_of(&pickle, |storage| entries.get(&format!("{folder}/{}", storage.key)).cloned())
}

/// The byte range of each entry of a zip file; entries must be stored without compression.
fn zip_entries(bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>> {
    let unreadable = |e: zip::result::ZipError| invalid(format!("As a zip file: {e}."));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(unreadable)?;
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(unreadable)?;
        let name = file.name().map_err(unreadable)?.into_owned();
        if file.compression() != zip::CompressionMethod::Stored {
            return Err(invalid(format!("Its entry \"{}\" is compressed.", abridged(&name)))
                .hint("Extract the zip file: the checkpoint may be inside it."));
        }
        let range = file.data_start().and_then(|start| {
            let (start, length) =
                (usize::try_from(start).ok()?, usize::try_from(file.compressed_size()).ok()?);
            let end = start.checked_add(length)?;
            (end <= bytes.len()).then_some(start..end)
        });
        let range =
            range.ok_or_else(|| invalid(format!("Its entry \"{}\" is cut short.", abridged(&name))))?;
        entries.insert(name, range);
    }
    Ok(entries)
}

/// Before PyTorch 1.6: five pickles (magic number, version, system, object, storage keys), then each storage as its
/// length in numbers and the numbers.
fn legacy_tensors(bytes: &[u8]) -> Result<BTreeMap<String, StoredTensor>> {
    let mut at = LEGACY_MAGIC.len();
    let mut next = || {
        let (pickle, length) = Pickle::read(&bytes[at..])?;
        at += length;
        Ok::<_, Error>(pickle)
    };
    let (_version, system, object, keys) = (next()?, next()?, next()?, next()?);
    let entry = |name| system.dict(system.root())?.iter().find(|(key, _)| system.text(*key) == Some(name));
    if entry("little_endian").is_some_and(|(_, little)| *system.get(*little) == Value::Bool(false)) {
        return Err(invalid("It was written by a big-endian machine."));
    }
    let numbers: BTreeMap<String, NumberFormat> =
        object.persistent().filter_map(|id| Storage::of(&object, id)).map(|s| (s.key, s.number)).collect();
    let cut_short = || invalid("It is cut short.").hint("Copy the file again.");
    let mut storages = BTreeMap::new();
    for id in keys.sequence(keys.root()).ok_or_else(|| invalid("It has no list of storages."))? {
        let key = keys.text(*id).ok_or_else(|| invalid("It has a storage without a name."))?;
        let number = numbers.get(key).ok_or_else(|| invalid("It has a storage of unknown numbers."))?;
        let length: [u8; 8] = bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).ok_or_else(cut_short)?;
        let length = usize::try_from(u64::from_le_bytes(length)).ok();
        let end = length.and_then(|n| n.checked_mul(number.bytes())?.checked_add(at + 8));
        let end = end.filter(|end| *end <= bytes.len()).ok_or_else(cut_short)?;
        storages.insert(key.to_owned(), at + 8..end);
        at = end;
    }
    tensors_of(&object, |storage| storages.get(&storage.key).cloned())
}

/// A reference to a storage in a pickle: `("storage", class, key, location, length[, (view key, offset, length)])`.
struct Storage {
    key: String,
    number: NumberFormat,
    /// Start of the view, if the reference is to a view into the storage.
    offset: usize,
}

impl Storage {
    fn of(pickle: &Pickle, id: Id) -> Option<Self> {
        let Value::Persistent(id) = pickle.get(id) else { return None };
        let parts = pickle.sequence(*id)?;
        if parts.len() < 5 || pickle.text(parts[0]) != Some("storage") {
            return None;
        }
        let view = parts.get(5).and_then(|view| pickle.sequence(*view));
        Some(Self {
            key: pickle.text(parts[2])?.to_owned(),
            number: NumberFormat::of_storage(pickle.global(parts[1])?)?,
            offset: view.and_then(|view| pickle.size(*view.get(1)?)).unwrap_or(0),
        })
    }
}

/// All tensors of a pickled state dict; `locate` finds the bytes of a storage in the file.
fn tensors_of(
    pickle: &Pickle,
    locate: impl Fn(&Storage) -> Option<Range<usize>>,
) -> Result<BTreeMap<String, StoredTensor>> {
    let mut tensors = BTreeMap::new();
    for (key, value) in state_dict(pickle)? {
        let (Some(name), Some(arguments)) = (pickle.text(*key), rebuild_arguments(pickle, *value)) else {
            continue;
        };
        let malformed = |what| invalid(format!("Tensor \"{}\" {what}.", abridged(name)));
        let [storage, first, shape, strides, ..] = arguments else {
            return Err(malformed("is malformed"));
        };
        let storage =
            Storage::of(pickle, *storage).ok_or_else(|| malformed("has a storage of unknown numbers"))?;
        let data = locate(&storage).ok_or_else(|| malformed("has no numbers in the file"))?;
        let sizes = |id| pickle.sequence(id)?.iter().map(|id| pickle.size(*id)).collect::<Option<Vec<_>>>();
        let first = pickle.size(*first).and_then(|first| first.checked_add(storage.offset));
        let (Some(first), Some(shape), Some(strides)) = (first, sizes(*shape), sizes(*strides)) else {
            return Err(malformed("is malformed"));
        };
        let stored = StoredTensor::new(name, View { first, shape, strides }, storage.number, data)?;
        tensors.insert(name.to_owned(), stored);
    }
    Ok(tensors)
}

/// The dictionary of tensors, at the top or under one of the usual keys.
fn state_dict(pickle: &Pickle) -> Result<&[(Id, Id)]> {
    let top = pickle.dict(pickle.root()).ok_or_else(|| {
        invalid("It does not hold a state dict, but an object of its own.")
            .hint("Save torch.save(model.state_dict(), ...) in Python and import that.")
    })?;
    let under = |wanted| {
        let (_, value) = top.iter().find(|(key, _)| pickle.text(*key) == Some(wanted))?;
        pickle.dict(*value)
    };
    Ok(STATE_DICT_KEYS.into_iter().find_map(under).unwrap_or(top))
}

/// The arguments of the call that rebuilds a tensor: storage, first number, shape, strides.
fn rebuild_arguments(pickle: &Pickle, mut id: Id) -> Option<&[Id]> {
    // Two rounds: a parameter wraps a tensor, and nothing wraps a parameter.
    for _ in 0..2 {
        let (function, arguments) = pickle.call(id)?;
        match function {
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => return Some(arguments),
            "torch._utils._rebuild_parameter" => id = *arguments.first()?,
            "torch._tensor._rebuild_from_type_v2" => return pickle.sequence(*arguments.get(2)?),
            _ => return None,
        }
    }
    None
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Kind::InvalidData, "the checkpoint cannot be read").detail(detail)
}

#[cfg(test)]
mod tests;
