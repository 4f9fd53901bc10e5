//! What the API's answers look like.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::dbt_cloud::{
    Config,
    book::{Book, Run, Status},
};

/// Without `debug_logs` a step's log is cut to this many of its last lines.
const LOG_LINES: usize = 1_000;

/// A refusal or a failure, in the envelope.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        ApiError { status, message: message.into() }
    }

    pub(crate) fn not_found() -> Self {
        ApiError::new(StatusCode::NOT_FOUND, "The requested resource was not found")
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "status": envelope_status(self.status, &self.message), "data": null })))
            .into_response()
    }
}

/// One thing in the envelope.
pub(crate) fn one(data: Value) -> Json<Value> {
    Json(json!({ "status": envelope_status(StatusCode::OK, "Success!"), "data": data }))
}

/// A page of a list in the envelope.
pub(crate) fn page(data: Vec<Value>, order_by: &str, total: usize) -> Json<Value> {
    Json(json!({
        "status": envelope_status(StatusCode::OK, "Success!"),
        "extra": {
            "filters": {},
            "order_by": order_by,
            "pagination": { "count": data.len(), "total_count": total },
        },
        "data": data,
    }))
}

fn envelope_status(status: StatusCode, message: &str) -> Value {
    json!({
        "code": status.as_u16(),
        "is_success": status.is_success(),
        "user_message": message,
        "developer_message": "",
    })
}

/// The parts of a run that are told only when asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Related {
    pub trigger: bool,
    pub run_steps: bool,
    pub debug_logs: bool,
}

impl Related {
    /// From the comma list of `include_related`; names of parts that the emulator has not are passed over.
    pub(crate) fn parse(list: Option<&str>) -> Self {
        let names: Vec<&str> = list.unwrap_or_default().split(',').map(str::trim).collect();
        Related {
            trigger: names.contains(&"trigger"),
            run_steps: names.contains(&"run_steps"),
            debug_logs: names.contains(&"debug_logs"),
        }
    }
}

/// A run as the API tells it.
pub(crate) fn run(config: &Config, book: &Book, run: &Run, related: Related) -> Value {
    let ended = run.status.ended();
    let until = run.finished_at.unwrap_or_else(Utc::now);
    let trigger = json!({
        "cause": run.cause,
        "cause_category": "api",
        "steps_override": run.steps.iter().map(|step| &step.command).collect::<Vec<_>>(),
        "created_at": time(run.created_at),
    });
    json!({
        "id": run.id,
        "account_id": config.account_id,
        "job_id": config.job_id,
        "job_definition_id": config.job_id,
        "status": run.status as u8,
        "status_humanized": format!("{:?}", run.status),
        "status_message": run.message,
        "in_progress": !ended,
        "is_running": run.status == Status::Running,
        "is_complete": ended,
        "is_success": run.status == Status::Success,
        "is_error": run.status == Status::Error,
        "is_cancelled": run.status == Status::Cancelled,
        "can_retry": false,
        "artifacts_saved": ended && book.artifacts_dir(run.id, 1).exists(),
        "created_at": time(run.created_at),
        "started_at": run.started_at.map(time),
        "finished_at": run.finished_at.map(time),
        "duration": clock(until - run.created_at),
        "run_duration": run.started_at.map_or_else(|| clock(TimeDelta::zero()), |start| clock(until - start)),
        "trigger": if related.trigger { trigger } else { Value::Null },
        "run_steps": if related.run_steps { steps(book, run, related) } else { json!([]) },
    })
}

fn steps(book: &Book, run: &Run, related: Related) -> Value {
    let steps = run.steps.iter().zip(1..).map(|(step, number)| {
        // A step that has not started has no log yet.
        let log = std::fs::read(book.log_path(run.id, number)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let from = if related.debug_logs { 0 } else { lines.len().saturating_sub(LOG_LINES) };
        json!({
            "index": number,
            "name": format!("Invoke dbt with `{}`", step.command),
            "status": step.status as u8,
            "status_humanized": format!("{:?}", step.status),
            "logs": lines[from..].join("\n"),
        })
    });
    steps.collect()
}

/// The API's own form: a space instead of the `T`.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}

fn clock(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
