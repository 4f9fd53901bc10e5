//! What Snowpipe Streaming says on the wire, in all the shapes in which it has been seen saying it.
//!
//! The reference shows JSON objects where a live account sends plain text, and it names some fields otherwise than an
//! account does; both are read here.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use sluice_core::{Error, Kind, Result, Retry, Secret};
use sluice_http::Response;
use sluice_pipeline::stream::{Appended, ChannelStatus};

use crate::error::word;

/// A channel as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Listed {
    /// The channel as Snowflake spells it.
    #[serde(default, rename = "channel_name")]
    pub channel: String,
    #[serde(default, rename = "channel_status_code", deserialize_with = "any_word")]
    pub code: String,
    /// The offset token of the last durable rows.
    #[serde(default, rename = "last_committed_offset_token", deserialize_with = "non_empty")]
    pub committed: Option<String>,
    #[serde(default)]
    pub rows_inserted: u64,
    #[serde(default)]
    pub rows_parsed: u64,
    /// Rows refused in the life of the channel. It never falls, not even when the channel is opened again, so it must
    /// be compared with what it was before.
    #[serde(default, rename = "rows_error_count", alias = "rows_errors")]
    pub rows_refused: u64,
    /// May quote a value: for a kept copy, never for a log.
    #[serde(default)]
    pub last_error_message: Option<String>,
}

impl Listed {
    /// Whether the channel takes rows. Any other code means that it must be opened again.
    pub fn is_healthy(&self) -> bool {
        matches!(self.code.as_str(), "SUCCESS" | "ACTIVE" | "0" | "")
    }

    /// What the loops know of it. A committed token that is no number was set by somebody else.
    pub fn status(&self) -> Result<ChannelStatus> {
        let committed = self.committed.as_deref().map(str::parse).transpose().map_err(|error| {
            Error::invalid_data("the channel's committed token is not an offset; another program writes to it")
                .with("channel", &self.channel)
                .because(error)
        })?;
        Ok(ChannelStatus { committed, errors: self.rows_refused, last_error: self.last_error_message.clone() })
    }
}

fn any_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => String::new(),
        value => word(&value),
    })
}

fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|token| !token.is_empty()))
}

/// Why a request was refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Refusal {
    code: String,
    message: String,
}

impl Refusal {
    /// Reads an object with `code` or `error_code`, one with a numeric `status_code`, a bare JSON string, or any text.
    fn of(response: &Response) -> Self {
        let value: serde_json::Value = match serde_json::from_slice(&response.body) {
            Ok(value) => value,
            Err(_) => return Refusal { code: String::new(), message: String::new() },
        };
        if let Some(code) = value.as_str() {
            return Refusal { code: code.to_owned(), message: String::new() };
        }
        let code =
            ["code", "error_code", "status_code"].iter().find_map(|name| value.get(name).filter(|v| !v.is_null()));
        let message = value.get("message").and_then(serde_json::Value::as_str).unwrap_or_default();
        Refusal { code: code.map(word).unwrap_or_default(), message: message.to_owned() }
    }

    /// The channel lives on, but not for the holder of this continuation token.
    fn is_stale(&self, status: u16) -> bool {
        let code = self.code.as_str();
        code == "4"
            || code == "STALE_CONTINUATION_TOKEN_SEQUENCER"
            || code.starts_with("ERR_CHANNEL_MUST_BE_REOPENED")
            || code.starts_with("ERR_CHANNEL_HAS_INVALID_")
            // Nothing more is said about a channel that is gone or no longer valid; opening it tells whether its table is
            // gone too.
            || (matches!(status, 404 | 409) && code.is_empty())
    }

    fn into_error(self, status: u16) -> Error {
        let (kind, retry) = kind_of(status, &self.code);
        let text = if self.message.is_empty() { "the streaming service refused the request" } else { &self.message };
        let error = Error::new(kind, text).with_retry(retry).with("status", status);
        if self.code.is_empty() { error } else { error.with("code", self.code) }
    }
}

