//! Wrappers for what differs between PostgreSQL's versions, 14 to 18. No other file asks which version it is built for.

use pgrx::pg_sys;
use std::ffi::CStr;

/// Makes PostgreSQL refuse settings `prefix.*` that are not defined; on 14, it only warns of them.
pub fn reserve_settings(prefix: &'static CStr) {
    // SAFETY: the name is a static C string.
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(prefix.as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(prefix.as_ptr());
    }
}

/// The description of a storage parameter that is a whole number, stored `offset` bytes from the start of the parsed options.
pub fn int_option(name: &'static CStr, offset: usize) -> pg_sys::relopt_parse_elt {
    pg_sys::relopt_parse_elt {
        optname: name.as_ptr(),
        opttype: pg_sys::relopt_type::RELOPT_TYPE_INT,
        offset: offset as i32,
        // Zero: no field says whether the parameter was given.
        #[cfg(feature = "pg18")]
        isset_offset: 0,
    }
}

/// Sleeps if VACUUM is throttled, and ends it if it was cancelled.
///
/// # Safety
/// The caller must be VACUUM, and hold no buffer lock.
pub unsafe fn vacuum_delay_point() {
    // SAFETY: the caller promises that this is a VACUUM without buffer locks.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::vacuum_delay_point();
        #[cfg(feature = "pg18")]
        pg_sys::vacuum_delay_point(false);
    }
}

/// The subtransaction that gave a relation its present file; 0 if another transaction did.
pub fn new_file_subtransaction(relation: &pg_sys::RelationData) -> pg_sys::SubTransactionId {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    return relation.rd_firstRelfilenodeSubid;
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    return relation.rd_firstRelfilelocatorSubid;
}

/// Pins a page of the main fork if it is still in the buffer where it was last seen. A hit is counted as ReadBuffer counts it, except in the
/// view `pg_stat_io`.
///
/// # Safety
/// `relation` must be open and not temporary, and `buffer` the number of a shared buffer.
pub unsafe fn read_recent(relation: pg_sys::Relation, block: u32, buffer: pg_sys::Buffer) -> bool {
    // SAFETY: the caller promises an open relation and a shared buffer; ReadRecentBuffer checks what the buffer holds.
    unsafe {
        let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let found = pg_sys::ReadRecentBuffer((*relation).rd_node, fork, block, buffer);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let found = pg_sys::ReadRecentBuffer((*relation).rd_locator, fork, block, buffer);
        if found {
            // For EXPLAIN (BUFFERS). Later versions count in ReadRecentBuffer.
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

/// Whether a role owns a relation, or is a member of a role that does.
pub fn owns_relation(relation: pg_sys::Oid, user: pg_sys::Oid) -> bool {
    // SAFETY: looks up the catalogue.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        return pg_sys::pg_class_ownercheck(relation, user);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        return pg_sys::object_ownercheck(pg_sys::RelationRelationId, relation, user);
    }
}

/// Makes the planner prefer any other path to one whose costs are infinite. From 18 on the planner compares the number of disabled nodes
/// (`enable_seqscan = off`) before it compares costs, so this path gets more of them than any other has.
pub fn disable_path(path: &mut pg_sys::IndexPath) {
    #[cfg(feature = "pg18")]
    {
        path.path.disabled_nodes = 2;
    }
    #[cfg(not(feature = "pg18"))]
    let _ = path;
}

/// Whether a column of a table cannot be null. From 17 on the planner has looked that up, and in 18 a constraint may not be valid yet.
///
/// # Safety
/// `table` must be a base relation of the query that is being planned, and `oid` the table's.
pub unsafe fn is_not_null(table: &pg_sys::RelOptInfo, oid: pg_sys::Oid, column: pg_sys::AttrNumber) -> bool {
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    {
        let _ = oid;
        // SAFETY: the caller promises a base relation, whose set of columns is complete.
        unsafe { pg_sys::bms_is_member(column.into(), table.notnullattnums) }
    }
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    {
        let _ = table;
        // SAFETY: looks up the catalogue. A row of it begins with the struct's fields.
        unsafe {
            let cache = pg_sys::SysCacheIdentifier::ATTNUM as i32;
            let key = (pg_sys::Datum::from(oid), pg_sys::Datum::from(column));
            let tuple = pg_sys::SearchSysCache2(cache, key.0, key.1);
            if tuple.is_null() {
                return false;
            }
            let is_not_null = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_attribute>()).attnotnull;
            pg_sys::ReleaseSysCache(tuple);
            is_not_null
        }
    }
}

/// Whether a path key asks for ascending order.
pub fn is_ascending(key: &pg_sys::PathKey) -> bool {
    #[cfg(feature = "pg18")]
    return key.pk_cmptype == pg_sys::CompareType::COMPARE_LT;
    #[cfg(not(feature = "pg18"))]
    return key.pk_strategy == pg_sys::BTLessStrategyNumber as i32;
}

/// A condition that is not of any join, as PostgreSQL's macro of this name.
///
/// # Safety
/// `clause` must be an expression of the query that `root` plans.
pub unsafe fn make_simple_restrictinfo(
    root: *mut pg_sys::PlannerInfo,
    clause: *mut pg_sys::Expr,
) -> *mut pg_sys::RestrictInfo {
    let none = std::ptr::null_mut();
    // SAFETY: the caller promises a clause of the query; null is the empty set of relations.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        return pg_sys::make_restrictinfo(root, clause, true, false, false, 0, none, none, none);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        return pg_sys::make_restrictinfo(root, clause, true, false, false, false, 0, none, none, none);
    }
}

