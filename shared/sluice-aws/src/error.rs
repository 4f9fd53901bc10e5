//! What an AWS error means to us, by its HTTP status and code.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use sluice_core::{Error, Kind};

/// Classifies an SDK error of any service. `attempt` says what was tried, lower case.
pub fn classify<E, R>(error: SdkError<E, R>, attempt: String) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: HttpStatus + std::fmt::Debug + Send + Sync + 'static,
{
    let kind = match &error {
        SdkError::TimeoutError(_) => Kind::Timeout,
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Kind::Unavailable,
        SdkError::ServiceError(service) => kind_of(service.raw().status(), service.err().code()),
        _ => Kind::Internal,
    };
    let code = error.code().map(str::to_owned);
    let classified = Error::new(kind, attempt);
    let classified = match code {
        Some(code) => classified.with("code", code),
        None => classified,
    };
    classified.because(aws_sdk_s3::error::DisplayErrorContext(error).to_string()).exhausted()
}

/// An answer that has an HTTP status.
pub trait HttpStatus {
    fn status(&self) -> u16;
}

impl HttpStatus for aws_sdk_s3::config::http::HttpResponse {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }
}

fn kind_of(status: u16, code: Option<&str>) -> Kind {
    // Services of the JSON protocol answer 400 for all of these.
    match code.unwrap_or_default() {
        "NoSuchKey" | "NoSuchBucket" | "ResourceNotFoundException" | "AWS.SimpleQueueService.NonExistentQueue" => {
            return Kind::NotFound;
        }
        "SlowDown" | "RequestLimitExceeded" | "TooManyRequestsException" => return Kind::RateLimited,
        code if code.contains("Throttl") => return Kind::RateLimited,
        "UnrecognizedClientException" | "InvalidSignatureException" | "NotAuthorized" => return Kind::Auth,
        // The first is also what a service says that may not use a key.
        code if ["AccessDenied", "ExpiredToken", "MissingAuthenticationToken"]
            .iter()
            .any(|part| code.contains(part)) =>
        {
            return Kind::Auth;
        }
        // A body that was damaged on its way: the next one arrives.
        "BadDigest" | "XAmzContentSHA256Mismatch" => return Kind::Unavailable,
        _ => {}
    }
    match status {
        // The condition of a put: another run has put the object.
        412 => Kind::Conflict,
        _ => Kind::of_http_status(status, Kind::Internal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_have_one_meaning_each() {
        let cases = [
            (404, Some("NoSuchKey"), Kind::NotFound),
            (400, Some("ResourceNotFoundException"), Kind::NotFound),
            (400, Some("ThrottlingException"), Kind::RateLimited),
            (503, Some("SlowDown"), Kind::RateLimited),
            (400, Some("RequestThrottled"), Kind::RateLimited),
            (403, Some("AccessDenied"), Kind::Auth),
            (400, Some("AccessDeniedException"), Kind::Auth),
            (502, Some("KMSAccessDeniedException"), Kind::Auth),
            (400, Some("ExpiredTokenException"), Kind::Auth),
            (400, Some("UnrecognizedClientException"), Kind::Auth),
            (409, Some("ConditionalRequestConflict"), Kind::Unavailable),
            (412, Some("PreconditionFailed"), Kind::Conflict),
            (500, None, Kind::Unavailable),
            (400, Some("BadDigest"), Kind::Unavailable),
            (400, Some("SomethingNew"), Kind::Internal),
        ];
        for (status, code, expected) in cases {
            assert_eq!(kind_of(status, code), expected, "{status} {code:?}");
        }
    }
}
