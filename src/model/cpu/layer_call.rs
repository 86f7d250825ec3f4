//! The arguments of one run of a layer.

/// The arguments of one run of a layer beside the maps.
#[derive(Debug, Clone, Copy)]
pub struct LayerCall<'a> {
    /// The shortcut, a map of the result's shape; added before the activation.
    pub residual: Option<&'a [f32]>,
    /// The interval that the activation clamps to.
    pub clamp: (f32, f32),
    /// How many threads share the work; 1 stays on the calling thread.
    pub threads: usize,
}
