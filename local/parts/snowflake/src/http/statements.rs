//! The SQL API, version 2: submit, poll, fetch a partition, cancel.

use std::{
    collections::{HashMap, VecDeque},
    io::Write,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    body::Bytes,
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use duckdb::InterruptHandle;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Problem, bearer, key_pair};
use crate::{
    Emulator,
    failure::Failure,
    faults, lock,
    request::{Caller, Request},
    result::{ResultColumn, ResultSet},
    statements::{QUESTION, Session},
};

/// The longest text of a statement.
const MOST_STATEMENT_BYTES: usize = 1_000_000;

/// How long an answer is waited for before it becomes 202.
const HELD_FOR: Duration = Duration::from_secs(45);

/// The longest value of the parameter QUERY_TAG.
const MOST_TAG_CHARS: usize = 2_000;

/// How many statements are remembered.
const REMEMBERED: usize = 1_000;

/// How many rows one part of an answer holds.
const PARTITION_ROWS: usize = 10_000;

/// The statements of late, by handle.
#[derive(Default)]
pub(crate) struct Statements(Mutex<Store>);

#[derive(Default)]
struct Store {
    entries: HashMap<Uuid, Entry>,
    /// Oldest first.
    order: VecDeque<Uuid>,
}

struct Entry {
    request: Option<String>,
    created_on: i64,
    state: Progress,
}

#[derive(Clone)]
enum Progress {
    Waiting,
    Running(Arc<Running>),
    Ended(Result<Arc<ResultSet>, Failure>),
}

/// A statement in its session.
struct Running {
    /// It may be waiting for a lock.
    cancelled: AtomicBool,
    interrupt: Arc<InterruptHandle>,
}

impl Running {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.interrupt.interrupt();
    }
}

impl Statements {
    fn add(&self, handle: Uuid, request: Option<String>) {
        let mut store = lock(&self.0);
        let created_on = Utc::now().timestamp_millis();
        store.entries.insert(handle, Entry { request, created_on, state: Progress::Waiting });
        store.order.push_back(handle);
        if store.order.len() > REMEMBERED
            && let Some(oldest) = store.order.pop_front()
        {
            store.entries.remove(&oldest);
        }
    }

    /// The statement that a request id has already run well.
    fn succeeded(&self, request: &str) -> Option<Uuid> {
        let store = lock(&self.0);
        let mut found = store.entries.iter().filter(|(_, entry)| entry.request.as_deref() == Some(request));
        found.find(|(_, entry)| matches!(entry.state, Progress::Ended(Ok(_)))).map(|(handle, _)| *handle)
    }

    fn get(&self, handle: Uuid) -> Option<(Progress, i64)> {
        lock(&self.0).entries.get(&handle).map(|entry| (entry.state.clone(), entry.created_on))
    }

    fn set(&self, handle: Uuid, state: Progress) {
        if let Some(entry) = lock(&self.0).entries.get_mut(&handle) {
            entry.state = state;
        }
    }

