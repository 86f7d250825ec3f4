//! Evaluates a query function once for each statement, not once for each row.
//!
//! In `ORDER BY emb <-> 2 * coop_attr_query('neckline', 'v-neck')` the right side is the same for every row, but
//! `coop_attr_query` is STABLE (it reads the catalogue), so PostgreSQL neither computes it while planning nor remembers it:
//! a sequential scan would look the attribute up for each row. `coop_fold_support`, the planner support function of
//! the functions that make queries, rewrites such a call `f(...)` into the scalar subquery `(SELECT f(...))`. PostgreSQL
//! evaluates that as an InitPlan: when it is first needed, once for each execution, and hands the value to index scans
//! and parallel workers alike. EXPLAIN shows `emb <-> $0` above an `InitPlan`.
//!
//! Why not a constant in the plan? A prepared statement or a PL/pgSQL function keeps its plan. A plan made under an old
//! snapshot (REPEATABLE READ, or a model that is replaced while the planner works) would go on answering with the old
//! model's numbers after the invalidation message has been used up; one that was made under another `coopembed.model`
//! likewise. An InitPlan cannot be stale, takes parameters (`coop_attr_query('neckline', $1)`) as well as constants,
//! raises an error only if the call is reached, and does not embed a photo during EXPLAIN.
//!
//! A call with a column in it would become a subquery run for each row and gain nothing, so it is left alone: see [`Fold::once`].

use super::nodes::{cells, items};
use crate::pg::fmgr::fmgr_functions;
use pgrx::is_a;
use pgrx::pg_sys::{self, Datum, FuncExpr, Node, NodeTag, PlannerInfo, Query, SubLink};
use std::ffi::c_int;
use std::ptr::null_mut;

pgrx::extension_sql_file!("../../../sql/current/initplan.sql", name = "initplan", requires = ["types"]);

fmgr_functions! {
    /// Answers the planner's request to simplify a call, and no other.
    fn coop_fold_support(call) {
        // SAFETY: declared STRICT with one internal argument, and only the planner can pass that: a support request.
        unsafe {
            let request = call.arg(0).cast_mut_ptr::<Node>();
            if !is_a(request, NodeTag::T_SupportRequestSimplify) {
                return Datum::null();
            }
            let request = &*request.cast::<pg_sys::SupportRequestSimplify>();
            let simpler = Fold::of(request.root).and_then(|fold| fold.call(request.fcall));
            Datum::from(simpler.unwrap_or(null_mut()))
        }
    }
}

/// One level of a query in the making.
struct Fold(*mut PlannerInfo);

impl Fold {
    /// The level that is planned, if rewriting is possible and worth it there.
    ///
    /// # Safety
    /// `root` must be null or the planner's state.
    unsafe fn of(root: *mut PlannerInfo) -> Option<Self> {
        // SAFETY: as the caller promises.
        let root_ref = unsafe { root.as_ref() }?;
        // Once relations are set up, the phase that turns subqueries into plans is over, and one that appears now (from
        // a column that became a constant in one arm of a UNION ALL) would reach the executor raw.
        let in_time = root_ref.simple_rel_array.is_null();
        // SAFETY: the query under planning is complete.
        (in_time && unsafe { scans(root_ref.parse) }).then_some(Self(root))
    }

    /// `(SELECT f(...))`, if `f(...)` is the same in all rows.
    unsafe fn call(&self, call: *mut FuncExpr) -> Option<*mut SubLink> {
        // SAFETY: nodes of the planner, read; the call is copied before it is changed, as it lies on the caller's stack.
        unsafe {
            if !items((*call).args).all(|arg| self.once(arg)) {
                return None;
            }
            let call = pg_sys::copyObjectImpl(call.cast()).cast::<FuncExpr>();
            for cell in cells((*call).args) {
                // An argument that was rewritten before this call: one subquery is enough for both.
                if let Some(inner) = selected((*cell).ptr_value.cast()) {
                    pg_sys::IncrementVarSublevelsUp(inner, -1, 1);
                    (*cell).ptr_value = inner.cast();
                }
            }
            pg_sys::IncrementVarSublevelsUp(call.cast(), 1, 0);
            (*(*self.0).parse).hasSubLinks = true;
            Some(select(call.cast()))
        }
    }

