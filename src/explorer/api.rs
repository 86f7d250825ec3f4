//! The addresses that the page calls: JSON in, JSON out, and images.

use super::database::{column, Database, ReadTransaction};
use super::dropped_images::DroppedImages;
use super::http_error::HttpError;
use super::images::{respond, Thumbnails};
use super::inspection::Inspection;
use super::query_terms::{QueryExpression, SearchRequest};
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
use tokio_postgres::Row;

/// Most rows of one answer; the page's "More" asks for a longer list until then.
const MAX_ROWS: u32 = 1000;

/// Most bytes of a JSON request.
const MAX_JSON_BYTES: usize = 1 << 20;

/// Most bytes of an image of the table; a larger one is not shown.
const MAX_IMAGE_BYTES: i64 = 64 << 20;

/// What every request handler shares.
pub struct AppState {
    /// Connections to the database that holds the table.
    pub database: Database,
    /// The table, its columns and the model, found when the program started.
    pub inspection: Inspection,
    /// Images that users dropped on the page.
    pub dropped_images: DroppedImages,
    /// Scaled-down images, cached.
    pub thumbnails: Thumbnails,
    /// Rows of an answer unless the page asks for more (`--limit`).
    pub limit: u32,
    /// Most bytes of a dropped image (`--max-upload`).
    pub max_upload: usize,
}

type SharedState = State<Arc<AppState>>;
type ApiResult = Result<Response, HttpError>;

/// `GET /api/about`: the table, the model's vocabulary, and which features are available.
pub async fn about(State(app): SharedState) -> ApiResult {
    let transaction = app.database.begin().await?;
    let Inspection { table, model, rows, transition, has_descriptions, notices, version } = &app.inspection;
    let names = |columns: &[super::table::Column]| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    json_response(&json!({
        "table": table.name,
        "id": table.id.name,
        "labels": names(&table.labels),
        "has_images": table.image.is_some(),
        "rows": rows,
        "model": model,
        "version": version,
        "notices": notices,
        "transition": transition.is_some(),
        "has_descriptions": has_descriptions,
        "limit": app.limit,
        "max_limit": MAX_ROWS,
        "max_upload": app.max_upload,
        "attributes": vocabulary::attributes(&transaction, table).await?,
        "categories": vocabulary::categories(&transaction, table).await?,
        "filter": vocabulary::filter(&transaction, table).await?,
    }))
}

/// `POST /api/dropped`: keeps a dropped image, whose bytes are the body, and answers with its key.
pub async fn keep_dropped_image(State(app): SharedState, body: Body) -> ApiResult {
    let bytes = read_body(
        body,
        app.max_upload,
        "image",
        "Drop a smaller one, or start the server with a larger --max-upload.",
    )
    .await?;
    if bytes.is_empty() {
        return Err(HttpError::bad_request("the image is empty"));
    }
    json_response(&json!({ "key": app.dropped_images.keep(bytes) }))
}

/// `GET /dropped/{key}`: the thumbnail of a dropped image.
pub async fn dropped_image(
    State(app): SharedState,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    let image = app.dropped_images.get(&key).ok_or_else(HttpError::dropped_image_gone)?;
    Ok(respond(&app.thumbnails.small(image).await, &headers))
}

/// Query string of `GET /image/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageOptions {
    /// Whether a thumbnail is enough.
    #[serde(default)]
    small: bool,
}

/// `GET /image/{id}`: the image of a row.
pub async fn row_image(
    State(app): SharedState,
    Path(id): Path<String>,
    options: Result<Query<ImageOptions>, QueryRejection>,
    headers: HeaderMap,
) -> ApiResult {
    let Query(options) = options?;
    let no_image = || HttpError::new(StatusCode::NOT_FOUND, "this row has no image");
    let statement =
        sql_queries::row_image(&app.inspection.table, &id, MAX_IMAGE_BYTES).ok_or_else(no_image)?;
    let rows = app.database.rows(&statement).await?;
    let row = rows.first().ok_or_else(|| HttpError::no_row(&id))?;
    let length: i32 = column::<Option<i32>>(row, 1)?.ok_or_else(no_image)?;
    let too_large = || {
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "this row's image is too large to show")
            .detail(format!("It has {length} bytes, and the limit is {MAX_IMAGE_BYTES}."))
    };
    let original = Arc::new(column::<Option<Vec<u8>>>(row, 0)?.ok_or_else(too_large)?);
    let shown = if options.small { app.thumbnails.small(original).await } else { original };
    Ok(respond(&shown, &headers))
}

