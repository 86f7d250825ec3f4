//! Gathering the losses of a batch.

use crate::error::Result;
use crate::train::method::Terms;
use candle_core::Tensor;

/// [`Terms`] under construction.
#[derive(Default)]
pub struct Sum {
    total: Option<Tensor>,
    parts: Vec<(String, Option<Tensor>)>,
}

impl Sum {
    /// Counts `weight · loss` in, if there is one; the name is kept either way.
    ///
    /// # Errors
    /// If the loss is no scalar.
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

    /// The terms; where nothing took part the total is 0 and hangs on `f`, without a slope.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn terms(self, f: &Tensor) -> Result<Terms> {
        let total = match self.total {
            Some(total) => total,
            None => (f.sum_all()? * 0.0)?,
        };
        Ok(Terms { total, parts: self.parts })
    }
}
