//! What Lambda hands over: an HTTP request in payload format 2.0, or a batch of the outbox; and what it gets back.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use serde::{Deserialize, Serialize};

const DEFAULT_STAGE: &str = "$default";

/// The function's event.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    Outbox(SqsEvent),
    Http(Request),
}

/// A request as function URLs and HTTP APIs send it. Headers are plain text here: a client may put bytes into one that
/// a strict type refuses, and that must not end the invocation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub raw_path: String,
    /// Names in lower case; values of a repeated header are joined by commas.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub request_context: Context,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub is_base64_encoded: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    pub http: Http,
    #[serde(default)]
    pub request_id: String,
    /// Of an HTTP API; a function URL has only the default one.
    #[serde(default)]
    pub stage: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Http {
    pub method: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn method(&self) -> &str {
        &self.request_context.http.method
    }

    /// The path without the stage: an HTTP API puts the name of any but the default stage before it.
    pub fn path(&self) -> &str {
        let stage = self.request_context.stage.as_str();
        if stage.is_empty() || stage == DEFAULT_STAGE {
            return &self.raw_path;
        }
        let inside = self.raw_path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
        inside.filter(|path| path.starts_with('/')).unwrap_or(&self.raw_path)
    }

    /// What stands before the path: the stage where the address holds its name, otherwise `/`.
    pub fn base_path(&self) -> &str {
        self.raw_path.strip_suffix(self.path()).filter(|base| !base.is_empty()).unwrap_or("/")
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    pub status_code: u16,
    pub headers: BTreeMap<&'static str, String>,
    pub body: String,
    pub is_base64_encoded: bool,
}

impl Response {
    pub fn empty(status_code: u16) -> Self {
        Response { status_code, headers: BTreeMap::new(), body: String::new(), is_base64_encoded: false }
    }

    pub fn json(status_code: u16, body: &serde_json::Value) -> Self {
        let response = Response { body: body.to_string(), ..Response::empty(status_code) };
        response.with("content-type", "application/json").with("cache-control", "no-store")
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }
}

/// What the function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    Http(Response),
    Outbox(SqsBatchResponse),
}
