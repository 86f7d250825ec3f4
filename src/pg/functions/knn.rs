//! Stored graphs of nearest neighbours: the list of them, `coopembed.knn_graphs`, and who may add to it and remove from it; digests of
//! embeddings; and the test of an embedding against many targets. `sql/current/knn.sql` builds the graphs with the caller's rights.

use crate::error::{Error, Kind, Result};
use crate::pg::catalog::{failed, AsOwner};
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::{compat, CoopQuery, CoopVec, OrReport};
use crate::space::{distance, EmbeddingRef};
use pgrx::datum::{Array, DatumWithOid};
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;
use sha2::{Digest, Sha256};

extension_sql_file!("../../../sql/current/knn.sql", name = "knn", requires = ["retrieval", "queries"]);

fmgr_functions! {
    /// 128 bits of the SHA-256 of an embedding: its model's fingerprint and shape, and its numbers.
    fn coop_digest(call) {
        // SAFETY: declared STRICT with a coopvec.
        let embedding = unsafe { CoopVec::from_raw(call.arg(0)) };
        match digest(embedding.view()).as_slice().into_datum() {
            Some(digest) => digest,
            None => call.null(),
        }
    }

    /// `(graph regclass, relation regclass, id_column name, emb_column name, k integer, attribute text)`: adds a graph to the list.
    fn coop_knn_add_graph(call) {
        const TYPES: [Oid; 6] = [
            pg_sys::REGCLASSOID, pg_sys::REGCLASSOID, pg_sys::NAMEOID, pg_sys::NAMEOID, pg_sys::INT4OID, pg_sys::TEXTOID,
        ];
        // SAFETY: declared with these arguments.
        let (graph, row) = unsafe { (call.nullable_arg(0), arguments(call, &TYPES)) };
        check_own_table(graph.map_or(pg_sys::InvalidOid, |graph| Oid::from(graph.value() as u32))).or_report();
        run("INSERT INTO coopembed.knn_graphs VALUES ($1, $2, $3, $4, $5, $6)", &row).or_report();
        pg_sys::Datum::null()
    }

    /// `()`: takes out graphs that were dropped, and the caller's whose tables were.
    fn coop_knn_remove_gone(_call) {
        // SAFETY: reads a variable of this process; a plain value of its type.
        let caller = unsafe { DatumWithOid::new(pg_sys::GetUserId(), pg_sys::OIDOID) };
        run(
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

/// PostgreSQL's own sha256() copies its argument and asks OpenSSL for the algorithm each time, which takes four times as long;
/// a path through a stored graph makes a digest of every row.
fn digest(embedding: EmbeddingRef<'_>) -> [u8; 16] {
    let (layout, values) = (embedding.layout, embedding.values);
    // SAFETY: the bytes of a slice of plain numbers.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
    let shape = [layout.fingerprint(), layout.subspaces() as u32, layout.subspace_dim() as u32];
    let mut sha = Sha256::new();
    shape.iter().for_each(|number| sha.update(number.to_le_bytes()));
    sha.update(bytes);
    let mut digest = [0; 16];
    digest.copy_from_slice(&sha.finalize()[..16]);
    digest
}

/// Whether one of `targets` is nearer to the embedding than `distance`.
#[pg_extern(sql = false)]
fn coop_any_nearer(embedding: CoopVec<'_>, targets: Array<'_, CoopQuery<'_>>, within: f64) -> bool {
    let embedding = embedding.view();
    targets.iter().flatten().any(|target| distance(embedding, target.view()).or_report() < within)
}

/// # Safety
/// The function must be declared with arguments of these types.
unsafe fn arguments(call: Call, types: &[Oid]) -> Vec<DatumWithOid<'static>> {
    let argument = |(i, of): (usize, &Oid)| {
        // SAFETY: as promised; a value outlives the call that it is an argument of.
        match unsafe { call.nullable_arg(i) } {
            Some(value) => unsafe { DatumWithOid::new(value, *of) },
            None => DatumWithOid::null_oid(*of),
        }
    };
    types.iter().enumerate().map(argument).collect()
}

/// Graphs are ordinary tables, and their owner's to register.
fn check_own_table(graph: Oid) -> Result<()> {
    // SAFETY: looks the catalogue up; the error names the table, or shows that there is none.
    unsafe {
        if pg_sys::get_rel_relkind(graph) as u8 != pg_sys::RELKIND_RELATION {
            return Err(Error::new(
                Kind::InvalidParameter,
                "a graph of nearest neighbours must be an ordinary table",
            ));
        }
        if !compat::owns_relation(graph, pg_sys::GetUserId()) {
            let kind = pg_sys::ObjectType::OBJECT_TABLE;
            pg_sys::aclcheck_error(pg_sys::AclResult::ACLCHECK_NOT_OWNER, kind, pg_sys::get_rel_name(graph));
        }
    }
    Ok(())
}

/// Changes the list, as its owner.
fn run(sql: &str, arguments: &[DatumWithOid<'_>]) -> Result<()> {
    let _owner = AsOwner::enter();
    Spi::connect_mut(|client| client.update(sql, None, arguments).map(|_| ()).map_err(failed))
}