fn kind_of(status: u16, code: &str) -> (Kind, Retry) {
    use Retry::{Permanent, Transient};
    match code {
        "ERR_OPEN_CHANNEL_IN_PROGRESS" | "ERR_CHANNEL_HAS_UNCOMMITTED_DATA" => (Kind::Unavailable, Transient),
        "ERR_GENERAL_EXCEPTION_RETRY_REQUEST" | "HttpRetryableClientError" => (Kind::Unavailable, Transient),
        "ReceiverSaturated" => (Kind::RateLimited, Transient),
        "MemoryThresholdExceeded" | "MemoryThresholdExceededInContainer" => (Kind::RateLimited, Transient),
        "1" | "5" | "6" => (Kind::Unavailable, Transient),
        // The token has ended: the next call gets a new one.
        "3" => (Kind::Auth, Retry::Exhausted),
        "ERR_PIPE_IN_INVALID_STATE" => (Kind::Config, Permanent),
        // A channel that was dead on opening: opening it makes it again.
        _ if code.starts_with("ERR_CHANNEL_") => (Kind::Unavailable, Transient),
        _ if code.contains("DOES_NOT_EXIST") => (Kind::NotFound, Permanent),
        "391902" | "391903" => (Kind::Internal, Permanent),
        // Another client has opened the channel since.
        _ if status == 409 => (Kind::Conflict, Permanent),
        _ => {
            let kind = Kind::of_http_status(status, Kind::Internal);
            (kind, kind.default_retry())
        }
    }
}

pub(super) fn accept(response: &Response) -> Result<()> {
    if response.is_success() { Ok(()) } else { Err(Refusal::of(response).into_error(response.status)) }
}

/// A stale token is an answer; and a 200 may carry a status code that is not 0.
pub(super) fn accept_append(response: &Response) -> Result<()> {
    let refusal = Refusal::of(response);
    let fine = response.is_success() && matches!(refusal.code.as_str(), "" | "0");
    if fine || refusal.is_stale(response.status) { Ok(()) } else { Err(refusal.into_error(response.status)) }
}

pub(super) fn appended(response: &Response, channel: &str) -> Result<Appended> {
    #[derive(Deserialize)]
    struct Answer {
        next_continuation_token: Option<String>,
    }
    let refusal = Refusal::of(response);
    if refusal.is_stale(response.status) {
        tracing::info!(channel, code = refusal.code, "the continuation token is stale");
        return Ok(Appended::Stale);
    }
    let token = response.json::<Answer>()?.next_continuation_token;
    let continuation = token.ok_or_else(|| Error::invalid_data("the answer to an append has no continuation token"))?;
    Ok(Appended::Accepted { continuation })
}

/// What the first append must show, and the channel.
pub(super) fn opened(response: &Response) -> Result<(String, Listed)> {
    #[derive(Deserialize)]
    struct Answer {
        next_continuation_token: String,
        channel_status: Listed,
    }
    let answer: Answer = response.json()?;
    if !answer.channel_status.is_healthy() {
        let refusal = Refusal { code: answer.channel_status.code, message: String::new() };
        return Err(refusal.into_error(response.status));
    }
    Ok((answer.next_continuation_token, answer.channel_status))
}

pub(super) fn listed(response: &Response) -> Result<BTreeMap<String, Listed>> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        channel_statuses: BTreeMap<String, Listed>,
    }
    let mut channels = response.json::<Answer>()?.channel_statuses;
    for (name, channel) in &mut channels {
        if channel.channel.is_empty() {
            channel.channel.clone_from(name);
        }
    }
    Ok(channels)
}

/// The ingest host. It becomes part of an address, and underscores are hyphens there.
pub(super) fn hostname(response: &Response) -> Result<String> {
    let host = text_or_field(response, "hostname").replace('_', "-");
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(Error::invalid_data("the answer is not the name of an ingest host"));
    }
    Ok(host)
}

pub(super) fn token(response: &Response) -> Result<Secret> {
    let token = text_or_field(response, "token");
    if token.is_empty() || token.chars().any(|c| c.is_whitespace() || c == '{') {
        return Err(Error::invalid_data("the answer to the token exchange holds no token"));
    }
    Ok(Secret::new(token))
}

/// Plain text, a JSON string, or a field of a JSON object.
fn text_or_field(response: &Response, field: &str) -> String {
    let text = String::from_utf8_lossy(&response.body);
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(serde_json::Value::String(value)) => value,
        Ok(serde_json::Value::Object(object)) => {
            object.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        }
        _ => text.trim().to_owned(),
    }
}

