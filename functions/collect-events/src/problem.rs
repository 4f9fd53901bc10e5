//! Errors as RFC 9457 has them: `application/problem+json`.

use serde_json::{Value, json};

use crate::{check::Fault, event::Response};

/// An error on its way to the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: u16,
    title: &'static str,
    detail: String,
    members: Vec<(&'static str, Value)>,
    headers: Vec<(&'static str, String)>,
}

impl Problem {
    pub fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Problem { status, title, detail: detail.into(), members: Vec::new(), headers: Vec::new() }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "Bad request", detail)
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(413, "Content too large", detail)
    }

    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// `instance` is the request's id, by which an operator finds it in the log.
    pub fn response(self, instance: &str) -> Response {
        // The types need no page of their own: the title is the status's meaning and the members say the rest.
        let mut body = json!({"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail,
            "instance": format!("urn:request:{instance}")});
        for (name, value) in self.members {
            body[name] = value;
        }
        let mut response = Response::json(self.status, &body).with("content-type", "application/problem+json");
        for (name, value) in self.headers {
            response = response.with(name, value);
        }
        response
    }
}

/// What is wrong with one event, by the event's place in the request.
pub fn rejected(index: usize, faults: &[Fault]) -> Value {
    let errors: Vec<Value> =
        faults.iter().map(|fault| json!({"pointer": fault.pointer, "detail": fault.detail})).collect();
    json!({"event": index, "errors": errors})
}
