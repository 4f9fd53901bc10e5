//! The poller against brokers and a function that the test plays.

use std::time::{Duration, Instant};

mod broker;
mod function;
mod mapping;
mod mocked;

const TOPIC: &str = "clicks";
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until it is so, or fails the test after a while.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < give_up, "{what}: not within {PATIENCE:?}");
        tokio::task::yield_now().await;
    }
}
