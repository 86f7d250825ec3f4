//! The arguments of `coop_embed_trigger()`: columns of the table, and options.

use super::{same_bytes, usage_error, Level, TriggerEvent, USAGE};
use crate::error::{Error, Kind, Result};
use crate::pg::{encoding, statement, text};
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

const OPTIONS: [&str; 3] = ["model", "box_column", "keep_given"];

/// The columns that a trigger reads and writes, and its options.
pub struct TriggerColumns {
    pub image: Column,
    pub emb: Column,
    pub crop: Option<Column>,
    /// The named model; `None` is the default one.
    pub model: Option<String>,
    /// Whether an embedding that was given with a new image is kept.
    pub keep_given: bool,
}

/// A column of the trigger's table.
pub struct Column {
    pub name: String,
    /// Columns count from 1.
    pub number: i32,
    pub type_oid: pg_sys::Oid,
    /// The type under the domain `type_oid`, or the same type.
    pub base_type: pg_sys::Oid,
    /// The type modifier of the column, or of the type under its domain.
    pub modifier: i32,
}

/// The values of a row's columns; `None` is null.
#[derive(Clone, Copy)]
pub struct RowValues {
    pub image: Option<pg_sys::Datum>,
    pub emb: Option<pg_sys::Datum>,
    pub crop: Option<pg_sys::Datum>,
}

impl TriggerColumns {
    /// Checks the trigger's arguments against its table.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for arguments that it does not take, [`Kind::UnknownName`] for columns and options that do not exist,
    /// [`Kind::Mismatch`] for columns of other types, [`Kind::Unsupported`] for columns that have no value yet.
    pub fn of(event: &TriggerEvent<'_>) -> Result<Self> {
        // SAFETY: the trigger's description lives as long as the call; `tgargs` has `tgnargs` C strings.
        let arguments: Vec<&CStr> = unsafe {
            let trigger = &*event.data.tg_trigger;
            (0..usize::from(trigger.tgnargs.unsigned_abs()))
                .map(|i| CStr::from_ptr(*trigger.tgargs.add(i)))
                .collect()
        };
        let arguments: Vec<String> = arguments
            .iter()
            .map(|a| Ok(encoding::from_server(a.to_bytes())?.into_owned()))
            .collect::<Result<_>>()?;
        let [image, emb, options @ ..] = arguments.as_slice() else {
            return Err(usage_error("coop_embed_trigger takes the names of two columns, and options")
                .detail(format!("Found {} arguments.", arguments.len())));
        };
        let (mut model, mut crop, mut keep_given) = (None, None, false);
        for (i, argument) in options.iter().enumerate() {
            match argument.split_once('=') {
                Some(("model", name)) => model = Some(name.to_owned()),
                Some(("box_column", name)) => crop = Some(name),
                Some(("keep_given", value)) => keep_given = boolean(value)?,
                _ if i == 0 => model = Some(argument.clone()),
                _ => {
                    let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
                    let error = Error::unknown("option", name, OPTIONS);
                    return Err(error.detail(format!(
                        "coop_embed_trigger has the argument \"{argument}\", expected option=value."
                    )));
                }
            }
        }
        let columns = Self {
            image: column(
                event,
                image,
                &[pg_sys::BYTEAOID, pg_sys::OIDOID],
                "images",
                "bytea, or oid for large objects",
            )?,
            emb: column(event, emb, &[event.coopvec], "embeddings", "coopvec")?,
            crop: crop.map(|name| column(event, name, &[pg_sys::BOXOID], "crop boxes", "box")).transpose()?,
            model,
            keep_given,
        };
        columns.check_generated(event)?;
        Ok(columns)
    }

    /// An error for a generated column whose value is not known when the trigger fires.
    fn check_generated(&self, event: &TriggerEvent<'_>) -> Result<()> {
        for column in [&self.image].into_iter().chain(&self.crop) {
            // SAFETY: a lookup in the catalogue.
            let generated =
                unsafe { pg_sys::get_attgenerated(event.relation(), column.number as pg_sys::AttrNumber) }
                    as u8;
            let hint = match (generated, event.level) {
                (0, _) | (b's', Level::Statement) => continue,
                (b's', Level::Row) => {
                    "Use a trigger AFTER INSERT ... REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT."
                }
                _ => "Make it a stored generated column.",
            };
            let message =
                format!("column \"{}\" is generated, and has no value when this trigger fires", column.name);
            return Err(Error::new(Kind::Unsupported, message).hint(hint));
        }
        Ok(())
    }

