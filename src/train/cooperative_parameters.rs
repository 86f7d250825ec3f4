//! What the cooperative method learns, and what a model directory is made from.

use super::initializer::Linear;
use candle_core::Tensor;

/// The projection and all proxies. Proxies may also be fixed at their initial values.
#[derive(Debug, Clone)]
pub struct CooperativeParameters {
    /// The projection from features to the superspace: `[N, F]` and `[N]`.
    pub projection: Linear,
    /// `[P, N]`: one proxy p per training instance.
    pub instance_proxies: Tensor,
    /// K of `[V_k, n]`: one proxy a per attribute value.
    pub attribute_proxies: Vec<Tensor>,
    /// Beyond the paper: K of `[1, n]`, the proxy of images without a value of the attribute; `None` if there are no such images.
    pub absent_proxies: Vec<Option<Tensor>>,
}
