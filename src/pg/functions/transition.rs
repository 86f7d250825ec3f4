//! `coop_transition()`, the shortest path from image to image through a graph of nearest neighbours: the parts that SQL cannot do.
//! `sql/current/knn.sql` stores graphs, `sql/current/transition.sql` reads one and finds the path. Both run with the privileges of whoever
//! calls them.

use super::arguments::non_null_texts;
use crate::error::{Error, Kind, Result};
use crate::graph::{KnnGraph, NodeId};
use crate::memory;
use crate::pg::catalog::{attribute_names, subspaces_of};
use crate::pg::encoding::{from_opaque, from_server};
use crate::pg::ereport::raise;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::text::{opaque_jsonb, OpaqueText};
use crate::pg::{CoopQuery, OrReport, Text};
use crate::space::{Query, QueryRef};
use pgrx::datum::Array;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use pgrx::PgMemoryContexts;

extension_sql_file!("../../../sql/current/transition.sql", name = "transition", requires = ["knn"]);

/// The state of the aggregate `coopembed.route`: the graph as far as it has been read, and the two ends of the path.
struct TransitionState {
    graph: KnnGraph,
    start: Option<String>,
    /// `None` is the point that the path may end at instead of an image.
    goal: Option<String>,
}

fmgr_functions! {
    /// Adds an image with its list of neighbours: `(internal, id, neighbours, distances, start, goal)`. An image whose list is null is left
    /// out.
    fn coop_route_step(call) {
        // SAFETY: declared with these types. PostgreSQL passes a state that this function returned, or NULL.
        let (state, list) = unsafe { (state(call), NeighbourList::of(call)) };
        let Some(list) = list else { return state.map_or_else(|| call.null(), Datum::from) };
        let state = state.unwrap_or_else(|| {
            // SAFETY: arguments 4 and 5 are declared as text.
            let (start, goal) = unsafe { (id(call, 4), id(call, 5)) };
            let state = TransitionState { graph: KnnGraph::default(), start, goal };
            PgMemoryContexts::For(aggregate_context(call)).leak_and_drop_on_delete(state)
        });
        // SAFETY: the state lives in the aggregate's memory context, and nothing else refers to it during this call.
        list.add_to(&mut unsafe { &mut *state }.graph).or_report();
        Datum::from(state)
    }

    /// The path as JSON: `[{"id": ..., "hop": ..., "crossing": ...}, ...]`; or, if there is none, `{"from_start": ...,
    /// "from_goal": ..., "nodes": ...}`: how many images can be reached.
    fn coop_route_final(call) {
        // SAFETY: PostgreSQL passes a state that coop_route_step returned, or NULL.
        let Some(state) = (unsafe { state(call) }) else { return call.null() };
        // SAFETY: the state lives in the aggregate's memory context, and nothing changes it during this call.
        let state = unsafe { &*state };
        let (start, goal) = (state.start.as_deref(), state.goal.as_deref());
        match opaque_jsonb(&path_as_json(&state.graph, start, goal).or_report().to_string()) {
            Some(path) => path,
            None => call.null(),
        }
    }
}

/// The aggregate's state, which is the first argument.
///
/// # Safety
/// The first argument must be declared `internal` and hold a state of this aggregate or NULL.
unsafe fn state(call: Call) -> Option<*mut TransitionState> {
    // SAFETY: the caller promises that there is a first argument.
    unsafe { call.nullable_arg(0) }.map(|datum| datum.cast_mut_ptr())
}

/// The id in argument `i`. An id may be any text, in the database's encoding.
///
/// # Safety
/// Argument `i` must be declared `text`.
unsafe fn id(call: Call, i: usize) -> Option<String> {
    // SAFETY: the caller promises that argument `i` is a text.
    unsafe { OpaqueText::from_datum(call.nullable_arg(i)?, false) }.map(|id| memory::text(&id).or_report())
}

/// The memory context that lives as long as the aggregate's state.
fn aggregate_context(call: Call) -> pg_sys::MemoryContext {
    let mut context = std::ptr::null_mut();
    // SAFETY: writes to `context` if the call is one of an aggregate, and otherwise returns 0.
    if unsafe { pg_sys::AggCheckCallContext(call.0, &mut context) } == 0 {
        raise(Error::new(
            Kind::InvalidParameter,
            "a part of coopembed.route was called outside of an aggregate",
        ));
    }
    context
}

/// The neighbours of one image, as the arguments of `coop_route_step`.
struct NeighbourList<'a> {
    id: Option<String>,
    neighbours: Array<'a, OpaqueText<'a>>,
    distances: Array<'a, f64>,
}

