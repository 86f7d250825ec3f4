//! A convolution, its batch normalisation, a shortcut's sum and an activation as one operation with gradient: what lies between
//! is kept once, and candle's bookkeeping of gradients is paid once.

use super::buffers::{Buffer, Buffers};
use super::composed;
use super::dense::Dense;
use super::depthwise;
use super::norm::{self, Affine, Moments};
use super::window::Window;
use crate::error::{Error, Kind, Result};
use crate::model::arch::Conv;
use crate::model::shape::MapShape;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Device, Layout, Shape, Storage, Tensor};
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How much of a batch's moments goes into the running ones, as PyTorch's `momentum`.
pub const MOMENTUM: f64 = 0.1;

/// What a batch is normalised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Its own mean and variance, which also move the running ones.
    Batch,
    /// The running mean and variance.
    Running,
}

/// Means and variances of each channel, `[channels]`.
#[derive(Debug, Clone)]
pub struct Running {
    /// Means.
    pub mean: Tensor,
    /// Variances.
    pub variance: Tensor,
}

impl Running {
    /// Moves towards a batch's mean and (population) variance over `pixels` pixels.
    pub(super) fn follow(&mut self, mean: &Tensor, variance: &Tensor, pixels: usize) -> Result<()> {
        // The variance that is kept is the unbiased one, as PyTorch's; of a single pixel there is none.
        let unbiased = pixels as f64 / pixels.saturating_sub(1).max(1) as f64;
        let moved =
            |old: &Tensor, new: &Tensor, factor: f64| old.affine(1.0 - MOMENTUM, 0.0)? + (new * factor)?;
        self.mean = moved(&self.mean, mean, MOMENTUM)?;
        self.variance = moved(&self.variance, variance, MOMENTUM * unbiased)?;
        Ok(())
    }
}

/// The layer: what of it does not learn by gradient.
///
/// What does is one vector, `[weight, γ, β]` one after the other, see [`ConvNorm::parts`]: an operation of candle's takes three
/// arguments at most.
#[derive(Debug)]
pub struct ConvNorm {
    conv: Conv,
    epsilon: f64,
    running: Mutex<Running>,
    buffers: Buffers,
}

impl ConvNorm {
    /// A layer with these running moments.
    pub fn new(conv: &Conv, epsilon: f64, running: Running, buffers: &Buffers) -> Self {
        Self { conv: conv.clone(), epsilon, running: Mutex::new(running), buffers: buffers.clone() }
    }

    /// What it was made from.
    pub fn conv(&self) -> &Conv {
        &self.conv
    }

