//! Stored neighbour graphs: the list of them, `coopembed.knn_graphs`, with who may add to it and remove from it, and what builds them needs in
//! Rust. The graphs themselves are tables that `sql/current/knn.sql` builds, with the privileges of whoever calls `coop_build_knn()`.

use crate::error::{Error, Kind, Result};
use crate::pg::catalog::execute_as_owner;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::{compat, CoopQuery, CoopVec, OrReport};
use crate::space::{distance, EmbeddingRef};
use pgrx::datum::{Array, DatumWithOid};
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;
use sha2::{Digest, Sha256};

extension_sql_file!("../../../sql/current/knn.sql", name = "knn", requires = ["retrieval", "queries"]);

fmgr_functions! {
    /// The first 128 bits of the SHA-256 of an embedding: of its model's fingerprint, its shape and its numbers. A stored graph keeps it
    /// for each row, to notice when the row's embedding changes.
    fn coop_digest(call) {
        // SAFETY: declared STRICT with a coopvec, which lives as long as the call.
        let embedding = unsafe { CoopVec::from_raw(call.arg(0)) };
        match digest(embedding.view()).as_slice().into_datum() {
            Some(digest) => digest,
            None => call.null(),
        }
    }

    /// Adds a graph to the list: `(graph regclass, relation regclass, id_column name, emb_column name, k integer, attribute text)`.
    fn coop_knn_add_graph(call) {
        const TYPES: [Oid; 6] = [
            pg_sys::REGCLASSOID, pg_sys::REGCLASSOID, pg_sys::NAMEOID, pg_sys::NAMEOID, pg_sys::INT4OID, pg_sys::TEXTOID,
        ];
        // SAFETY: sql/current/knn.sql declares the function with arguments of these types.
        let (graph, row) = unsafe { (call.nullable_arg(0), arguments(call, &TYPES)) };
        check_own_table(graph.map_or(pg_sys::InvalidOid, |graph| Oid::from(graph.value() as u32))).or_report();
        execute_as_owner("INSERT INTO coopembed.knn_graphs VALUES ($1, $2, $3, $4, $5, $6)", &row).or_report();
        pg_sys::Datum::null()
    }

    /// Removes from the list all graphs that were dropped, and the caller's graphs of tables that were dropped. No arguments.
    fn coop_knn_remove_gone(_call) {
        // SAFETY: reads the current user; an oid is passed by value as a datum of type oid.
        let caller = unsafe { DatumWithOid::new(pg_sys::GetUserId(), pg_sys::OIDOID) };
        execute_as_owner(
            "DELETE FROM coopembed.knn_graphs g
             WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) g.graph::pg_catalog.oid)
             OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) g.relation::pg_catalog.oid)
                AND (SELECT pg_catalog.pg_has_role($1, c.relowner, 'USAGE') FROM pg_catalog.pg_class c
                    WHERE c.oid OPERATOR(pg_catalog.=) g.graph::pg_catalog.oid)",
            &[caller],
        )
        .or_report();
        pg_sys::Datum::null()
    }
}

/// See `coop_digest`. PostgreSQL's own sha256() would take four times as long, because it copies its argument and looks the algorithm up in
/// OpenSSL each time; and a path through a stored graph needs the digest of every row.
fn digest(embedding: EmbeddingRef<'_>) -> [u8; 16] {
    let (layout, values) = (embedding.layout, embedding.values);
    // SAFETY: half-precision numbers have no padding, so all bytes of the slice are initialised.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
    let shape = [layout.fingerprint(), layout.subspaces() as u32, layout.subspace_dim() as u32];
    let mut sha = Sha256::new();
    shape.iter().for_each(|number| sha.update(number.to_le_bytes()));
    sha.update(bytes);
    let mut digest = [0; 16];
    digest.copy_from_slice(&sha.finalize()[..16]);
    digest
}

/// Whether the embedding's distance to any of `targets` is less than `within`.
#[pg_extern(sql = false)]
fn coop_any_nearer(embedding: CoopVec<'_>, targets: Array<'_, CoopQuery<'_>>, within: f64) -> bool {
    let embedding = embedding.view();
    targets.iter().flatten().any(|target| distance(embedding, target.view()).or_report() < within)
}

/// The arguments of a call as parameters of a statement.
///
/// # Safety
/// The function must be declared with arguments of these types.
unsafe fn arguments(call: Call, types: &[Oid]) -> Vec<DatumWithOid<'static>> {
    let argument = |(i, of): (usize, &Oid)| {
        // SAFETY: the caller promises that argument `i` exists. Its value lives at least as long as the call, and so as the statement.
        match unsafe { call.nullable_arg(i) } {
            // SAFETY: the caller promises that the argument is of this type.
            Some(value) => unsafe { DatumWithOid::new(value, *of) },
            None => DatumWithOid::null_oid(*of),
        }
    };
    types.iter().enumerate().map(argument).collect()
}

/// Fails unless a graph is an ordinary table that belongs to the caller.
fn check_own_table(graph: Oid) -> Result<()> {
    // SAFETY: lookups in the system caches by oid. The name is a C string, or null if there is no such table, which
    // aclcheck_error accepts.
    unsafe {
        if pg_sys::get_rel_relkind(graph) as u8 != pg_sys::RELKIND_RELATION {
            return Err(Error::new(Kind::InvalidParameter, "a neighbour graph must be an ordinary table"));
        }
        if !compat::owns_relation(graph, pg_sys::GetUserId()) {
            let kind = pg_sys::ObjectType::OBJECT_TABLE;
            pg_sys::aclcheck_error(pg_sys::AclResult::ACLCHECK_NOT_OWNER, kind, pg_sys::get_rel_name(graph));
        }
    }
    Ok(())
}
