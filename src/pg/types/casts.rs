//! Casts of embeddings and queries to arrays and `jsonb`. `sql/current/casts.sql` declares them, and those from arrays, which are
//! `coop_vector()`.

use crate::pg::fmgr::fmgr_functions;
use crate::pg::text::opaque_jsonb;
use crate::pg::{CoopQuery, CoopVec};
use crate::space::{EmbeddingJson, QueryJson};
use pgrx::prelude::*;

pgrx::extension_sql_file!("../../../sql/current/casts.sql", name = "casts", requires = ["queries"]);

#[pg_extern(sql = false)]
fn coopvec_to_float4_array(e: CoopVec<'_>) -> Vec<f32> {
    e.view().to_f32()
}

#[pg_extern(sql = false)]
fn coopvec_to_float8_array(e: CoopVec<'_>) -> Vec<f64> {
    e.view().values.iter().map(|v| v.to_f64()).collect()
}

fmgr_functions! {
    /// The numbers of an embedding as a JSON array.
    fn coopvec_to_jsonb(call) {
        // SAFETY: declared STRICT with a coopvec.
        let e = unsafe { CoopVec::from_raw(call.arg(0)) };
        opaque_jsonb(&EmbeddingJson(e.view()).to_string()).unwrap_or_else(|| call.null())
    }

    /// A query as a JSON object.
    fn coopquery_to_jsonb(call) {
        // SAFETY: declared STRICT with a coopquery.
        let q = unsafe { CoopQuery::from_raw(call.arg(0)) };
        opaque_jsonb(&QueryJson(q.view()).to_string()).unwrap_or_else(|| call.null())
    }
}
