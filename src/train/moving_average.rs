//! Exponential moving averages of what learns, which often generalise better than the last values (as timm's `ModelEma`).

use super::optimizer::Parameter;
use crate::error::{Error, Kind, Result};
use crate::model::Tensors;
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor};
use rayon::prelude::*;

/// Numbers per task of the thread pool.
const TASK: usize = 1 << 14;

/// Name of the number of updates in [`MovingAverage::state`]; no parameter is called so.
const UPDATES: &str = "updates";

/// The averages of a list of parameters. After t updates, an update moves them by the share 1 − min(decay, (1 + t) / (10 + t)) towards
/// the parameters, so that the first averages are not held back by initial values. (Running statistics of batch normalisation are averages
/// already, and not among them.)
#[derive(Debug)]
pub struct MovingAverage {
    decay: f64,
    updates: u32,
    averages: Vec<(Parameter, Tensor)>,
}

impl MovingAverage {
    /// Averages that begin with the parameters' current values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(decay: f64, parameters: &[Parameter]) -> Result<Self> {
        let start = |p: &Parameter| Ok((p.clone(), p.var.as_detached_tensor().copy()?));
        Ok(Self { decay, updates: 0, averages: parameters.iter().map(start).collect::<Result<_>>()? })
    }

    /// Moves towards the current values; to be called after every step.
    ///
    /// # Errors
    /// If the device fails.
    pub fn update(&mut self) -> Result<()> {
        let t = f64::from(self.updates);
        let share = 1.0 - self.decay.min((1.0 + t) / (10.0 + t));
        self.updates += 1;
        for (parameter, average) in &mut self.averages {
            let value = parameter.var.as_detached_tensor();
            if value.device().is_cpu() {
                average.inplace_op2(&value, &MoveTowards { share })?;
            } else {
                *average = ((&*average * (1.0 - share))? + (value * share)?)?;
            }
        }
        Ok(())
    }

    /// Exchanges averages and current values: before an evaluation, and again after it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn exchange(&mut self) -> Result<()> {
        for (parameter, average) in &mut self.averages {
            // Copies, because updates write in place.
            let value = parameter.var.as_detached_tensor().copy()?;
            parameter.var.set(average)?;
            *average = value;
        }
        Ok(())
    }

    /// Averages by the parameters' names, and the number of updates, in main memory.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&self) -> Result<Tensors> {
        // As f32, like everything else in the file: exact up to 16 million steps.
        let updates = Tensor::new(&[self.updates as f32], &Device::Cpu)?;
        let mut state = Tensors::from([(UPDATES.to_owned(), updates)]);
        for (parameter, average) in &self.averages {
            state.insert(parameter.name.clone(), average.copy()?.to_device(&Device::Cpu)?);
        }
        Ok(state)
    }

    /// Continues from what [`MovingAverage::state`] returned.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if an average is missing or of another shape than its parameter.
    pub fn restore(&mut self, state: &Tensors) -> Result<()> {
        let find = |name: &str, shape: &[usize]| {
            state.get(name).filter(|found| found.dims() == shape).ok_or_else(|| {
                Error::new(Kind::Mismatch, format!("the checkpoint has no average of \"{name}\""))
                    .detail(format!(
                        "Found shape {:?}, expected {shape:?}.",
                        state.get(name).map(Tensor::dims).unwrap_or_default()
                    ))
                    .hint("It belongs to another training; name another folder.")
            })
        };
        for (parameter, average) in &mut self.averages {
            let found = find(&parameter.name, parameter.var.dims())?;
            *average = found.to_dtype(average.dtype())?.to_device(average.device())?.copy()?;
        }
        self.updates = find(UPDATES, &[1])?.to_vec1::<f32>()?[0] as u32;
        Ok(())
    }
}

/// `average += share · (value − average)` in main memory.
struct MoveTowards {
    share: f64,
}

impl InplaceOp2 for MoveTowards {
    fn name(&self) -> &'static str {
        "move-towards"
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        to: &Layout,
        value: &CpuStorage,
        from: &Layout,
    ) -> candle_core::Result<()> {
        let (Some((a, b)), Some((c, d))) = (to.contiguous_offsets(), from.contiguous_offsets()) else {
            candle_core::bail!("an average and its parameter must be contiguous")
        };
        if to.shape() != from.shape() {
            candle_core::bail!("an average of shape {:?} for {:?}", to.shape(), from.shape());
        }
        match (average, value) {
            (CpuStorage::F32(average), CpuStorage::F32(value)) => {
                let share = self.share as f32;
                let tasks = average[a..b].par_chunks_mut(TASK).zip(value[c..d].par_chunks(TASK));
                tasks.for_each(|(average, value)| {
                    average.iter_mut().zip(value).for_each(|(average, x)| *average += share * (x - *average));
                });
            }
            (CpuStorage::F64(average), CpuStorage::F64(value)) => {
                let pairs = average[a..b].iter_mut().zip(&value[c..d]);
                pairs.for_each(|(average, x)| *average += self.share * (x - *average));
            }
            _ => candle_core::bail!("an average must be of f32 or f64, like its parameter"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optimizer::ParameterGroup;
    use candle_core::{DType, Var};

    fn parameter(dtype: DType) -> Parameter {
        let start = Tensor::new(&[1f64, -2.0], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        Parameter {
            name: "x".into(),
            group: ParameterGroup::Projection,
            var: Var::from_tensor(&start).unwrap(),
        }
    }

    fn numbers(p: &Parameter) -> Vec<f64> {
        p.var.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }

    fn step(p: &Parameter) {
        p.var.set(&p.var.affine(1.0, 1.0).unwrap()).unwrap();
    }

    /// ```text
    /// average, x = [1., -2.], [1., -2.]
    /// for t in range(12):
    ///     x = [v + 1 for v in x]
    ///     d = min(.5, (1 + t) / (10 + t))
    ///     average = [d * a + (1 - d) * v for a, v in zip(average, x)]
    /// print(average)
    /// ```
    #[test]
    fn averages_follow_with_a_warm_up_and_exchange_with_the_values() {
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-12)] {
            let p = parameter(dtype);
            let mut average = MovingAverage::new(0.5, std::slice::from_ref(&p)).unwrap();
            for _ in 0..12 {
                step(&p);
                average.update().unwrap();
            }
            assert_eq!(numbers(&p), [13.0, 10.0]);
            average.exchange().unwrap();
            let want = [12.0125, 9.0125];
            numbers(&p)
                .iter()
                .zip(want)
                .for_each(|(a, b)| assert!((a - b).abs() < tolerance, "{a} is not {b}"));
            average.exchange().unwrap();
            assert_eq!(numbers(&p), [13.0, 10.0]);
        }
    }

    #[test]
    fn a_restored_average_continues_as_if_never_stopped() {
        let p = parameter(DType::F32);
        let mut average = MovingAverage::new(0.999, std::slice::from_ref(&p)).unwrap();
        (0..3).for_each(|_| {
            step(&p);
            average.update().unwrap();
        });
        let mut other = MovingAverage::new(0.999, std::slice::from_ref(&p)).unwrap();
        other.restore(&average.state().unwrap()).unwrap();
        step(&p);
        average.update().unwrap();
        other.update().unwrap();
        let shown = |m: &MovingAverage| m.averages[0].1.to_vec1::<f32>().unwrap();
        assert_eq!(shown(&average), shown(&other));
        assert_eq!(other.restore(&Tensors::new()).unwrap_err().kind, Kind::Mismatch);
    }
}
