//! Prepares an image as a request to the inference service.

use super::decode_process::prepare;
use crate::error::Result;
use crate::image::CropBox;
use crate::inference::{EmbedRequest, Priority};
use crate::pg::catalog::{self, ModelEntry};
use crate::pg::guc;
use std::time::{Duration, Instant};

/// How long a request may take after its time in the queue: to send the model, and to compute the batch that the image is part of.
const COMPUTE_TIME: Duration = Duration::from_secs(300);

/// Decodes an image and prepares the pixels of its part in `crop` (`None`: all of it) for a model.
///
/// # Errors
/// Those of [`prepare`] and of [`catalog::config`].
pub fn embed_request(
    image: &[u8],
    crop: Option<CropBox>,
    model: &ModelEntry,
    priority: Priority,
) -> Result<EmbedRequest> {
    let start = Instant::now();
    let config = catalog::config(model)?;
    let pixels = prepare(image, crop, &config.preprocessing, &guc::image_limits())?;
    Ok(EmbedRequest {
        model: model.digest,
        priority,
        timeout_ms: guc::queue_timeout()
            .map_or(u32::MAX, |t| u32::try_from(t.as_millis()).unwrap_or(u32::MAX)),
        decode_us: u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX),
        pixels,
    })
}

/// How long to wait for an answer: the time in the queue, and the computation. `None` is no limit.
pub fn answer_timeout() -> Option<Duration> {
    guc::queue_timeout().map(|t| t + COMPUTE_TIME)
}
