//! The trigger BEFORE INSERT OR UPDATE, for each row.

use super::arguments::{RowValues, TriggerColumns};
use super::TriggerEvent;
use crate::error::Result;
use crate::pg::crop_box::crop_box;
use crate::pg::functions::embed::embed;
use crate::pg::prepared_statement::PreparedStatement;
use crate::pg::spi_row::with_bytes;
use crate::pg::types::check_dimensions;
use crate::pg::{CoopVec, OrReport};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The new row with its embedding. It is the row as it is if an UPDATE has not changed the image, or the embedding was given and is to be
/// kept.
///
/// # Safety
/// The columns must have been checked against the event's relation.
pub unsafe fn embedded_row(event: &TriggerEvent<'_>, columns: &TriggerColumns) -> pg_sys::Datum {
    let data = event.data;
    let new = if event.is_update { data.tg_newtuple } else { data.tg_trigtuple };
    let values = |tuple| {
        columns.values(|column| {
            let mut null = false;
            // SAFETY: a tuple of this relation and one of its columns.
            let datum = unsafe { pg_sys::SPI_getbinval(tuple, event.descriptor(), column, &mut null) };
            (!null).then_some(datum)
        })
    };
    let old = event.is_update.then(|| values(data.tg_trigtuple));
    let row = values(new);
    // SAFETY: the values are those of these columns.
    if !unsafe { columns.is_to_embed(old, row) } {
        return pg_sys::Datum::from(new);
    }
    let emb = embedding(columns, row).and_then(IntoDatum::into_datum);
    let (mut column, mut null) = (columns.emb.number, emb.is_none());
    let mut emb = emb.unwrap_or_else(pg_sys::Datum::null);
    // SAFETY: replaces one column of the relation, with a value of its type, in a copy of the row.
    unsafe {
        if columns.emb.type_oid != columns.emb.base_type {
            // What a trigger sets is not checked again.
            pg_sys::domain_check(emb, null, columns.emb.type_oid, std::ptr::null_mut(), std::ptr::null_mut());
        }
        let row = pg_sys::heap_modify_tuple_by_cols(
            new,
            event.descriptor(),
            1,
            &raw mut column,
            &raw mut emb,
            &raw mut null,
        );
        pg_sys::Datum::from(row)
    }
}

/// The embedding of a row's image; `None` if it has none.
fn embedding(columns: &TriggerColumns, row: RowValues) -> Option<CoopVec<'static>> {
    let image = row.image?;
    // SAFETY: a value of a column of type box, which is passed by reference.
    let area = row.crop.map(|area| unsafe { *area.cast_mut_ptr::<pg_sys::BOX>() });
    let crop = area.map(crop_box).transpose().or_report();
    let embed_bytes = |bytes: &[u8]| embed(bytes, crop, columns.model.as_deref());
    let embedded = match columns.image.base_type {
        pg_sys::OIDOID => with_large_object(image, embed_bytes),
        // SAFETY: a bytea, and so a varlena.
        _ => unsafe { with_bytes(image, embed_bytes) },
    };
    let embedded = embedded.or_report();
    check_dimensions(embedded.layout(), columns.emb.modifier).or_report();
    Some(embedded.into())
}

/// Calls `f` with the bytes of a large object, which the caller must be allowed to read. It may have been made by the same statement, so
/// lo_get() runs as a statement of its own, which sees that.
fn with_large_object<T>(oid: pg_sys::Datum, f: impl Fn(&[u8]) -> Result<T>) -> Result<T> {
    // SAFETY: closed again below; if an error comes first, the end of the transaction closes it.
    unsafe { pg_sys::SPI_connect() };
    let select = PreparedStatement::new("SELECT pg_catalog.lo_get($1)", &[pg_sys::OIDOID]);
    let results = select.run(&[oid], |row| row.with_bytes(1, &f));
    // SAFETY: SPI was connected above, and what `f` returns owns its memory.
    unsafe { pg_sys::SPI_finish() };
    results.into_iter().next().unwrap_or_else(|| f(&[]))
}
