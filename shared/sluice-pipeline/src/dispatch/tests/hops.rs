//! How many messages a run's chain takes, against Lambda's detection of loops and against the bound of our own.

use std::collections::VecDeque;

use chrono::TimeDelta;
use sluice_core::{Hops, InChain};

use super::*;

/// Unless it is told otherwise, Lambda ends a chain of invocations of one function after about this many.
const DETECTED_AFTER: u32 = 16;

/// The function's queue as SQS has it, on a clock of its own: a message comes when its delay is over.
#[derive(Default)]
struct Queue {
    clock: ManualClock,
    sent: RefCell<VecDeque<(serde_json::Value, Duration, Hops)>>,
}

impl DelayedQueue for Queue {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        self.send_after(Hops::none(self.clock.now()), body, delay).await
    }

    async fn send_after(&self, hops: Hops, body: &serde_json::Value, delay: Duration) -> Result<()> {
        self.sent.borrow_mut().push_back((body.clone(), delay, hops.next()));
        Ok(())
    }
}

/// Serves the queue until a run of this length has ended. The longest chain, and whether the bound of our own ended one.
fn followed(poll: Duration, run: Duration) -> (u32, bool) {
    let stage = Stage::default();
    let queue = Queue::default();
    let policy = Policy { poll, limit: run + POLICY.poll, ..POLICY };
    let serve = |message: &Message, chain: &InChain<'_, Queue>| {
        let dispatch = Dispatch {
            store: &stage.store,
            ledger: &stage.world,
            jobs: &stage.world,
            bus: &stage.bus,
            queue: chain,
            clock: &queue.clock,
            policy,
        };
        block_on(dispatch.handle(message, &RunId("r".into()))).expect("served")
    };
    stage.world.load("A.B.C", 1);
    serve(&wake(), &InChain::new(&queue, Hops::none(queue.clock.now())));
    let mut longest = 0;
    let next = || queue.sent.borrow_mut().pop_front();
    while let Some((body, delay, hops)) = next() {
        queue.clock.advance(delay);
        longest = longest.max(hops.count);
        if hops.check(queue.clock.now()).is_err() {
            return (longest, true);
        }
        if queue.clock.now() - DateTime::UNIX_EPOCH >= TimeDelta::from_std(run).expect("a time") {
            stage.world.finish(JobState::Succeeded);
        }
        let message: Message = serde_json::from_value(body).expect("one of ours");
        serve(&message, &InChain::new(&queue, hops));
    }
    assert_eq!(stage.world.recorded.borrow()[..], [(1, EndStatus::Succeeded)]);
    (longest, false)
}

#[test]
fn a_dbt_run_of_nine_minutes_takes_more_hops_than_lambda_allows() {
    let (hops, ended) = followed(Duration::from_secs(30), Duration::from_secs(9 * 60));
    assert!(hops > DETECTED_AFTER, "{hops} hops: the template need not allow loops");
    assert!(!ended);
}

#[test]
fn a_dbt_run_of_a_day_stays_within_the_bound_of_hops() {
    for (poll, hours) in [(30, 24), (1, 1)] {
        let (hops, ended) = followed(Duration::from_secs(poll), Duration::from_secs(hours * 3_600));
        assert!(!ended, "ended after {hops} hops of {poll} s");
        assert_eq!(u64::from(hops), hours * 3_600 / poll);
    }
}

#[test]
fn the_news_of_a_runs_end_begins_a_chain_of_its_own() {
    let stage = Stage::default();
    let queue = Queue::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    stage.world.finish(JobState::Succeeded);
    let later = InChain::new(&queue, Hops { count: 500, since: DateTime::UNIX_EPOCH });
    let dispatch = Dispatch {
        store: &stage.store,
        ledger: &stage.world,
        jobs: &stage.world,
        bus: &stage.bus,
        queue: &later,
        clock: &stage.clock,
        policy: POLICY,
    };
    block_on(dispatch.handle(&Message::Follow { number: 1 }, &RunId("r".into()))).expect("an end");
    let counts: Vec<u32> = queue.sent.borrow().iter().map(|(_, _, hops)| hops.count).collect();
    assert_eq!(counts, [1], "whatever comes next is another run");
}
