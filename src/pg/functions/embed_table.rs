//! `coop_embed_table()`: the SQL functions behind the procedure in `sql/current/embed_table.sql`. The procedure calls [`embed_step`] again
//! and again, and commits after each call. `batch.rs` embeds the rows of one call.

mod batch;
mod progress;

use super::arguments::non_null_texts;
use super::row_image::ImageColumns;
use crate::pg::catalog;
use crate::pg::fmgr::fmgr_functions;
use crate::pg::{OrReport, Text};
use batch::EmbedBatch;
use pgrx::pg_sys;
use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/current/embed_table.sql",
    name = "embed_table",
    requires = ["operators", "retrieval"]
);

fmgr_functions! {
    /// The fingerprint of an embedding's model. Of a value stored out of line it reads only the header.
    fn coopvec_fingerprint(call) {
        // SAFETY: declared STRICT with a coopvec, which is a varlena; the slice is a new one of at most 12 bytes, and read at once.
        let head = unsafe {
            let slice = pg_sys::pg_detoast_datum_slice(call.arg(0).cast_mut_ptr(), 0, 12);
            pgrx::varlena::varlena_to_byte_slice(slice).first_chunk::<12>().copied()
        };
        let [.., a, b, c, d] = head.unwrap_or_default();
        pg_sys::Datum::from(i64::from(u32::from_ne_bytes([a, b, c, d])))
    }
}

/// Name and fingerprint of a named model, or of the default one.
#[pg_extern(sql = false)]
fn embed_model(
    model: Option<Text<'_>>,
) -> TableIterator<'static, (name!(name, Text<'static>), name!(fingerprint, i64))> {
    let model = catalog::model(model.as_deref()).or_report();
    TableIterator::once((model.name.into(), i64::from(model.layout.fingerprint())))
}

/// Embeds up to `batch` rows of a table, from `position` (a row's place, see `SpiRow::tid`) on. `crop_column` is null, or the column of the
/// images' crop boxes. Returns the position to go on from, null at the table's end, and how many rows got an embedding, could not be
/// embedded (each with a warning), and were locked by others.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn embed_step_cropped(
    table: pg_sys::Oid,
    image: Text<'_>,
    emb: Text<'_>,
    crop: Option<Text<'_>>,
    key: Array<'_, Text<'_>>,
    model: Text<'_>,
    position: i64,
    batch: i32,
) -> TableIterator<
    'static,
    (name!(next, Option<i64>), name!(done, i64), name!(failed, i64), name!(locked, i64)),
> {
    let columns = ImageColumns { image: &image, emb: &emb, crop: crop.as_deref() };
    TableIterator::once(run_batch(table, &columns, key, &model, position, batch))
}

/// [`embed_step_cropped`] as version 0.2.0 declares it, which knows no crop boxes.
#[pg_extern(sql = false)]
fn embed_step(
    table: pg_sys::Oid,
    image: Text<'_>,
    emb: Text<'_>,
    key: Array<'_, Text<'_>>,
    model: Text<'_>,
    position: i64,
    batch: i32,
) -> TableIterator<
    'static,
    (name!(next, Option<i64>), name!(done, i64), name!(failed, i64), name!(locked, i64)),
> {
    let columns = ImageColumns { image: &image, emb: &emb, crop: None };
    TableIterator::once(run_batch(table, &columns, key, &model, position, batch))
}

fn run_batch(
    table: pg_sys::Oid,
    columns: &ImageColumns<'_>,
    key: Array<'_, Text<'_>>,
    model: &str,
    position: i64,
    batch: i32,
) -> (Option<i64>, i64, i64, i64) {
    let model = catalog::model(Some(model)).or_report();
    let key = non_null_texts("a column's name", key.iter()).or_report();
    // SAFETY: closed again below; if an error comes first, the end of the transaction closes it.
    unsafe { pg_sys::SPI_connect() };
    let mut step = EmbedBatch::new(table, columns, &key, &model);
    let next = step.run(position.unsigned_abs(), batch.unsigned_abs() as usize).or_report();
    // SAFETY: SPI was connected above, and everything that `step` uses of it is used up.
    unsafe { pg_sys::SPI_finish() };
    let counts = step.counts();
    progress::add(counts).or_report();
    (next.map(|at| at as i64), counts.done as i64, counts.failed as i64, counts.locked as i64)
}

/// Whether a COMMIT is possible where this is called: not in a transaction block, and not in a function or a block with EXCEPTION.
#[pg_extern(sql = false)]
fn may_commit() -> bool {
    // SAFETY: reads the state of the transaction and of SPI.
    unsafe {
        pg_sys::SPI_inside_nonatomic_context() && !pg_sys::IsTransactionBlock() && !pg_sys::IsSubTransaction()
    }
}
