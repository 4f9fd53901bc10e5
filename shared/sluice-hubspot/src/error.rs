//! What HubSpot's answers mean.
//!
//! The body of a refusal may hold `category`, `policyName`, `message` and `correlationId`, each of which may be absent.
//! The message can quote what was sent, so it is read but never repeated.

use std::time::Duration;

use serde::Deserialize;
use sluice_core::{Error, Kind, Result, Retry};
use sluice_http::{
    Response,
    error::{by_status, whole_json},
};

/// HubSpot moves an account between data centres: a status of its own, for up to a day, with `Retry-After`.
const MIGRATION: u16 = 477;

/// HubSpot asks for at least this long after a 423.
const LOCKED: Duration = Duration::from_secs(2);

/// Statuses of a request that the API understood and that names something it does not have, or no longer: a place in a list
/// among them.
const REFUSED: [u16; 4] = [400, 404, 410, 422];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Refusal {
    category: String,
    policy_name: String,
    message: String,
    correlation_id: String,
}

impl Refusal {
    /// Something in between, such as a proxy, has neither of these: it knows nothing of what was asked.
    fn is_hubspots(&self) -> bool {
        is_word(&self.category) || is_word(&self.correlation_id)
    }
}

/// Accepts an answer with data. 207 is success with some ids not found.
pub(crate) fn classify(response: &Response, attempted: &str) -> Result<()> {
    if response.is_success() {
        return whole_json(response).map_err(|error| error.with("attempted", attempted));
    }
    let refusal: Refusal = response.json().unwrap_or_default();
    let error = match response.status {
        401 => Error::new(Kind::Auth, "HubSpot refused the token"),
        403 => Error::new(Kind::Auth, "the token lacks a scope that the request needs"),
        423 => Error::unavailable("the resource is locked for a moment").after(LOCKED),
        429 => rate_limited(&refusal),
        MIGRATION => Error::unavailable("the account is moving to another data centre"),
        400 | 422 if !refusal.is_hubspots() => {
            Error::unavailable("the request was refused, and not in HubSpot's form: something in between did it")
        }
        _ => by_status(response, "HubSpot did not do what was asked"),
    };
    let mut error = error.with("attempted", attempted).with("status", response.status);
    if refusal.is_hubspots() && REFUSED.contains(&response.status) {
        error = error.as_final();
    }
    for (key, word) in
        [("category", &refusal.category), ("policy", &refusal.policy_name), ("correlation_id", &refusal.correlation_id)]
    {
        if is_word(word) {
            error = error.with(key, word);
        }
    }
    Err(error)
}

/// Which of the limits was hit decides how long to wait; the day's passes at midnight of the account, not in this run.
fn rate_limited(refusal: &Refusal) -> Error {
    let limited = |what: &str| Error::new(Kind::RateLimited, what);
    match refusal.policy_name.as_str() {
        "DAILY" => limited("the account's requests for today are used up").with_retry(Retry::Permanent),
        "TEN_SECONDLY_ROLLING" => limited("the limit per ten seconds is reached").after(Duration::from_secs(10)),
        "SECONDLY" => limited("the limit per second is reached").after(Duration::from_secs(1)),
        // The search's own limit came without a policy's name; this is its whole message.
        _ if refusal.message == "You have reached your secondly limit." => {
            limited("the limit per second is reached").after(Duration::from_secs(1))
        }
        _ => limited("HubSpot asked to slow down"),
    }
}

/// HubSpot's own identifiers, and nothing that could be a value of a contact.
pub(crate) fn is_word(text: &str) -> bool {
    let all_of = |extra: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
    !text.is_empty() && text.len() <= 40 && all_of("_-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_a_kind_a_retry_status_and_a_wait() {
        use Retry::{Permanent, Transient};
        let seconds = |n| Some(Duration::from_secs(n));
        for (status, body, expected) in [
            (200, r#"{"results": []}"#, None),
            (207, r#"{"results": [], "numErrors": 1}"#, None),
            (200, r#"{"results": [{"id""#, Some((Kind::Unavailable, Transient, None))),
            (200, "<html>", Some((Kind::Unavailable, Transient, None))),
            (400, r#"{"category": "VALIDATION_ERROR"}"#, Some((Kind::InvalidData, Permanent, None))),
            (400, r#"{"correlationId": "aeb5f871-7f07"}"#, Some((Kind::InvalidData, Permanent, None))),
            (400, r#"{"message": "Bad Request"}"#, Some((Kind::Unavailable, Transient, None))),
            (422, "<html>", Some((Kind::Unavailable, Transient, None))),
            (401, r#"{"category": "INVALID_AUTHENTICATION"}"#, Some((Kind::Auth, Permanent, None))),
            (403, r#"{"category": "MISSING_SCOPES"}"#, Some((Kind::Auth, Permanent, None))),
            (404, "", Some((Kind::NotFound, Permanent, None))),
            (409, "", Some((Kind::Unavailable, Transient, None))),
            (423, "", Some((Kind::Unavailable, Transient, seconds(2)))),
            (429, r#"{"policyName": "DAILY"}"#, Some((Kind::RateLimited, Permanent, None))),
            (429, r#"{"policyName": "TEN_SECONDLY_ROLLING"}"#, Some((Kind::RateLimited, Transient, seconds(10)))),
            (429, r#"{"policyName": "SECONDLY"}"#, Some((Kind::RateLimited, Transient, seconds(1)))),
            (
                429,
                r#"{"message": "You have reached your secondly limit."}"#,
                Some((Kind::RateLimited, Transient, seconds(1))),
            ),
            (429, "<html>", Some((Kind::RateLimited, Transient, None))),
            (477, "", Some((Kind::Unavailable, Transient, None))),
            (500, "", Some((Kind::Unavailable, Transient, None))),
            (502, "<html>", Some((Kind::Unavailable, Transient, None))),
            (504, "", Some((Kind::Timeout, Transient, None))),
            (521, "", Some((Kind::Unavailable, Transient, None))),
        ] {
            let found = classify(&Response::new(status, body), "search").err();
            let found = found.map(|error| (error.kind(), error.retry(), error.retry_after()));
            assert_eq!(found, expected, "{status} {body}");
        }
    }

    #[test]
    fn only_a_request_that_hubspot_understood_and_refused_is_final() {
        let finals = |body: &'static str| -> Vec<u16> {
            let is_final =
                |status: &u16| classify(&Response::new(*status, body), "search").is_err_and(|e| e.is_final());
            let statuses = [400, 401, 403, 404, 405, 407, 410, 413, 422, 423, 429, 451, 477, 500, 503];
            statuses.into_iter().filter(is_final).collect()
        };
        for of_hubspot in [r#"{"category": "VALIDATION_ERROR"}"#, r#"{"correlationId": "aeb5f871-7f07"}"#] {
            assert_eq!(finals(of_hubspot), [400, 404, 410, 422], "{of_hubspot}");
        }
        for of_a_proxy in ["", "<html>", r#"{"message": "Bad Request"}"#] {
            assert_eq!(finals(of_a_proxy), [0_u16; 0], "{of_a_proxy}");
        }
    }

    #[test]
    fn a_refusal_shows_identifiers_and_no_message() {
        let body = r#"{"category": "VALIDATION_ERROR", "message": "jane@example.com is taken",
                       "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf", "policyName": "jane@example.com"}"#;
        let text = classify(&Response::new(400, body), "search").expect_err("refused").chain();
        assert!(text.contains("VALIDATION_ERROR") && text.contains("aeb5f871"), "{text}");
        assert!(!text.contains("jane"), "{text}");
    }
}
