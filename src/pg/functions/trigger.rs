//! `coop_embed_trigger`: keeps new and changed rows embedded.

use super::embed::embed;
use crate::error::{Error, Kind, Result};
use crate::pg::encoding;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::{CoopVec, OrReport};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;

extension_sql_file!("../../../sql/current/trigger.sql", name = "trigger", requires = ["types"]);

const USAGE: &str = "CREATE TRIGGER ... BEFORE INSERT OR UPDATE ON ... FOR EACH ROW EXECUTE FUNCTION \
                     coop_embed_trigger('image_column', 'emb_column' [, 'model']).";

fmgr_functions! {
    /// The trigger's function: the new row with the embedding of its picture.
    fn coop_embed_trigger(call) {
        let firing = firing(call).or_report();
        // SAFETY: a firing's tuples are those of its relation, whose columns have been checked.
        unsafe { firing.row() }
    }
}

/// A trigger that fired as it should: for a row, before it is written.
struct Firing {
    /// Null on INSERT.
    old: pg_sys::HeapTuple,
    new: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    image: i32,
    emb: i32,
    model: Option<String>,
}

fn firing(call: Call) -> Result<Firing> {
    // SAFETY: the context of a call by the trigger manager is its record of the event, which lives as long as the call.
    let (data, trigger) = unsafe {
        let context = (*call.0).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(wrong("coop_embed_trigger must be called as a trigger"));
        }
        let data = &*context.cast::<pg_sys::TriggerData>();
        (data, &*data.tg_trigger)
    };
    let has = |mask, value| data.tg_event & mask == value;
    let update = has(pg_sys::TRIGGER_EVENT_OPMASK, pg_sys::TRIGGER_EVENT_UPDATE);
    let in_time = has(pg_sys::TRIGGER_EVENT_ROW, pg_sys::TRIGGER_EVENT_ROW)
        && has(pg_sys::TRIGGER_EVENT_TIMINGMASK, pg_sys::TRIGGER_EVENT_BEFORE)
        && (update || has(pg_sys::TRIGGER_EVENT_OPMASK, pg_sys::TRIGGER_EVENT_INSERT));
    if !in_time {
        return Err(wrong("coop_embed_trigger must be fired for each row, before INSERT or UPDATE"));
    }
    let arguments: Vec<&CStr> = (0..usize::from(trigger.tgnargs.unsigned_abs()))
        // SAFETY: there are as many C strings, which live as long as the call.
        .map(|i| unsafe { CStr::from_ptr(*trigger.tgargs.add(i)) })
        .collect();
    let (image, emb, model) = match arguments.as_slice() {
        [image, emb] => (*image, *emb, None),
        [image, emb, model] => (*image, *emb, Some(encoding::from_server(model.to_bytes())?.into_owned())),
        _ => {
            return Err(wrong("coop_embed_trigger takes the names of two columns and, perhaps, of a model")
                .detail(format!("Found {} arguments.", arguments.len())))
        }
    };
    // SAFETY: the relation is open during the call.
    let (relation, descriptor) = unsafe { ((*data.tg_relation).rd_id, (*data.tg_relation).rd_att) };
    // SAFETY: the call's record of its function, and a lookup of the function's schema.
    let types = unsafe { pg_sys::get_func_namespace((*(*call.0).flinfo).fn_oid) };
    Ok(Firing {
        old: if update { data.tg_trigtuple } else { std::ptr::null_mut() },
        new: if update { data.tg_newtuple } else { data.tg_trigtuple },
        descriptor,
        image: column(relation, descriptor, image, pg_sys::BYTEAOID, "images", "bytea")?,
        emb: column(relation, descriptor, emb, coopvec(types), "embeddings", "coopvec")?,
        model,
    })
}

impl Firing {
    /// # Safety
    /// The columns must have been checked against the relation.
    unsafe fn row(&self) -> pg_sys::Datum {
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
                // SAFETY: two values of a bytea column.
                (Some(old), Some(new)) => unsafe { same_bytes(old, new) },
                _ => false,
            };
            if unchanged {
                return pg_sys::Datum::from(self.new);
            }
        }
        let emb = image.and_then(|image| {
            // SAFETY: a value of a bytea column.
            let bytes = unsafe { pgrx::varlena::varlena_to_byte_slice(flat(image)) };
            CoopVec::from(embed(bytes, self.model.as_deref()).or_report()).into_datum()
        });
        let (mut column, mut null) = (self.emb, emb.is_none());
        let mut emb = emb.unwrap_or_else(pg_sys::Datum::null);
        // SAFETY: one column of the relation, with a value of its type.
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

/// Whether two values are the same picture. One that an UPDATE left alone is so to the bit, wherever it lies.
///
/// # Safety
/// They must be varlenas.
unsafe fn same_bytes(a: pg_sys::Datum, b: pg_sys::Datum) -> bool {
    // SAFETY: passed on.
    unsafe {
        let stored = |datum: pg_sys::Datum| {
            let p = datum.cast_mut_ptr::<pg_sys::varlena>();
            std::slice::from_raw_parts(p.cast::<u8>(), pgrx::varlena::varsize_any(p))
        };
        if stored(a) == stored(b) {
            return true;
        }
        pg_sys::toast_raw_datum_size(a) == pg_sys::toast_raw_datum_size(b)
            && pgrx::varlena::varlena_to_byte_slice(flat(a)) == pgrx::varlena::varlena_to_byte_slice(flat(b))
    }
}

/// # Safety
/// The datum must be a varlena.
unsafe fn flat(datum: pg_sys::Datum) -> *const pg_sys::varlena {
    // SAFETY: passed on. A copy goes with the memory of the row.
    unsafe { pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()) }
}

/// The number of a column that holds `what`.
fn column(
    relation: pg_sys::Oid,
    descriptor: pg_sys::TupleDesc,
    name: &CStr,
    expected: pg_sys::Oid,
    what: &str,
    type_name: &str,
) -> Result<i32> {
    // SAFETY: names are C strings, the descriptor is that of an open relation.
    let (number, found, table) = unsafe {
        let number = pg_sys::SPI_fnumber(descriptor, name.as_ptr());
        let found = if number > 0 { pg_sys::SPI_gettypeid(descriptor, number) } else { pg_sys::InvalidOid };
        (number, found, encoding::name(pg_sys::get_rel_name(relation)))
    };
    let name = encoding::from_server(name.to_bytes())?;
    if number <= 0 {
        let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
        return Err(Error::new(Kind::UnknownName, message).hint(USAGE));
    }
    // SAFETY: lookups by oid.
    if unsafe { pg_sys::getBaseType(found) } == expected {
        return Ok(number);
    }
    // SAFETY: as above.
    let found = unsafe { encoding::name(pg_sys::format_type_be(found)) };
    let message = format!("column \"{name}\" of relation \"{table}\" does not contain {what}");
    Err(Error::new(Kind::Mismatch, message)
        .detail(format!("Its type is {found}, expected {type_name}."))
        .hint(USAGE))
}

/// The type `coopvec` of the schema in which the extension's functions are.
fn coopvec(schema: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a lookup by name and schema.
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

fn wrong(message: &str) -> Error {
    Error::new(Kind::InvalidParameter, message).hint(USAGE)
}