impl NeighbourList<'_> {
    /// # Safety
    /// Arguments 1 to 3 must be declared `text`, `text[]` and `double precision[]`.
    unsafe fn of(call: Call) -> Option<Self> {
        // SAFETY: the caller promises the arguments' types; they live as long as the call.
        unsafe {
            Some(Self {
                id: id(call, 1),
                neighbours: Array::from_datum(call.nullable_arg(2)?, false)?,
                distances: Array::from_datum(call.nullable_arg(3)?, false)?,
            })
        }
    }

    fn add_to(&self, graph: &mut KnnGraph) -> Result<()> {
        if self.neighbours.len() != self.distances.len() {
            return Err(Error::new(
                Kind::InvalidData,
                format!(
                    "an image has {} neighbours and {} distances",
                    self.neighbours.len(),
                    self.distances.len()
                ),
            ));
        }
        let neighbours = memory::collect(self.neighbours.iter())?;
        let pairs =
            neighbours.iter().zip(self.distances.iter()).filter_map(|(id, d)| Some((id.as_deref()?, d?)));
        graph.add_neighbours(self.id.as_deref(), pairs).map_err(with_readable_ids)
    }
}

/// Rewrites an error of the graph, whose ids are in the form of [`OpaqueText`], so that it shows the ids as the user knows them.
fn with_readable_ids(error: Error) -> Error {
    let readable = |text: &str| Some(from_server(&from_opaque(text).ok()?).ok()?.into_owned());
    let message = readable(&error.message).unwrap_or_else(|| error.message.clone());
    Error { message, ..error }
}

/// The shortest path as JSON, or how many images can be reached from either end: see `coop_route_final`.
fn path_as_json(graph: &KnnGraph, start: NodeId<'_>, goal: NodeId<'_>) -> Result<serde_json::Value> {
    let wait = || {
        pgrx::check_for_interrupts!();
    };
    let path = match graph.shortest_path(start, goal, wait)? {
        Ok(path) => path,
        Err(none) => {
            return Ok(serde_json::json!({
                "from_start": none.from_start, "from_goal": none.from_goal, "nodes": none.nodes,
            }))
        }
    };
    // Each step becomes a map of its id and two small values; then all of it becomes text.
    let id_bytes: usize = path.ids.iter().flatten().map(String::len).sum();
    memory::headroom(path.ids.len() * STEP_BYTES + 8 * id_bytes)?;
    let crossing = path.longest_edge();
    let hops = std::iter::once(None).chain(path.edge_lengths.iter().copied().enumerate().map(Some));
    let step = |(id, hop): (&Option<String>, Option<(usize, f64)>)| {
        serde_json::json!({
            "id": id,
            "hop": hop.map(|h| h.1),
            "crossing": hop.is_some_and(|h| Some(h.0) == crossing),
        })
    };
    Ok(path.ids.iter().zip(hops).map(step).collect())
}

/// Upper bound of the bytes that a step takes as JSON, in memory (one B-tree node of 11 keys and values) and as text, without its id.
const STEP_BYTES: usize = 1024;

/// The attributes in which a query has a weight; null if those are all attributes.
#[pg_extern(sql = false)]
fn coop_asked_attributes(query: CoopQuery<'_>) -> Option<Vec<Text<'static>>> {
    let names = asked_attributes(query.view()).or_report();
    names.map(|names| names.into_iter().map(Text::from).collect())
}

fn asked_attributes(query: QueryRef<'_>) -> Result<Option<Vec<String>>> {
    let asked: Vec<usize> = query.active().map(|(k, ..)| k).collect();
    if asked.len() == query.layout.subspaces() {
        return Ok(None);
    }
    let names = attribute_names(query.layout)?;
    Ok(Some(asked.into_iter().filter_map(|k| names.get(k).cloned()).collect()))
}

/// The query for the point that a query's targets make up, with weight 1 in some attributes or, if null, in all.
#[pg_extern(sql = false)]
fn coop_centre(query: CoopQuery<'_>, attributes: Option<Array<'_, Text<'_>>>) -> CoopQuery<'static> {
    let attributes = attributes.map(|names| non_null_texts("an attribute's name", names.iter()).or_report());
    centre(query.view(), attributes).or_report().into()
}

fn centre(query: QueryRef<'_>, attributes: Option<Vec<String>>) -> Result<Query> {
    let Some(attributes) = attributes else {
        return query.centre(&(0..query.layout.subspaces()).collect::<Vec<usize>>());
    };
    let subspaces = subspaces_of(query.layout, &attributes)?;
    let asked = |k: &usize| query.weights.get(*k).is_some_and(|w| *w > 0.0);
    if let Some(i) = subspaces.iter().position(|k| !asked(k)) {
        let names = asked_attributes(query)?.unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        return Err(Error::new(
            Kind::InvalidParameter,
            format!("the query has no target in attribute \"{}\"", attributes[i]),
        )
        .detail(format!("It has targets in {}.", names.join(", ")))
        .hint("Name an attribute of the target, or none."));
    }
    query.centre(&subspaces)
}
