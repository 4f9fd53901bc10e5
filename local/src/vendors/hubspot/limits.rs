//! How many requests an app may send, and the headers that tell it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::HubSpotConfig;

const WINDOW: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Limits {
    /// By the app's token.
    recent: HashMap<String, VecDeque<Instant>>,
    /// Of the whole account.
    today: usize,
}

/// Which limit a request meets.
pub(super) enum Met {
    None,
    TenSeconds,
    Daily,
}

impl Limits {
    /// Counts a request. A search has a limit of its own and does not count for ten seconds.
    pub(super) fn count(&mut self, config: &HubSpotConfig, token: &str, is_search: bool) -> Met {
        self.today += 1;
        if config.requests_per_day.is_some_and(|limit| self.today > limit) {
            return Met::Daily;
        }
        let Some(limit) = config.requests_per_ten_seconds.filter(|_| !is_search) else { return Met::None };
        let now = Instant::now();
        let recent = self.recent.entry(token.to_owned()).or_default();
        recent.retain(|at| now.duration_since(*at) < WINDOW);
        if recent.len() >= limit {
            return Met::TenSeconds;
        }
        recent.push_back(now);
        Met::None
    }

    /// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>
    pub(super) fn tell(&self, config: &HubSpotConfig, token: &str, headers: &mut HeaderMap) {
        let mut set = |name: &'static str, number: usize| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
        };
        if let Some(limit) = config.requests_per_ten_seconds {
            let used = self.recent.get(token).map_or(0, VecDeque::len);
            set("x-hubspot-ratelimit-max", limit);
            set("x-hubspot-ratelimit-remaining", limit.saturating_sub(used));
            set("x-hubspot-ratelimit-interval-milliseconds", 10_000);
        }
        if let Some(limit) = config.requests_per_day {
            set("x-hubspot-ratelimit-daily", limit);
            set("x-hubspot-ratelimit-daily-remaining", limit.saturating_sub(self.today));
        }
    }
}
