//! What every answer of the API has in common: refusals, their ids, and the present time.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The most records of a batch.
pub(super) const MAX_BATCH: usize = 100;

pub(super) fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// HubSpot's error envelope.
pub(super) struct Refusal(pub StatusCode, pub &'static str, pub String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, category, message) = self;
        let body =
            json!({"status": "error", "message": message, "correlationId": correlation_id(), "category": category});
        (status, Json(body)).into_response()
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message.into())
}

/// A UUID that tells one answer from another.
pub(super) fn correlation_id() -> String {
    static ANSWERS: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", ANSWERS.fetch_add(1, Ordering::Relaxed))
}
