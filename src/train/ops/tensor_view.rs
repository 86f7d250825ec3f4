//! Access to the numbers of a contiguous tensor in main memory.

use candle_core::{CpuStorage, Layout, Storage, Tensor};
use std::ops::Deref;

/// The numbers of a contiguous tensor, from its storage and layout.
fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => candle_core::bail!("a feature map must be contiguous"),
    }
}

/// A tensor that is locked for reading.
pub(super) struct TensorView<'a, G> {
    storage: G,
    layout: &'a Layout,
}

/// Locks a tensor for reading.
pub(super) fn view(tensor: &Tensor) -> TensorView<'_, impl Deref<Target = Storage> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    TensorView { storage, layout }
}

impl<G: Deref<Target = Storage>> TensorView<'_, G> {
    pub(super) fn numbers(&self) -> candle_core::Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(storage) => contiguous(storage, self.layout),
            _ => candle_core::bail!("a feature map must be in main memory"),
        }
    }
}
