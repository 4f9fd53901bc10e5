//! What the dbt Cloud API's answers mean.

use serde::Deserialize;
use sluice_core::{Error, Kind, Result};
use sluice_http::Response;

#[derive(Deserialize, Default)]
struct Envelope {
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    user_message: Option<String>,
}

/// Accepts success; names the error of everything else by its HTTP status, with the server's own message.
pub(crate) fn classify(attempt: &str, response: &Response) -> Result<()> {
    if response.is_success() {
        return Ok(());
    }
    let kind = Kind::of_http_status(response.status, Kind::Config);
    let message = response.json::<Envelope>().ok().and_then(|envelope| envelope.status.user_message);
    Err(Error::new(kind, attempt).with("status", response.status).with("message", message.as_deref().unwrap_or("none")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_kind_and_the_servers_message_is_kept() {
        let cases = [
            (400, Kind::Config),
            (401, Kind::Auth),
            (403, Kind::Auth),
            (404, Kind::NotFound),
            (429, Kind::RateLimited),
            (500, Kind::Unavailable),
            (503, Kind::Unavailable),
        ];
        for (status, kind) in cases {
            let body = r#"{"status": {"code": 1, "is_success": false, "user_message": "no such job"}, "data": null}"#;
            let error = classify("cannot start", &Response::new(status, body)).expect_err("an error status");
            assert_eq!(error.kind(), kind, "{status}");
            assert!(error.to_string().contains("no such job"), "{error}");
            assert!(classify("cannot start", &Response::new(status, "<html>")).is_err());
        }
        assert!(classify("cannot start", &Response::new(200, "{}")).is_ok());
    }
}
