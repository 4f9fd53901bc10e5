//! The HTTP face: routes, who may call them, and how a refusal looks.

mod pipes;
mod statements;
mod streaming;

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Json, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use chrono::Utc;
use serde_json::json;

use crate::{
    Edition, Emulator, account::Account, actor, failure::Failure, faults, jwt, lock, names::Name,
    streaming::DEFAULT_PIPE, usage,
};
pub(crate) use statements::Statements;

/// The limit on a request as it travels.
const MOST_BYTES: usize = 4 << 20;

/// A request that is not carried out. `{code, message}`, as every API here says it, and an SQLSTATE where a statement has one.
pub(crate) struct Problem {
    status: StatusCode,
    code: String,
    sql_state: Option<&'static str>,
    message: String,
}

impl Problem {
    fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem { status, code: code.into(), sql_state: None, message: message.into() }
    }

    fn of(status: u16, failure: &Failure) -> Self {
        let problem = Problem::new(status, failure.code.clone(), failure.message.clone());
        Problem { sql_state: Some(failure.sql_state), ..problem }
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Problem::new(500, "000603", format!("{error:#}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { status, code, sql_state, message } = self;
        let mut body = json!({"code": code, "message": message});
        if let (Some(sql_state), Some(body)) = (sql_state, body.as_object_mut()) {
            body.insert("sqlState".to_owned(), sql_state.into());
        }
        (status, Json(body)).into_response()
    }
}

pub(crate) fn router(emulator: Emulator) -> Router {
    let pipe = "/v2/streaming/databases/{database}/schemas/{schema}/pipes/{pipe}";
    let rows = "/v2/streaming/data/databases/{database}/schemas/{schema}/pipes/{pipe}/channels/{channel}/rows";
    Router::new()
        .route("/api/v2/statements", post(statements::submit))
        .route("/api/v2/statements/{handle}", get(statements::poll))
        .route("/api/v2/statements/{handle}/cancel", post(statements::cancel))
        .route("/v1/data/pipes/{pipe}/insertFiles", post(pipes::insert_files))
        .route("/v1/data/pipes/{pipe}/insertReport", get(pipes::insert_report))
        .route("/oauth/token", post(streaming::token))
        .route("/v2/streaming/hostname", get(streaming::hostname))
        .route(pipe, post(streaming::status))
        .route(&format!("{pipe}/channels/{{channel}}"), put(streaming::open).delete(streaming::drop_channel))
        .route(rows, post(streaming::append))
        .layer(middleware::from_fn_with_state(emulator.clone(), at_the_door))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .route("/_emulator/faults", post(order_fault))
        .route("/_emulator/commit-delay", post(set_commit_delay))
        .route("/_emulator/account", post(set_account))
        .route("/_emulator/usage", post(show_usage))
        .fallback(unsupported)
        .method_not_allowed_fallback(unsupported)
        .with_state(emulator)
}

/// Whatever else a client of Snowflake asks. One that speaks the drivers' own protocol reads the error in a 200 only, and
/// shows its code, its SQLSTATE and its words.
async fn unsupported(request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let failure = Failure::unsupported(format!(
        "{method} {path}: this emulator for Snowflake has the SQL API (version 2), Snowpipe and Snowpipe Streaming over \
         HTTP, and no drivers' protocol"
    ));
    if ["/session", "/queries/", "/telemetry", "/monitoring/"].iter().any(|prefix| path.starts_with(prefix)) {
        let data = json!({"sqlState": failure.sql_state, "errorCode": failure.code});
        let body = json!({
            "success": false, "code": failure.code, "message": failure.message, "sqlState": failure.sql_state, "data": data,
        });
        return Json(body).into_response();
    }
    Problem::of(404, &failure).into_response()
}

#[derive(serde::Deserialize)]
struct CommitDelay {
    milliseconds: u64,
}

/// Appends stay uncommitted for this long from now on: seconds, as in Snowflake.
async fn set_commit_delay(State(emulator): State<Emulator>, Json(delay): Json<CommitDelay>) -> StatusCode {
    *lock(&emulator.0.commit_delay) = std::time::Duration::from_millis(delay.milliseconds);
    StatusCode::NO_CONTENT
}

#[derive(serde::Deserialize)]
struct Played {
    edition: Edition,
    checks_privileges: bool,
    /// By resource monitor.
    #[serde(default)]
    credits_used: std::collections::BTreeMap<String, f64>,
}

/// Which edition is played from now on, whether privileges are checked, and what warehouses are said to have used.
async fn set_account(State(emulator): State<Emulator>, Json(played): Json<Played>) -> StatusCode {
    lock(&emulator.0.account).play(played.edition, played.checks_privileges, played.credits_used);
    StatusCode::NO_CONTENT
}

/// What the views of ACCOUNT_USAGE show from now on.
async fn show_usage(State(emulator): State<Emulator>, Json(shown): Json<usage::Shown>) -> Result<StatusCode, Problem> {
    let show = move |file: &mut actor::File| match file {
        actor::File::Open(conn) => usage::show(conn, &shown),
        actor::File::Away { .. } => Err(anyhow::anyhow!("the warehouse's file is away")),
    };
    emulator.0.actor.now(show).await??;
    Ok(StatusCode::NO_CONTENT)
}

async fn order_fault(State(emulator): State<Emulator>, Json(order): Json<faults::Order>) -> StatusCode {
    emulator.0.faults.order(order);
    StatusCode::NO_CONTENT
}

/// What every request must have, and what tests have ordered to go wrong with it.
async fn at_the_door(State(emulator): State<Emulator>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::USER_AGENT) {
        return Problem::new(400, "391903", "the request has no User-Agent header").into_response();
    }
    if !request.headers().contains_key(header::ACCEPT) {
        return Problem::new(400, "391902", "the request has no Accept header").into_response();
    }
    if emulator.is_down() {
        return broken();
    }
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    if let (Some(address), Some(login)) = (address, bearer(request.headers()).and_then(jwt::login))
        && !lock(&emulator.0.account).admits_user(&login, address)
    {
        let text = format!(
            "Incoming request with IP/Token {address} is not allowed to access Snowflake. Contact your account administrator."
        );
        return Problem::of(401, &Failure::new("390422", "08004", text)).into_response();
    }
    let path = request.uri().path().to_owned();
    let of_a_request = |fault| matches!(fault, faults::Fault::Status { .. } | faults::Fault::LostAnswer);
    match emulator.0.faults.take(&path, of_a_request) {
        Some(faults::Fault::Status { status }) => {
            let code = if status == 429 { "390505" } else { "000603" };
            Problem::new(status, code, "a fault on order").into_response()
        }
        Some(faults::Fault::LostAnswer) => {
            next.run(request).await;
            broken()
        }
        _ => {
            let answer = next.run(request).await;
            if emulator.is_down() { broken() } else { answer }
        }
    }
}

