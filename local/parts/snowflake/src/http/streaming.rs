//! Snowpipe Streaming's REST API, version 2, and the token exchange that comes before it.

use std::{io::Read, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Problem, bearer, key_pair, scoped};
use crate::{
    Emulator,
    failure::Failure,
    lock,
    names::Name,
    streaming::{Refusal, Status},
};

/// The limit on an append after decompression.
const MOST_RAW_BYTES: u64 = 16 << 20;

/// Where appends go: here. Plain text, as a live account answers.
pub(super) async fn hostname(State(emulator): State<Emulator>, headers: HeaderMap) -> Result<String, Problem> {
    key_pair(&emulator, bearer(&headers))?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Ok(host.to_owned())
}

/// Exchanges a key-pair token, in the form or in the header, for a scoped one.
pub(super) async fn token(
    State(emulator): State<Emulator>,
    headers: HeaderMap,
    form: Bytes,
) -> Result<String, Problem> {
    let field = |wanted: &str| {
        let found = form_urlencoded::parse(&form).find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned())
    };
    if field("grant_type").as_deref() != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
        return Err(Problem::new(400, "390142", "the grant type is not jwt-bearer"));
    }
    let assertion = field("assertion");
    let user = key_pair(&emulator, assertion.as_deref().or(bearer(&headers)))?;
    let scope = field("scope").unwrap_or_default();
    let role = match scope.split_whitespace().find_map(|part| part.strip_prefix("session:role:")) {
        Some(role) if lock(&emulator.0.account).has_role(&user, role) => role.to_uppercase(),
        Some(role) => {
            let text = format!("Role '{role}' specified in the scope is not granted to this user.");
            return Err(Problem::of(401, &Failure::new("390186", "08001", text)));
        }
        None => lock(&emulator.0.account).default_role(&user),
    };
    Ok(emulator.0.keys.scoped(&user, &role, Utc::now().timestamp())?)
}

#[derive(Deserialize)]
pub(super) struct PipePath {
    database: String,
    schema: String,
    pipe: String,
}

impl PipePath {
    /// Names in paths are read without case.
    fn name(&self) -> Name {
        Name {
            database: self.database.to_uppercase(),
            schema: self.schema.to_uppercase(),
            object: self.pipe.to_uppercase(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ChannelPath {
    #[serde(flatten)]
    of: PipePath,
    channel: String,
}

impl ChannelPath {
    fn name(&self) -> (String, String) {
        (self.of.name().to_string(), self.channel.clone())
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Opening {
    offset_token: Option<String>,
    fail_on_uncommitted_rows: bool,
}

pub(super) async fn open(
    State(emulator): State<Emulator>,
    Path(path): Path<ChannelPath>,
    headers: HeaderMap,
    Json(opening): Json<Opening>,
) -> Result<Json<Value>, Problem> {
    scoped(&emulator, &headers, false, &path.of.name())?;
    let shared = Arc::clone(&emulator.0);
    let Opening { offset_token, fail_on_uncommitted_rows } = opening;
    let opened = emulator.0.actor.now(move |file| {
        shared.channels.open(file, &path.of.name(), &path.channel, offset_token, fail_on_uncommitted_rows)
    });
    let (token, status) = opened.await??.map_err(refused)?;
    Ok(Json(json!({"next_continuation_token": token, "channel_status": status_json(&status)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Appending {
    continuation_token: String,
    end_offset_token: Option<String>,
    offset_token: Option<String>,
}

pub(super) async fn append(
    State(emulator): State<Emulator>,
    Path(path): Path<ChannelPath>,
    Query(appending): Query<Appending>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    scoped(&emulator, &headers, false, &path.of.name())?;
    let rows = decompressed(&headers, body)?;
    let offset = appending.end_offset_token.or(appending.offset_token);
    let token =
        emulator.0.channels.append(&path.name(), &appending.continuation_token, offset, rows).map_err(refused)?;
    emulator.commit_soon();
    Ok(Json(json!({"next_continuation_token": token})))
}

fn decompressed(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Problem> {
    let broken = |error: std::io::Error| Problem::new(400, "390142", format!("the rows do not decompress: {error}"));
    let reader: Box<dyn Read> = match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => return Ok(body),
        Some(b"zstd") => Box::new(zstd::stream::read::Decoder::new(body.as_ref()).map_err(broken)?),
        Some(b"gzip") => Box::new(flate2::read::GzDecoder::new(body.as_ref())),
        Some(_) => return Err(Problem::new(415, "390142", "the content encoding is neither zstd nor gzip")),
    };
    let mut rows = Vec::new();
    reader.take(MOST_RAW_BYTES + 1).read_to_end(&mut rows).map_err(broken)?;
    if rows.len() as u64 > MOST_RAW_BYTES {
        return Err(Problem::new(413, "390142", "the append is larger than 16 MB"));
    }
    Ok(rows.into())
}

#[derive(Deserialize)]
pub(super) struct Names {
    channel_names: Vec<String>,
}

/// `POST .../pipes/{pipe}:bulk-channel-status`. Channels that do not exist are left out.
pub(super) async fn status(
    State(emulator): State<Emulator>,
    Path(mut path): Path<PipePath>,
    headers: HeaderMap,
    Json(names): Json<Names>,
) -> Result<Json<Value>, Problem> {
    let pipe = path.pipe.strip_suffix(":bulk-channel-status").map(str::to_owned);
    path.pipe = pipe.ok_or_else(|| Problem::new(404, "390404", "there is no such operation on a pipe"))?;
    scoped(&emulator, &headers, true, &path.name())?;
    let pipe = path.name().to_string();
    let mut statuses = Map::new();
    for channel in names.channel_names {
        if let Some(status) = emulator.0.channels.status(&(pipe.clone(), channel.clone())) {
            statuses.insert(channel, status_json(&status));
        }
    }
    Ok(Json(json!({"channel_statuses": statuses})))
}

pub(super) async fn drop_channel(
    State(emulator): State<Emulator>,
    Path(path): Path<ChannelPath>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    scoped(&emulator, &headers, false, &path.of.name())?;
    let shared = Arc::clone(&emulator.0);
    emulator.0.actor.now(move |file| shared.channels.drop_channel(file, &path.name())).await??;
    Ok(Json(json!({})))
}

/// A refusal without a code says nothing in its body that a client could go by.
fn refused((status, code): Refusal) -> Problem {
    Problem::new(status, code, "the channel does not take this request")
}

fn status_json(status: &Status) -> Value {
    let Status { record, code } = status;
    json!({
        "database_name": record.table.database, "schema_name": record.table.schema,
        "pipe_name": record.pipe.rsplit('.').next(), "channel_name": record.channel,
        "channel_status_code": code, "last_committed_offset_token": record.committed,
        "created_on_ms": record.created_on_ms, "rows_inserted": record.rows_inserted,
        "rows_parsed": record.rows_parsed, "rows_error_count": record.rows_error_count,
        "last_error_message": record.last_error_message,
        "last_error_offset_upper_bound": record.last_error_offset_upper_bound,
    })
}
