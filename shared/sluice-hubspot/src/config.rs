//! How to reach one HubSpot account.

use std::time::Duration;

use serde::Deserialize;
use sluice_core::Secret;
use sluice_http::{RateLimit, RetryPolicy};

pub const DEFAULT_URL: &str = "https://api.hubapi.com";

/// HubSpot answers under this version until September 2027. Those that follow it are named by a month, such as `2026-09`, and
/// have the same bodies: <https://developers.hubspot.com/docs/api-reference/legacy/migration-guide>.
pub const DEFAULT_VERSION: &str = "v3";

/// HubSpot lets an account search five times a second (four by older pages), over all its clients. One a second is left to
/// others.
const SEARCHES_PER_SECOND: u32 = 4;

/// A private app of the smallest plan may send 100 requests in ten seconds, searches not counted. Ten are left to others that
/// share the token.
const REQUESTS_PER_TEN_SECONDS: u32 = 90;

/// Waits out HubSpot's ten-second window a few times.
const RETRIES: RetryPolicy = RetryPolicy {
    attempts: 6,
    total: Duration::from_secs(90),
    base: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};

/// The value of the secret.
#[derive(Debug, Clone, Deserialize)]
pub struct Credentials {
    /// The token of a private app with the scope `crm.objects.contacts.read`.
    pub token: Secret,
}

/// One account and how gently to treat it.
#[derive(Debug, Clone)]
pub struct HubspotConfig {
    pub url: String,
    /// The API's version as it stands in a path.
    pub version: String,
    pub token: Secret,
    /// 0 turns the limit off, for an account that is not HubSpot's.
    pub searches_per_second: u32,
    /// Everything but searches; 0 turns the limit off.
    pub requests_per_ten_seconds: u32,
    pub retries: RetryPolicy,
}

impl HubspotConfig {
    pub fn new(url: &str, credentials: Credentials) -> Self {
        HubspotConfig {
            url: url.trim_end_matches('/').to_owned(),
            version: DEFAULT_VERSION.to_owned(),
            token: credentials.token,
            searches_per_second: SEARCHES_PER_SECOND,
            requests_per_ten_seconds: REQUESTS_PER_TEN_SECONDS,
            retries: RETRIES,
        }
    }

    pub(crate) fn search_limit(&self) -> RateLimit {
        limit(self.searches_per_second, Duration::from_secs(1))
    }

    pub(crate) fn other_limit(&self) -> RateLimit {
        limit(self.requests_per_ten_seconds, Duration::from_secs(10))
    }
}

fn limit(requests: u32, window: Duration) -> RateLimit {
    if requests == 0 { RateLimit::unlimited() } else { RateLimit::new(requests, window) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_read_and_never_shown() {
        let credentials: Credentials = serde_json::from_str(r#"{"token": "pat-eu1-x"}"#).expect("the secret's shape");
        let config = HubspotConfig::new("https://h/", credentials);
        assert_eq!((config.url.as_str(), config.token.expose()), ("https://h", "pat-eu1-x"));
        assert!(!format!("{config:?}").contains("pat-eu1"), "{config:?}");
    }
}
