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

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use crate::image::{prepare, Limits};
    use crate::model::Model;
    use crate::pg::catalog::fixture::{text, Garments};
    use crate::pg::fixture::failure;
    use crate::space::Embedding;
    use pgrx::prelude::*;

    const PICTURE: &[u8] = include_bytes!("../../tests/fixtures/images/jpeg_420.jpg");

    fn embed(model: Option<&str>) -> String {
        let (sql, arguments) = match model {
            Some(name) => ("SELECT coop_embed($1, $2)::text", vec![PICTURE.into(), name.into()]),
            None => ("SELECT coop_embed($1)::text", vec![PICTURE.into()]),
        };
        Spi::get_one_with_args(sql, &arguments).unwrap().unwrap()
    }

    #[pg_test]
    fn the_service_answers_what_the_model_computes() {
        let garments = Garments::new("spring");
        garments.load_as("garments");
        let model = Model::from_parts(&garments.config.to_json(), &garments.weights()).unwrap();
        let pixels = prepare(PICTURE, None, &model.config().preprocessing, &Limits::default()).unwrap();
        let expected = Embedding::from_raw(model.layout(), &model.embed(&pixels, 1).unwrap()).unwrap();
        assert_eq!(embed(None), expected.as_ref().to_string());
        assert_eq!(embed(Some("garments")), expected.as_ref().to_string());
    }

    #[pg_test]
    fn two_models_embed_side_by_side_and_do_not_mix() {
        Garments::new("spring").load_as("spring");
        Garments::new("autumn").load_as("autumn");
        let (spring, autumn) = (embed(Some("spring")), embed(Some("autumn")));
        assert_ne!(spring, autumn);
        assert_eq!(embed(Some("spring")), spring);
        let mixed = failure(&format!("SELECT '{spring}'::coopvec <-> '{autumn}'::coopvec"));
        assert_eq!(mixed.state, "22000");
    }

    #[pg_test]
    fn a_bad_picture_or_name_is_an_error_and_null_is_null() {
        Garments::new("spring").load_as("garments");
        assert_eq!(failure("SELECT coop_embed('')").state, "22000");
        assert_eq!(failure("SELECT coop_embed('not a picture')").state, "22000");
        assert_eq!(failure("SELECT coop_embed('not a picture', 'garment')").hint, "Known: \"garments\".");
        assert_eq!(text("SELECT coop_embed(NULL)::text"), None);
        embed(None);
    }

    #[pg_test]
    fn the_status_counts() {
        Garments::new("spring").load_as("garments");
        embed(None);
        let count = |name: &str| -> i64 {
            let sql = "SELECT value FROM coop_status() WHERE name = $1";
            Spi::get_one_with_args(sql, &[name.into()]).unwrap().unwrap()
        };
        assert_eq!(count("running"), 1);
        let before = count("images");
        embed(None);
        assert!(count("images") > before && count("models") > 0 && count("model_bytes") > 0);
    }
}
