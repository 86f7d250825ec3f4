//! `coop_embed_trigger()`: keeps the rows of a table embedded. `sql/current/embed_trigger.sql` declares it. It is one function for two kinds
//! of triggers:
//!
//! - BEFORE, for each row (`row.rs`): embeds an image before its row is written, one image after the other;
//! - AFTER, for each statement (`statement.rs`): embeds the images of all rows that a statement wrote, several at the same time, and updates
//!   the rows. It does not see rows that were not written, such as those that ON CONFLICT DO NOTHING has left out.

mod arguments;
mod row;
mod statement;
mod transition_table;

use crate::error::{Error, Kind, Result};
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::spi_row::with_bytes;
use crate::pg::OrReport;
use arguments::TriggerColumns;
use pgrx::pg_sys;
use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/current/embed_trigger.sql",
    name = "embed_trigger",
    requires = ["types", "retrieval"]
);

const USAGE: &str = "CREATE TRIGGER ... BEFORE INSERT OR UPDATE ON ... FOR EACH ROW, or AFTER INSERT ON ... REFERENCING NEW TABLE AS \
                     new_rows FOR EACH STATEMENT, EXECUTE FUNCTION coop_embed_trigger('image_column', 'emb_column' [, 'model'] \
                     [, 'box_column=...'] [, 'keep_given=on']).";

fmgr_functions! {
    /// Returns the new row with the embedding of its image; or embeds the rows that a statement wrote, and returns nothing.
    fn coop_embed_trigger(call) {
        let event = TriggerEvent::of(call).or_report();
        let columns = TriggerColumns::of(&event).or_report();
        match event.level {
            // SAFETY: the event's tuples are those of its relation, against which the columns were checked.
            Level::Row => unsafe { row::embedded_row(&event, &columns) },
            Level::Statement => {
                statement::embed_rows(&event, &columns).or_report();
                pg_sys::Datum::null()
            }
        }
    }
}

/// What the trigger fires for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Each row, before it is written.
    Row,
    /// A statement, after all its rows were written, with their transition tables.
    Statement,
}

/// The event that fired the trigger. What it points to lives as long as the call.
struct TriggerEvent<'a> {
    data: &'a pg_sys::TriggerData,
    level: Level,
    /// Whether rows were updated; if not, they were inserted.
    is_update: bool,
    /// The type `coopvec`.
    coopvec: pg_sys::Oid,
}

impl TriggerEvent<'_> {
    /// Checks the call: a trigger BEFORE INSERT or UPDATE for each row, or AFTER either for each statement, with transition tables.
    fn of(call: Call) -> Result<Self> {
        // SAFETY: the context of a call by the trigger manager is a TriggerData, which its tag says, and which lives as long as the call.
        let data = unsafe {
            let context = (*call.0).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return Err(usage_error("coop_embed_trigger must be called as a trigger"));
            }
            &*context.cast::<pg_sys::TriggerData>()
        };
        let has = |mask, value| data.tg_event & mask == value;
        let is_update = has(pg_sys::TRIGGER_EVENT_OPMASK, pg_sys::TRIGGER_EVENT_UPDATE);
        let writes = is_update || has(pg_sys::TRIGGER_EVENT_OPMASK, pg_sys::TRIGGER_EVENT_INSERT);
        let for_row = has(pg_sys::TRIGGER_EVENT_ROW, pg_sys::TRIGGER_EVENT_ROW);
        let before = has(pg_sys::TRIGGER_EVENT_TIMINGMASK, pg_sys::TRIGGER_EVENT_BEFORE);
        let after = has(pg_sys::TRIGGER_EVENT_TIMINGMASK, pg_sys::TRIGGER_EVENT_AFTER);
        let level = match () {
            () if writes && for_row && before => Level::Row,
            () if writes && !for_row && after => Level::Statement,
            () => {
                return Err(usage_error(
                    "coop_embed_trigger must be fired for each row, before INSERT or UPDATE, or for each statement, after it",
                ))
            }
        };
        if level == Level::Statement
            && (data.tg_newtable.is_null() || (is_update && data.tg_oldtable.is_null()))
        {
            let tables = if is_update {
                "OLD TABLE AS old_rows NEW TABLE AS new_rows"
            } else {
                "NEW TABLE AS new_rows"
            };
            return Err(usage_error("coop_embed_trigger for each statement needs transition tables")
                .detail(format!("Expected REFERENCING {tables} in CREATE TRIGGER.")));
        }
        // SAFETY: `flinfo` describes the function that is called, whose schema is looked up by oid.
        let schema = unsafe { pg_sys::get_func_namespace((*(*call.0).flinfo).fn_oid) };
        Ok(Self { data, level, is_update, coopvec: coopvec_type(schema) })
    }

    fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the relation is open during the call.
        unsafe { (*self.data.tg_relation).rd_att }
    }

    fn relation(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open during the call.
        unsafe { (*self.data.tg_relation).rd_id }
    }
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
        stored(a) == stored(b)
            || pg_sys::toast_raw_datum_size(a) == pg_sys::toast_raw_datum_size(b)
                && with_bytes(a, |a| with_bytes(b, |b| a == b))
    }
}

fn usage_error(message: &str) -> Error {
    Error::new(Kind::InvalidParameter, message).hint(USAGE)
}
