//! The API's paths.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State, rejection::JsonRejection, rejection::QueryRejection},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dbt_cloud::{
    Config,
    answer::{self, ApiError, Related},
    book::Book,
    command,
};

/// What a trigger without steps of its own runs.
const DEFAULT_STEPS: [&str; 1] = ["dbt build --exclude-resource-type unit_test"];

/// The longest cause that the API takes.
const MOST_CAUSE_CHARS: usize = 255;

/// The most runs in one listing.
const MAX_LIMIT: usize = 100;

#[derive(Clone)]
struct Server {
    config: Arc<Config>,
    book: Arc<Book>,
    /// When the requests of the last minute came.
    recent: Arc<Mutex<VecDeque<Instant>>>,
}

pub(crate) fn router(config: Arc<Config>, book: Arc<Book>) -> Router {
    let account = Router::new()
        .route("/jobs/{job}/run/", post(trigger))
        .route("/runs/", get(list))
        .route("/runs/{run}/", get(show))
        .route("/runs/{run}/cancel/", post(cancel))
        .route("/runs/{run}/artifacts/", get(artifacts))
        .route("/runs/{run}/artifacts/{name}", get(artifact));
    let server = Server { config, book, recent: Arc::default() };
    Router::new()
        .nest("/api/v2/accounts/{account}", account)
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::not_found())
        .layer(middleware::from_fn_with_state(server.clone(), authorised))
        .with_state(server)
}

/// `Token` and `Bearer` are equivalent; a bare token is refused.
async fn authorised(State(server): State<Server>, request: Request, next: Next) -> Result<Response, ApiError> {
    let presented = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = presented.and_then(|value| value.strip_prefix("Token ").or_else(|| value.strip_prefix("Bearer ")));
    if token != Some(server.config.token.as_str()) {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "Invalid token"));
    }
    if !server.admits(Instant::now()) {
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "Request was throttled"));
    }
    Ok(next.run(request).await)
}

/// What a trigger may say here; anything else the API knows would change what runs, so it is refused, not ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    cause: String,
    #[serde(default)]
    steps_override: Option<Vec<String>>,
}

async fn trigger(
    State(server): State<Server>,
    Path((account, job)): Path<(u64, u64)>,
    body: Result<Json<Trigger>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    server.check_account(account)?;
    server.check_job(job)?;
    let Json(trigger) = body.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    if trigger.cause.is_empty() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "cause: Shorter than minimum length 1."));
    }
    if trigger.cause.chars().count() > MOST_CAUSE_CHARS {
        let message = format!("cause: Longer than maximum length {MOST_CAUSE_CHARS}.");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
    }
    let steps = trigger.steps_override.unwrap_or_else(|| DEFAULT_STEPS.map(str::to_owned).to_vec());
    if steps.is_empty() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "steps_override: at least one step is needed"));
    }
    for step in &steps {
        command::parse(step).map_err(|message| ApiError::new(StatusCode::BAD_REQUEST, message))?;
    }
    let run = server.book.enqueue(trigger.cause, steps)?;
    Ok(answer::one(answer::run(&server.config, &server.book, &run, Related { trigger: true, ..Related::default() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    job_definition_id: Option<u64>,
    status: Option<u8>,
    order_by: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    include_related: Option<String>,
}

async fn list(
    State(server): State<Server>,
    Path(account): Path<u64>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    server.check_account(account)?;
    let Query(query) = query.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let order_by = query.order_by.as_deref().unwrap_or("id");
    let mut runs = server.book.all();
    // Ids and times of creation and, as runs execute one after another, of ending grow together.
    match order_by {
        "id" | "created_at" | "finished_at" => {}
        "-id" | "-created_at" | "-finished_at" => runs.reverse(),
        _ => return Err(ApiError::new(StatusCode::BAD_REQUEST, "order_by: not supported")),
    }
    runs.retain(|run| {
        query.job_definition_id.is_none_or(|job| job == server.config.job_id)
            && query.status.is_none_or(|status| status == run.status as u8)
    });
    let limit = query.limit.unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
    let related = Related::parse(query.include_related.as_deref());
    let shown = runs.iter().skip(query.offset.unwrap_or(0)).take(limit);
    let shown = shown.map(|run| answer::run(&server.config, &server.book, run, related)).collect();
    Ok(answer::page(shown, order_by, runs.len()))
}

#[derive(Deserialize)]
struct ShowQuery {
    include_related: Option<String>,
}

async fn show(
    State(server): State<Server>,
    Path((account, run)): Path<(u64, u64)>,
    Query(query): Query<ShowQuery>,
) -> Result<Json<Value>, ApiError> {
    server.check_account(account)?;
    let run = server.book.get(run).ok_or_else(ApiError::not_found)?;
    let related = Related::parse(query.include_related.as_deref());
    Ok(answer::one(answer::run(&server.config, &server.book, &run, related)))
}

async fn cancel(State(server): State<Server>, Path((account, run)): Path<(u64, u64)>) -> Result<Json<Value>, ApiError> {
    server.check_account(account)?;
    let run = server.book.cancel(run)?.ok_or_else(ApiError::not_found)?;
    Ok(answer::one(answer::run(&server.config, &server.book, &run, Related::default())))
}

#[derive(Deserialize)]
struct ArtifactQuery {
    step: Option<usize>,
}

async fn artifacts(
    State(server): State<Server>,
    Path((account, run)): Path<(u64, u64)>,
    Query(query): Query<ArtifactQuery>,
) -> Result<Json<Value>, ApiError> {
    server.check_account(account)?;
    let directory = server.artifacts_of(run, query.step)?;
    let entries = std::fs::read_dir(directory).map_err(|_| ApiError::not_found())?;
    let mut names: Vec<String> =
        entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(answer::one(json!(names)))
}

/// The file itself, without an envelope.
async fn artifact(
    State(server): State<Server>,
    Path((account, run, name)): Path<(u64, u64, String)>,
    Query(query): Query<ArtifactQuery>,
) -> Result<([(header::HeaderName, &'static str); 1], Vec<u8>), ApiError> {
    server.check_account(account)?;
    // One path segment after decoding: nothing outside the run's own directory has such a name.
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(ApiError::not_found());
    }
    let path = server.artifacts_of(run, query.step)?.join(name);
    let body = std::fs::read(path).map_err(|_| ApiError::not_found())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}

impl Server {
    /// Whether the last minute has room for one more request. One that is refused does not count.
    fn admits(&self, now: Instant) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|at| now.duration_since(*at) < Duration::from_secs(60));
        let room = recent.len() < self.config.requests_per_minute;
        if room {
            recent.push_back(now);
        }
        room
    }

    fn check_account(&self, account: u64) -> Result<(), ApiError> {
        if account == self.config.account_id { Ok(()) } else { Err(ApiError::not_found()) }
    }

    fn check_job(&self, job: u64) -> Result<(), ApiError> {
        if job == self.config.job_id { Ok(()) } else { Err(ApiError::not_found()) }
    }

    /// The artifacts of one step, by default the last that left any.
    fn artifacts_of(&self, run: u64, step: Option<usize>) -> Result<std::path::PathBuf, ApiError> {
        let run = self.book.get(run).ok_or_else(ApiError::not_found)?;
        let candidates = step.map_or(1..=run.steps.len(), |step| step..=step);
        let mut directories = candidates.rev().map(|step| self.book.artifacts_dir(run.id, step));
        directories.find(|directory| directory.exists()).ok_or_else(ApiError::not_found)
    }
}
