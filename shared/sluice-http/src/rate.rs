//! A rate limit by spacing: at most a number of requests in any window, without bursts.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// Spaces requests evenly. A burst at the start of each window would also keep the limit as we count it, but not as a
/// server counts it whose windows begin elsewhere.
///
/// One per function instance: two instances share a vendor's limit without knowing of each other, which is what the
/// vendor's own refusal and the retry loop are for.
#[derive(Debug)]
pub struct RateLimit {
    spacing: Duration,
    next: Cell<Option<Instant>>,
}

impl RateLimit {
    /// At most `requests` in any `window`.
    pub fn new(requests: u32, window: Duration) -> Self {
        RateLimit { spacing: window / requests.max(1), next: Cell::new(None) }
    }

    pub fn unlimited() -> Self {
        Self::new(1, Duration::ZERO)
    }

    /// Returns when the next request may be sent.
    pub async fn acquire(&self) {
        let now = Instant::now();
        let wait = self.reserve(now);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, now: Instant) -> Duration {
        let slot = self.next.get().map_or(now, |next| next.max(now));
        self.next.set(Some(slot + self.spacing));
        slot - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spaced_and_an_idle_time_is_not_saved_up() {
        let limit = RateLimit::new(4, Duration::from_secs(1));
        let start = Instant::now();
        let waits: Vec<u128> = (0..4).map(|_| limit.reserve(start).as_millis()).collect();
        assert_eq!(waits, [0, 250, 500, 750]);

        let later = start + Duration::from_secs(60);
        assert_eq!(limit.reserve(later).as_millis(), 0);
        assert_eq!(limit.reserve(later).as_millis(), 250);
    }

    #[test]
    fn no_limit_never_waits() {
        let (limit, now) = (RateLimit::unlimited(), Instant::now());
        assert!((0..100).all(|_| limit.reserve(now).is_zero()));
    }
}