/// `POST /api/search`: the nearest rows, why each matches, and the SQL that found them.
pub async fn search(State(app): SharedState, request: Request) -> ApiResult {
    let search: SearchRequest = read_json::<SearchRequest>(request).await?.checked()?;
    let limit = search.limit.unwrap_or(app.limit).clamp(1, MAX_ROWS);
    let dropped_image = |key: &str| app.dropped_images.get(key);
    let expression = QueryExpression { table: &app.inspection.table, dropped_image: &dropped_image };
    let statement = sql_queries::search(&expression, &search, i64::from(limit))?;
    let transaction = app.database.begin().await?;
    check_query_rows(&app, &transaction, &search).await?;

    let start = Instant::now();
    let found = transaction.rows(&statement).await?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let label_count = app.inspection.table.labels.len();
    let has_query = !search.terms.is_empty();
    let mut rows = Vec::with_capacity(found.len());
    let mut ids = Vec::with_capacity(found.len());
    for row in &found {
        let distance = if has_query { column::<Option<f64>>(row, 1 + label_count)? } else { None };
        let id: Option<String> = column(row, 0)?;
        ids.extend(id.clone());
        rows.push(json!({ "id": id, "labels": label_texts(row, label_count)?, "distance": distance }));
    }
    let explain = if has_query && !ids.is_empty() {
        Some(sql_queries::explain(&expression, &search, &ids)?)
    } else {
        None
    };
    let mut explanations = Map::new();
    if let Some(explain) = &explain {
        for row in transaction.rows(explain).await? {
            let parts = explanations.entry(column::<String>(&row, 0)?).or_insert_with(|| json!([]));
            if let Value::Array(parts) = parts {
                parts.push(json!({
                    "attribute": column::<Option<String>>(&row, 1)?,
                    "weight": column::<Option<f32>>(&row, 2)?,
                    "distance": column::<Option<f64>>(&row, 3)?,
                    "contribution": column::<f64>(&row, 4)?,
                }));
            }
        }
    }
    json_response(&json!({
        "more": rows.len() == limit as usize && limit < MAX_ROWS,
        "rows": rows,
        "explanations": explanations,
        "sql": statement.with_literals(),
        "explain_sql": explain.map(|explain| explain.with_literals()),
        "milliseconds": milliseconds,
    }))
}

