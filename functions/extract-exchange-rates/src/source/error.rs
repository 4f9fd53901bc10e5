//! What the API's answers mean.
//!
//! A refusal is `{error: true, status, message, description}` with the same status in HTTP. `not_allowed`, under 403 or
//! 429, is not a throttle: the plan lacks the feature, and asking again cannot help.

use serde::Deserialize;
use sluice_core::{Error, Kind, Result, Retry};
use sluice_http::{
    Response,
    error::{by_status, whole_json},
};

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Accepts an answer that holds data, or that says there is none for a date.
pub(super) fn classify(response: &Response, path: &str) -> Result<()> {
    if is_not_available(response) {
        return Ok(());
    }
    if response.is_success() {
        return whole_json(response);
    }
    let message = message(response);
    let known = match (response.status, message.as_deref()) {
        (401, Some("missing_app_id" | "invalid_app_id")) => {
            Some((Kind::Auth, "the app id was refused; put a valid one into the secret"))
        }
        (403, Some("access_restricted")) => Some((Kind::Auth, "the account is restricted; see its dashboard")),
        (429, Some("access_restricted")) => Some((Kind::RateLimited, "the account is restricted for over-use")),
        (403 | 429, Some("not_allowed")) => Some((
            Kind::Auth,
            "the plan does not include this request; another base than USD takes a Developer plan or above",
        )),
        (400, Some("invalid_base")) => Some((Kind::Config, "the API does not know the table's base currency")),
        _ => None,
    };
    let error = match known {
        Some((kind, what)) => Error::new(kind, what).with_retry(Retry::Permanent).with("status", response.status),
        None => by_status(response, "cannot read from Open Exchange Rates"),
    };
    Err(error.with("path", path).with("message", message.as_deref().unwrap_or("none")))
}

/// `400 not_available`: the source has no rates for the date asked for.
pub(super) fn is_not_available(response: &Response) -> bool {
    response.status == 400 && message(response).as_deref() == Some("not_available")
}

/// The API's own word, if this is one: a page of some proxy is no place to quote from.
fn message(response: &Response) -> Option<String> {
    let message = response.json::<Refusal>().ok()?.message;
    let is_word = message.len() <= 40 && message.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_word.then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_the_api_has_a_kind_and_a_retry_status() {
        use Retry::{Permanent, Transient};
        let refusal = |status: u16, message: &str| {
            (status, format!(r#"{{"error":true,"status":{status},"message":"{message}","description":"d"}}"#))
        };
        let html = "<!DOCTYPE html><title>502 Bad Gateway</title>".to_owned();
        for ((status, body), expected) in [
            ((200, r#"{"timestamp":1,"base":"USD","rates":{}}"#.to_owned()), None),
            (refusal(400, "not_available"), None),
            (refusal(400, "invalid_base"), Some((Kind::Config, Permanent))),
            (refusal(400, "something_new"), Some((Kind::InvalidData, Permanent))),
            (refusal(401, "missing_app_id"), Some((Kind::Auth, Permanent))),
            (refusal(401, "invalid_app_id"), Some((Kind::Auth, Permanent))),
            (refusal(403, "access_restricted"), Some((Kind::Auth, Permanent))),
            (refusal(404, "not_found"), Some((Kind::NotFound, Permanent))),
            (refusal(403, "not_allowed"), Some((Kind::Auth, Permanent))),
            (refusal(429, "not_allowed"), Some((Kind::Auth, Permanent))),
            (refusal(429, "access_restricted"), Some((Kind::RateLimited, Permanent))),
            (refusal(429, "too_many_requests"), Some((Kind::RateLimited, Transient))),
            ((429, html.clone()), Some((Kind::RateLimited, Transient))),
            ((500, String::new()), Some((Kind::Unavailable, Transient))),
            ((503, html.clone()), Some((Kind::Unavailable, Transient))),
            ((302, String::new()), Some((Kind::Config, Permanent))),
            ((200, html), Some((Kind::Unavailable, Transient))),
            (
                (200, r#"{"timestamp":1,"base":"USD","rates":{"EUR":0.8"#.to_owned()),
                Some((Kind::Unavailable, Transient)),
            ),
        ] {
            let response = Response::new(status, body.clone());
            let found = classify(&response, "latest.json").err().map(|error| (error.kind(), error.retry()));
            assert_eq!(found, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_is_quoted_only_when_it_is_the_apis_own_word() {
        let text = |body: &'static str| classify(&Response::new(401, body), "p").expect_err("refused").to_string();
        assert!(text(r#"{"message":"invalid_app_id"}"#).contains("message=invalid_app_id"));
        assert!(text(r#"{"message":"Your key abc123 is bad"}"#).contains("message=none"));
    }
}
