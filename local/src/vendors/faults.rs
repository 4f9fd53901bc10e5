//! Faults on demand: a number of requests to an emulator fail in a chosen way.
//!
//! `POST /_emulator/faults` with `{"kind": "status", "status": 503, "retry_after": 1, "requests": 2}`,
//! `{"kind": "html_page"}`, `{"kind": "truncated_json", "path": "/search"}` or `{"kind": "silence"}`. `requests` is 1, `after` 0
//! and `path` is every path unless given. `DELETE` forgets what is left.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Status {
        status: u16,
        retry_after: Option<u64>,
        /// The vendor's own words, where they matter.
        #[serde(default)]
        body: Option<String>,
    },
    /// What a proxy in between answers: 200 and a page.
    HtmlPage,
    TruncatedJson,
    /// No answer as long as the client waits for one.
    Silence,
}

#[derive(Debug, Clone, Deserialize)]
struct Fault {
    #[serde(flatten)]
    kind: Kind,
    #[serde(default = "one")]
    requests: usize,
    /// How many of its requests are let through before.
    #[serde(default)]
    after: usize,
    /// Only requests whose path contains this.
    #[serde(default)]
    path: String,
}

fn one() -> usize {
    1
}

type Faults = Arc<Mutex<Vec<Fault>>>;

/// The emulator's routes behind the faults, and the route that sets them.
pub(crate) fn with_faults(router: Router) -> Router {
    let faults = Faults::default();
    let admin = Router::new().route("/_emulator/faults", post(set).delete(forget)).with_state(faults.clone());
    router.layer(from_fn_with_state(faults, fail)).merge(admin)
}

async fn set(State(faults): State<Faults>, Json(fault): Json<Fault>) -> StatusCode {
    faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    StatusCode::NO_CONTENT
}

async fn forget(State(faults): State<Faults>) -> StatusCode {
    faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    StatusCode::NO_CONTENT
}

async fn fail(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    match due(&faults, request.uri().path()) {
        None => next.run(request).await,
        Some(Kind::Status { status, retry_after, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = (status, body.unwrap_or_else(|| "fault on demand".to_owned())).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Some(Kind::HtmlPage) => Html("<html><body><h1>We'll be right back</h1></body></html>").into_response(),
        Some(Kind::Silence) => std::future::pending().await,
        Some(Kind::TruncatedJson) => {
            let (mut parts, body) = next.run(request).await.into_parts();
            let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
        }
    }
}

/// Takes one request off the first fault that concerns the path.
fn due(faults: &Faults, path: &str) -> Option<Kind> {
    let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = faults.iter_mut().find(|fault| fault.requests > 0 && path.contains(&fault.path))?;
    if fault.after > 0 {
        fault.after -= 1;
        return None;
    }
    fault.requests -= 1;
    Some(fault.kind.clone())
}
