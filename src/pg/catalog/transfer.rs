//! A model's weights in parts, because a value of `bytea` has at most 1 GB and takes its size in memory several times: the functions that
//! `coopembed load` and `coopembed dump-model` call over a connection.
//!
//! Staged parts are rows of `coopembed.model_weights` under a name that no model can have. [`load_staged`] gives them the model's name, so they
//! are written once. All happens in the client's transaction: if it ends early, nothing is left.

use super::change::{check_name, with_latest_snapshot};
use super::load_model::{load, Weights, PART_BYTES};
use super::lookup::{weights_of, weights_part};
use super::owner::execute_as_owner;
use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::pg::{OrReport, Text};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Keeps part number `part` (from 1) of a model's weights. Part 1 begins anew.
#[pg_extern(sql = false)]
fn stage_weights(part: i32, bytes: &[u8]) {
    stage(part, bytes).or_report()
}

fn stage(part: i32, bytes: &[u8]) -> Result<()> {
    if part < 1 || bytes.len() > PART_BYTES {
        return Err(Error::new(Kind::InvalidParameter, "not a part of a model's weights").detail(format!(
            "Found part {part} of {} bytes; parts count from 1 and have at most {PART_BYTES} bytes.",
            bytes.len()
        )));
    }
    if part == 1 {
        unstage()?;
    }
    let sql = "INSERT INTO coopembed.model_weights (model, part, bytes) VALUES ($1, $2, $3)";
    execute_as_owner(sql, &[Text::from(staging_name()).into(), part.into(), bytes.into()])
}

fn unstage() -> Result<()> {
    let sql = "DELETE FROM coopembed.model_weights WHERE model OPERATOR(pg_catalog.=) $1";
    execute_as_owner(sql, &[Text::from(staging_name()).into()])
}

/// The name of this session's staged parts. No model has it, as names have no control characters.
fn staging_name() -> String {
    // SAFETY: reads this process's own number.
    format!("\u{1}{}", unsafe { pg_sys::MyProcPid })
}

/// Loads a model from its config and the parts that this transaction has staged. With `replace` it takes the place of a model of that name.
#[pg_extern(sql = false)]
fn load_staged(name: Text<'_>, config: Text<'_>, replace: bool) -> Text<'static> {
    check_name("a model", &name).or_report();
    let staged_as = staging_name();
    // The same statement may have staged them.
    let weights = with_latest_snapshot(|| weights_of(&staged_as)).or_report().unwrap_or_default();
    let fingerprint = load(&name, &config, Weights::Staged(&weights, &staged_as), replace).or_report();
    // They are still there if the same model was loaded already.
    unstage().or_report();
    fingerprint.into()
}

/// Part number `part` (from 1) of a model's weights; null past the last. As they are written, parts need not be of one size.
#[pg_extern(sql = false)]
fn model_part(model: Text<'_>, part: i32) -> Option<Vec<u8>> {
    weights_part(&model, part, memory::copied).transpose().or_report()
}
