//! The routes, who may call them, and the bodies of refusals.

use std::collections::HashSet;

use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_testkit::generate::Contact;

use super::limits::Met;
use super::record::{PROPERTIES, describe, moment, render};
use super::refusal::{MAX_BATCH, Refusal, correlation_id, invalid, now};
use super::search::{self, SearchRequest};
use super::state::{Account, HubSpotState};
use super::update;
use super::written::Write;

const MAX_SEARCH_BODY: usize = 3_000;
/// With the history of properties.
const MAX_HISTORY_BATCH: usize = 50;
const MAX_LIST: usize = 100;

/// The versions of the API that answer, with the same bodies. Those of numbers end in September 2027.
const VERSIONS: [&str; 3] = ["v3", "2026-03", "2026-09"];

pub(super) fn router(state: HubSpotState) -> Router {
    let versions = VERSIONS.iter().fold(Router::new(), |router, version| {
        let (objects, properties_of) = match version.starts_with('v') {
            true => (format!("/crm/{version}/objects"), format!("/crm/{version}/properties")),
            false => (format!("/crm/objects/{version}"), format!("/crm/properties/{version}")),
        };
        router
            .route(&format!("{objects}/contacts"), get(list))
            .route(&format!("{objects}/contacts/search"), post(search))
            .route(&format!("{objects}/contacts/batch/read"), post(batch_read))
            .route(&format!("{objects}/contacts/batch/update"), post(update::batch_update))
            .route(&format!("{properties_of}/contacts"), get(properties))
            .route(&format!("/account-info/{version}/details"), get(details))
    });
    versions
        .merge(other_names())
        .fallback(unsupported)
        .method_not_allowed_fallback(unsupported)
        .layer(from_fn_with_state(state.clone(), authorise))
        .with_state(state)
}

/// Whatever else a client asks. It shows the body of a refusal, so the body says what there is.
async fn unsupported(request: Request) -> Refusal {
    let what = format!(
        "unsupported: {} {}: this emulator for HubSpot lists and searches contacts, reads and updates them in batches, \
         and tells their properties; it neither reads one by its id nor creates or deletes any",
        request.method(),
        request.uri().path()
    );
    Refusal(StatusCode::NOT_FOUND, "UNSUPPORTED", what)
}

/// What clients other than ours ask beside it: the object by its singular name, the older list of properties, the account's
/// own object types, and associations, of which this account has none.
fn other_names() -> Router<HubSpotState> {
    let list_of_properties = async || Json(Value::from(PROPERTIES.map(describe).to_vec()));
    Router::new()
        .route("/crm/v3/objects/contact", get(list))
        .route("/crm/v3/objects/contact/search", post(search))
        .route("/properties/v2/contact/properties", get(list_of_properties))
        .route("/crm/v3/schemas", get(async || Json(json!({"results": []}))))
        .route("/crm/v4/associations/{from}/{to}/batch/read", post(no_associations))
}

async fn no_associations() -> Json<Value> {
    let now = now();
    Json(json!({"status": "COMPLETE", "results": [], "startedAt": now, "completedAt": now}))
}

async fn authorise(State(state): State<HubSpotState>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
    let token = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    let path = request.uri().path();
    let (is_search, is_write) = (path.ends_with("/search"), path.ends_with("/batch/update"));
    let refusal = {
        let mut account = state.lock();
        let Account { config, limits, .. } = &mut *account;
        let writes = config.writer.as_ref() == Some(&token);
        if !writes && config.token != token {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find \
                           more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
            Some(Refusal(StatusCode::UNAUTHORIZED, "INVALID_AUTHENTICATION", message.to_owned()).into_response())
        } else if is_write && !writes {
            let message = "This app hasn't been granted all required scopes to make this call.";
            Some(Refusal(StatusCode::FORBIDDEN, "MISSING_SCOPES", message.to_owned()).into_response())
        } else {
            match limits.count(config, &token, is_search) {
                Met::None => None,
                Met::TenSeconds => Some(limited("ten_secondly_rolling", "TEN_SECONDLY_ROLLING")),
                Met::Daily => Some(limited("daily", "DAILY")),
            }
        }
    };
    let mut response = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let account = state.lock();
    account.limits.tell(&account.config, &token, response.headers_mut());
    response
}

