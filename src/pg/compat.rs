//! Where PostgreSQL's own interface differs from version to version (14 to 18): the one place that asks which it is.

use pgrx::pg_sys;
use std::ffi::CStr;

/// Has settings `prefix.*` that nobody defined refused; on 14, they are warned of.
pub fn reserve_settings(prefix: &'static CStr) {
    // SAFETY: the name is a C string that lives for ever.
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(prefix.as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(prefix.as_ptr());
    }
}

/// A storage parameter that is a number, kept `offset` bytes from the start of an index's options.
pub fn int_option(name: &'static CStr, offset: usize) -> pg_sys::relopt_parse_elt {
    pg_sys::relopt_parse_elt {
        optname: name.as_ptr(),
        opttype: pg_sys::relopt_type::RELOPT_TYPE_INT,
        offset: offset as i32,
        // No field says whether it was given.
        #[cfg(feature = "pg18")]
        isset_offset: 0,
    }
}

/// Lets a slow VACUUM wait and an unwanted one end.
///
/// # Safety
/// For a call from VACUUM, with no page locked.
pub unsafe fn vacuum_delay_point() {
    // SAFETY: as promised.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::vacuum_delay_point();
        #[cfg(feature = "pg18")]
        pg_sys::vacuum_delay_point(false);
    }
}

/// The subtransaction that gave a relation the file it has now; 0 if that was in another transaction.
pub fn new_file(relation: &pg_sys::RelationData) -> pg_sys::SubTransactionId {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    return relation.rd_firstRelfilenodeSubid;
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    return relation.rd_firstRelfilelocatorSubid;
}

/// Pins a page of the main fork if it still is in the buffer where it was seen, and counts it as found, as ReadBuffer does (but for the view
/// `pg_stat_io`).
///
/// # Safety
/// `relation` must be open, its pages in shared buffers, and `buffer` the number of one.
pub unsafe fn read_recent(relation: pg_sys::Relation, block: u32, buffer: pg_sys::Buffer) -> bool {
    // SAFETY: as promised.
    unsafe {
        let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let found = pg_sys::ReadRecentBuffer((*relation).rd_node, fork, block, buffer);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let found = pg_sys::ReadRecentBuffer((*relation).rd_locator, fork, block, buffer);
        if found {
            // For EXPLAIN (BUFFERS); later versions do so themselves.
            #[cfg(feature = "pg14")]
            {
                pg_sys::pgBufferUsage.shared_blks_hit += 1;
            }
            if let Some(info) = (*relation).pgstat_info.as_mut() {
                #[cfg(any(feature = "pg14", feature = "pg15"))]
                let (read, hit) = (&mut info.t_counts.t_blocks_fetched, &mut info.t_counts.t_blocks_hit);
                #[cfg(not(any(feature = "pg14", feature = "pg15")))]
                let (read, hit) = (&mut info.counts.blocks_fetched, &mut info.counts.blocks_hit);
                *read += 1;
                *hit += 1;
            }
        }
        found
    }
}

/// Whether a role has a relation, or is a member of one that has.
pub fn owns_relation(relation: pg_sys::Oid, user: pg_sys::Oid) -> bool {
    // SAFETY: looks the catalogue up.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        return pg_sys::pg_class_ownercheck(relation, user);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        return pg_sys::object_ownercheck(pg_sys::RelationRelationId, relation, user);
    }
}

/// Makes the planner prefer anything to a path whose costs are infinite. From 18 on it counts what is switched off in a
/// path (`enable_seqscan = off`) before it looks at costs, so that here more has to be off than in any other.
pub fn never(path: &mut pg_sys::IndexPath) {
    #[cfg(feature = "pg18")]
    {
        path.path.disabled_nodes = 2;
    }
    #[cfg(not(feature = "pg18"))]
    let _ = path;
}

/// A node that says yes or no; a number on 14, which has no nodes for them.
pub fn boolean(value: bool) -> *mut pg_sys::Node {
    // SAFETY: makes a node.
    unsafe {
        #[cfg(feature = "pg14")]
        return pg_sys::makeInteger(value.into()).cast();
        #[cfg(not(feature = "pg14"))]
        return pg_sys::makeBoolean(value).cast();
    }
}

/// The text of a node that is one.
///
/// # Safety
/// `node` must be a node.
pub unsafe fn string<'a>(node: *const pg_sys::Node) -> Option<&'a CStr> {
    // SAFETY: as promised; one with this tag holds a C string.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_String {
            return None;
        }
        #[cfg(feature = "pg14")]
        let text = (*node.cast::<pg_sys::Value>()).val.str_;
        #[cfg(not(feature = "pg14"))]
        let text = (*node.cast::<pg_sys::String>()).sval;
        Some(CStr::from_ptr(text))
    }
}

/// The queries that a statement with one parameter of a given type is rewritten to.
///
/// # Safety
/// `statement` must be one that was parsed from `sql`.
pub unsafe fn analyze(
    statement: *mut pg_sys::RawStmt,
    sql: &CStr,
    mut parameter: pg_sys::Oid,
) -> *mut pg_sys::List {
    let (sql, types) = (sql.as_ptr(), &raw mut parameter);
    // SAFETY: as promised; the type is read before this returns.
    unsafe {
        #[cfg(feature = "pg14")]
        return pg_sys::pg_analyze_and_rewrite(statement, sql, types, 1, std::ptr::null_mut());
        #[cfg(not(feature = "pg14"))]
        return pg_sys::pg_analyze_and_rewrite_fixedparams(statement, sql, types, 1, std::ptr::null_mut());
    }
}
