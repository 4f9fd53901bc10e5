//! An Open Exchange Rates of our own, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use chrono::NaiveDate;
use serde_json::json;

/// The one app id that the API knows.
pub(crate) const APP_ID: &str = "0123";

/// What the API answers, and what it has been asked.
#[derive(Debug, Default)]
pub(crate) struct Api {
    pub paths: Vec<String>,
    /// Path to status and body; everything else is answered well.
    pub faults: BTreeMap<String, (u16, String)>,
    pub unavailable: BTreeSet<String>,
    /// Unix seconds of `latest.json`.
    pub latest: i64,
    pub remaining: i64,
    /// What the account's plan says about other bases.
    pub other_bases: Option<bool>,
    /// The base of all rates; `USD` when empty.
    pub base: String,
    /// The account's status; `active` when empty.
    pub status: String,
}

pub(crate) type Shared = Arc<Mutex<Api>>;

async fn answer(State(api): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    let mut api = api.lock().expect("not poisoned");
    let path = uri.path().trim_start_matches("/api/").to_owned();
    api.paths.push(path.clone());
    let refuse = |status: u16, message: &str| {
        let body = json!({"error": true, "status": status, "message": message, "description": "d"});
        (StatusCode::from_u16(status).expect("a status"), body.to_string()).into_response()
    };
    if headers.get("authorization").is_none_or(|value| value != format!("Token {APP_ID}").as_str()) {
        return refuse(401, "invalid_app_id");
    }
    if let Some((status, body)) = api.faults.get(&path) {
        return (StatusCode::from_u16(*status).expect("a status"), body.clone()).into_response();
    }
    let base = if api.base.is_empty() { "USD" } else { &api.base };
    let rates = |timestamp: i64| {
        format!(
            r#"{{"disclaimer":"d","license":"l","timestamp":{timestamp},"base":"{base}",
                "rates":{{"BTC":0.000035538428,"EUR":0.0778595876,"IDR":16234.5,"USD":1}}}}"#
        )
        .into_response()
    };
    if path == "currencies.json" {
        return json!({"EUR": "Euro", "USD": "United States Dollar"}).to_string().into_response();
    }
    if path == "usage.json" {
        let usage = json!({"requests": 1, "requests_remaining": api.remaining, "days_remaining": 0});
        let status = if api.status.is_empty() { "active" } else { &api.status };
        let plan = json!({"features": {"base": api.other_bases}});
        let data = json!({"status": status, "plan": plan, "usage": usage});
        return json!({"status": 200, "data": data}).to_string().into_response();
    }
    if path == "latest.json" {
        return rates(api.latest);
    }
    match path.strip_prefix("historical/").and_then(|rest| rest.strip_suffix(".json")) {
        Some(date) if api.unavailable.contains(date) => refuse(400, "not_available"),
        Some(date) => {
            let end = date.parse::<NaiveDate>().expect("a date").and_hms_opt(23, 59, 59).expect("a time");
            rates(end.and_utc().timestamp())
        }
        None => refuse(404, "not_found"),
    }
}

/// Starts the API on a port of its own; the address is what the configuration takes.
pub(crate) async fn serve() -> (String, Shared) {
    let api = Shared::new(Mutex::new(Api { remaining: -1, ..Api::default() }));
    let router = Router::new().fallback(answer).with_state(api.clone());
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
    let url = format!("http://{}/api/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, api)
}
