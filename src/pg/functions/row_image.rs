//! The image of a row: how `coop_embed_table()` and `coop_embed_trigger()` read it in SQL.

use crate::error::{Error, Kind, Result};
use crate::inference::{EmbedRequest, Priority};
use crate::pg::catalog::ModelEntry;
use crate::pg::crop_box::crop_box;
use crate::pg::inference::embed_request::embed_request;
use crate::pg::spi_row::SpiRow;
use crate::pg::text;
use pgrx::pg_sys;

/// The names of a table's columns.
pub struct ImageColumns<'a> {
    /// Images: `bytea`, or the `oid` of a large object.
    pub image: &'a str,
    /// Embeddings.
    pub emb: &'a str,
    /// Crop boxes, if there are any.
    pub crop: Option<&'a str>,
}

impl ImageColumns<'_> {
    /// Two SQL expressions for rows of `t`: the image's bytes, which are null if its large object does not exist, and its crop box.
    /// `image_type` is the base type of the image's column.
    pub fn sql(&self, image_type: pg_sys::Oid) -> String {
        let image = pgrx::spi::quote_identifier(self.image);
        let bytes = match image_type {
            pg_sys::OIDOID => format!(
                "(SELECT pg_catalog.lo_get(m.oid) FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid OPERATOR(pg_catalog.=) t.{image})"
            ),
            _ => format!("t.{image}::pg_catalog.bytea"),
        };
        let crop =
            self.crop.map_or_else(|| "NULL".to_owned(), |c| format!("t.{}", pgrx::spi::quote_identifier(c)));
        format!("{bytes}, {crop}::pg_catalog.box")
    }
}

/// Prepares the image of a row whose columns `first` and `first + 1` are those of [`ImageColumns::sql`].
///
/// # Errors
/// Those of the image and its crop box.
pub fn row_request(row: &SpiRow, first: i32, model: &ModelEntry, priority: Priority) -> Result<EmbedRequest> {
    if row.datum(first).is_none() {
        return Err(Error::new(Kind::InvalidImage, "the large object of the image does not exist"));
    }
    let crop = row.get::<pg_sys::BOX>(first + 1).map(crop_box).transpose()?;
    row.with_bytes(first, |bytes| embed_request(bytes, crop, model, priority))
}

/// The error of a row whose image could not be embedded. `key` is how it is named, with `columns` of `table`.
pub fn row_error(columns: &str, key: &str, table: &str, error: Error) -> Error {
    let message = format!("row ({columns})=({key}) of {table} gets no embedding: {}", error.message);
    Error { message, ..error }
}

/// The name of an open relation for use in a statement: quoted and with its schema.
pub fn qualified_name(relation: &pg_sys::RelationData) -> String {
    // SAFETY: the relation is open, and its name is a C string. The schema's name is a copy, or null if the schema was dropped, which
    // `catalog_name` accepts.
    let (schema, name) = unsafe {
        let class = &*relation.rd_rel;
        (
            text::catalog_name(pg_sys::get_namespace_name(class.relnamespace)),
            text::catalog_name(class.relname.data.as_ptr()),
        )
    };
    // Quoting only looks at ASCII characters, which are the same bytes in UTF-8 and in the database's encoding.
    pgrx::spi::quote_qualified_identifier(schema, name)
}
