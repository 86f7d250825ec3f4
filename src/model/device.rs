//! Devices by name: `cpu`, `cuda`, `cuda:N`.

use crate::error::{Error, Kind, Result};
use candle_core::Device;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Opens a device by its name: `cpu`, `cuda` (the first GPU) or `cuda:N`.
///
/// # Errors
/// [`Kind::InvalidParameter`] for an unknown name; [`Kind::Unsupported`] for a GPU in a program built without CUDA;
/// [`Kind::Unavailable`] if the GPU cannot be used.
pub fn open_device(name: &str) -> Result<Device> {
    let number = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        other => other.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
    };
    let number: usize = number.ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("\"{name}\" is not a device"))
            .hint("Devices are cpu, cuda and cuda:N.")
    })?;
    if !candle_core::utils::cuda_is_available() {
        return Err(
            Error::new(Kind::Unsupported, "this program was built without CUDA").hint("Use the device cpu.")
        );
    }
    let unusable =
        |why: String| Error::new(Kind::Unavailable, format!("GPU {number} cannot be used")).detail(why);
    // Without a driver the first call into CUDA panics.
    match catch_unwind(AssertUnwindSafe(|| Device::new_cuda(number))) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(e)) => Err(unusable(format!("{e}."))),
        Err(_) => Err(unusable("The driver cannot be loaded.".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_devices_are_errors() {
        assert!(matches!(open_device("cpu").unwrap(), Device::Cpu));
        for name in ["", "gpu", "cuda:", "cuda:x", "CPU"] {
            assert_eq!(open_device(name).unwrap_err().kind, Kind::InvalidParameter, "{name}");
        }
        let missing = open_device("cuda:77").unwrap_err().kind;
        assert!(matches!(missing, Kind::Unsupported | Kind::Unavailable));
    }
}
