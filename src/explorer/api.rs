//! What the page asks this server: JSON in, JSON out, and pictures.

use super::database::{Database, Reading};
use super::dropped_images::Photos;
use super::http_error::Refusal;
use super::images::{respond, Thumbnails};
use super::inspection::Findings;
use super::query_terms::{Expression, Question};
use super::sql_queries;
use super::vocabulary;
use axum::body::{to_bytes, Body};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{header, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value};
use std::sync::Arc;
use std::time::Instant;
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::Row;

/// Most rows of one answer: "more" asks for a longer list until then.
const MOST_ROWS: u32 = 1000;

/// Bytes of a question.
const LARGEST_QUESTION: usize = 1 << 20;

/// Bytes of a picture in the table; a larger one is refused.
const LARGEST_PICTURE: i64 = 64 << 20;

/// What every request has at hand.
pub struct Look {
    /// Where the rows are.
    pub database: Database,
    /// What they are.
    pub findings: Findings,
    /// Dropped photos.
    pub photos: Photos,
    /// Small pictures.
    pub thumbnails: Thumbnails,
    /// Rows of an answer.
    pub limit: u32,
    /// Bytes of a photo.
    pub max_photo: usize,
}

type Shared = State<Arc<Look>>;
type Answer = Result<Response, Refusal>;

/// What the page is about: the table, the words, what can be done.
pub async fn about(State(look): Shared) -> Answer {
    let reading = look.database.read().await?;
    let Findings { table, model, rows, transition, notices, version } = &look.findings;
    let names = |columns: &[super::table::Column]| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    json_of(&json!({
        "table": table.name,
        "id": table.id.name,
        "labels": names(&table.labels),
        "pictures": table.image.is_some(),
        "rows": rows,
        "model": model,
        "version": version,
        "notices": notices,
        "transition": transition.is_some(),
        "limit": look.limit,
        "most": MOST_ROWS,
        "max_photo": look.max_photo,
        "attributes": vocabulary::attributes(&reading, table).await?,
        "categories": vocabulary::categories(&reading, table).await?,
        "filter": vocabulary::filter(&reading, table).await?,
    }))
}

/// Keeps a dropped photo: its bytes are the body.
pub async fn photo(State(look): Shared, body: Body) -> Answer {
    let bytes = whole(
        body,
        look.max_photo,
        "photo",
        "Drop a smaller one, or start the server with a larger --max-photo.",
    )
    .await?;
    if bytes.is_empty() {
        return Err(Refusal::bad("the photo is empty"));
    }
    json_of(&json!({ "photo": look.photos.keep(bytes) }))
}

/// A kept photo, small.
pub async fn kept_photo(State(look): Shared, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let photo = look.photos.get(&name).ok_or_else(Refusal::photo_gone)?;
    Ok(respond(&look.thumbnails.small(photo).await, &headers))
}

/// How large a picture is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    #[serde(default)]
    small: bool,
}

/// A row's picture.
pub async fn picture(
    State(look): Shared,
    Path(id): Path<String>,
    size: Result<Query<Size>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let Query(size) = size?;
    let none = || Refusal::new(StatusCode::NOT_FOUND, "this row has no picture");
    let statement = sql_queries::picture(&look.findings.table, &id, LARGEST_PICTURE).ok_or_else(none)?;
    let rows = look.database.rows(&statement).await?;
    let row = rows.first().ok_or_else(|| Refusal::no_row(&id))?;
    let length: i32 = column::<Option<i32>>(row, 1)?.ok_or_else(none)?;
    let too_large = || {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "this row's picture is too large to show")
            .detail(format!("It has {length} bytes, and the limit is {LARGEST_PICTURE}."))
    };
    let original = Arc::new(column::<Option<Vec<u8>>>(row, 0)?.ok_or_else(too_large)?);
    let shown = if size.small { look.thumbnails.small(original).await } else { original };
    Ok(respond(&shown, &headers))
}

/// A search.
pub async fn search(State(look): Shared, request: Request) -> Answer {
    let question: Question = question::<Question>(request).await?.checked()?;
    let limit = question.limit.unwrap_or(look.limit).clamp(1, MOST_ROWS);
    let photo = |name: &str| look.photos.get(name);
    let ask = Expression { table: &look.findings.table, photo: &photo };
    let statement = sql_queries::search(&ask, &question, i64::from(limit))?;
    let reading = look.database.read().await?;
    check_known(&look, &reading, &question).await?;

    let start = Instant::now();
    let found = reading.rows(&statement).await?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let labels = look.findings.table.labels.len();
    let asked = !question.wishes.is_empty();
    let mut rows = Vec::with_capacity(found.len());
    let mut ids = Vec::with_capacity(found.len());
    for row in &found {
        let distance = if asked { column::<Option<f64>>(row, 1 + labels)? } else { None };
        let id: Option<String> = column(row, 0)?;
        ids.extend(id.clone());
        rows.push(json!({ "id": id, "labels": texts(row, labels)?, "distance": distance }));
    }
    let why = if asked && !ids.is_empty() { Some(sql_queries::why(&ask, &question, &ids)?) } else { None };
    let mut reasons = Map::new();
    if let Some(why) = &why {
        for row in reading.rows(why).await? {
            let list = reasons.entry(column::<String>(&row, 0)?).or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.push(json!({
                    "attribute": column::<Option<String>>(&row, 1)?,
                    "weight": column::<Option<f32>>(&row, 2)?,
                    "distance": column::<Option<f64>>(&row, 3)?,
                    "contribution": column::<f64>(&row, 4)?,
                }));
            }
        }
    }
    json_of(&json!({
        "more": rows.len() == limit as usize && limit < MOST_ROWS,
        "rows": rows,
        "why": reasons,
        "sql": statement.shown(),
        "why_sql": why.map(|why| why.shown()),
        "milliseconds": milliseconds,
    }))
}

