//! A token bucket: events a second over time, and events at once. Each instance of the function has its own.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    capacity: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let capacity = f64::from(burst);
        Bucket { per_second: f64::from(per_second), capacity, tokens: capacity, filled_at: now }
    }

    /// Takes a token per event, or says how long to wait. More events than the bucket holds cost a full one: they would
    /// never pass else.
    pub fn take(&mut self, events: usize, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.capacity);
        self.filled_at = now;
        let cost = (events as f64).min(self.capacity);
        if self.tokens >= cost {
            self.tokens -= cost;
            return Ok(());
        }
        Err(Duration::from_secs_f64((cost - self.tokens) / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut bucket = Bucket::new(10, 20, start);
        assert_eq!(bucket.take(20, at(0)), Ok(()));
        assert_eq!(bucket.take(1, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(1, at(50)), Err(Duration::from_millis(50)), "waiting costs nothing");
        assert_eq!(bucket.take(1, at(100)), Ok(()));
        assert_eq!(bucket.take(500, at(10_000)), Ok(()), "a batch above the burst takes all of it");
        assert_eq!(bucket.take(500, at(10_500)), Err(Duration::from_millis(1_500)));
        assert_eq!(bucket.take(20, at(3_600_000)), Ok(()), "it never holds more than the burst");
        assert!(bucket.take(1, at(3_600_000)).is_err());
    }
}
