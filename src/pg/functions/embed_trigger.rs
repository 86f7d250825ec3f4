//! `coop_embed_trigger()`: embeds the image of a new or changed row before the row is written. `sql/current/embed_trigger.sql` declares it.

use super::embed::embed;
use crate::error::{Error, Kind, Result};
use crate::pg::encoding;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::{statement, text, CoopVec, OrReport};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;

extension_sql_file!("../../../sql/current/embed_trigger.sql", name = "embed_trigger", requires = ["types"]);

const USAGE: &str = "CREATE TRIGGER ... BEFORE INSERT OR UPDATE ON ... FOR EACH ROW EXECUTE FUNCTION \
                     coop_embed_trigger('image_column', 'emb_column' [, 'model']).";

fmgr_functions! {
    /// Returns the new row, with the embedding of its image.
    fn coop_embed_trigger(call) {
        let event = trigger_event(call).or_report();
        // SAFETY: the event's tuples are those of its relation, against which `trigger_event` has checked the columns.
        unsafe { event.embedded_row() }
    }
}

/// The event that fired the trigger, and the trigger's arguments.
struct TriggerEvent {
    /// The row before the UPDATE; null on INSERT.
    old: pg_sys::HeapTuple,
    new: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    /// Number of the image's column, of type bytea; columns count from 1.
    image: i32,
    /// Number of the embedding's column, of type coopvec.
    emb: i32,
    model: Option<String>,
}

/// Checks the call: a trigger FOR EACH ROW, BEFORE INSERT or UPDATE, with columns that exist and have the right types.
fn trigger_event(call: Call) -> Result<TriggerEvent> {
    // SAFETY: the context of a call by the trigger manager is a TriggerData, which its tag says, and which lives as long as the call.
    let (data, trigger) = unsafe {
        let context = (*call.0).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(usage_error("coop_embed_trigger must be called as a trigger"));
        }
        let data = &*context.cast::<pg_sys::TriggerData>();
        (data, &*data.tg_trigger)
    };
    let has = |mask, value| data.tg_event & mask == value;
    let update = has(pg_sys::TRIGGER_EVENT_OPMASK, pg_sys::TRIGGER_EVENT_UPDATE);
    let before_row = has(pg_sys::TRIGGER_EVENT_ROW, pg_sys::TRIGGER_EVENT_ROW)
        && has(pg_sys::TRIGGER_EVENT_TIMINGMASK, pg_sys::TRIGGER_EVENT_BEFORE)
        && (update || has(pg_sys::TRIGGER_EVENT_OPMASK, pg_sys::TRIGGER_EVENT_INSERT));
    if !before_row {
        return Err(usage_error("coop_embed_trigger must be fired for each row, before INSERT or UPDATE"));
    }
    let arguments: Vec<&CStr> = (0..usize::from(trigger.tgnargs.unsigned_abs()))
        // SAFETY: `tgargs` has `tgnargs` C strings, which live as long as the call.
        .map(|i| unsafe { CStr::from_ptr(*trigger.tgargs.add(i)) })
        .collect();
    let (image, emb, model) = match arguments.as_slice() {
        [image, emb] => (*image, *emb, None),
        [image, emb, model] => (*image, *emb, Some(encoding::from_server(model.to_bytes())?.into_owned())),
        _ => {
            return Err(usage_error(
                "coop_embed_trigger takes the names of two columns and, optionally, of a model",
            )
            .detail(format!("Found {} arguments.", arguments.len())))
        }
    };
    // SAFETY: the relation is open during the call.
    let (relation, descriptor) = unsafe { ((*data.tg_relation).rd_id, (*data.tg_relation).rd_att) };
    // SAFETY: `flinfo` describes the function that is called, whose schema is looked up by oid.
    let schema = unsafe { pg_sys::get_func_namespace((*(*call.0).flinfo).fn_oid) };
    Ok(TriggerEvent {
        old: if update { data.tg_trigtuple } else { std::ptr::null_mut() },
        new: if update { data.tg_newtuple } else { data.tg_trigtuple },
        descriptor,
        image: column(relation, descriptor, image, pg_sys::BYTEAOID, "images", "bytea")?,
        emb: column(relation, descriptor, emb, coopvec_type(schema), "embeddings", "coopvec")?,
        model,
    })
}

