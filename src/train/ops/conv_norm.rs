//! A convolution, its batch normalisation, the shortcut and the activation as one operation with gradient. Fused, the intermediate
//! result is stored once, and the overhead of candle's autograd is paid once.

use super::batch_norm::{self, Affine, Moments};
use super::buffer_pool::{BufferPool, PooledBuffer};
use super::candle_conv_norm;
use super::dense_backprop::DenseConv;
use super::depthwise_backprop;
use super::layer_state::{parameter_ranges, RunningStatistics, Statistics};
use super::tensor_view::{contiguous, view};
use super::window::Window;
use crate::error::{Error, Kind, Result};
use crate::model::layers::ConvSpec;
use crate::model::map_shape::MapShape;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Device, Layout, Shape, Tensor};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A layer without its parameters, which are passed to [`ConvNorm::forward`] as one vector (see [`parameter_ranges`]).
#[derive(Debug)]
pub struct ConvNorm {
    conv: ConvSpec,
    epsilon: f64,
    running: Mutex<RunningStatistics>,
    buffers: BufferPool,
}

impl ConvNorm {
    /// A layer with these running statistics; `epsilon` is added to variances.
    pub fn new(conv: &ConvSpec, epsilon: f64, running: RunningStatistics, buffers: &BufferPool) -> Self {
        Self { conv: conv.clone(), epsilon, running: Mutex::new(running), buffers: buffers.clone() }
    }

    /// The layer's description.
    pub fn conv(&self) -> &ConvSpec {
        &self.conv
    }

    /// The current running statistics.
    pub fn running(&self) -> RunningStatistics {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the running statistics.
    pub fn set_running(&self, running: RunningStatistics) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// act(BN(conv(map)) + residual). Maps are `[channels, height, width, batch]` in main memory and `[batch, channels, height,
    /// width]` on other devices; `parameters` is the layer's parameter vector.
    ///
    /// # Errors
    /// [`Kind::Internal`] for shapes that do not fit.
    pub fn forward(
        &self,
        map: &Tensor,
        parameters: &Tensor,
        residual: Option<&Tensor>,
        statistics: Statistics,
    ) -> Result<Tensor> {
        if !map.device().is_cpu() {
            let running = (statistics == Statistics::Running).then(|| self.running());
            let layer = (&self.conv, self.epsilon);
            let (y, batch) = candle_conv_norm::conv_norm(layer, map, parameters, residual, running.as_ref())?;
            if let Some((mean, variance, pixels)) = batch {
                self.update_running(&mean, &variance, pixels)?;
            }
            return Ok(y);
        }
        let given = match statistics {
            Statistics::Batch => None,
            Statistics::Running => Some(self.running_moments()?),
        };
        let saved = Arc::new(OnceLock::new());
        let op = ConvNormOp {
            conv: self.conv.clone(),
            epsilon: self.epsilon,
            given,
            buffers: self.buffers.clone(),
            wants_input: map.track_op(),
            saved: saved.clone(),
        };
        let map = map.contiguous()?;
        let y = match residual {
            None => map.apply_op2(parameters, op)?,
            Some(residual) => map.apply_op3(parameters, &residual.contiguous()?, op)?,
        };
        if let (Statistics::Batch, Some(Saved { moments, .. })) = (statistics, saved.get()) {
            let tensor =
                |of: &dyn Fn(&Moments) -> f32| Tensor::from_iter(moments.iter().map(of), &Device::Cpu);
            let pixels = y.elem_count() / self.conv.outputs;
            self.update_running(&tensor(&|m| m.mean)?, &tensor(&|m| m.variance)?, pixels)?;
        }
        Ok(y)
    }

    fn update_running(&self, mean: &Tensor, variance: &Tensor, pixels: usize) -> Result<()> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).update(mean, variance, pixels)
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

/// What the forward pass saves for the backward pass beside arguments and result.
struct Saved {
    /// The result of the convolution.
    convolved: PooledBuffer,
    moments: Vec<Moments>,
}

/// One forward and backward pass, for candle.
struct ConvNormOp {
    conv: ConvSpec,
    epsilon: f64,
    /// The running moments, if the batch is normalised by them.
    given: Option<Vec<Moments>>,
    buffers: BufferPool,
    /// Whether the gradient of the input is needed.
    wants_input: bool,
    saved: Arc<OnceLock<Saved>>,
}

impl ConvNormOp {
    fn shapes(&self, dims: (usize, usize, usize, usize)) -> candle_core::Result<(MapShape, MapShape)> {
        let (channels, height, width, batch) = dims;
        if channels != self.conv.inputs {
            candle_core::bail!("{} takes {} channels, found {channels}", self.conv.name, self.conv.inputs);
        }
        let shape = MapShape { channels, batch, height, width };
        Ok((shape, shape.after(&self.conv)))
    }