    /// The values of a row. `value` returns that of the column of a number.
    pub fn values(&self, mut value: impl FnMut(i32) -> Option<pg_sys::Datum>) -> RowValues {
        RowValues {
            image: value(self.image.number),
            emb: value(self.emb.number),
            crop: self.crop.as_ref().and_then(|crop| value(crop.number)),
        }
    }

    /// Whether the trigger has to set the embedding of a row. `old` is the row before an UPDATE, `None` if it is new.
    ///
    /// # Safety
    /// The values must be those of these columns.
    pub unsafe fn is_to_embed(&self, old: Option<RowValues>, new: RowValues) -> bool {
        // SAFETY: the caller promises values of the columns, whose types were checked: images are varlenas or oids, embeddings varlenas,
        // boxes references to a BOX.
        unsafe {
            let Some(old) = old else {
                // What COPY brings along is kept in any case: a restore of data alone gets what was dumped, and needs no model.
                return new.emb.is_none() || !(self.keep_given || statement::is_copy_from());
            };
            let same_image = both(old.image, new.image, |a, b| match self.image.base_type {
                pg_sys::OIDOID => a == b,
                _ => same_bytes(a, b),
            });
            let same_box = both(old.crop, new.crop, |a, b| {
                let bits = |p: pg_sys::Datum| *p.cast_mut_ptr::<[u64; 4]>();
                bits(a) == bits(b)
            });
            if same_image && same_box {
                return false;
            }
            let is_given = || new.emb.is_some() && !both(old.emb, new.emb, |a, b| same_bytes(a, b));
            !(self.keep_given && is_given())
        }
    }
}

/// Whether both are null, or neither is and they are the `same`.
fn both(
    a: Option<pg_sys::Datum>,
    b: Option<pg_sys::Datum>,
    same: impl FnOnce(pg_sys::Datum, pg_sys::Datum) -> bool,
) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}

/// The value of the option `keep_given`.
fn boolean(value: &str) -> Result<bool> {
    let mut parsed = false;
    let text = CString::new(value).unwrap_or_default();
    // SAFETY: the text and the result live during the call.
    match unsafe { pg_sys::parse_bool(text.as_ptr(), &mut parsed) } {
        true => Ok(parsed),
        false => Err(usage_error("the option keep_given of coop_embed_trigger is on or off")
            .detail(format!("Found \"{value}\"."))),
    }
}

/// The column `name`, whose type, or the type under its domain, has to be one of `types`, which `type_names` describes. `what` says in the
/// error what the column should contain.
fn column(
    event: &TriggerEvent<'_>,
    name: &str,
    types: &[pg_sys::Oid],
    what: &str,
    type_names: &str,
) -> Result<Column> {
    let c_name = CString::new(encoding::to_server(name)?).unwrap_or_default();
    // SAFETY: the name is a C string, and the descriptor that of an open relation. `get_rel_name` returns a copy.
    let (number, type_oid, table) = unsafe {
        let descriptor = event.descriptor();
        let number = pg_sys::SPI_fnumber(descriptor, c_name.as_ptr());
        let found = if number > 0 { pg_sys::SPI_gettypeid(descriptor, number) } else { pg_sys::InvalidOid };
        (number, found, text::catalog_name(pg_sys::get_rel_name(event.relation())))
    };
    if number <= 0 {
        let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
        return Err(Error::new(Kind::UnknownName, message).hint(USAGE));
    }
    let (mut declared, mut modifier, mut collation) = (type_oid, -1, pg_sys::InvalidOid);
    // SAFETY: lookups of a column that exists, and of its type.
    let base_type = unsafe {
        let (table, number) = (event.relation(), number as pg_sys::AttrNumber);
        pg_sys::get_atttypetypmodcoll(
            table,
            number,
            &raw mut declared,
            &raw mut modifier,
            &raw mut collation,
        );
        pg_sys::getBaseTypeAndTypmod(type_oid, &raw mut modifier)
    };
    if types.contains(&base_type) {
        return Ok(Column { name: name.to_owned(), number, type_oid, base_type, modifier });
    }
    // SAFETY: the name of a type, looked up by oid, as a new C string.
    let found = unsafe { text::catalog_name(pg_sys::format_type_be(type_oid)) };
    let message = format!("column \"{name}\" of relation \"{table}\" does not contain {what}");
    Err(Error::new(Kind::Mismatch, message)
        .detail(format!("Its type is {found}, expected {type_names}."))
        .hint(USAGE))
}