    /// The running moments now.
    pub fn running(&self) -> Running {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the running moments.
    pub fn set_running(&self, running: Running) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Where weight, γ and β are in the layer's vector.
    pub fn parts(conv: &Conv) -> [Range<usize>; 3] {
        let weight: usize = conv.weight_shape().iter().product();
        let (gamma, end) = (weight + conv.outputs, weight + 2 * conv.outputs);
        [0..weight, weight..gamma, gamma..end]
    }

    /// act(BN(conv(map)) + residual). Maps are `[channels, height, width, batch]` in main memory and `[batch, channels, height,
    /// width]` elsewhere; `learned` is the layer's vector.
    ///
    /// # Errors
    /// [`Kind::Internal`] for shapes that do not fit.
    pub fn forward(
        &self,
        map: &Tensor,
        learned: &Tensor,
        residual: Option<&Tensor>,
        statistics: Statistics,
    ) -> Result<Tensor> {
        if !map.device().is_cpu() {
            let (y, batch) = composed::conv_norm(self, map, learned, residual, statistics)?;
            if let Some((mean, variance, pixels)) = batch {
                self.follow(&mean, &variance, pixels)?;
            }
            return Ok(y);
        }
        let given = match statistics {
            Statistics::Batch => None,
            Statistics::Running => Some(self.running_moments()?),
        };
        let saved = Arc::new(OnceLock::new());
        let op = Op {
            conv: self.conv.clone(),
            epsilon: self.epsilon,
            given,
            buffers: self.buffers.clone(),
            wants_input: map.track_op(),
            saved: saved.clone(),
        };
        let map = map.contiguous()?;
        let y = match residual {
            None => map.apply_op2(learned, op)?,
            Some(residual) => map.apply_op3(learned, &residual.contiguous()?, op)?,
        };
        if let (Statistics::Batch, Some(Saved { moments, .. })) = (statistics, saved.get()) {
            let tensor =
                |of: &dyn Fn(&Moments) -> f32| Tensor::from_iter(moments.iter().map(of), &Device::Cpu);
            let pixels = y.elem_count() / self.conv.outputs;
            self.follow(&tensor(&|m| m.mean)?, &tensor(&|m| m.variance)?, pixels)?;
        }
        Ok(y)
    }

    /// What batch normalisation adds to a variance.
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    fn follow(&self, mean: &Tensor, variance: &Tensor, pixels: usize) -> Result<()> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).follow(mean, variance, pixels)
    }

    fn running_moments(&self) -> Result<Vec<Moments>> {
        let running = self.running();
        let numbers = |t: &Tensor| -> Result<Vec<f64>> { Ok(t.to_dtype(DType::F64)?.to_vec1()?) };
        let pairs = numbers(&running.mean)?.into_iter().zip(numbers(&running.variance)?);
        let moments: Vec<Moments> = pairs.map(|(m, v)| Moments::new(m, v, self.epsilon)).collect();
        if moments.len() != self.conv.outputs || moments.iter().any(|m| !m.inverse.is_finite()) {
            return Err(Error::new(
                Kind::Internal,
                format!("the running statistics of \"{}\" cannot be used", self.conv.norm),
            ));
        }
        Ok(moments)
    }
}

/// What the backward pass needs beside arguments and result.
struct Saved {
    /// What came of the convolution.
    convolved: Buffer,
    moments: Vec<Moments>,
}

struct Op {
    conv: Conv,
    epsilon: f64,
    /// The moments to use instead of the batch's.
    given: Option<Vec<Moments>>,
    buffers: Buffers,
    /// Whether the input's gradient is of use to anyone.
    wants_input: bool,
    saved: Arc<OnceLock<Saved>>,
}

impl Op {
    fn shapes(&self, dims: (usize, usize, usize, usize)) -> candle_core::Result<(MapShape, MapShape)> {
        let (channels, height, width, batch) = dims;
        if channels != self.conv.inputs {
            candle_core::bail!("{} takes {} channels, found {channels}", self.conv.name, self.conv.inputs);
        }
        let shape = MapShape { channels, batch, height, width };
        Ok((shape, shape.after(&self.conv)))
    }

    fn dense(&self, window: Window) -> Dense {
        Dense { inputs: self.conv.inputs, outputs: self.conv.outputs, window }
    }

    fn forward(
        &self,
        (map, layout): (&CpuStorage, &Layout),
        learned: &[f32],
        residual: Option<&[f32]>,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (shape, out) = self.shapes(layout.shape().dims4()?)?;
        let (x, window) = (contiguous(map, layout)?, Window::new(&self.conv, shape, shape.batch));
        let [weight, gamma, beta] = ConvNorm::parts(&self.conv);
        if learned.len() != beta.end || residual.is_some_and(|r| r.len() != out.len()) {
            candle_core::bail!("{}: parameters or a shortcut of another shape", self.conv.name);
        }
        let mut convolved = self.buffers.take(out.len());
        if self.conv.depthwise {
            depthwise::forward(&window, x, &learned[weight], &mut convolved);
        } else {
            self.dense(window).forward(x, &learned[weight], &mut convolved, &self.buffers);
        }
        let moments = match &self.given {
            Some(given) => given.clone(),
            None => norm::moments(&convolved, out.channels, self.epsilon),
        };
        let mut y = vec![0f32; out.len()];
        let affine = Affine { gamma: &learned[gamma], beta: &learned[beta] };
        norm::forward(&convolved, &moments, affine, residual, self.conv.activation, &mut y);
        // An operation runs forward once.
        let _ = self.saved.set(Saved { convolved, moments });
        Ok((CpuStorage::F32(y), (out.channels, out.height, out.width, out.batch).into()))
    }

