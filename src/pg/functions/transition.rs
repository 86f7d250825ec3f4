//! Wandering from image to image: the parts of it that SQL cannot say. `sql/current/knn.sql` keeps graphs of nearest neighbours,
//! `sql/current/transition.sql` finds paths; both run with the rights of whoever asks.

use super::queries::not_null;
use crate::error::{Error, Kind, Result};
use crate::graph::{KnnGraph, NodeId};
use crate::memory;
use crate::pg::catalog::{attribute_names, subspaces_of};
use crate::pg::encoding::{from_opaque, from_server};
use crate::pg::ereport::raise;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::text::{opaque_jsonb, OpaqueText};
use crate::pg::{CoopQuery, CoopVec, OrReport, Text};
use crate::space::{distance, EmbeddingRef, Query, QueryRef};
use pgrx::datum::Array;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use pgrx::PgMemoryContexts;
use sha2::{Digest, Sha256};

extension_sql_file!("../../../sql/current/transition.sql", name = "transition", requires = ["knn"]);

/// A graph that is being read, and the path that is wanted.
struct Wander {
    graph: KnnGraph,
    start: Option<String>,
    goal: Option<String>,
}

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

    /// One more image: `(internal, id, neighbours, distances, start, goal)`. An image whose list is null does not take part.
    fn coop_route_step(call) {
        // SAFETY: declared with these types; the state is one of ours.
        let (state, list) = unsafe { (state(call), List::of(call)) };
        let Some(list) = list else { return state.map_or_else(|| call.null(), Datum::from) };
        let state = state.unwrap_or_else(|| {
            // SAFETY: declared with two texts; the memory context outlives every use of what is kept in it.
            let wander = unsafe { Wander { graph: KnnGraph::default(), start: id(call, 4), goal: id(call, 5) } };
            PgMemoryContexts::For(aggregate_context(call)).leak_and_drop_on_delete(wander)
        });
        // SAFETY: PostgreSQL calls with a state of this aggregate, and nothing else refers to it meanwhile.
        list.add_to(&mut unsafe { &mut *state }.graph).or_report();
        Datum::from(state)
    }

    /// The path as JSON: `[{"id": ..., "hop": ..., "crossing": ...}, ...]`; or, if there is none, `{"from_start": ...,
    /// "from_goal": ..., "nodes": ...}`: how many images can be reached.
    fn coop_route_final(call) {
        // SAFETY: the state is one of ours.
        let Some(state) = (unsafe { state(call) }) else { return call.null() };
        // SAFETY: as above.
        let wander = unsafe { &*state };
        let (start, goal) = (wander.start.as_deref(), wander.goal.as_deref());
        match opaque_jsonb(&path(&wander.graph, start, goal).or_report().to_string()) {
            Some(path) => path,
            None => call.null(),
        }
    }
}

/// PostgreSQL's own sha256() copies its argument and asks OpenSSL for the algorithm each time, which takes four times as long;
/// a path through a kept graph makes a digest of every row.
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

/// # Safety
/// The first argument must be declared `internal` and hold a state of this aggregate or NULL.
unsafe fn state(call: Call) -> Option<*mut Wander> {
    // SAFETY: passed on.
    unsafe { call.nullable_arg(0) }.map(|datum| datum.cast_mut_ptr())
}

/// An id.
///
/// # Safety
/// Argument `i` must be declared `text`.
unsafe fn id(call: Call, i: usize) -> Option<String> {
    // SAFETY: passed on.
    unsafe { OpaqueText::from_datum(call.nullable_arg(i)?, false) }.map(|id| memory::text(&id).or_report())
}

fn aggregate_context(call: Call) -> pg_sys::MemoryContext {
    let mut context = std::ptr::null_mut();
    // SAFETY: fills `context` in if the call is one of an aggregate.
    if unsafe { pg_sys::AggCheckCallContext(call.0, &mut context) } == 0 {
        raise(Error::new(
            Kind::InvalidParameter,
            "a part of coopembed.route was called outside of an aggregate",
        ));
    }
    context
}

/// An image's neighbours as a row gives them.
struct List<'a> {
    id: Option<String>,
    neighbours: Array<'a, OpaqueText<'a>>,
    distances: Array<'a, f64>,
}

impl List<'_> {
    /// # Safety
    /// Arguments 1 to 3 must be declared `text`, `text[]` and `double precision[]`.
    unsafe fn of(call: Call) -> Option<Self> {
        // SAFETY: passed on.
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
                format!("{} neighbours with {} distances", self.neighbours.len(), self.distances.len()),
            ));
        }
        let neighbours = memory::collect(self.neighbours.iter())?;
        let pairs =
            neighbours.iter().zip(self.distances.iter()).filter_map(|(id, d)| Some((id.as_deref()?, d?)));
        graph.add_neighbours(self.id.as_deref(), pairs).map_err(readable)
    }
}

/// An error of the graph, which knows ids as [`OpaqueText`], with the ids' own texts.
fn readable(error: Error) -> Error {
    let readable = |text: &str| Some(from_server(&from_opaque(text).ok()?).ok()?.into_owned());
    let message = readable(&error.message).unwrap_or_else(|| error.message.clone());
    Error { message, ..error }
}

fn path(graph: &KnnGraph, start: NodeId<'_>, goal: NodeId<'_>) -> Result<serde_json::Value> {
    let wait = || {
        pgrx::check_for_interrupts!();
    };
    let route = match graph.shortest_path(start, goal, wait)? {
        Ok(route) => route,
        Err(none) => {
            return Ok(serde_json::json!({
                "from_start": none.from_start, "from_goal": none.from_goal, "nodes": none.nodes,
            }))
        }
    };
    // A step is a map of three small values, and its id; then the text of it all.
    let names: usize = route.ids.iter().flatten().map(String::len).sum();
    memory::headroom(route.ids.len() * STEP + 8 * names)?;
    let crossing = route.longest_edge();
    let hops = std::iter::once(None).chain(route.edge_lengths.iter().copied().enumerate().map(Some));
    let step = |(id, hop): (&Option<String>, Option<(usize, f64)>)| {
        serde_json::json!({
            "id": id,
            "hop": hop.map(|h| h.1),
            "crossing": hop.is_some_and(|h| Some(h.0) == crossing),
        })
    };
    Ok(route.ids.iter().zip(hops).map(step).collect())
}

/// Bytes that a step of a path takes as JSON, in memory (one node of a B-tree of 11 names and values) and as text, without its id.
const STEP: usize = 1024;

/// Whether one of `targets` is nearer to the embedding than `distance`.
#[pg_extern(sql = false)]
fn coop_any_nearer(embedding: CoopVec<'_>, targets: Array<'_, CoopQuery<'_>>, within: f64) -> bool {
    let embedding = embedding.view();
    targets.iter().flatten().any(|target| distance(embedding, target.view()).or_report() < within)
}

/// The attributes that a query asks for; null if it asks for all of them.
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

/// The point that a query's targets name, in some attributes or, if null, in all.
#[pg_extern(sql = false)]
fn coop_centre(query: CoopQuery<'_>, attributes: Option<Array<'_, Text<'_>>>) -> CoopQuery<'static> {
    let attributes = attributes.map(|names| not_null("an attribute's name", names.iter()).or_report());
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
            format!("the target asks for nothing in attribute \"{}\"", attributes[i]),
        )
        .detail(format!("It asks for {}.", names.join(", ")))
        .hint("Name an attribute of the target, or none."));
    }
    query.centre(&subspaces)
}
