//! The loop in a storm: invocations side by side that crash at any await, answers that are lost, messages that are lost
//! or doubled, runs that fail, hang or are cancelled. Whatever happens, dbt runs once at a time and covers the work.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use chrono::TimeDelta;
use sluice_core::{
    event::Announcement,
    port::{PutIfAbsent, Stored},
};

use super::*;

const SEEDS: u64 = 300;

/// A xorshift generator: a failing seed fails again.
struct Random(Cell<u64>);

impl Random {
    fn new(seed: u64) -> Self {
        Random(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn below(&self, bound: usize) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        ((x >> 11) % bound as u64) as usize
    }

    fn percent(&self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Everything outside the loop.
struct Storm {
    random: Random,
    /// How many calls in a hundred fail before their effect, and how many after it.
    trouble: Cell<usize>,
    now: Cell<DateTime<Utc>>,
    objects: RefCell<BTreeMap<String, Bytes>>,
    loaded: RefCell<Positions>,
    runs: RefCell<Vec<JobRun>>,
    queue: RefCell<Vec<(DateTime<Utc>, Message)>>,
    announced: RefCell<Vec<Announcement>>,
}

impl Storm {
    fn new(seed: u64, trouble: usize) -> Self {
        Storm {
            random: Random::new(seed),
            trouble: Cell::new(trouble),
            now: Cell::new(DateTime::UNIX_EPOCH),
            objects: RefCell::default(),
            loaded: RefCell::default(),
            runs: RefCell::default(),
            queue: RefCell::default(),
            announced: RefCell::default(),
        }
    }

    /// One call of a port: others get their turn first, and it may fail before or after its effect.
    async fn call<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        let mut turns = self.random.below(3);
        poll_fn(|context| {
            context.waker().wake_by_ref();
            let ready = turns == 0;
            turns = turns.saturating_sub(1);
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if self.random.percent(self.trouble.get()) {
            return Err(Error::unavailable("before acting"));
        }
        let result = act();
        if self.random.percent(self.trouble.get()) { Err(Error::unavailable("after acting")) } else { Ok(result) }
    }

    fn load(&self) {
        let table = ["A.B.C", "A.B.D", "A.B.E"][self.random.below(3)];
        *self.loaded.borrow_mut().entry(table.parse().expect("a table")).or_default() += 1;
    }

    fn post(&self, message: Message, seconds: i64) {
        self.queue.borrow_mut().push((self.now.get() + TimeDelta::seconds(seconds), message));
    }

    /// dbt goes on: a run may end, one way or another.
    fn work(&self, always_well: bool) {
        for run in self.runs.borrow_mut().iter_mut().filter(|run| run.state == JobState::UnderWay) {
            if self.random.percent(8) {
                run.state = match self.random.below(10) {
                    _ if always_well => JobState::Succeeded,
                    0..6 => JobState::Succeeded,
                    6..9 => JobState::Failed { reason: "broken".into() },
                    _ => JobState::Cancelled,
                };
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let under_way = self.runs.borrow().iter().any(|run| run.state == JobState::UnderWay);
        self.queue.borrow().is_empty() && !under_way
    }

    fn claims(&self) -> Vec<Claim> {
        let objects = self.objects.borrow();
        let claims = objects.iter().filter(|(key, _)| key.starts_with(lake::DBT_LOG_PREFIX));
        claims.map(|(_, body)| serde_json::from_slice(body).expect("a claim")).collect()
    }
}

impl ObjectStore for Storm {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.call(|| drop(self.objects.borrow_mut().insert(key.to_owned(), body))).await?;
        Ok(Stored { checksum: "c".into() })
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        self.call(|| {
            let mut objects = self.objects.borrow_mut();
            if objects.contains_key(key) {
                return PutIfAbsent::Exists;
            }
            objects.insert(key.to_owned(), body);
            PutIfAbsent::Stored(Stored { checksum: "c".into() })
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.call(|| self.objects.borrow().get(key).cloned()).await
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        self.call(|| self.objects.borrow().keys().find(|key| key.starts_with(prefix)).cloned()).await
    }
}

impl Ledger for Storm {
    async fn positions(&self) -> Result<Positions> {
        self.call(|| self.loaded.borrow().clone()).await
    }

    async fn record(&self, _: &Claim, _: &End) -> Result<()> {
        self.call(|| ()).await
    }
}

impl Jobs for Storm {
    async fn start(&self, cause: &str, _: &[String]) -> Result<JobRun> {
        self.call(|| {
            let mut runs = self.runs.borrow_mut();
            assert!(runs.iter().all(|run| run.state != JobState::UnderWay), "two runs at once: {runs:?}, {cause}");
            let marker = cause.split(": ").next().unwrap_or_default();
            assert!(runs.iter().all(|run| !run.cause.starts_with(&format!("{marker}: "))), "{marker} was made twice");
            let run = JobRun { id: runs.len().to_string(), cause: cause.into(), state: JobState::UnderWay };
            runs.push(run.clone());
            run
        })
        .await
    }

    async fn recent(&self, cause: &str) -> Result<Vec<JobRun>> {
        self.call(|| self.runs.borrow().iter().rev().filter(|run| run.cause.starts_with(cause)).cloned().collect())
            .await
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        self.call(|| {
            let mut runs = self.runs.borrow_mut();
            let run = runs.iter_mut().find(|run| run.id == id && run.state == JobState::UnderWay);
            run.into_iter().for_each(|run| run.state = JobState::Cancelled);
        })
        .await
    }

    async fn artifact(&self, _: &str, name: &str) -> Result<Option<Bytes>> {
        let failed = json!({"results": [{"unique_id": "model.sluice.sales", "status": "error"}]}).to_string();
        self.call(|| (name == "run_results.json").then(|| failed.into())).await
    }
}

impl Bus for Storm {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.call(|| self.announced.borrow_mut().push(announcement)).await
    }
}

impl DelayedQueue for Storm {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        let message = serde_json::from_value(body.clone()).expect("a message of ours");
        self.call(|| self.post(message, delay.as_secs() as i64)).await
    }
}

impl Clock for Storm {
    fn now(&self) -> DateTime<Utc> {
        self.now.get()
    }
}

type Running<'a> = (Message, Pin<Box<dyn Future<Output = Result<Dispatched>> + 'a>>);

/// The invocations side by side.
#[derive(Default)]
struct Lambda<'a> {
    running: Vec<Running<'a>>,
    invoked: u64,
}

impl<'a> Lambda<'a> {
    fn invoke(&mut self, storm: &'a Storm, message: Message) {
        self.invoked += 1;
        let run_id = RunId(format!("r{}", self.invoked));
        let asked = message.clone();
        let future = Box::pin(async move {
            let dispatch = Dispatch {
                store: storm,
                ledger: storm,
                jobs: storm,
                bus: storm,
                queue: storm,
                clock: storm,
                policy: POLICY,
            };
            dispatch.handle(&asked, &run_id).await
        });
        self.running.push((message, future));
    }

    /// Gives every invocation a turn; one that crashes or fails gets its message again after its visibility timeout.
    fn turn(&mut self, storm: &Storm, crashes: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for (message, mut future) in std::mem::take(&mut self.running) {
            if storm.random.percent(crashes) {
                storm.post(message, 120);
                continue;
            }
            match future.as_mut().poll(&mut context) {
                Poll::Pending => self.running.push((message, future)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => storm.post(message, 120),
            }
        }
    }

    /// Takes what is due from the queue, two at most at a time, as the queue's concurrency allows.
    fn take(&mut self, storm: &'a Storm, doubled: usize) {
        while self.running.len() < 2 {
            let mut queue = storm.queue.borrow_mut();
            let Some(due) = queue.iter().position(|(at, _)| *at <= storm.now.get()) else { return };
            let (_, message) = queue.swap_remove(due);
            if storm.random.percent(doubled) {
                queue.push((storm.now.get() + TimeDelta::seconds(storm.random.below(60) as i64), message.clone()));
            }
            drop(queue);
            self.invoke(storm, message);
        }
    }
}

/// Lets time pass until nothing moves any more; says how often it was swept.
fn until_idle(storm: &Storm) {
    storm.trouble.set(0);
    let mut lambda = Lambda::default();
    for step in 0..200_000 {
        lambda.take(storm, 0);
        lambda.turn(storm, 0);
        storm.work(true);
        storm.now.set(storm.now.get() + TimeDelta::seconds(5));
        // Swept once more after everything has become quiet: what a sweep still finds is to be found.
        if step % 180 == 0 && step < 2_000 {
            storm.post(wake(), 0);
        }
        if step >= 2_000 && lambda.running.is_empty() && storm.is_quiet() {
            return;
        }
    }
    panic!("the loop never comes to rest: {:?}", storm.queue.borrow());
}

#[test]
fn whatever_happens_dbt_runs_once_at_a_time_and_covers_the_work() {
    let (mut retried, mut cancelled, mut refreshed) = (0, 0, 0);
    for seed in 1..=SEEDS {
        let storm = Storm::new(seed, 4);
        storm.load();
        let mut lambda = Lambda::default();
        let mut requests = 0;
        for _ in 0..1_500 {
            match storm.random.below(100) {
                0..4 => {
                    storm.load();
                    // The announcement may be lost.
                    if storm.random.percent(70) {
                        storm.post(Message::Wake { cause: "loaded".into(), force: false, resume: false }, 1);
                    }
                }
                4 if storm.random.percent(30) => {
                    requests += 1;
                    storm.post(Message::FullRefresh { at: Some(storm.now.get()) }, 0);
                }
                5 if storm.random.percent(30) => {
                    if let Some(claim) = storm.claims().first() {
                        storm.post(Message::Cancel { number: claim.number }, 0);
                    }
                }
                6 if storm.random.percent(50) => storm.post(wake(), 0),
                _ => {}
            }
            lambda.take(&storm, 10);
            lambda.turn(&storm, 3);
            storm.work(false);
            storm.now.set(storm.now.get() + TimeDelta::seconds(storm.random.below(8) as i64));
        }
        drop(lambda);
        until_idle(&storm);
        // New data comes after the storm: whatever failed or was cancelled before, it is covered now.
        storm.load();
        until_idle(&storm);

        let claims = storm.claims();
        let newest = claims.first().expect("a claim");
        let end = block_on(claim::end(&storm, newest.number)).expect("a store").expect("an end");
        assert_eq!((end.status, &end.covered), (EndStatus::Succeeded, &*storm.loaded.borrow()), "seed {seed}");
        let numbers: BTreeSet<u64> = claims.iter().map(|claim| claim.number).collect();
        assert_eq!(numbers.len() as u64, newest.number, "seed {seed}: numbers without a gap");
        for claim in &claims {
            let runs = storm.runs.borrow();
            let own = runs.iter().filter(|run| run.cause.contains(&format!("({}) ", claim.run_id)));
            let (failed, other): (Vec<&JobRun>, Vec<&JobRun>) =
                own.partition(|run| matches!(run.state, JobState::Failed { .. }));
            assert!(failed.len() <= 2, "seed {seed}: run {} was retried more than once", claim.number);
            let stopped = other.iter().filter(|run| run.state == JobState::Cancelled).count();
            assert!(failed.len() + stopped <= MOST_ATTEMPTS as usize + 1, "seed {seed}: run {}", claim.number);
            (retried, cancelled) = (retried + usize::from(!failed.is_empty()), cancelled + stopped);
        }
        let refreshes = claims.iter().filter(|claim| claim.full_refresh).count();
        assert!(
            refreshes <= requests && (refreshes > 0 || requests == 0),
            "seed {seed}: {refreshes} for {requests} requests"
        );
        refreshed += refreshes;
    }
    assert!(retried > 100 && cancelled > 100 && refreshed > 100, "{retried} {cancelled} {refreshed}");
}

#[test]
fn a_wish_to_stop_beside_a_retry_leaves_no_run_behind() {
    let (mut stopped, mut retried) = (0, 0);
    for seed in 1..=SEEDS {
        let storm = Storm::new(seed, 0);
        storm.load();
        let mut lambda = Lambda::default();
        lambda.invoke(&storm, wake());
        while !lambda.running.is_empty() {
            lambda.turn(&storm, 0);
        }
        storm.runs.borrow_mut()[0].state = JobState::Failed { reason: "broken".into() };
        lambda.invoke(&storm, Message::Follow { number: 1 });
        (0..storm.random.below(12)).for_each(|_| lambda.turn(&storm, 0));
        lambda.invoke(&storm, Message::Cancel { number: 1 });
        while !lambda.running.is_empty() {
            lambda.turn(&storm, 0);
            let ended = storm.objects.borrow().contains_key(&lake::dbt_end_key(1));
            let under_way = storm.runs.borrow().iter().any(|run| run.state == JobState::UnderWay);
            assert!(!(ended && under_way), "seed {seed}: run 1 has ended and dbt still runs for it");
        }
        let runs = storm.runs.borrow().len();
        (stopped, retried) = (stopped + usize::from(runs == 1), retried + usize::from(runs == 2));
    }
    assert!(stopped > 10 && retried > 10, "both must happen: {stopped} {retried}");
}

#[test]
fn of_several_that_see_one_failure_one_retries_it() {
    let mut raced = 0;
    for seed in 1..=SEEDS {
        let storm = Storm::new(seed, 0);
        storm.load();
        let mut lambda = Lambda::default();
        lambda.invoke(&storm, wake());
        while !lambda.running.is_empty() {
            lambda.turn(&storm, 0);
        }
        storm.runs.borrow_mut()[0].state = JobState::Failed { reason: "broken".into() };
        for _ in 0..4 {
            lambda.invoke(&storm, Message::Follow { number: 1 });
        }
        while !lambda.running.is_empty() {
            lambda.turn(&storm, 0);
            let wanting =
                storm.objects.borrow().keys().filter(|key| key.starts_with(&lake::dbt_start_prefix(1))).count();
            raced += usize::from(wanting == 1 && storm.runs.borrow().len() == 1 && lambda.running.len() > 1);
        }
        assert_eq!(storm.runs.borrow().len(), 2, "seed {seed}: {:?}", storm.runs.borrow());
    }
    assert!(raced > 100, "others must be on their way between the start and its trigger: {raced}");
}