    /// Is this expression the same in all rows of a statement? Constants, parameters and subqueries that refer to nothing
    /// outside of themselves are, and what functions that are not volatile make of them. An unfamiliar node is not.
    unsafe fn once(&self, node: *mut Node) -> bool {
        // SAFETY: each node is read as the struct that its tag says.
        unsafe {
            match (*node).type_ {
                NodeTag::T_Const => true,
                NodeTag::T_Param => {
                    (*node.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
                }
                NodeTag::T_FuncExpr => {
                    let f = &*node.cast::<FuncExpr>();
                    !f.funcretset && steady(f.funcid) && items(f.args).all(|arg| self.once(arg))
                }
                NodeTag::T_OpExpr => {
                    let op = &*node.cast::<pg_sys::OpExpr>();
                    !op.opretset && steady(op.opfuncid) && items(op.args).all(|arg| self.once(arg))
                }
                NodeTag::T_RelabelType => self.once((*node.cast::<pg_sys::RelabelType>()).arg.cast()),
                NodeTag::T_CoerceViaIO => self.once((*node.cast::<pg_sys::CoerceViaIO>()).arg.cast()),
                NodeTag::T_ArrayExpr => {
                    items((*node.cast::<pg_sys::ArrayExpr>()).elements).all(|arg| self.once(arg))
                }
                NodeTag::T_SubLink => {
                    let link = &*node.cast::<SubLink>();
                    // A level above this one has a lower number, from 1; its columns are counted from this one upwards.
                    let levels = 0..(*self.0).query_level as c_int;
                    link.subLinkType == pg_sys::SubLinkType::EXPR_SUBLINK
                        && !levels.into_iter().any(|level| {
                            pg_sys::contain_vars_of_level(node, level)
                                || pg_sys::contain_aggs_of_level(node, level)
                        })
                }
                _ => false,
            }
        }
    }
}

/// Does the query read rows from anywhere? One without FROM, or over a list of VALUES, evaluates each expression it has
/// once anyway. (The subqueries made here are without FROM: this also ends the recursion.)
unsafe fn scans(query: *const Query) -> bool {
    // SAFETY: a complete query: its FROM list refers into its table of relations, which is never shorter.
    unsafe {
        items::<Node>((*(*query).jointree).fromlist).any(|item| {
            if !is_a(item, NodeTag::T_RangeTblRef) {
                return true;
            }
            let index = (*item.cast::<pg_sys::RangeTblRef>()).rtindex as usize - 1;
            let relation = items::<pg_sys::RangeTblEntry>((*query).rtable).nth(index).map(|r| (*r).rtekind);
            !matches!(relation, Some(pg_sys::RTEKind::RTE_RESULT | pg_sys::RTEKind::RTE_VALUES))
        })
    }
}

/// A function that may be called less often than the rows it is written for.
unsafe fn steady(function: pg_sys::Oid) -> bool {
    // SAFETY: looks a function up by its oid.
    unsafe { pg_sys::func_volatile(function) as u8 != pg_sys::PROVOLATILE_VOLATILE }
}

/// `(SELECT expression)`.
unsafe fn select(expression: *mut Node) -> *mut SubLink {
    // SAFETY: palloc0 makes a node of the right size whose other fields are what makeNode() leaves: zero.
    unsafe {
        let query = pg_sys::palloc0(size_of::<Query>()).cast::<Query>();
        (*query).type_ = NodeTag::T_Query;
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).canSetTag = true;
        (*query).hasSubLinks = pg_sys::checkExprHasSubLink(expression);
        (*query).jointree = pg_sys::makeFromExpr(null_mut(), null_mut());
        let column = pg_sys::makeTargetEntry(expression.cast(), 1, null_mut(), false);
        (*query).targetList = pg_sys::lappend(null_mut(), column.cast());
        (*query).stmt_location = -1;

        let link = pg_sys::palloc0(size_of::<SubLink>()).cast::<SubLink>();
        (*link).xpr.type_ = NodeTag::T_SubLink;
        (*link).subLinkType = pg_sys::SubLinkType::EXPR_SUBLINK;
        (*link).subselect = query.cast();
        (*link).location = -1;
        link
    }
}

