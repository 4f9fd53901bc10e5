//! The answer to CloudFormation. There is one on every path: until it comes, a deployment stands still for half an hour.

use std::{
    panic,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use sluice_core::{Error, Result};
use sluice_http::{Client, Method, Request as Http, RetryPolicy, error};

use crate::event::Request;

/// The most bytes that an answer may have.
const MOST_BYTES: usize = 4_096;

/// The account is one thing for ever: another id would have CloudFormation delete the one of before.
const PHYSICAL_ID: &str = "warehouse-account";

/// What CloudFormation is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The account is as the file says, but for what is told here.
    Provisioned(String),
    /// The stack stands without an account: why, and what to do.
    NotProvisioned(String),
    /// A deletion: the account and all that it holds stay.
    Kept,
    /// The deployment is taken back.
    Failed(String),
    /// The deployment is being taken back already, and the account could not follow.
    Behind(String),
}

impl Answer {
    /// The body, which fits.
    pub fn render(&self, request: &Request) -> Vec<u8> {
        let mut text = match self {
            Answer::Provisioned(text) | Answer::Failed(text) => text.clone(),
            Answer::Behind(text) => format!("the account is not as the file says: {text}"),
            Answer::NotProvisioned(text) => format!("not provisioned: {text}"),
            Answer::Kept => "the account and what it holds stay".to_owned(),
        };
        loop {
            let body = self.body(request, &text).to_string().into_bytes();
            if body.len() <= MOST_BYTES || text.is_empty() {
                return body;
            }
            let kept = text.len() * 3 / 4;
            text.truncate((0..=kept).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default());
        }
    }

    fn body(&self, request: &Request, text: &str) -> Value {
        let status = if matches!(self, Answer::Failed(_)) { "FAILED" } else { "SUCCESS" };
        let wanted = request.resource_properties.schedules_enabled.as_str();
        let is_on = wanted == "ENABLED" && matches!(self, Answer::Provisioned(_) | Answer::Behind(_));
        json!({
            "Status": status,
            "Reason": text,
            "PhysicalResourceId": request.physical_resource_id.as_deref().unwrap_or(PHYSICAL_ID),
            "StackId": request.stack_id,
            "RequestId": request.request_id,
            "LogicalResourceId": request.logical_resource_id,
            "Data": {"Status": text, "SchedulesState": if is_on { "ENABLED" } else { "DISABLED" }},
        })
    }

    /// Sends it. An answer that arrives twice changes nothing.
    pub async fn send(&self, request: &Request, http: &Client) -> Result<()> {
        // The address is signed for a request without a content type.
        let put = Http::new(Method::Put, &request.response_url).body(self.render(request), "");
        let taken = |answer: &sluice_http::Response| {
            if answer.is_success() { Ok(()) } else { Err(error::by_status(answer, "cannot answer CloudFormation")) }
        };
        let sent = http.send(&put, &RetryPolicy::default(), taken).await;
        sent.map_err(|error| Error::new(error.kind(), "cannot answer CloudFormation").because(error))?;
        tracing::info!(stack = request.stack_id, request = request.request_id, answer = ?self, "answered CloudFormation");
        Ok(())
    }
}

/// The request that has no answer yet.
static OPEN: Mutex<Option<Request>> = Mutex::new(None);

/// While it lives, a panic answers the request.
pub struct Unanswered;

impl Unanswered {
    pub fn of(request: &Request) -> Self {
        *open() = Some(request.clone());
        Unanswered
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        // A panic unwinds through here after its hook has answered.
        open().take();
    }
}

fn open() -> MutexGuard<'static, Option<Request>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a panic answers the request that is open before anything else happens: what is deployed ends at a panic, so that
/// nothing could answer later.
pub fn instead_of_silence() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        before(what);
        let request = open().take();
        if let Some(request) = request {
            let place = what.location().map(ToString::to_string).unwrap_or_default();
            let text = format!("a broken assumption of this build, at {place}; report it with the function's log");
            // On a thread and a runtime of its own, because this one may be in the middle of anything.
            let sent = std::thread::spawn(move || send_at_once(&Answer::Failed(text), &request));
            let _ = sent.join();
        }
    }));
}

fn send_at_once(answer: &Answer, request: &Request) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    if let Ok(http) = Client::new() {
        // It cannot be told any better than by the panic itself.
        let _ = runtime.block_on(answer.send(request, &http));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str) -> Request {
        let event = json!({
            "RequestType": kind, "RequestId": "r-1", "StackId": "arn:aws:cloudformation:us-east-1:1:stack/sluice/1",
            "ResponseURL": "http://127.0.0.1:9/?signature=s", "LogicalResourceId": "Account",
            "ResourceProperties": {"ServiceToken": "arn", "SchedulesEnabled": "ENABLED"},
        });
        serde_json::from_value(event).expect("a request")
    }

    fn read(answer: &Answer, request: &Request) -> Value {
        let body = answer.render(request);
        assert!(body.len() <= MOST_BYTES, "{} bytes", body.len());
        serde_json::from_slice(&body).expect("JSON")
    }

    #[test]
    fn an_answer_names_its_request_and_always_the_same_resource() {
        let body = read(&Answer::Provisioned("provisioned".into()), &request("Create"));
        assert_eq!((&body["Status"], &body["RequestId"]), (&json!("SUCCESS"), &json!("r-1")));
        assert_eq!((&body["PhysicalResourceId"], &body["LogicalResourceId"]), (&json!(PHYSICAL_ID), &json!("Account")));
        let made_elsewhere = Request { physical_resource_id: Some("given".into()), ..request("Delete") };
        assert_eq!(read(&Answer::Kept, &made_elsewhere)["PhysicalResourceId"], "given");
    }

    #[test]
    fn schedules_are_on_only_where_they_are_wanted_and_there_is_an_account() {
        let state = |answer: &Answer, wanted: &str| {
            let mut request = request("Update");
            request.resource_properties.schedules_enabled = wanted.to_owned();
            read(answer, &request)["Data"]["SchedulesState"].clone()
        };
        let provisioned = Answer::Provisioned("provisioned".into());
        assert_eq!(state(&provisioned, "ENABLED"), "ENABLED");
        assert_eq!(state(&provisioned, "DISABLED"), "DISABLED");
        assert_eq!(state(&Answer::NotProvisioned("no secret".into()), "ENABLED"), "DISABLED");
        // The platform that a deployment is taken back to goes on.
        let behind = Answer::Behind("the warehouse is away".into());
        assert_eq!(state(&behind, "ENABLED"), "ENABLED");
        assert_eq!(read(&behind, &request("Update"))["Status"], "SUCCESS");
    }

    #[test]
    fn an_answer_fits_however_long_its_reason_is() {
        for reason in ["x".repeat(50_000), "\u{1}é\"".repeat(9_000)] {
            for answer in [Answer::Failed(reason.clone()), Answer::NotProvisioned(reason.clone())] {
                let body = read(&answer, &request("Update"));
                assert!(body["Reason"].as_str().is_some_and(|text| text.len() > 50), "{body}");
            }
        }
    }
}
