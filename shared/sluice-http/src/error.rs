//! What a fault of the transport, or a bare HTTP status, means.

use sluice_core::{Error, Kind, Result, Retry};

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

/// What a status means when a vendor says no more than HTTP does. Success is a wrong question here and reads as
/// internal.
///
/// `attempted` is a phrase such as "cannot search contacts".
pub fn by_status(response: &Response, attempted: &str) -> Error {
    let (kind, retry) = kind_of(response.status);
    Error::new(kind, attempted).with_retry(retry).with("status", response.status)
}

/// Accepts a body that is one whole JSON value. Half an object, or a page for people, under a status of success comes
/// from something between us and the API, and passes: the error is transient.
pub fn whole_json(response: &Response) -> Result<()> {
    response
        .json::<serde::de::IgnoredAny>()
        .map(|_| ())
        .map_err(|error| Error::unavailable("the answer is not the API's, or not all of it").because(error))
}

fn kind_of(status: u16) -> (Kind, Retry) {
    let kind = match status {
        // Not followed, so the configured address is not the API's.
        300..400 => Kind::Config,
        401 | 403 | 407 => Kind::Auth,
        404 | 410 => Kind::NotFound,
        408 => Kind::Timeout,
        409 | 412 => Kind::Conflict,
        // Locked by another request for a moment, or too early: both pass.
        423 | 425 => return (Kind::Unavailable, Retry::Transient),
        429 => Kind::RateLimited,
        400..500 => Kind::InvalidData,
        501 | 505 => Kind::Unsupported,
        504 => Kind::Timeout,
        500..600 => Kind::Unavailable,
        _ => Kind::Internal,
    };
    (kind, kind.default_retry())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_kind_and_a_retry_status() {
        use Retry::{Permanent, Transient};
        for (status, expected) in [
            (301, (Kind::Config, Permanent)),
            (400, (Kind::InvalidData, Permanent)),
            (401, (Kind::Auth, Permanent)),
            (403, (Kind::Auth, Permanent)),
            (404, (Kind::NotFound, Permanent)),
            (408, (Kind::Timeout, Transient)),
            (409, (Kind::Conflict, Permanent)),
            (422, (Kind::InvalidData, Permanent)),
            (423, (Kind::Unavailable, Transient)),
            (429, (Kind::RateLimited, Transient)),
            (500, (Kind::Unavailable, Transient)),
            (501, (Kind::Unsupported, Permanent)),
            (503, (Kind::Unavailable, Transient)),
            (504, (Kind::Timeout, Transient)),
            (524, (Kind::Unavailable, Transient)),
            (200, (Kind::Internal, Permanent)),
        ] {
            assert_eq!(kind_of(status), expected, "status {status}");
        }
    }
    #[test]
    fn half_an_object_or_a_page_for_people_passes() {
        assert!(whole_json(&Response::new(200, r#"{"a": [1, null]}"#)).is_ok());
        for body in ["", "{\"a\": [1", "<html></html>", "{} {}"] {
            let error = whole_json(&Response::new(200, body)).expect_err(body);
            assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Retry::Transient), "{body}");
        }
    }
}