    /// Marks a waiting statement as running; `None` if it was cancelled before its turn.
    fn start(&self, handle: Uuid, interrupt: Arc<InterruptHandle>) -> Option<Arc<Running>> {
        let mut store = lock(&self.0);
        let entry = store.entries.get_mut(&handle).filter(|entry| matches!(entry.state, Progress::Waiting))?;
        let running = Arc::new(Running { cancelled: AtomicBool::new(false), interrupt });
        entry.state = Progress::Running(Arc::clone(&running));
        Some(running)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Submission {
    request_id: Option<String>,
    #[serde(default)]
    retry: bool,
    #[serde(default, rename = "async")]
    at_once: bool,
}

#[derive(Deserialize)]
struct Body {
    statement: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    warehouse: Option<String>,
    #[serde(default)]
    bindings: Option<serde_json::Value>,
    #[serde(default)]
    parameters: HashMap<String, serde_json::Value>,
}

impl Body {
    /// A parameter by its name in any case.
    fn parameter(&self, name: &str) -> Option<&serde_json::Value> {
        self.parameters.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// ROWS_PER_RESULTSET, where 0 is no limit.
    fn most_rows(&self) -> Result<usize, Problem> {
        let Some(value) = self.parameter("ROWS_PER_RESULTSET") else { return Ok(usize::MAX) };
        match value.as_u64() {
            Some(0) => Ok(usize::MAX),
            Some(rows) => Ok(usize::try_from(rows).unwrap_or(usize::MAX)),
            None => Err(Problem::new(422, "001007", "invalid value for the parameter ROWS_PER_RESULTSET")),
        }
    }
}

pub(super) async fn submit(
    State(emulator): State<Emulator>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(submission): Query<Submission>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let user = key_pair(&emulator, bearer(&headers))?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.starts_with("application/json") {
        return Err(Problem::new(415, "390142", "the content type must be application/json"));
    }
    let body: Body = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(400, "390142", format!("the request's body is not valid: {error}")))?;
    if let Some(role) = &body.role
        && !lock(&emulator.0.account).has_role(&user, role)
    {
        let text = format!("Role '{role}' specified in the request is not granted to this user.");
        return Err(Problem::of(422, &Failure::new("390186", "08001", text)));
    }
    if body.statement.len() > MOST_STATEMENT_BYTES {
        let text = "the text of the statement is longer than 1 MB";
        return Err(Problem::of(422, &Failure::syntax(text)));
    }
    let several = body.parameters.keys().any(|name| name.eq_ignore_ascii_case("MULTI_STATEMENT_COUNT"));
    if several || body.bindings.is_some() {
        return Err(Problem::of(422, &Failure::unsupported("bindings and several statements in one request")));
    }
    let tag = body.parameter("QUERY_TAG").and_then(|tag| tag.as_str());
    if tag.is_some_and(|tag| tag.chars().count() > MOST_TAG_CHARS) {
        return Err(Problem::new(422, "001007", "the value of the parameter QUERY_TAG is too long"));
    }
    let is_question = tag == Some(QUESTION);
    let most_rows = body.most_rows()?;
    if submission.retry
        && let Some(handle) = submission.request_id.as_deref().and_then(|id| emulator.0.statements.succeeded(id))
    {
        return answer(&emulator, handle, 0);
    }

    let (role, warehouse) = {
        let account = lock(&emulator.0.account);
        let role = body.role.map_or_else(|| account.default_role(&user), |role| role.to_uppercase());
        let warehouse = body.warehouse.map_or_else(|| account.default_warehouse(&user), |name| name.to_uppercase());
        (role, warehouse)
    };
    let caller = Caller { user, role, warehouse, address: peer.ip() };
    let handle = Uuid::now_v7();
    emulator.0.statements.add(handle, submission.request_id);
    let shared = Arc::clone(&emulator.0);
    let ended = emulator.0.actor.session(move |conn| {
        let outcome = conn.map_err(Failure::from).and_then(|conn| {
            let running = shared.statements.start(handle, conn.interrupt_handle()).ok_or_else(Failure::cancelled)?;
            let session = Session::new(Request { conn: &conn, shared: &shared, caller }, handle, &running.cancelled);
            if is_question { session.ask(&body.statement, most_rows) } else { session.run(&body.statement) }
        });
        shared.statements.set(handle, Progress::Ended(outcome.map(Arc::new)));
    });
    let forced = emulator.0.faults.take("/api/v2/statements", |fault| fault == faults::Fault::Accepted);
    if submission.at_once || forced.is_some() {
        return Ok(running(handle, Utc::now().timestamp_millis()));
    }
    tokio::select! {
        _ = ended => {}
        () = emulator.0.actor.gone() => {}
        () = tokio::time::sleep(HELD_FOR) => {}
    }
    answer(&emulator, handle, 0)
}

#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    partition: usize,
}

pub(super) async fn poll(
    State(emulator): State<Emulator>,
    Path(handle): Path<Uuid>,
    Query(part): Query<Part>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    key_pair(&emulator, bearer(&headers))?;
    answer(&emulator, handle, part.partition)
}

pub(super) async fn cancel(
    State(emulator): State<Emulator>,
    Path(handle): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    key_pair(&emulator, bearer(&headers))?;
    let (state, _) = emulator.0.statements.get(handle).ok_or_else(unknown_handle)?;
    match state {
        Progress::Waiting => emulator.0.statements.set(handle, Progress::Ended(Err(Failure::cancelled()))),
        Progress::Running(running) => running.cancel(),
        Progress::Ended(_) => {}
    }
    Ok(Json(json!({
        "code": "000604", "sqlState": "57014", "message": "successfully canceled statement",
        "statementHandle": handle, "statementStatusUrl": status_url(handle),
    }))
    .into_response())
}

fn unknown_handle() -> Problem {
    Problem::new(404, "000709", "there is no statement of this handle")
}

fn status_url(handle: Uuid) -> String {
    format!("/api/v2/statements/{handle}")
}

fn answer(emulator: &Emulator, handle: Uuid, partition: usize) -> Result<Response, Problem> {
    let (state, created_on) = emulator.0.statements.get(handle).ok_or_else(unknown_handle)?;
    match state {
        Progress::Waiting | Progress::Running(_) => Ok(running(handle, created_on)),
        Progress::Ended(Err(failure)) => Ok((
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({
                "code": failure.code, "sqlState": failure.sql_state, "message": failure.message,
                "statementHandle": handle, "createdOn": created_on, "statementStatusUrl": status_url(handle),
            })),
        )
            .into_response()),
        Progress::Ended(Ok(result)) if partition == 0 => Ok(first_partition(&result, handle, created_on)),
        Progress::Ended(Ok(result)) => later_partition(&result, partition),
    }
}

