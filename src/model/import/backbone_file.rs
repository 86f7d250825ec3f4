//! The file of a backbone: made from a published PyTorch checkpoint, and read back.

use super::pytorch_checkpoint::Checkpoint;
use crate::error::{Error, Kind, Result};
use crate::model::architectures::Arch;
use crate::model::tensors::{write_tensors, Expected, Precision, TensorFaults, TensorFile, Tensors};
use candle_core::{Device, Tensor};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// The longest checkpoint that is read: several times the size of a ResNet-50 with its optimiser's state.
const MAX_BYTES: u64 = 2 << 30;

/// Key of the metadata of an imported file. The value is the architecture, a space, and the SHA-256 of the source file.
const METADATA: &str = "backbone";

/// Reads a checkpoint (`.pth` of any PyTorch, or `.safetensors`) of `arch` and returns a safetensors file in f32, with
/// the architecture and the SHA-256 of the source in its metadata. A prefix that all names have, such as `module.`,
/// is removed, and the classifier is dropped. A trained model's `model.safetensors` works too: its backbone is taken.
///
/// # Errors
/// [`Kind::Io`], [`Kind::LimitExceeded`], [`Kind::InvalidData`] for a file that cannot be read as a checkpoint, and
/// [`Kind::InvalidModel`], listing all missing, unexpected and misshapen tensors, for a checkpoint of another network.
pub fn import_backbone(file: &Path, arch: Arch) -> Result<Vec<u8>> {
    let length = std::fs::metadata(file).map_err(|e| Error::io("read", file, &e))?.len();
    if length > MAX_BYTES {
        return Err(Error::new(
            Kind::LimitExceeded,
            format!("\"{}\" is too long for a backbone", file.display()),
        )
        .detail(format!("It has {length} bytes; at most {MAX_BYTES} are read.")));
    }
    let bytes = std::fs::read(file).map_err(|e| Error::io("read", file, &e))?;
    let source = hexadecimal(&Sha256::digest(&bytes));
    let checkpoint = Checkpoint::read(bytes)?;
    let tensors = select(&checkpoint, arch)?;
    write_tensors(&tensors, Precision::Single, (METADATA, format!("{arch} {source}")))
}

/// Reads a file that [`import_backbone`] made: the architecture, and the tensors under their published names.
///
/// # Errors
/// [`Kind::InvalidModel`] if it is anything else, or truncated.
pub fn read_backbone(bytes: &[u8]) -> Result<(Arch, Tensors)> {
    let file = TensorFile::parse(bytes)?;
    let arch: Arch = file
        .metadata(METADATA)
        .and_then(|entry| entry.split(' ').next())
        .ok_or_else(|| {
            Error::new(Kind::InvalidModel, "the file does not say which backbone it is")
                .hint("Make it with coopembed import-backbone.")
        })?
        .parse()?;
    file.check(&format!("the file does not hold the backbone {arch}"), &expected(arch), |_| false)?;
    Ok((arch, file.tensors_under("")?))
}

fn expected(arch: Arch) -> Vec<Expected> {
    let tensors = arch.description().tensor_shapes();
    tensors.into_iter().map(|(name, shape)| Expected::new(name, shape)).collect()
}

/// Picks the backbone's tensors and checks that all are there with the right shapes.
fn select(checkpoint: &Checkpoint, arch: Arch) -> Result<Tensors> {
    let expected = expected(arch);
    let prefix = prefix(checkpoint, &expected);
    let short = |name| str::strip_prefix(name, prefix).unwrap_or(name);
    let entries = || checkpoint.shapes().filter(|(name, _)| name.starts_with(prefix));
    let shapes: BTreeMap<&str, &[usize]> = entries().map(|(name, shape)| (short(name), shape)).collect();
    let dropped = |name: &str| name.ends_with(".num_batches_tracked") || arch.is_classifier(name);
    let message = format!("the checkpoint does not hold the backbone {arch}");
    TensorFaults::find(&expected, &shapes, dropped).into_result(&message)?;
    let mut faults = TensorFaults::default();
    let mut tensors = Tensors::new();
    for (name, _) in entries().filter(|(name, _)| !dropped(short(name))) {
        match checkpoint.numbers(name) {
            Some(numbers) => {
                let tensor = Tensor::from_vec(numbers, shapes[short(name)], &Device::Cpu)?;
                tensors.insert(short(name).to_owned(), tensor);
            }
            None => faults.other(name, "its numbers are integers"),
        }
    }
    faults.into_result(message)?;
    Ok(tensors)
}

/// What stands before the names of the backbone's tensors, such as `module.`, `state_dict.model.` or `backbone.`: the one with which most of
/// them are there. What has another prefix is none of the backbone.
fn prefix<'c>(checkpoint: &'c Checkpoint, expected: &[Expected]) -> &'c str {
    let known: HashSet<&str> = expected.iter().map(|e| e.name.as_str()).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in checkpoint.shapes() {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for (prefix, rest) in starts.filter_map(|at| name.split_at_checked(at)) {
            if known.contains(rest) {
                *counts.entry(prefix).or_default() += 1;
            }
        }
    }
    let best = counts.into_iter().max_by(|(a, n), (b, m)| n.cmp(m).then_with(|| b.len().cmp(&a.len())));
    best.map_or("", |(prefix, _)| prefix)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