/// When a token ends, if it is a JWT that says so. Not verified: the token is for Snowflake, the time is for us.
pub(super) fn expiry(token: &Secret) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1)?).ok()?;
    DateTime::from_timestamp(serde_json::from_slice::<Claims>(&claims).ok()?.exp, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_each_shape_it_has_been_seen_in() {
        let read = |body: &str| Refusal::of(&Response::new(400, body.to_owned()));
        for body in [
            r#"{"code": "STALE_CONTINUATION_TOKEN_SEQUENCER", "message": "m"}"#,
            r#"{"error_code": "STALE_CONTINUATION_TOKEN_SEQUENCER"}"#,
            r#""STALE_CONTINUATION_TOKEN_SEQUENCER""#,
            r#"{"status_code": 4, "message": "stale"}"#,
        ] {
            assert!(read(body).is_stale(400), "{body}");
        }
        assert_eq!(read("<html>"), Refusal::default());
        assert!(!read(r#"{"code": "ERR_PIPE_IN_INVALID_STATE"}"#).is_stale(409));
    }

    #[test]
    fn each_code_has_a_kind_and_a_retry_status() {
        use Retry::{Permanent, Transient};
        for (status, code, expected) in [
            (409, "ERR_OPEN_CHANNEL_IN_PROGRESS", (Kind::Unavailable, Transient)),
            (409, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA", (Kind::Unavailable, Transient)),
            (409, "ERR_PIPE_IN_INVALID_STATE", (Kind::Config, Permanent)),
            (404, "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED", (Kind::NotFound, Permanent)),
            (404, "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED", (Kind::NotFound, Permanent)),
            (500, "ERR_GENERAL_EXCEPTION_RETRY_REQUEST", (Kind::Unavailable, Transient)),
            (400, "ReceiverSaturated", (Kind::RateLimited, Transient)),
            (200, "5", (Kind::Unavailable, Transient)),
            (401, "", (Kind::Auth, Permanent)),
            (403, "", (Kind::Auth, Permanent)),
            (408, "", (Kind::Timeout, Transient)),
            (409, "", (Kind::Conflict, Permanent)),
            (429, "", (Kind::RateLimited, Transient)),
            (503, "", (Kind::Unavailable, Transient)),
            (400, "UNHEARD_OF", (Kind::Internal, Permanent)),
        ] {
            assert_eq!(kind_of(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn host_and_token_are_read_as_text_and_as_json() {
        for body in ["abc_1.ingest.example", "\"abc_1.ingest.example\"", r#"{"hostname": "abc_1.ingest.example"}"#] {
            assert_eq!(hostname(&Response::new(200, body)).ok().as_deref(), Some("abc-1.ingest.example"));
        }
        for body in ["", "<html>", "evil/path", "{}"] {
            assert!(hostname(&Response::new(200, body)).is_err(), "{body}");
        }
        for body in ["a.b.c", r#"{"token": "a.b.c"}"#] {
            assert_eq!(token(&Response::new(200, body)).expect("a token").expose(), "a.b.c");
        }
        assert!(token(&Response::new(200, "{}")).is_err());
    }

    #[test]
    fn a_tokens_end_is_read_from_its_claims() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp": 1767225600}"#);
        let ends = expiry(&Secret::new(format!("h.{claims}.s"))).expect("an end");
        assert_eq!(ends.to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert_eq!(expiry(&Secret::new("opaque")), None);
    }

    #[test]
    fn a_channels_status_is_read_under_either_name_of_its_counter() {
        for counter in ["rows_error_count", "rows_errors"] {
            let body = format!(
                r#"{{"channel_statuses": {{"c": {{"channel_status_code": "SUCCESS", "last_committed_offset_token": "7", "{counter}": 2}}}}}}"#
            );
            let channel = listed(&Response::new(200, body)).expect("channels").remove("c").expect("c");
            let status = channel.status().expect("a status");
            assert_eq!((status.errors, status.committed), (2, Some(7)));
            assert!(channel.is_healthy() && channel.channel == "c");
        }
        let fresh: Listed = serde_json::from_str(r#"{"last_committed_offset_token": ""}"#).expect("a channel");
        assert_eq!(fresh.status().ok(), Some(ChannelStatus::default()));
        let foreign = Listed { committed: Some("x".into()), ..Listed::default() };
        assert!(foreign.status().is_err());
    }
}
