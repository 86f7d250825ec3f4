//! `coop_embed` and `coop_status`.

use super::client::{with_running_service, with_service};
use super::{catalog, settings, CoopVec, OrReport};
use crate::error::Result;
use crate::image::prepare;
use crate::serve::{EmbedRequest, Priority};
use crate::space::Embedding;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;
use std::time::Duration;

/// Beyond its time in the queue, a request may take this long: the model's transfer and the batch it is part of.
const COMPUTE: Duration = Duration::from_secs(300);

/// From this picture of a statement on, its requests are bulk.
const BULK_FROM: u32 = 4;

/// The embedding of a picture (JPEG, PNG, WebP, GIF, BMP or TIFF) by the default model.
///
/// Stable, not immutable: models can be loaded and dropped. It changes nothing in the database, so parallel workers may
/// run it, each with its own connection to the service.
#[pg_extern(stable, strict, parallel_safe, cost = 100000)]
fn coop_embed(image: &[u8]) -> CoopVec<'static> {
    embed(image, None).or_report().into()
}

/// The embedding of a picture by a named model.
#[pg_extern(stable, strict, parallel_safe, cost = 100000, name = "coop_embed")]
fn coop_embed_with(image: &[u8], model: &str) -> CoopVec<'static> {
    embed(image, Some(model)).or_report().into()
}

extension_sql!(
    "ALTER FUNCTION coop_embed(bytea) SUPPORT coop_fold_support;
     ALTER FUNCTION coop_embed(bytea, text) SUPPORT coop_fold_support;",
    name = "embed_once",
    requires = [coop_embed, coop_embed_with, "operators"]
);

fn embed(image: &[u8], model: Option<&str>) -> Result<Embedding> {
    let model = catalog::model(model)?;
    let config = catalog::config(&model)?;
    let queue_timeout = settings::queue_timeout();
    let request = EmbedRequest {
        model: model.digest,
        priority: priority(),
        timeout_ms: queue_timeout.map_or(u32::MAX, |t| u32::try_from(t.as_millis()).unwrap_or(u32::MAX)),
        pixels: prepare(image, None, &config.preprocessing, &settings::image_limits())?,
    };
    let raw = with_service(queue_timeout.map(|t| t + COMPUTE), |service| {
        service.embed(&request, || {
            let mut weights = Vec::new();
            catalog::with_weights(&model, |part| {
                weights.extend_from_slice(part);
                Ok(())
            })?;
            Ok((catalog::config_text(&model)?, weights))
        })
    })?;
    Embedding::from_raw(model.layout, &raw)
}

/// A statement that embeds picture after picture is a bulk load, whose turn comes after that of people who wait for one.
fn priority() -> Priority {
    thread_local!(static PICTURES: Cell<(i64, u32)> = const { Cell::new((0, 0)) });
    // SAFETY: reads a variable of this process. Parallel workers have their leader's value.
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    let count = match PICTURES.get() {
        (last, count) if last == statement => count.saturating_add(1),
        _ => 1,
    };
    PICTURES.set((statement, count));
    if count < BULK_FROM {
        Priority::Interactive
    } else {
        Priority::Bulk
    }
}

/// What the inference service does and did since its model process started. `running` is 0, and alone, when it has not
/// been started yet.
#[pg_extern(volatile, parallel_restricted, cost = 1000)]
fn coop_status() -> TableIterator<'static, (name!(name, String), name!(value, i64))> {
    let status = with_running_service(Some(COMPUTE), |service| service.status()).or_report();
    let running = [("running".to_owned(), i64::from(status.is_some()))];
    let rest = status
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name, i64::try_from(value).unwrap_or(i64::MAX)));
    TableIterator::new(running.into_iter().chain(rest))
}
