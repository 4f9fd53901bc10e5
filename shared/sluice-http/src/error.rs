//! What a fault of the transport, or a bare HTTP status, means.

use sluice_core::{Error, Kind, Result};

use crate::{Request, Response};

/// Classifies a fault below HTTP. The address is left out of the cause: it may carry a secret in its query.
pub fn transport(error: reqwest::Error, request: &Request) -> Error {
    let (kind, what) = if error.is_timeout() {
        (Kind::Timeout, "no answer in time")
    } else if error.is_connect() {
        (Kind::Unavailable, "cannot connect")
    } else if error.is_builder() {
        (Kind::Config, "the request cannot be built")
    } else {
        (Kind::Unavailable, "the connection broke before the answer was complete")
    };
    Error::new(kind, what).with("request", request).because(error.without_url())
}

/// Whether the other side cannot have seen the request: no connection came about.
pub fn never_arrived(error: &Error) -> bool {
    let fault = std::error::Error::source(error).and_then(|source| source.downcast_ref::<reqwest::Error>());
    fault.is_some_and(reqwest::Error::is_connect)
}

/// What a status means when a vendor says no more than HTTP does. Success is a wrong question here and reads as
/// internal.
///
/// `attempted` is a phrase such as "cannot search contacts".
pub fn by_status(response: &Response, attempted: &str) -> Error {
    Error::new(Kind::of_http_status(response.status, Kind::InvalidData), attempted).with("status", response.status)
}

/// Accepts a body that is one whole JSON value. A truncated object, or an HTML page, under a status of success comes
/// from something between us and the API, so the error is transient.
pub fn whole_json(response: &Response) -> Result<()> {
    response
        .json::<serde::de::IgnoredAny>()
        .map(|_| ())
        .map_err(|error| Error::unavailable("the answer is not the API's, or not all of it").because(error))
}

#[cfg(test)]
mod tests {
    use sluice_core::Retry;

    use super::*;

    #[test]
    fn a_truncated_or_html_answer_is_transient() {
        assert!(whole_json(&Response::new(200, r#"{"a": [1, null]}"#)).is_ok());
        for body in ["", "{\"a\": [1", "<html></html>", "{} {}"] {
            let error = whole_json(&Response::new(200, body)).expect_err(body);
            assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Retry::Transient), "{body}");
        }
    }
}