/// What a client meets that asks too often.
fn limited(limit: &str, policy: &str) -> Response {
    let body = json!({
        "status": "error", "message": format!("You have reached your {limit} limit."), "errorType": "RATE_LIMIT",
        "correlationId": correlation_id(), "policyName": policy, "requestId": correlation_id(),
    });
    (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response()
}

async fn search(State(state): State<HubSpotState>, body: String) -> Result<Json<Value>, Response> {
    let mut account = state.lock();
    if !account.may_search() {
        return Err(limited("secondly", "SECONDLY"));
    }
    if body.chars().count() > MAX_SEARCH_BODY {
        return Err(invalid("the request's body is too long").into_response());
    }
    let request: SearchRequest = serde_json::from_str(&body)
        .map_err(|error| invalid(format!("Invalid input JSON on line {}: {error}", error.line())).into_response())?;
    search::search(&account, &request).map(Json).map_err(|message| invalid(message).into_response())
}

struct ListQuery {
    limit: usize,
    after: Option<i64>,
    archived: bool,
    properties: Vec<String>,
}

impl ListQuery {
    /// A list of properties comes as one text with commas, or as a parameter for each.
    fn read(given: &[(String, String)]) -> Option<Self> {
        let mut query = ListQuery { limit: 10, after: None, archived: false, properties: Vec::new() };
        for (name, value) in given {
            match name.as_str() {
                "limit" => query.limit = value.parse().ok()?,
                "after" => query.after = Some(value.parse().ok()?),
                "archived" => query.archived = value.to_lowercase().parse().ok()?,
                "properties" => query.properties.extend(value.split(',').map(str::to_owned)),
                _ => {}
            }
        }
        Some(query)
    }
}

/// By id; `after` is the first id of the next page, which a client need not know.
async fn list(
    State(state): State<HubSpotState>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Refusal> {
    let query = ListQuery::read(&given).ok_or_else(|| invalid("a parameter has a value of another type"))?;
    if !(1..=MAX_LIST).contains(&query.limit) {
        return Err(invalid(format!("limit must be between 1 and {MAX_LIST}")));
    }
    let account = state.lock();
    let wanted = |contact: &&Contact| contact.archived == query.archived && Some(contact.id) >= query.after;
    let mut rest = account.contacts().filter(wanted);
    let page = rest.by_ref().take(query.limit.min(account.config.page_size));
    let results: Vec<Value> = page.map(|contact| render(&account, contact, &query.properties)).collect();
    let mut answer = json!({"results": results});
    if let Some(next) = rest.next() {
        let after = next.id.to_string();
        let link = format!("/crm/v3/objects/contacts?limit={}&archived={}&after={after}", query.limit, query.archived);
        answer["paging"] = json!({"next": {"after": after, "link": link}});
    }
    Ok(Json(answer))
}

#[derive(Deserialize)]
struct BatchQuery {
    #[serde(default)]
    archived: bool,
}

#[derive(Deserialize)]
struct BatchRequest {
    inputs: Vec<BatchInput>,
    properties: Vec<String>,
    #[serde(default, rename = "propertiesWithHistory")]
    with_history: Vec<String>,
}

#[derive(Deserialize)]
struct BatchInput {
    id: String,
}

/// Ids that a merge consumed answer with their survivor, which comes once; ids that do not exist are listed in a 207.
async fn batch_read(
    State(state): State<HubSpotState>,
    Query(query): Query<BatchQuery>,
    body: String,
) -> Result<Response, Refusal> {
    let request: BatchRequest = serde_json::from_str(&body).map_err(|error| invalid(error.to_string()))?;
    let distinct: HashSet<&str> = request.inputs.iter().map(|input| input.id.as_str()).collect();
    if request.inputs.len() > MAX_BATCH || distinct.len() < request.inputs.len() {
        return Err(invalid(format!("a batch takes at most {MAX_BATCH} inputs, each id once")));
    }
    if !request.with_history.is_empty() && request.inputs.len() > MAX_HISTORY_BATCH {
        return Err(invalid(format!("a batch with history takes at most {MAX_HISTORY_BATCH} inputs")));
    }
    let account = state.lock();
    let (mut results, mut missing, mut told) = (Vec::new(), Vec::new(), HashSet::new());
    for BatchInput { id } in &request.inputs {
        let found = id.parse().ok().and_then(|id| account.find(id));
        match found.filter(|contact| contact.archived == query.archived) {
            Some(contact) if !told.insert(contact.id) => {}
            Some(contact) => {
                let mut record = render(&account, contact, &request.properties);
                if !request.with_history.is_empty() {
                    record["propertiesWithHistory"] = history(&account, contact.id, &request.with_history);
                }
                results.push(record);
            }
            None => missing.push(id.as_str()),
        }
    }
    let now = now();
    let mut answer = json!({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now});
    if missing.is_empty() {
        return Ok(Json(answer).into_response());
    }
    answer["numErrors"] = json!(1);
    answer["errors"] = json!([{
        "status": "error", "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
        "context": {"ids": missing}, "errors": [], "links": {},
    }]);
    Ok((StatusCode::MULTI_STATUS, Json(answer)).into_response())
}

/// How each of these properties became what it is; of what was not written here nothing is known.
fn history(account: &Account, id: i64, properties: &[String]) -> Value {
    let versions = |property: &String| {
        let version = |write: &Write| json!({"value": write.value, "timestamp": moment(write.at, SecondsFormat::Millis), "sourceType": "INTEGRATION"});
        let versions: Vec<Value> = account.written.of(id, property).map(version).collect();
        (property.clone(), Value::from(versions))
    };
    Value::Object(properties.iter().map(versions).collect())
}

/// Which account it is, and how it is set: <https://developers.hubspot.com/docs/api-reference/latest/account/account-information/guide>.
async fn details(State(state): State<HubSpotState>) -> Json<Value> {
    let portal = state.lock().config.portal_id;
    Json(json!({
        "portalId": portal, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "USD", "additionalCurrencies": [],
        "utcOffset": "+00:00", "utcOffsetMilliseconds": 0, "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
    }))
}

async fn properties() -> Json<Value> {
    Json(json!({"results": PROPERTIES.map(describe)}))
}
