//! `coop_embed()`: the embedding of an image, computed by the inference service.

use crate::error::Result;
use crate::image::CropBox;
use crate::inference::Priority;
use crate::pg::catalog::{self, model_files};
use crate::pg::crop_box::crop_box;
use crate::pg::inference::embed_request::{answer_timeout, embed_request};
use crate::pg::inference::service_connection::with_service;
use crate::pg::{CoopVec, OrReport, Text};
use crate::space::Embedding;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;

extension_sql_file!("../../../sql/current/embed.sql", name = "embed", requires = ["initplan"]);

/// From this image of a statement on, its requests have the priority [`Priority::Bulk`].
const BULK_FROM: u32 = 4;

/// The embedding of an image, of a format in `sql/image_formats.md`, by the default model.
///
/// Stable, not immutable: models can be loaded and dropped. It changes nothing in the database, so parallel workers may run it, each with
/// its own connection to the service.
#[pg_extern(sql = false)]
fn coop_embed(image: &[u8]) -> CoopVec<'static> {
    embed(image, None, None).or_report().into()
}

/// The embedding of an image by a named model.
#[pg_extern(sql = false)]
fn coop_embed_with(image: &[u8], model: Text<'_>) -> CoopVec<'static> {
    embed(image, None, Some(&model)).or_report().into()
}

/// The embedding of an image's part in a box (null: of the whole image), by a named model or the default one (null).
#[pg_extern(sql = false)]
fn coop_embed_box(
    image: Option<&[u8]>,
    area: Option<pg_sys::BOX>,
    model: Option<Text<'_>>,
) -> Option<CoopVec<'static>> {
    let crop = area.map(crop_box).transpose().or_report();
    Some(embed(image?, crop, model.as_deref()).or_report().into())
}

/// The embedding of an image's part in `crop` (`None`: of all of it), by a named model or the default one.
///
/// # Errors
/// Those of decoding and cropping the image, of finding the model, and of the service.
pub fn embed(image: &[u8], crop: Option<CropBox>, model: Option<&str>) -> Result<Embedding> {
    let model = catalog::model(model)?;
    let request = embed_request(image, crop, &model, priority())?;
    let raw = with_service(answer_timeout(), |service| service.embed(&request, || model_files(&model)))?;
    Embedding::from_raw(model.layout, &raw)
}

/// The priority of the next request. A statement that embeds image after image is a bulk load, and requests that somebody waits for
/// overtake those of a bulk load.
pub fn priority() -> Priority {
    // When the current statement started, and how many images it has embedded.
    thread_local!(static IMAGES: Cell<(i64, u32)> = const { Cell::new((0, 0)) });
    // SAFETY: reads a variable of this process. Parallel workers have their leader's value.
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    let count = match IMAGES.get() {
        (last, count) if last == statement => count.saturating_add(1),
        _ => 1,
    };
    IMAGES.set((statement, count));
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

    const IMAGE: &[u8] = include_bytes!("../../../tests/fixtures/images/jpeg_420.jpg");

    fn embed(model: Option<&str>) -> String {
        let (sql, arguments) = match model {
            Some(name) => ("SELECT coop_embed($1, $2)::text", vec![IMAGE.into(), name.into()]),
            None => ("SELECT coop_embed($1)::text", vec![IMAGE.into()]),
        };
        Spi::get_one_with_args(sql, &arguments).unwrap().unwrap()
    }

    #[pg_test]
    fn the_service_returns_what_the_model_computes() {
        let garments = Garments::new("spring");
        garments.load_as("garments");
        let model = Model::from_parts(&garments.config.to_json(), &garments.weights()).unwrap();
        let pixels = prepare(IMAGE, None, &model.config().preprocessing, &Limits::default()).unwrap();
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
    fn a_bad_image_or_name_is_an_error_and_null_is_null() {
        Garments::new("spring").load_as("garments");
        assert_eq!(failure("SELECT coop_embed('')").state, "22000");
        assert_eq!(failure("SELECT coop_embed('not an image')").state, "22000");
        assert_eq!(failure("SELECT coop_embed('not an image', 'garment')").hint, "Known: \"garments\".");
        assert_eq!(text("SELECT coop_embed(NULL)::text"), None);
        embed(None);
    }
}