fn running(handle: Uuid, created_on: i64) -> Response {
    let body = json!({
        "code": "333334", "sqlState": "00000", "statementHandle": handle, "createdOn": created_on,
        "message": "Asynchronous execution in progress.", "statementStatusUrl": status_url(handle),
    });
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

/// The metadata comes first in the object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FirstPartition<'a> {
    result_set_meta_data: MetaData<'a>,
    data: &'a [Vec<Option<String>>],
    code: &'static str,
    sql_state: &'static str,
    message: &'static str,
    statement_handle: Uuid,
    statement_status_url: String,
    created_on: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetaData<'a> {
    num_rows: usize,
    format: &'static str,
    row_type: &'a [ResultColumn],
    partition_info: Vec<serde_json::Value>,
}

fn first_partition(result: &ResultSet, handle: Uuid, created_on: i64) -> Response {
    let mut partition_info: Vec<_> =
        result.rows.chunks(PARTITION_ROWS).map(|rows| json!({"rowCount": rows.len(), "uncompressedSize": 0})).collect();
    if partition_info.is_empty() {
        partition_info.push(json!({"rowCount": 0, "uncompressedSize": 0}));
    }
    let body = FirstPartition {
        result_set_meta_data: MetaData {
            num_rows: result.rows.len(),
            format: "jsonv2",
            row_type: &result.columns,
            partition_info,
        },
        data: result.rows.chunks(PARTITION_ROWS).next().unwrap_or_default(),
        code: "090001",
        sql_state: "00000",
        message: "Statement executed successfully.",
        statement_handle: handle,
        statement_status_url: status_url(handle),
        created_on,
    };
    Json(body).into_response()
}

/// Compressed, whatever the request accepts.
fn later_partition(result: &ResultSet, partition: usize) -> Result<Response, Problem> {
    let rows = result.rows.chunks(PARTITION_ROWS).nth(partition);
    let rows = rows.ok_or_else(|| Problem::new(400, "390142", "the answer has no such partition"))?;
    let json = serde_json::to_vec(&json!({ "data": rows })).map_err(anyhow::Error::from)?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&json).map_err(anyhow::Error::from)?;
    let body = encoder.finish().map_err(anyhow::Error::from)?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
    Ok((headers, body).into_response())
}