/// A Boolean node; on 14, which has none, an Integer node.
pub fn boolean(value: bool) -> *mut pg_sys::Node {
    // SAFETY: allocates a node in the current memory context.
    unsafe {
        #[cfg(feature = "pg14")]
        return pg_sys::makeInteger(value.into()).cast();
        #[cfg(not(feature = "pg14"))]
        return pg_sys::makeBoolean(value).cast();
    }
}

/// The text of a String node; `None` for any other.
///
/// # Safety
/// `node` must be a node that outlives the result.
pub unsafe fn string<'a>(node: *const pg_sys::Node) -> Option<&'a CStr> {
    // SAFETY: the caller promises a node; one with this tag holds a C string.
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

/// Analyses and rewrites a statement that has one parameter, of the given type; returns a list of queries.
///
/// # Safety
/// `statement` must have been parsed from `sql`.
pub unsafe fn analyze(
    statement: *mut pg_sys::RawStmt,
    sql: &CStr,
    mut parameter: pg_sys::Oid,
) -> *mut pg_sys::List {
    let (sql, types) = (sql.as_ptr(), &raw mut parameter);
    // SAFETY: the caller promises a parsed statement; the parameter's type is read before this returns.
    unsafe {
        #[cfg(feature = "pg14")]
        return pg_sys::pg_analyze_and_rewrite(statement, sql, types, 1, std::ptr::null_mut());
        #[cfg(not(feature = "pg14"))]
        return pg_sys::pg_analyze_and_rewrite_fixedparams(statement, sql, types, 1, std::ptr::null_mut());
    }
}

/// Counts a search of an index: for `pg_stat_user_indexes.idx_scan`, and from PostgreSQL 18 on for EXPLAIN ANALYZE's "Index Searches". Access
/// methods do that themselves.
///
/// # Safety
/// The scan's index must be open.
pub unsafe fn count_index_scan(scan: &pg_sys::IndexScanDescData) {
    // SAFETY: the index is open, and its counters are there or are made here, as pgstat_count_index_scan() does it.
    unsafe {
        let index = scan.indexRelation;
        #[cfg(not(feature = "pg14"))]
        if (*index).pgstat_info.is_null() && (*index).pgstat_enabled {
            pg_sys::pgstat_assoc_relation(index);
        }
        if let Some(counters) = (*index).pgstat_info.as_mut() {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            {
                counters.t_counts.t_numscans += 1;
            }
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            {
                counters.counts.numscans += 1;
            }
        }
        #[cfg(feature = "pg18")]
        if let Some(instrument) = scan.instrument.as_mut() {
            instrument.nsearches += 1;
        }
    }
}