/// Fails if a row that the search starts from does not exist or has no embedding: every distance would be null.
async fn check_query_rows(
    app: &AppState,
    transaction: &ReadTransaction,
    search: &SearchRequest,
) -> Result<(), HttpError> {
    let ids: Vec<String> = search.row_ids().into_iter().map(str::to_owned).collect();
    for id in &ids {
        let statement = sql_queries::has_embedding(&app.inspection.table, std::slice::from_ref(id));
        match transaction.rows(&statement).await?.first() {
            None => return Err(HttpError::no_row(id)),
            Some(row) if !column::<bool>(row, 1)? => {
                return Err(HttpError::bad_request(format!("the row with id \"{id}\" has no embedding"))
                    .hint("Embed its image: UPDATE ... SET emb = coop_embed(image)."));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Query string of `GET /api/tags`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagsOptions {
    /// The row's id, as text.
    id: String,
}

/// `GET /api/tags`: the attribute values that the model sees in a row (`coop_tags`).
pub async fn tags(State(app): SharedState, options: Result<Query<TagsOptions>, QueryRejection>) -> ApiResult {
    let Query(TagsOptions { id }) = options?;
    let statement = sql_queries::tags(&app.inspection.table, &id);
    let rows = app.database.rows(&statement).await?;
    let row = rows.first().ok_or_else(|| HttpError::no_row(&id))?;
    let tags: Option<String> = column(row, 0)?;
    let tags: Value = serde_json::from_str(tags.as_deref().unwrap_or("null")).unwrap_or(Value::Null);
    json_response(&json!({ "tags": tags, "sql": statement.with_literals() }))
}

/// Query string of `GET /api/description`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescriptionOptions {
    /// The description, as it was typed.
    text: String,
}

/// `GET /api/description`: what the model understands of a description (`coop_query_explain`), a row for each meaning of each phrase, and the
/// words that mean nothing to it.
pub async fn description(
    State(app): SharedState,
    options: Result<Query<DescriptionOptions>, QueryRejection>,
) -> ApiResult {
    let Query(DescriptionOptions { text }) = options?;
    if !app.inspection.has_descriptions {
        return Err(HttpError::new(StatusCode::NOT_FOUND, "this version of the extension has no coop_query")
            .hint("ALTER EXTENSION coopembed UPDATE;"));
    }
    let statement = sql_queries::explain_description(&app.inspection.table, &text);
    let (mut meanings, mut unknown) = (Vec::new(), Vec::new());
    for row in app.database.rows(&statement).await? {
        let phrase: String = column(&row, 0)?;
        match column::<Option<f64>>(&row, 5)? {
            None => unknown.push(phrase),
            Some(weight) => meanings.push(json!({
                "phrase": phrase,
                "attribute": column::<Option<String>>(&row, 1)?,
                "value": column::<Option<String>>(&row, 2)?,
                "category": column::<Option<String>>(&row, 3)?,
                "negated": column::<Option<bool>>(&row, 4)?,
                "weight": weight,
            })),
        }
    }
    json_response(&json!({ "meanings": meanings, "unknown": unknown, "sql": statement.with_literals() }))
}

/// Body of `POST /api/transition`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransitionRequest {
    /// Id of the first row, as text.
    from: String,
    /// Id of the last row, as text.
    to: String,
    /// Walk in this attribute's subspace; in all of them if absent.
    #[serde(default)]
    attribute: Option<String>,
}

/// `POST /api/transition`: the steps from one row to another (`coop_transition`).
pub async fn transition(State(app): SharedState, request: Request) -> ApiResult {
    let TransitionRequest { from, to, attribute } = read_json(request).await?;
    let table = &app.inspection.table;
    let function = app.inspection.transition.as_ref().ok_or_else(|| {
        HttpError::new(StatusCode::NOT_FOUND, "this version of the extension has no coop_transition")
    })?;
    let statement = sql_queries::transition(table, function, (&from, &to), attribute.as_deref());
    let transaction = app.database.begin().await?;
    let start = Instant::now();
    let found = transaction.rows(&statement).await?;
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
    for row in transaction.rows(&sql_queries::labels(table, &ids)).await? {
        labels.insert(column(&row, 0)?, json!(label_texts(&row, table.labels.len())?));
    }
    json_response(&json!({
        "steps": steps,
        "labels": labels,
        "sql": statement.with_literals(),
        "milliseconds": milliseconds,
    }))
}

/// For addresses that no route serves.
pub async fn not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// For a `GET` where a `POST` is served, and the like.
pub async fn method_not_allowed() -> HttpError {
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this HTTP method")
}

/// The labels of a row, which follow its id in column 0.
fn label_texts(row: &Row, count: usize) -> Result<Vec<Option<String>>, HttpError> {
    (1..=count).map(|i| column(row, i)).collect()
}

fn json_response(value: &impl Serialize) -> ApiResult {
    let text = serde_json::to_string(value).map_err(|e| {
        HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("could not write JSON: {e}"))
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text)
        .into_response())
}

/// A JSON body. The Content-Type must say so: a form on another site cannot send that type.
async fn read_json<T: DeserializeOwned>(request: Request) -> Result<T, HttpError> {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if media_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the request is not JSON")
            .detail(format!("Its Content-Type is \"{}\".", crate::error::abridged(media_type))));
    }
    let bytes = read_body(request.into_body(), MAX_JSON_BYTES, "request", "Ask for less at once.").await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| HttpError::bad_request("could not parse the request").detail(format!("{e}.")))
}

/// The whole body, up to `max` bytes; `what` and `hint` go into the error.
async fn read_body(body: Body, max: usize, what: &str, hint: &str) -> Result<Vec<u8>, HttpError> {
    let bytes = to_bytes(body, max).await.map_err(|_| {
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the {what} is too large"))
            .detail(format!("The limit is {max} bytes."))
            .hint(hint)
    })?;
    Ok(bytes.into())
}
