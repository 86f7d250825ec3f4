//! A convolution, its batch normalisation, the shortcut and the activation as one operation with gradient. Fused, intermediate results
//! are stored once or not at all, and the overhead of candle's autograd is paid once.

use super::batch_norm::Moments;
use super::buffer_pool::BufferPool;
use super::candle_conv_norm;
use super::feature_map::{token, token_storage, CpuMap, FeatureMap, MapData};
use super::layer_pass::{LayerPass, Saved};
use super::layer_state::{RunningStatistics, Statistics};
use super::tensor_view::view;
use crate::error::{Error, Kind, Result};
use crate::model::layers::ConvSpec;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Device, Layout, Shape, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// A layer without its parameters, which are passed to [`ConvNorm::forward`] as one vector (see
/// [`super::layer_state::parameter_ranges`]).
#[derive(Debug)]
pub struct ConvNorm {
    conv: ConvSpec,
    epsilon: f64,
    running: Mutex<RunningStatistics>,
    buffers: BufferPool,
    precision: DType,
}

impl ConvNorm {
    /// A layer with these running statistics; `epsilon` is added to variances.
    pub fn new(conv: &ConvSpec, epsilon: f64, running: RunningStatistics, buffers: &BufferPool) -> Self {
        let (running, precision) = (Mutex::new(running), DType::F32);
        Self { conv: conv.clone(), epsilon, running, buffers: buffers.clone(), precision }
    }

    /// The same layer that convolves in this precision where candle computes; our kernels know single precision alone.
    pub fn with_precision(self, precision: DType) -> Self {
        Self { precision, ..self }
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

    /// act(BN(conv(map)) + residual). `parameters` is the layer's parameter vector.
    ///
    /// # Errors
    /// [`Kind::Internal`] for shapes that do not fit.
    pub fn forward(
        &self,
        map: &FeatureMap,
        parameters: &Tensor,
        residual: Option<&FeatureMap>,
        statistics: Statistics,
    ) -> Result<FeatureMap> {
        match (map, residual) {
            (FeatureMap::Cpu(map), None) => {
                Ok(FeatureMap::Cpu(self.forward_cpu(map, parameters, None, statistics)?))
            }
            (FeatureMap::Cpu(map), Some(FeatureMap::Cpu(residual))) => {
                Ok(FeatureMap::Cpu(self.forward_cpu(map, parameters, Some(residual), statistics)?))
            }
            (FeatureMap::Device(map), None) => self.forward_candle(map, parameters, None, statistics),
            (FeatureMap::Device(map), Some(FeatureMap::Device(residual))) => {
                self.forward_candle(map, parameters, Some(residual), statistics)
            }
            _ => Err(Error::new(Kind::Internal, "a map and its shortcut are on different devices")),
        }
    }

    fn forward_candle(
        &self,
        map: &Tensor,
        parameters: &Tensor,
        residual: Option<&Tensor>,
        statistics: Statistics,
    ) -> Result<FeatureMap> {
        let running = (statistics == Statistics::Running).then(|| self.running());
        let layer = (&self.conv, self.epsilon, self.precision);
        let (y, batch) = candle_conv_norm::conv_norm(layer, map, parameters, residual, running.as_ref())?;
        if let Some((mean, variance, pixels)) = batch {
            self.update_running(&mean, &variance, pixels)?;
        }
        Ok(FeatureMap::Device(y))
    }

    fn forward_cpu(
        &self,
        map: &CpuMap,
        parameters: &Tensor,
        residual: Option<&CpuMap>,
        statistics: Statistics,
    ) -> Result<CpuMap> {
        let given = match statistics {
            Statistics::Batch => None,
            Statistics::Running => Some(self.running_moments()?),
        };
        let parameters = parameters.contiguous()?;
        let shape = map.data.shape;
        let pass = LayerPass { conv: &self.conv, shape, buffers: &self.buffers };
        let (numbers, saved) = {
            let parameters = view(&parameters);
            let residual = residual.map(|r| &*r.data.numbers);
            pass.forward(&map.data.numbers, parameters.numbers()?, residual, given, self.epsilon)?
        };
        let out = shape.after(&self.conv);
        if statistics == Statistics::Batch {
            let tensor =
                |of: &dyn Fn(&Moments) -> f32| Tensor::from_iter(saved.moments.iter().map(of), &Device::Cpu);
            self.update_running(&tensor(&|m| m.mean)?, &tensor(&|m| m.variance)?, out.pixels())?;
        }
        let data = MapData::new(out, numbers, &self.buffers);
        let op = ConvNormOp {
            conv: self.conv.clone(),
            saved,
            map: map.data.clone(),
            wants_map: map.token.track_op(),
            residual: residual.filter(|r| r.token.track_op()).map(|r| r.data.clone()),
            result: data.clone(),
        };
        let token = match residual {
            None => map.token.apply_op2(&parameters, op)?,
            Some(residual) => map.token.apply_op3(&parameters, &residual.token, op)?,
        };
        Ok(CpuMap { data, token })
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

/// One forward and backward pass, for candle.
struct ConvNormOp {
    conv: ConvSpec,
    saved: Saved,
    map: Arc<MapData>,
    /// Whether the gradient of the map is needed.
    wants_map: bool,
    /// The shortcut, if there is one whose gradient is needed.
    residual: Option<Arc<MapData>>,
    result: Arc<MapData>,
}

impl ConvNormOp {
    /// Adds to the gradients of map and shortcut; returns that of the parameters.
    fn backward(&self, parameters: &Tensor) -> candle_core::Result<Tensor> {
        let pass = LayerPass { conv: &self.conv, shape: self.map.shape, buffers: &self.result.buffers };
        let numbers = view(parameters);
        let d_map = self.wants_map.then_some(&*self.map);
        let gradient = self.result.take_gradient()?;
        let (d_parameters, d_residual) = pass.backward(
            (&self.map.numbers, d_map),
            numbers.numbers()?,
            &self.saved,
            (&self.result.numbers, gradient),
            self.residual.is_some(),
        );
        if let (Some(residual), Some(gradient)) = (&self.residual, d_residual) {
            residual.add_to_gradient(gradient);
        }
        Tensor::from_vec(d_parameters, parameters.shape(), &Device::Cpu)
    }
}

impl CustomOp2 for ConvNormOp {
    fn name(&self) -> &'static str {
        "convolution-norm"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(token_storage())
    }

    fn bwd(
        &self,
        _: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let d_parameters = self.backward(parameters)?;
        Ok((Some(token()?), Some(d_parameters)))
    }
}

impl CustomOp3 for ConvNormOp {
    fn name(&self) -> &'static str {
        "convolution-norm-sum"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(token_storage())
    }

    fn bwd(
        &self,
        _: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let d_parameters = self.backward(parameters)?;
        Ok((Some(token()?), Some(d_parameters), Some(token()?)))
    }
}
