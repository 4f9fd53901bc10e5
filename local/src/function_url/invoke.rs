//! Lambda's Invoke, as plain HTTP: the one operation that the parts of one machine ask of it, and the address is theirs.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use reqwest::StatusCode;

/// The longest that Lambda lets a function run, and a little for the way.
const LONGEST_INVOCATION: Duration = Duration::from_secs(910);

/// The Lambda API at an address of this machine. It asks once: whether to send an event again is its caller's affair.
#[derive(Debug, Clone)]
pub struct Lambda {
    http: reqwest::Client,
    url: String,
}

/// What a function answered.
#[derive(Debug)]
pub struct Answer {
    pub payload: Bytes,
    /// `Handled` or `Unhandled`, when the function has failed; the payload then says why.
    pub error: Option<String>,
}

impl Lambda {
    pub fn at(url: impl Into<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(LONGEST_INVOCATION).no_proxy().build()?;
        Ok(Lambda { http, url: url.into() })
    }

    /// Invokes a function and waits for its answer.
    pub async fn invoke(&self, function: &str, payload: impl Into<reqwest::Body>) -> anyhow::Result<Answer> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.url);
        let attempted = || format!("cannot invoke {function}");
        let answer = self.http.post(url).body(payload).send().await.with_context(attempted)?;
        let status = answer.status();
        let error = answer.headers().get("x-amz-function-error").map(|value| value.as_bytes().to_vec());
        let payload = answer.bytes().await.with_context(attempted)?;
        if !status.is_success() {
            bail!("cannot invoke {function}: Lambda answered {status}: {}", String::from_utf8_lossy(&payload));
        }
        Ok(Answer { payload, error: error.map(|error| String::from_utf8_lossy(&error).into_owned()) })
    }

    /// Whether the function exists.
    pub async fn has(&self, function: &str) -> anyhow::Result<bool> {
        let asked = self.http.get(format!("{}/2015-03-31/functions/{function}", self.url)).send().await;
        let attempted = || format!("cannot ask for the function {function}");
        let answer = asked.with_context(attempted)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => answer.error_for_status().map(|_| true).with_context(attempted),
        }
    }
}
