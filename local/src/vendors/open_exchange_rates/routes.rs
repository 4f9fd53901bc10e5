//! The routes, the check of the app id and the quota, and the vendor's bodies.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sluice_testkit::generate::{RATE_SCALE, decimal_text};

use super::currencies::name;
use super::{Account, RatesState};

pub(super) fn router(state: RatesState) -> Router {
    Router::new()
        .route("/api/latest.json", get(latest))
        .route("/api/historical/{file}", get(historical))
        .route("/api/currencies.json", get(currencies))
        .route("/api/usage.json", get(usage))
        .fallback(|| async { NOT_FOUND })
        .method_not_allowed_fallback(|| async { NOT_FOUND })
        .with_state(state)
}

/// Status, message and description of the vendor's errors.
#[derive(Clone, Copy)]
struct Refusal(u16, &'static str, &'static str);

const NOT_FOUND: Refusal = Refusal(404, "not_found", "Client requested a non-existent resource/route.");
const MISSING_APP_ID: Refusal = Refusal(401, "missing_app_id", "No App ID provided.");
const INVALID_APP_ID: Refusal = Refusal(401, "invalid_app_id", "Invalid App ID provided.");
const INVALID_BASE: Refusal = Refusal(400, "invalid_base", "Invalid `base` currency.");
const OTHER_BASE: Refusal =
    Refusal(429, "not_allowed", "Changing the API `base` currency is available for Developer plans and above.");
const OVER_QUOTA: Refusal = Refusal(429, "access_restricted", "Access restricted for repeated over-use.");
const NOT_AVAILABLE: Refusal =
    Refusal(400, "not_available", "Historical rates for the requested date are not available.");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, message, description) = self;
        let body = json!({"error": true, "status": status, "message": message, "description": description});
        (StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), Json(body)).into_response()
    }
}

#[derive(Deserialize)]
struct RatesQuery {
    app_id: Option<String>,
    base: Option<String>,
    symbols: Option<String>,
}

async fn latest(State(state): State<RatesState>, query: Query<RatesQuery>, headers: HeaderMap) -> Response {
    let account = &mut *state.lock();
    let today = account.config.today;
    let newest = account.config.rates.dates().rfind(|date| *date <= today);
    answer(account, newest, &query, &headers).unwrap_or_else(IntoResponse::into_response)
}

async fn historical(
    State(state): State<RatesState>,
    Path(file): Path<String>,
    query: Query<RatesQuery>,
    headers: HeaderMap,
) -> Response {
    let account = &mut *state.lock();
    let date: Option<NaiveDate> = file.strip_suffix(".json").and_then(|date| date.parse().ok());
    let known = date.filter(|date| *date <= account.config.today);
    answer(account, known, &query, &headers).unwrap_or_else(IntoResponse::into_response)
}

async fn currencies(State(state): State<RatesState>) -> Json<Value> {
    let account = state.lock();
    let rates = &account.config.rates;
    let codes: BTreeSet<&String> = rates.dates().filter_map(|date| rates.day(date)).flat_map(BTreeMap::keys).collect();
    Json(codes.into_iter().map(|code| (code.clone(), json!(name(code)))).collect())
}

/// Asking costs nothing.
async fn usage(State(state): State<RatesState>, query: Query<RatesQuery>, headers: HeaderMap) -> Response {
    let account = state.lock();
    if let Err(refusal) = authorise(&account, &query, &headers) {
        return refusal.into_response();
    }
    let quota = account.config.quota;
    let remaining = quota.map_or(json!(-1), |quota| json!(quota.saturating_sub(account.requests)));
    let quota_text = quota.map_or("Unlimited".to_owned(), |quota| format!("{quota} requests / month"));
    let body = json!({"status": 200, "data": {
        "app_id": account.config.app_id,
        "status": "active",
        "plan": {
            "name": "Free", "quota": quota_text, "update_frequency": "3600s",
            "features": {"base": false, "symbols": true, "experimental": false, "time-series": false, "convert": false},
        },
        "usage": {
            "requests": account.requests, "requests_quota": quota.map_or(json!(-1), |quota| json!(quota)),
            "requests_remaining": remaining, "days_elapsed": 1, "days_remaining": 29, "daily_average": account.requests,
        },
    }});
    Json(body).into_response()
}

/// The app id of the address wins over the header's.
fn authorise(account: &Account, query: &RatesQuery, headers: &HeaderMap) -> Result<(), Refusal> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Token "));
    match query.app_id.as_deref().or(header) {
        None => Err(MISSING_APP_ID),
        Some(given) if given == account.config.app_id => Ok(()),
        Some(_) => Err(INVALID_APP_ID),
    }
}

#[derive(Serialize)]
struct Rates<'a> {
    disclaimer: &'static str,
    license: &'static str,
    timestamp: i64,
    base: &'static str,
    rates: BTreeMap<&'a str, Box<RawValue>>,
}

/// Every request with a valid app id counts, whatever becomes of it.
fn answer(
    account: &mut Account,
    date: Option<NaiveDate>,
    query: &RatesQuery,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    authorise(account, query, headers)?;
    if account.config.quota.is_some_and(|quota| account.requests >= quota) {
        return Err(OVER_QUOTA);
    }
    account.requests += 1;
    let (date, day) = date.and_then(|date| Some((date, account.config.rates.day(date)?))).ok_or(NOT_AVAILABLE)?;
    match query.base.as_deref() {
        None | Some("USD") => {}
        Some(base) if day.contains_key(base) => return Err(OTHER_BASE),
        Some(_) => return Err(INVALID_BASE),
    }
    let wanted: Option<BTreeSet<&str>> = query.symbols.as_deref().map(|symbols| symbols.split(',').collect());
    let chosen = day.iter().filter(|(code, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(code.as_str())));
    let number = |rate| RawValue::from_string(decimal_text(rate, RATE_SCALE)).unwrap_or_default();
    // A day that is over carries its last second; today carries its morning.
    let seconds = if date < account.config.today { 86_399 } else { 9 * 3_600 };
    let body = Rates {
        disclaimer: "Usage subject to terms: https://openexchangerates.org/terms",
        license: "https://openexchangerates.org/license",
        timestamp: date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() + seconds,
        base: "USD",
        rates: chosen.map(|(code, rate)| (code.as_str(), number(*rate))).collect(),
    };
    Ok(tagged(&serde_json::to_string(&body).unwrap_or_default(), headers))
}

/// The body with its entity tag, or 304 when the client has it already.
fn tagged(body: &str, headers: &HeaderMap) -> Response {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let json = "application/json; charset=utf-8".to_owned();
    ([(header::ETAG, tag), (header::CONTENT_TYPE, json)], body.to_owned()).into_response()
}