    /// Gradients of input, parameters and shortcut.
    fn backward(
        &self,
        map: &Tensor,
        learned: &Tensor,
        has_residual: bool,
        result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Tensor, Option<Tensor>)> {
        let (shape, out) = self.shapes(map.dims4()?)?;
        let window = Window::new(&self.conv, shape, shape.batch);
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("{}: no forward pass before this backward pass", self.conv.name);
        };
        let gradient = gradient.contiguous()?;
        let (x, learned_view) = (view(map), view(learned));
        let (y, dy) = (view(result), view(&gradient));
        let [weight, gamma, beta] = ConvNorm::parts(&self.conv);
        let all = learned_view.numbers()?;
        let backward = norm::Backward {
            x: &saved.convolved,
            moments: &saved.moments,
            gamma: &all[gamma.clone()],
            activation: self.conv.activation,
            y: y.numbers()?,
            dy: dy.numbers()?,
            of_batch: self.given.is_none(),
        };
        let mut d_convolved = self.buffers.take(out.len());
        let mut d_residual = has_residual.then(|| vec![0f32; out.len()]);
        let (d_gamma, d_beta) = backward.run(&mut d_convolved, d_residual.as_deref_mut());
        let mut d_learned = vec![0f32; beta.end];
        d_learned[gamma].copy_from_slice(&d_gamma);
        d_learned[beta].copy_from_slice(&d_beta);
        let mut d_map = self.wants_input.then(|| vec![0f32; shape.len()]);
        let (x, w, dw) = (x.numbers()?, &all[weight.clone()], &mut d_learned[weight]);
        if self.conv.depthwise {
            depthwise::backward(&window, x, w, &d_convolved, dw, d_map.as_deref_mut());
        } else {
            let dense = self.dense(window);
            dense.weight_gradient(x, &d_convolved, dw, &self.buffers);
            if let Some(d_map) = &mut d_map {
                dense.input_gradient(w, &d_convolved, d_map, &self.buffers);
            }
        }
        let tensor = |numbers: Vec<f32>, like: &Tensor| Tensor::from_vec(numbers, like.shape(), &Device::Cpu);
        Ok((
            d_map.map(|d| tensor(d, map)).transpose()?,
            tensor(d_learned, learned)?,
            d_residual.map(|d| tensor(d, result)).transpose()?,
        ))
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "convolution-norm"
    }

    fn cpu_fwd(
        &self,
        map: &CpuStorage,
        layout: &Layout,
        learned: &CpuStorage,
        learned_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.forward((map, layout), contiguous(learned, learned_layout)?, None)
    }

    fn bwd(
        &self,
        map: &Tensor,
        learned: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (d_map, d_learned, _) = self.backward(map, learned, false, result, gradient)?;
        Ok((d_map, Some(d_learned)))
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "convolution-norm-sum"
    }

    fn cpu_fwd(
        &self,
        map: &CpuStorage,
        layout: &Layout,
        learned: &CpuStorage,
        learned_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let residual = contiguous(residual, residual_layout)?;
        self.forward((map, layout), contiguous(learned, learned_layout)?, Some(residual))
    }

    fn bwd(
        &self,
        map: &Tensor,
        learned: &Tensor,
        _: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (d_map, d_learned, d_residual) = self.backward(map, learned, true, result, gradient)?;
        Ok((d_map, Some(d_learned), d_residual))
    }
}

/// The numbers of a contiguous tensor in main memory.
pub(super) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => candle_core::bail!("a feature map must be contiguous"),
    }
}

/// A tensor that is being read.
pub(super) struct View<'a, G> {
    storage: G,
    layout: &'a Layout,
}

/// Locks a tensor for reading.
pub(super) fn view(tensor: &Tensor) -> View<'_, impl Deref<Target = Storage> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    View { storage, layout }
}

impl<G: Deref<Target = Storage>> View<'_, G> {
    pub(super) fn numbers(&self) -> candle_core::Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(storage) => contiguous(storage, self.layout),
            _ => candle_core::bail!("a feature map must be in main memory"),
        }
    }
}
