//! `coop_embed`.

use crate::error::Result;
use crate::inference::{EmbedRequest, Priority};
use crate::pg::catalog::ModelEntry;
use crate::pg::inference::client::with_service;
use crate::pg::inference::decode_process::prepare;
use crate::pg::{catalog, guc, CoopVec, OrReport, Text};
use crate::space::Embedding;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;
use std::time::{Duration, Instant};

extension_sql_file!("../../../sql/current/embed.sql", name = "embed", requires = ["initplan"]);

/// Beyond its time in the queue, a request may take this long: the model's transfer and the batch it is part of.
pub const COMPUTE: Duration = Duration::from_secs(300);

/// From this picture of a statement on, its requests are bulk.
const BULK_FROM: u32 = 4;

/// The embedding of a picture (JPEG, PNG, WebP, GIF, BMP or TIFF) by the default model.
///
/// Stable, not immutable: models can be loaded and dropped. It changes nothing in the database, so parallel workers may
/// run it, each with its own connection to the service.
#[pg_extern(sql = false)]
fn coop_embed(image: &[u8]) -> CoopVec<'static> {
    embed(image, None).or_report().into()
}

/// The embedding of a picture by a named model.
#[pg_extern(sql = false)]
fn coop_embed_with(image: &[u8], model: Text<'_>) -> CoopVec<'static> {
    embed(image, Some(&model)).or_report().into()
}

/// The embedding of a picture.
///
/// # Errors
/// The picture's, the model's and the service's.
pub fn embed(image: &[u8], model: Option<&str>) -> Result<Embedding> {
    let model = catalog::model(model)?;
    let request = request(image, &model, priority())?;
    let patience = guc::queue_timeout().map(|t| t + COMPUTE);
    let raw = with_service(patience, |service| service.embed(&request, || files(&model)))?;
    Embedding::from_raw(model.layout, &raw)
}

/// Prepares a picture for a model.
///
/// # Errors
/// Those of [`prepare`] and of [`catalog::config`].
pub fn request(image: &[u8], model: &ModelEntry, priority: Priority) -> Result<EmbedRequest> {
    let start = Instant::now();
    let config = catalog::config(model)?;
    let pixels = prepare(image, &config.preprocessing, &guc::image_limits())?;
    Ok(EmbedRequest {
        model: model.digest,
        priority,
        timeout_ms: guc::queue_timeout()
            .map_or(u32::MAX, |t| u32::try_from(t.as_millis()).unwrap_or(u32::MAX)),
        decode_us: u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX),
        pixels,
    })
}

/// Config and weights of a model, for the service.
///
/// # Errors
/// Those of [`catalog::with_weights`] and [`catalog::config_text`].
pub fn files(model: &ModelEntry) -> Result<(String, Vec<u8>)> {
    let mut weights = Vec::new();
    catalog::with_weights(model, |part| {
        weights.extend_from_slice(part);
        Ok(())
    })?;
    Ok((catalog::config_text(model)?, weights))
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

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use crate::image::{prepare, Limits};
    use crate::model::Model;
    use crate::pg::fixture::failure;
    use crate::pg::fixture::model::{text, Garments};
    use crate::space::Embedding;
    use pgrx::prelude::*;

    const PICTURE: &[u8] = include_bytes!("../../../tests/fixtures/images/jpeg_420.jpg");

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
}