/// Refuses to ask with a row that is not there: its distances would all be null.
async fn check_known(look: &Look, reading: &Reading, question: &Question) -> Result<(), Refusal> {
    let ids: Vec<String> = question.ids().into_iter().map(str::to_owned).collect();
    for id in &ids {
        let rows = reading.rows(&sql_queries::known(&look.findings.table, std::slice::from_ref(id))).await?;
        match rows.first() {
            None => return Err(Refusal::no_row(id)),
            Some(row) if !column::<bool>(row, 1)? => {
                return Err(Refusal::bad(format!("the row with id \"{id}\" has no embedding"))
                    .hint("Embed its picture: UPDATE ... SET emb = coop_embed(image)."));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Which row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    id: String,
}

/// What a row shows.
pub async fn tags(State(look): Shared, which: Result<Query<Which>, QueryRejection>) -> Answer {
    let Query(which) = which?;
    let statement = sql_queries::tags(&look.findings.table, &which.id);
    let rows = look.database.rows(&statement).await?;
    let row = rows.first().ok_or_else(|| Refusal::no_row(&which.id))?;
    let tags: Option<String> = column(row, 0)?;
    let tags: Value = serde_json::from_str(tags.as_deref().unwrap_or("null")).unwrap_or(Value::Null);
    json_of(&json!({ "tags": tags, "sql": statement.shown() }))
}

/// From where to where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    from: String,
    to: String,
    #[serde(default)]
    attribute: Option<String>,
}

/// From one picture to another by small steps.
pub async fn transition(State(look): Shared, request: Request) -> Answer {
    let journey: Journey = question(request).await?;
    let table = &look.findings.table;
    let function = look.findings.transition.as_ref().ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "this version of the extension has no coop_transition")
    })?;
    let ends = (journey.from.as_str(), journey.to.as_str());
    let statement = sql_queries::transition(table, function, ends, journey.attribute.as_deref());
    let reading = look.database.read().await?;
    let start = Instant::now();
    let found = reading.rows(&statement).await?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let mut ids = Vec::new();
    let mut steps = Vec::new();
    for row in &found {
        let id: String = column(row, 1)?;
        let (distance, crossing) = (column::<Option<f64>>(row, 2)?, column::<Option<bool>>(row, 3)?);
        steps.push(json!({ "id": id, "distance": distance, "is_crossing": crossing }));
        ids.push(id);
    }
    let mut labels = Map::new();
    for row in reading.rows(&sql_queries::labels(table, &ids)).await? {
        labels.insert(column(&row, 0)?, json!(texts(&row, table.labels.len())?));
    }
    json_of(
        &json!({ "steps": steps, "labels": labels, "sql": statement.shown(), "milliseconds": milliseconds }),
    )
}

/// No such address.
pub async fn nothing() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// An address that is asked in another way.
pub async fn otherwise() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this address is not asked in that way")
}

fn texts(row: &Row, count: usize) -> Result<Vec<Option<String>>, Refusal> {
    (1..=count).map(|i| column(row, i)).collect()
}

/// A value of a row, whose types our own statements decide.
pub fn column<T: FromSqlOwned>(row: &Row, index: usize) -> Result<T, Refusal> {
    row.try_get(index).map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

fn json_of(value: &impl Serialize) -> Answer {
    let text = serde_json::to_string(value)
        .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("could not write JSON: {e}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text)
        .into_response())
}

/// JSON, and called so: a form of another page cannot call its contents that.
async fn question<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if media_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the request is not JSON")
            .detail(format!("Its Content-Type is \"{}\".", crate::error::abridged(media_type))));
    }
    let bytes = whole(request.into_body(), LARGEST_QUESTION, "question", "Ask for less at once.").await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Refusal::bad("the question is not understood").detail(format!("{e}.")))
}

async fn whole(body: Body, most: usize, what: &str, hint: &str) -> Result<Vec<u8>, Refusal> {
    let bytes = to_bytes(body, most).await.map_err(|_| {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the {what} is too large"))
            .detail(format!("The limit is {most} bytes."))
            .hint(hint)
    })?;
    Ok(bytes.into())
}
