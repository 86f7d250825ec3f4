//! The losses of one batch and their weighted sum.

use crate::error::Result;
use candle_core::Tensor;

/// The losses of one batch.
#[derive(Debug, Clone)]
pub struct BatchLosses {
    /// The weighted sum, which is minimised.
    pub total: Tensor,
    /// Each loss before its λ (a scalar), under its name in the log; `None` if it took no part. Names and order are the same for every
    /// batch.
    pub parts: Vec<(String, Option<Tensor>)>,
}

/// Collects the losses of a batch.
#[derive(Default)]
pub struct LossSum {
    total: Option<Tensor>,
    parts: Vec<(String, Option<Tensor>)>,
}

impl LossSum {
    /// Adds `weight · loss`. The name is recorded even if there is no loss.
    ///
    /// # Errors
    /// If the loss is not a scalar.
    pub fn add(&mut self, name: &str, weight: f64, loss: Option<Tensor>) -> Result<()> {
        if let Some(loss) = &loss {
            let weighted = (loss * weight)?;
            self.total = Some(match self.total.take() {
                Some(total) => (total + weighted)?,
                None => weighted,
            });
        }
        self.parts.push((name.to_owned(), loss));
        Ok(())
    }

    /// The losses. If none took part, the total is a 0 that depends on the embeddings `f`, so that it still has a gradient.
    ///
    /// # Errors
    /// If the device fails.
    pub fn finish(self, f: &Tensor) -> Result<BatchLosses> {
        let total = match self.total {
            Some(total) => total,
            None => (f.sum_all()? * 0.0)?,
        };
        Ok(BatchLosses { total, parts: self.parts })
    }
}
