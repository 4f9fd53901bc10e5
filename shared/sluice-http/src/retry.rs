//! The retry loop: attempts and total time bounded, full jitter, and what the other side asks for before our own schedule.

use std::time::Duration;

use sluice_core::{Error, Kind, Result};
use tokio::time::Instant;

/// How long and how often to try. Attempts multiply with those of the loops above (Lambda, the queue): keep them few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// All attempts, the first included.
    pub attempts: u32,
    /// From the first attempt's start. No attempt begins and none goes on after it.
    pub total: Duration,
    /// The longest wait after the first attempt; doubles with each further one.
    pub base: Duration,
    /// No wait of our own is longer. A wait that the other side asks for is bounded by `total` only.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// Rides out a restart on the other side and still leaves most of a function's time.
    fn default() -> Self {
        RetryPolicy {
            attempts: 5,
            total: Duration::from_secs(60),
            base: Duration::from_millis(250),
            cap: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// One attempt: for what must not be sent twice.
    pub fn once(total: Duration) -> Self {
        RetryPolicy { attempts: 1, total, base: Duration::ZERO, cap: Duration::ZERO }
    }

    /// Tries a second time soon: what is not taken then, a later run brings again.
    pub fn twice(answer_within: Duration) -> Self {
        RetryPolicy {
            attempts: 2,
            total: answer_within * 2,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(1),
        }
    }

    /// Up to `attempts` without waiting between them: for tests, and where the other side is on this machine.
    pub fn without_waits(attempts: u32) -> Self {
        RetryPolicy { attempts, base: Duration::ZERO, cap: Duration::ZERO, ..Self::default() }
    }

    /// Full jitter: anything up to the doubled base, so that clients that failed together do not return together.
    fn wait(&self, failures: u32, random: f64) -> Duration {
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.cap).mul_f64(random)
    }
}

/// Which attempt this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The first is 1.
    pub number: u32,
    /// What is left of the policy's total time.
    pub remaining: Duration,
}

/// Runs `attempt` until it succeeds, fails with anything but a transient error, or the policy is used up; then the last
/// error comes back exhausted.
pub async fn retry<T>(policy: &RetryPolicy, attempt: impl AsyncFnMut(Attempt) -> Result<T>) -> Result<T> {
    retry_on(&TokioTimer, policy, attempt).await
}

/// The loop's view of time, so that its tests take none.
trait Timer {
    fn now(&self) -> Instant;
    async fn sleep(&self, duration: Duration);
}

struct TokioTimer;

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

async fn retry_on<T>(
    timer: &impl Timer,
    policy: &RetryPolicy,
    mut attempt: impl AsyncFnMut(Attempt) -> Result<T>,
) -> Result<T> {
    let start = timer.now();
    let mut number = 1;
    loop {
        let remaining = policy.total.saturating_sub(timer.now() - start);
        let result = tokio::select! {
            biased;
            result = attempt(Attempt { number, remaining }) => result,
            () = timer.sleep(remaining) => Err(Error::new(Kind::Timeout, "no answer in the time allowed for all attempts")
                .with("attempts", number)
                .with("total_seconds", policy.total.as_secs_f64())),
        };
        let error = match result {
            Err(error) if error.is_transient() => error,
            other => return other,
        };
        let wait = error.retry_after().unwrap_or_else(|| policy.wait(number, fastrand::f64()));
        let remaining = policy.total.saturating_sub(timer.now() - start);
        if number >= policy.attempts || wait >= remaining {
            return Err(error.exhausted());
        }
        tracing::warn!(attempt = number, wait_ms = wait.as_millis() as u64, error = %error, "trying again");
        timer.sleep(wait).await;
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::pending};

    use sluice_core::Retry;

    use super::*;

    /// Time that passes only by sleeping.
    struct Virtual {
        start: Instant,
        slept: RefCell<Vec<Duration>>,
    }

    impl Timer for Virtual {
        fn now(&self) -> Instant {
            self.start + self.slept.borrow().iter().sum::<Duration>()
        }

        async fn sleep(&self, duration: Duration) {
            self.slept.borrow_mut().push(duration);
        }
    }

    fn timer() -> Virtual {
        Virtual { start: Instant::now(), slept: RefCell::new(Vec::new()) }
    }

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        total: Duration::from_secs(30),
        base: Duration::from_secs(1),
        cap: Duration::from_secs(3),
    };

    #[tokio::test]
    async fn a_transient_error_is_tried_again_and_the_first_success_stands() {
        let timer = timer();
        let result = retry_on(&timer, &POLICY, async |attempt| {
            if attempt.number < 3 { Err(Error::unavailable("away")) } else { Ok(attempt.number) }
        });
        assert_eq!(result.await.ok(), Some(3));
        assert_eq!(timer.slept.borrow().len(), 2);
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_the_last_error_is_exhausted() {
        let mut calls = 0;
        let result: Result<()> = retry_on(&timer(), &POLICY, async |_| {
            calls += 1;
            Err(Error::unavailable("away"))
        })
        .await;
        assert_eq!(result.expect_err("never answers").retry(), Retry::Exhausted);
        assert_eq!(calls, 4);
    }

    #[tokio::test]
    async fn a_permanent_or_exhausted_error_is_not_tried_again() {
        for error in [Error::config("wrong"), Error::unavailable("away").exhausted()] {
            let (retry, timer) = (error.retry(), timer());
            let mut once = Some(error);
            let result: Result<()> = retry_on(&timer, &POLICY, async |_| Err(once.take().expect("one call"))).await;
            assert_eq!(result.expect_err("fails").retry(), retry);
            assert!(timer.slept.borrow().is_empty());
        }
    }

    #[tokio::test]
    async fn the_other_sides_wish_is_the_wait_even_above_the_cap() {
        let timer = timer();
        let result = retry_on(&timer, &POLICY, async |attempt| match attempt.number {
            1 => Err(Error::unavailable("away").after(Duration::from_secs(20))),
            _ => Ok(attempt.remaining),
        });
        assert_eq!(result.await.ok(), Some(Duration::from_secs(10)));
        assert_eq!(*timer.slept.borrow(), [Duration::from_secs(20)]);
    }

    #[tokio::test]
    async fn a_wish_beyond_the_total_time_ends_the_loop_at_once() {
        let timer = timer();
        let result: Result<()> =
            retry_on(&timer, &POLICY, async |_| Err(Error::unavailable("away").after(Duration::from_secs(30)))).await;
        let error = result.expect_err("gives up");
        assert_eq!((error.retry(), error.retry_after()), (Retry::Exhausted, Some(Duration::from_secs(30))));
        assert!(timer.slept.borrow().is_empty());
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_ends_with_the_total_time() {
        let result: Result<()> = retry_on(&timer(), &POLICY, async |_| pending().await).await;
        let error = result.expect_err("hangs");
        assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::Exhausted));
    }

    #[test]
    fn waits_double_up_to_the_cap_and_are_jittered_down_to_nothing() {
        let longest: Vec<u64> = (1..=4).map(|failures| POLICY.wait(failures, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 3, 3]);
        assert_eq!(POLICY.wait(3, 0.0), Duration::ZERO);
        assert_eq!(POLICY.wait(2, 0.5), Duration::from_secs(1));
        assert_eq!(POLICY.wait(u32::MAX, 1.0), POLICY.cap);
    }
}