impl TriggerEvent {
    /// The new row with its embedding. It is the row as it is if an UPDATE has not changed the image, or if COPY brings an embedding along: a
    /// restore of data alone gets what was dumped, and needs no model.
    ///
    /// # Safety
    /// The columns must have been checked against the relation.
    unsafe fn embedded_row(&self) -> pg_sys::Datum {
        let value = |tuple, column| {
            let mut null = false;
            // SAFETY: a tuple of this relation and one of its columns.
            let datum = unsafe { pg_sys::SPI_getbinval(tuple, self.descriptor, column, &mut null) };
            (!null).then_some(datum)
        };
        let image = value(self.new, self.image);
        if !self.old.is_null() {
            let unchanged = match (value(self.old, self.image), image) {
                (None, None) => true,
                // SAFETY: both are values of a bytea column, and so varlenas.
                (Some(old), Some(new)) => unsafe { same_bytes(old, new) },
                _ => false,
            };
            if unchanged {
                return pg_sys::Datum::from(self.new);
            }
        } else if statement::is_copy_from() && value(self.new, self.emb).is_some() {
            return pg_sys::Datum::from(self.new);
        }
        let emb = image.and_then(|image| {
            // SAFETY: a value of a bytea column, and so a varlena; it lives as long as the row.
            let bytes = unsafe { pgrx::varlena::varlena_to_byte_slice(detoasted(image)) };
            CoopVec::from(embed(bytes, self.model.as_deref()).or_report()).into_datum()
        });
        let (mut column, mut null) = (self.emb, emb.is_none());
        let mut emb = emb.unwrap_or_else(pg_sys::Datum::null);
        // SAFETY: replaces one column of the relation, with a value of its type, in a copy of the row.
        unsafe {
            let row = pg_sys::heap_modify_tuple_by_cols(
                self.new,
                self.descriptor,
                1,
                &raw mut column,
                &raw mut emb,
                &raw mut null,
            );
            pg_sys::Datum::from(row)
        }
    }
}

/// Whether two values have the same bytes. It first compares them as they are stored: a value that an UPDATE has not changed is the same
/// even there, compressed or out of line, so it need not be read.
///
/// # Safety
/// They must be varlenas.
unsafe fn same_bytes(a: pg_sys::Datum, b: pg_sys::Datum) -> bool {
    // SAFETY: the caller promises two varlenas; a varlena has as many bytes as its header says.
    unsafe {
        let stored = |datum: pg_sys::Datum| {
            let p = datum.cast_mut_ptr::<pg_sys::varlena>();
            std::slice::from_raw_parts(p.cast::<u8>(), pgrx::varlena::varsize_any(p))
        };
        if stored(a) == stored(b) {
            return true;
        }
        pg_sys::toast_raw_datum_size(a) == pg_sys::toast_raw_datum_size(b)
            && pgrx::varlena::varlena_to_byte_slice(detoasted(a))
                == pgrx::varlena::varlena_to_byte_slice(detoasted(b))
    }
}

/// A value that is neither compressed nor stored out of line. A copy, if one is needed, is freed with the memory of the row.
///
/// # Safety
/// The datum must be a varlena.
unsafe fn detoasted(datum: pg_sys::Datum) -> *const pg_sys::varlena {
    // SAFETY: the caller promises a varlena.
    unsafe { pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()) }
}

/// The number of the column `name`, which has to be of type `expected`. `what` says in the error what the column should contain.
fn column(
    relation: pg_sys::Oid,
    descriptor: pg_sys::TupleDesc,
    name: &CStr,
    expected: pg_sys::Oid,
    what: &str,
    type_name: &str,
) -> Result<i32> {
    // SAFETY: the name is a C string, and the descriptor that of an open relation. `get_rel_name` returns a copy.
    let (number, found, table) = unsafe {
        let number = pg_sys::SPI_fnumber(descriptor, name.as_ptr());
        let found = if number > 0 { pg_sys::SPI_gettypeid(descriptor, number) } else { pg_sys::InvalidOid };
        (number, found, text::catalog_name(pg_sys::get_rel_name(relation)))
    };
    let name = encoding::from_server(name.to_bytes())?;
    if number <= 0 {
        let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
        return Err(Error::new(Kind::UnknownName, message).hint(USAGE));
    }
    // SAFETY: a lookup of a type by oid.
    if unsafe { pg_sys::getBaseType(found) } == expected {
        return Ok(number);
    }
    // SAFETY: the name of a type, looked up by oid, as a new C string.
    let found = unsafe { text::catalog_name(pg_sys::format_type_be(found)) };
    let message = format!("column \"{name}\" of relation \"{table}\" does not contain {what}");
    Err(Error::new(Kind::Mismatch, message)
        .detail(format!("Its type is {found}, expected {type_name}."))
        .hint(USAGE))
}

/// The type `coopvec` of the schema in which the extension's functions are.
fn coopvec_type(schema: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a lookup in a system cache whose two keys are a name (a C string that lives during the call) and a schema's oid.
    unsafe {
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            pg_sys::Anum_pg_type_oid as pg_sys::AttrNumber,
            pg_sys::Datum::from(c"coopvec".as_ptr()),
            pg_sys::Datum::from(schema),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        )
    }
}

fn usage_error(message: &str) -> Error {
    Error::new(Kind::InvalidParameter, message).hint(USAGE)
}