/// The expression of a `(SELECT expression)` that has no other clause.
unsafe fn selected(node: *mut Node) -> Option<*mut Node> {
    // SAFETY: nodes of the planner, read as what their tags say.
    unsafe {
        if !is_a(node, NodeTag::T_SubLink) {
            return None;
        }
        let query = (*node.cast::<SubLink>()).subselect.cast::<Query>();
        let q = &*query;
        let from = &*q.jointree;
        let plain = q.rtable.is_null()
            && from.fromlist.is_null()
            && from.quals.is_null()
            && q.cteList.is_null()
            && q.setOperations.is_null()
            && q.limitCount.is_null()
            && q.limitOffset.is_null()
            && q.havingQual.is_null()
            && !(q.hasAggs || q.hasWindowFuncs || q.hasTargetSRFs);
        let mut columns = items::<pg_sys::TargetEntry>(q.targetList);
        match (plain, columns.next(), columns.next()) {
            (true, Some(column), None) => Some((*column).expr.cast()),
            _ => None,
        }
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::{explain, failure, noise, number, text};
    use pgrx::prelude::*;

    /// A stable function that counts its calls, as `coop_attr_query` would be declared, and 100 rows.
    fn counted() {
        noise("gallery", 100);
        Spi::run(
            "CREATE SEQUENCE calls;
             CREATE TABLE wishes (name text, q coopquery);
             INSERT INTO wishes SELECT id::text, emb FROM gallery WHERE id <= 3;
             CREATE FUNCTION wish(name text) RETURNS coopquery STABLE STRICT PARALLEL SAFE LANGUAGE plpgsql
                 SUPPORT coop_fold_support AS $$
             BEGIN
                 PERFORM nextval('calls');
                 IF name = 'none' THEN RAISE 'no such wish' USING ERRCODE = 'undefined_object'; END IF;
                 RETURN (SELECT q FROM wishes w WHERE w.name = wish.name);
             END $$",
        )
        .unwrap();
    }

    /// How often `wish` was called for a statement that returns one number.
    fn calls(sql: &str) -> i64 {
        Spi::run("ALTER SEQUENCE calls RESTART").unwrap();
        Spi::run(sql).unwrap();
        Spi::get_one::<i64>("SELECT nextval('calls') - 1").unwrap().unwrap()
    }

    #[pg_test]
    fn a_query_function_is_called_once_for_a_statement() {
        counted();
        for once in [
            "SELECT id FROM gallery ORDER BY emb <-> wish('1')",
            "SELECT id FROM gallery ORDER BY wish('1') <-> emb LIMIT 3",
            "SELECT count(*) FROM gallery WHERE emb <-> wish('1') < 1",
            "SELECT id, emb <-> wish('1') AS d FROM gallery ORDER BY d",
            "SELECT id FROM gallery g, (SELECT wish('2') AS q) w ORDER BY emb <-> q",
            "WITH w AS (SELECT wish('2') AS q) SELECT id FROM gallery, w ORDER BY emb <-> q",
            "SELECT id % 2, min(emb <-> wish('1')) FROM gallery GROUP BY 1",
            "SELECT emb <-> wish('1'), count(*) FROM gallery GROUP BY 1",
            "SELECT g.id FROM gallery g LEFT JOIN gallery h ON h.emb <-> wish('1') < 0.5",
            "SELECT id FROM gallery ORDER BY emb <-> wish((SELECT name FROM wishes WHERE name = '3'))",
            "UPDATE gallery SET id = id WHERE emb <-> wish('1') >= 0",
            "SELECT wish('1')",
            "INSERT INTO wishes VALUES ('new', wish('1'))",
        ] {
            assert_eq!(calls(once), 1, "{once}");
        }
        // Each of two calls once, whatever is made of them.
        for twice in [
            "SELECT id FROM gallery ORDER BY emb <-> 2 * wish('1') + wish('2') * 0.5",
            "SELECT id FROM gallery ORDER BY emb <-> (SELECT wish('1')) + wish('2')",
            "SELECT id, emb <-> wish('1') FROM gallery WHERE emb <-> wish('1') < 9",
            "INSERT INTO wishes VALUES ('newer', wish('1')), ('newest', wish('1'))",
        ] {
            assert_eq!(calls(twice), 2, "{twice}");
        }
    }

    #[pg_test]
    fn a_call_on_a_column_runs_for_each_row() {
        counted();
        assert_eq!(calls("SELECT emb <-> wish(w.name) FROM gallery g, wishes w WHERE g.id = 1"), 3);
        assert_eq!(
            calls("SELECT (SELECT min(emb <-> wish(w.name)) FROM gallery WHERE id < 3) FROM wishes w"),
            6
        );
        assert_eq!(calls("SELECT avg(emb) <-> wish(max(id % 2 + 1)::text) FROM gallery GROUP BY id % 2"), 2);
    }

    #[pg_test]
    fn results_are_those_of_the_plain_function() {
        counted();
        let ids = |order: &str| {
            text(&format!(
                "SELECT string_agg(id::text, ',') FROM (SELECT id FROM gallery ORDER BY {order}, id LIMIT 9) t"
            ))
        };
        let q = |name| format!("'{}'", text(&format!("SELECT q::text FROM wishes WHERE name = '{name}'")));
        let (one, two) = (q("1"), q("2"));
        assert_eq!(
            ids("emb <-> 2 * wish('1') + wish('2') * 0.5"),
            ids(&format!("emb <-> 2 * {one}::coopquery + {two}::coopquery * 0.5"))
        );
        // A common table expression used inside of an argument keeps its meaning a level deeper.
        let mean = "WITH seed AS MATERIALIZED (SELECT emb FROM gallery WHERE id <= 5)
             SELECT string_agg(id::text, ',') FROM (
                 SELECT id FROM gallery
                 ORDER BY emb <-> 2 * (SELECT avg(emb) FROM seed)::coopquery + wish('1'), id LIMIT 9) t";
        let literal = text("SELECT avg(emb)::text FROM gallery WHERE id <= 5");
        assert_eq!(
            text(mean),
            ids(&format!("emb <-> 2 * '{literal}'::coopvec::coopquery + {one}::coopquery"))
        );
    }

    #[pg_test]
    fn a_constant_that_appears_late_is_computed_in_place() {
        counted();
        let arms = "SELECT count(*) FROM (
                 SELECT '1' AS name, emb FROM gallery UNION ALL SELECT '2', emb FROM gallery) t
             WHERE emb <-> wish(name) < 100";
        assert_eq!(Spi::get_one(arms), Ok(Some(200i64)));
    }

    #[pg_test]
    fn explain_shows_one_subquery_and_calls_nothing() {
        counted();
        let sql = "SELECT id FROM gallery ORDER BY emb <-> 2 * wish('1') + wish('2')";
        Spi::run("ALTER SEQUENCE calls RESTART").unwrap();
        let plan = explain(sql);
        assert_eq!(plan.matches("InitPlan").count(), 1, "{plan}");
        assert_eq!(Spi::get_one("SELECT nextval('calls')"), Ok(Some(1i64)));
    }

    #[pg_test]
    fn prepared_statements_take_parameters_and_see_changes() {
        counted();
        Spi::run("SET LOCAL plan_cache_mode = force_generic_plan").unwrap();
        Spi::run("PREPARE near(text) AS SELECT min(emb <-> 2 * wish($1)) FROM gallery").unwrap();
        Spi::run("PREPARE fixed AS SELECT min(emb <-> wish('1')) FROM gallery").unwrap();
        assert_eq!(calls("EXECUTE near('1')"), 1);
        assert_eq!(calls("EXECUTE near('2')"), 1);
        assert_eq!(number("EXECUTE fixed"), 0.0);
        Spi::run("UPDATE wishes SET q = (SELECT avg(emb) FROM gallery)").unwrap();
        let mean = number("SELECT min(emb <-> (SELECT avg(emb) FROM gallery)) FROM gallery");
        assert!(mean > 0.0);
        // Parallel workers add the embeddings up in any order: the last digits of a mean differ from run to run.
        let fixed = number("EXECUTE fixed");
        assert!((fixed - mean).abs() < 1e-6, "{fixed} is not {mean}");
    }

    #[pg_test]
    fn functions_in_plpgsql_evaluate_once_for_each_execution() {
        counted();
        Spi::run(
            "CREATE FUNCTION nearest(wanted text) RETURNS float8 STABLE LANGUAGE plpgsql AS $$
             DECLARE best float8;
             BEGIN
                 SELECT min(emb <-> wish(wanted)) INTO best FROM gallery;
                 RETURN best;
             END $$",
        )
        .unwrap();
        assert_eq!(calls("SELECT nearest(name) FROM wishes, generate_series(1, 10)"), 30);
    }

    #[pg_test]
    fn parallel_workers_get_the_value() {
        counted();
        Spi::run(
            "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
             SET LOCAL min_parallel_table_scan_size = 0",
        )
        .unwrap();
        let sql = "SELECT sum(emb <-> wish('1')) FROM gallery";
        let plan = explain(sql);
        assert!(plan.contains("Parallel Seq Scan"), "{plan}");
        let parallel = number(sql);
        Spi::run("SET LOCAL max_parallel_workers_per_gather = 0").unwrap();
        assert!((parallel - number(sql)).abs() < 1e-9 * parallel);
        assert_eq!(calls(sql), 1);
    }

    #[pg_test]
    fn errors_are_those_of_the_function_and_come_only_if_it_is_reached() {
        counted();
        assert_eq!(failure("SELECT id FROM gallery ORDER BY emb <-> wish('none')").state, "42704");
        let skipped =
            "SELECT count(*) FROM gallery WHERE CASE WHEN id > 0 THEN true ELSE emb <-> wish('none') < 1 END";
        assert_eq!(Spi::get_one(skipped), Ok(Some(100i64)));
        assert_eq!(Spi::get_one::<f64>("SELECT min(emb <-> wish(NULL)) FROM gallery"), Ok(None));
    }
}