/// The connection breaks where the answer should be.
fn broken() -> Response {
    let broken = futures::stream::once(async { Err::<&str, _>(std::io::Error::other("a fault on order")) });
    ([(header::CONTENT_LENGTH, "1")], Body::from_stream(broken)).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The user of a key-pair token. The client learns only 390144; the rest is for people who read the answer.
fn key_pair(emulator: &Emulator, token: Option<&str>) -> Result<String, Problem> {
    let account = lock(&emulator.0.account);
    let known = |login: &str| account.keys(login);
    let checked = emulator.0.keys.check(token.unwrap_or_default(), Utc::now().timestamp(), known);
    let user = checked.map_err(|reason| {
        let message = format!("JWT token is invalid. [{}] ({reason})", uuid::Uuid::new_v4());
        Problem::new(401, "390144", message)
    })?;
    if account.is_disabled(&user) {
        return Err(Problem::new(401, "390101", "User access disabled. Contact your local system administrator."));
    }
    Ok(user)
}

/// A scoped token, or a key-pair token where both are taken; and the role that it runs as must be allowed to stream.
fn scoped(emulator: &Emulator, headers: &HeaderMap, or_key_pair: bool, pipe: &Name) -> Result<(), Problem> {
    let token = bearer(headers);
    let default_role = |user: String| lock(&emulator.0.account).default_role(&user);
    let role = match token.and_then(|token| emulator.0.keys.check_scoped(token, Utc::now().timestamp())) {
        Some(role) => Some(role),
        None if or_key_pair => key_pair(emulator, token).ok().map(default_role),
        None => None,
    };
    let role = role.ok_or_else(|| Problem::new(401, "390303", "invalid OAuth access token"))?;
    let account = lock(&emulator.0.account);
    let mut path = pipe.path();
    let table = pipe.object.strip_suffix(DEFAULT_PIPE);
    path[2] = table.unwrap_or(&pipe.object).to_owned();
    let (privilege, kind) = if table.is_some() { ("INSERT", "TABLE") } else { ("OPERATE", "PIPE") };
    if may(emulator, &account, &role, privilege, kind, &path) {
        return Ok(());
    }
    let text = format!("Insufficient privileges: the role '{role}' may not use the pipe");
    Err(Problem::of(403, &Failure::new("003001", "42501", text)))
}

/// Whether the default role of a key-pair token's user may use a pipe: Snowpipe's API names no other role.
fn may_use(emulator: &Emulator, headers: &HeaderMap, privilege: &str, pipe: &str) -> Result<bool, Problem> {
    let user = key_pair(emulator, bearer(headers))?;
    let account = lock(&emulator.0.account);
    let path: Vec<String> = pipe.splitn(3, '.').map(str::to_owned).collect();
    Ok(may(emulator, &account, &account.default_role(&user), privilege, "PIPE", &path))
}

/// Where privileges are not checked, the loader may and nobody else.
fn may(emulator: &Emulator, account: &Account, role: &str, privilege: &str, kind: &str, path: &[String]) -> bool {
    if account.checks_privileges() {
        account.may_use(role, privilege, kind, path)
    } else {
        role == emulator.0.loader_role
    }
}