    fn dense(&self, window: Window) -> DenseConv {
        DenseConv { inputs: self.conv.inputs, outputs: self.conv.outputs, window }
    }

    fn forward(
        &self,
        (map, layout): (&CpuStorage, &Layout),
        parameters: &[f32],
        residual: Option<&[f32]>,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (shape, out) = self.shapes(layout.shape().dims4()?)?;
        let (x, window) = (contiguous(map, layout)?, Window::new(&self.conv, shape, shape.batch));
        let [weight, gamma, beta] = parameter_ranges(&self.conv);
        if parameters.len() != beta.end || residual.is_some_and(|r| r.len() != out.len()) {
            candle_core::bail!("{}: parameters or a shortcut of another shape", self.conv.name);
        }
        let mut convolved = self.buffers.take(out.len());
        if self.conv.depthwise {
            depthwise_backprop::forward(&window, x, &parameters[weight], &mut convolved);
        } else {
            self.dense(window).forward(x, &parameters[weight], &mut convolved, &self.buffers);
        }
        let moments = match &self.given {
            Some(given) => given.clone(),
            None => batch_norm::moments(&convolved, out.channels, self.epsilon),
        };
        let mut y = vec![0f32; out.len()];
        let affine = Affine { gamma: &parameters[gamma], beta: &parameters[beta] };
        batch_norm::forward(&convolved, &moments, affine, residual, self.conv.activation, &mut y);
        // The forward pass of an operation runs once, so the cell is empty.
        let _ = self.saved.set(Saved { convolved, moments });
        Ok((CpuStorage::F32(y), (out.channels, out.height, out.width, out.batch).into()))
    }

    /// The gradients of input, parameters and shortcut.
    fn backward(
        &self,
        map: &Tensor,
        parameters: &Tensor,
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
        let (x, parameters_view) = (view(map), view(parameters));
        let (y, dy) = (view(result), view(&gradient));
        let [weight, gamma, beta] = parameter_ranges(&self.conv);
        let all = parameters_view.numbers()?;
        let backward = batch_norm::Backward {
            x: &saved.convolved,
            moments: &saved.moments,
            gamma: &all[gamma.clone()],
            activation: self.conv.activation,
            y: y.numbers()?,
            dy: dy.numbers()?,
            batch_statistics: self.given.is_none(),
        };
        let mut d_convolved = self.buffers.take(out.len());
        let mut d_residual = has_residual.then(|| vec![0f32; out.len()]);
        let (d_gamma, d_beta) = backward.run(&mut d_convolved, d_residual.as_deref_mut());
        let mut d_parameters = vec![0f32; beta.end];
        d_parameters[gamma].copy_from_slice(&d_gamma);
        d_parameters[beta].copy_from_slice(&d_beta);
        let mut d_map = self.wants_input.then(|| vec![0f32; shape.len()]);
        let (x, w, dw) = (x.numbers()?, &all[weight.clone()], &mut d_parameters[weight]);
        if self.conv.depthwise {
            depthwise_backprop::backward(&window, x, w, &d_convolved, dw, d_map.as_deref_mut());
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
            tensor(d_parameters, parameters)?,
            d_residual.map(|d| tensor(d, result)).transpose()?,
        ))
    }
}

impl CustomOp2 for ConvNormOp {
    fn name(&self) -> &'static str {
        "convolution-norm"
    }

    fn cpu_fwd(
        &self,
        map: &CpuStorage,
        layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.forward((map, layout), contiguous(parameters, parameters_layout)?, None)
    }

    fn bwd(
        &self,
        map: &Tensor,
        parameters: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (d_map, d_parameters, _) = self.backward(map, parameters, false, result, gradient)?;
        Ok((d_map, Some(d_parameters)))
    }
}

impl CustomOp3 for ConvNormOp {
    fn name(&self) -> &'static str {
        "convolution-norm-sum"
    }

    fn cpu_fwd(
        &self,
        map: &CpuStorage,
        layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let residual = contiguous(residual, residual_layout)?;
        self.forward((map, layout), contiguous(parameters, parameters_layout)?, Some(residual))
    }

    fn bwd(
        &self,
        map: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (d_map, d_parameters, d_residual) = self.backward(map, parameters, true, result, gradient)?;
        Ok((d_map, Some(d_parameters), d_residual))
    }
}
