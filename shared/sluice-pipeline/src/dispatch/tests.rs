use std::cell::RefCell;

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use sluice_core::{Kind, Sequence, lake, port::DelayedQueue};

use super::{
    follow::{MOST_ATTEMPTS, START_WITHIN},
    *,
};
use crate::fakes::{Faults, ManualClock, MemoryBus, MemoryQueue, MemoryStore};

mod hops;
mod left;
mod storm;

/// The warehouse and dbt in one: what is loaded, and what the runs have seen of it.
#[derive(Default)]
struct World {
    loaded: RefCell<Positions>,
    runs: RefCell<Vec<(JobRun, Vec<String>)>>,
    recorded: RefCell<Vec<(u64, EndStatus)>>,
    run_results: RefCell<Option<serde_json::Value>>,
    /// Why no file of a run can be had.
    no_artifacts: RefCell<Option<Kind>>,
    faults: Faults,
}

impl World {
    fn load(&self, table: &str, sequence: u64) {
        self.loaded.borrow_mut().insert(table.parse().expect("a table"), Sequence(sequence).0);
    }

    fn finish(&self, state: JobState) {
        if let Some((run, _)) = self.runs.borrow_mut().last_mut() {
            run.state = state;
        }
    }
}

impl Ledger for World {
    async fn positions(&self) -> Result<Positions> {
        self.faults.call(|| self.loaded.borrow().clone())
    }

    async fn record(&self, claim: &Claim, end: &End) -> Result<()> {
        self.faults.call(|| self.recorded.borrow_mut().push((claim.number, end.status)))
    }
}

impl Jobs for World {
    async fn start(&self, cause: &str, steps: &[String]) -> Result<JobRun> {
        self.faults.call(|| {
            let id = (self.runs.borrow().len() + 1).to_string();
            let run = JobRun { id, cause: cause.into(), state: JobState::UnderWay };
            self.runs.borrow_mut().push((run.clone(), steps.to_vec()));
            run
        })
    }

    async fn recent(&self, cause: &str) -> Result<Vec<JobRun>> {
        let runs = self.runs.borrow();
        let found = runs.iter().rev().map(|(run, _)| run).filter(|run| run.cause.starts_with(cause));
        self.faults.call(|| found.cloned().collect())
    }

    async fn cancel(&self, _: &str) -> Result<()> {
        self.faults.call(|| self.finish(JobState::Cancelled))
    }

    async fn artifact(&self, _: &str, name: &str) -> Result<Option<Bytes>> {
        if let Some(kind) = *self.no_artifacts.borrow() {
            return Err(Error::new(kind, "no file can be had"));
        }
        self.faults.call(|| {
            let results = self.run_results.borrow();
            let manifest = (name == "manifest.json").then(|| Bytes::from_static(b"{}"));
            results.as_ref().filter(|_| name == "run_results.json").map(|r| Bytes::from(r.to_string())).or(manifest)
        })
    }
}

/// What a schedule sends: it resumes a run whose messages were lost.
fn wake() -> Message {
    Message::Wake { cause: "test".into(), force: false, resume: true }
}

#[derive(Default)]
struct Stage {
    world: World,
    store: MemoryStore,
    bus: MemoryBus,
    queue: MemoryQueue,
    clock: ManualClock,
}

const POLICY: Policy = Policy {
    min_interval: Duration::from_secs(900),
    poll: Duration::from_secs(30),
    limit: Duration::from_secs(3600),
    credits_per_hour: 1.0,
};

impl Stage {
    fn send(&self, message: &Message) -> Result<Dispatched> {
        let dispatch = Dispatch {
            store: &self.store,
            ledger: &self.world,
            jobs: &self.world,
            bus: &self.bus,
            queue: &self.queue,
            clock: &self.clock,
            policy: POLICY,
        };
        block_on(dispatch.handle(message, &RunId(format!("r{}", self.store.faults.calls()))))
    }

    fn wake(&self) -> Dispatched {
        self.send(&wake()).expect("a wake-up")
    }

    fn follow(&self, number: u64) -> Dispatched {
        self.send(&Message::Follow { number }).expect("a look")
    }

    fn steps(&self) -> Vec<String> {
        self.world.runs.borrow().iter().flat_map(|(_, steps)| steps.clone()).collect()
    }
}

#[test]
fn the_first_run_builds_everything_and_the_next_one_what_has_changed() {
    let stage = Stage::default();
    assert_eq!(stage.wake(), Dispatched::NothingToDo);
    stage.world.load("DLT.APPLICATION_DATA.PRODUCTS", 1);
    assert_eq!(stage.wake(), Dispatched::Started { number: 1 });
    assert_eq!(stage.follow(1), Dispatched::UnderWay { number: 1 });
    stage.world.finish(JobState::Succeeded);
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Succeeded });
    assert_eq!(stage.wake(), Dispatched::NothingToDo);

    stage.world.load("DLT.APPLICATION_DATA.PRODUCTS", 2);
    stage.clock.advance(POLICY.min_interval);
    assert_eq!(stage.wake(), Dispatched::Started { number: 2 });
    let build = "dbt build --exclude-resource-type unit_test";
    assert_eq!(stage.steps(), [build.to_owned(), format!("{build} --select source:dlt_application_data.products+")]);
}

#[test]
fn a_burst_of_five_hundred_events_makes_at_most_two_runs() {
    let stage = Stage::default();
    for event in 1..=500 {
        stage.world.load("A.B.C", event);
        stage.wake();
        if event == 250 {
            stage.world.finish(JobState::Succeeded);
        }
    }
    stage.clock.advance(POLICY.min_interval);
    stage.wake();
    stage.world.finish(JobState::Succeeded);
    for _ in 0..3 {
        stage.wake();
    }
    assert_eq!(stage.world.runs.borrow().len(), 2);
    assert_eq!(stage.world.recorded.borrow()[..], [(1, EndStatus::Succeeded), (2, EndStatus::Succeeded)]);
}

#[test]
fn work_that_comes_too_soon_is_deferred_not_forgotten() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    stage.world.finish(JobState::Succeeded);
    stage.follow(1);
    stage.world.load("A.B.C", 2);
    stage.clock.advance(Duration::from_secs(300));
    assert_eq!(stage.wake(), Dispatched::Deferred);
    let sent = stage.queue.sent.borrow();
    let (body, delay) = sent.last().expect("a message to ourselves");
    assert_eq!((body["dispatch"].as_str(), *delay), (Some("wake"), Duration::from_secs(600)));
}

#[test]
fn a_failed_run_is_retried_once_and_then_waits_for_new_data() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    *stage.world.run_results.borrow_mut() = Some(json!({"results": [
        {"unique_id": "model.sluice.dim_products", "status": "success"},
        {"unique_id": "model.sluice.fct_purchases", "status": "error"},
        {"unique_id": "model.sluice.sales", "status": "skipped"},
    ]}));
    stage.world.finish(JobState::Failed { reason: "broken".into() });
    assert_eq!(stage.follow(1), Dispatched::UnderWay { number: 1 });
    assert!(stage.steps()[1].ends_with("--select fct_purchases sales"), "{:?}", stage.steps());
    stage.world.finish(JobState::Failed { reason: "still broken".into() });
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Failed });
    let last = stage.bus.announced.borrow().last().cloned().expect("an announcement");
    assert_eq!((last.detail_type, last.detail["reason"].as_str()), ("RunFailed", Some("still broken")));

    stage.clock.advance(POLICY.min_interval);
    assert_eq!(stage.wake(), Dispatched::NothingToDo);
    stage.world.load("A.B.C", 2);
    assert_eq!(stage.wake(), Dispatched::Started { number: 2 });
}

#[test]
fn a_run_without_results_is_retried_whole_one_without_failures_is_not() {
    for (results, runs) in [
        (None, 2),
        (Some(json!({"results": [{"unique_id": "model.sluice.sales", "status": "success"}]})), 1),
        (Some(json!({"results": []})), 1),
    ] {
        let stage = Stage::default();
        stage.world.load("A.B.C", 1);
        stage.wake();
        *stage.world.run_results.borrow_mut() = results;
        for _ in 0..2 {
            stage.world.finish(JobState::Failed { reason: "no connection".into() });
            stage.follow(1);
        }
        assert_eq!(stage.steps(), vec!["dbt build --exclude-resource-type unit_test"; runs]);
        assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Failed });
    }
}

#[test]
fn an_end_tells_what_was_done_and_the_artifacts_are_kept() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    let node = |id: &str, status: &str, rows: u64| {
        json!({"unique_id": id, "status": status, "execution_time": 1.5,
        "message": "why", "adapter_response": {"rows_affected": rows}})
    };
    let first = [node("model.sluice.dim_products", "success", 3), node("model.sluice.sales", "error", 0)];
    *stage.world.run_results.borrow_mut() = Some(json!({"elapsed_time": 3.0, "results": first}));
    stage.world.finish(JobState::Failed { reason: "broken".into() });
    stage.follow(1);
    assert!(
        !stage.store.objects.borrow().contains_key(lake::DBT_MANIFEST_KEY),
        "a failed run is nothing to compare with"
    );
    *stage.world.run_results.borrow_mut() =
        Some(json!({"elapsed_time": 2.0, "results": [node("model.sluice.sales", "success", 40)]}));
    stage.world.finish(JobState::Succeeded);
    stage.follow(1);

    let objects = stage.store.objects.borrow();
    let ended: serde_json::Value = serde_json::from_slice(&objects[&lake::dbt_end_key(1)]).expect("the end");
    let run_id = RunId(ended["run_id"].as_str().expect("a run id").to_owned());
    assert_eq!((ended["status"].as_str(), ended["cause"].as_str()), (Some("succeeded"), Some("test")));
    assert_eq!((&ended["models"], &ended["rows"], &ended["attempts"]), (&json!(2), &json!(43), &json!(2)));
    assert_eq!((&ended["seconds"], &ended["failures"]), (&json!(5.0), &json!([])));
    assert_eq!(ended["dbt_run_ids"], json!(["1", "2"]));
    assert_eq!(
        ended["nodes"][0],
        json!({"node": "model.sluice.dim_products", "status": "success", "seconds": 1.5, "rows": 3})
    );
    for start in [1, 2] {
        assert!(objects.contains_key(&lake::dbt_artifact_key(&run_id, start, "run_results.json")), "start {start}");
    }
    assert_eq!(objects[lake::DBT_MANIFEST_KEY], "{}");
    let said = stage.bus.announced.borrow().last().cloned().expect("an announcement");
    assert_eq!(
        (said.detail_type, &said.detail["models"], &said.detail["rows"]),
        ("RunSucceeded", &json!(2), &json!(43))
    );
}

#[test]
fn an_end_of_an_earlier_version_is_still_read() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    let end = json!({"number": 1, "status": "succeeded", "dbt_run_id": "1", "ended_at": "2026-01-01T00:00:00Z",
                     "covered": {"A.B.C": 1}});
    stage.store.objects.borrow_mut().insert(lake::dbt_end_key(1), Bytes::from(end.to_string()));
    stage.clock.advance(POLICY.min_interval);
    assert_eq!(stage.wake(), Dispatched::NothingToDo);
}

#[test]
fn a_full_refresh_waits_its_turn_and_a_doubled_wish_makes_one() {
    let stage = Stage::default();
    let request = Message::FullRefresh { at: Some(DateTime::UNIX_EPOCH) };
    assert_eq!(stage.send(&request).expect("a request"), Dispatched::NothingToDo, "nothing is loaded");
    stage.world.load("A.B.C", 1);
    stage.wake();
    assert_eq!(stage.send(&request).expect("a request"), Dispatched::UnderWay { number: 1 });
    let (later, _) = stage.queue.sent.borrow().iter().rev().nth(1).cloned().expect("the request again");
    assert_eq!(serde_json::from_value::<Message>(later).expect("a message"), request);

    stage.world.finish(JobState::Succeeded);
    stage.follow(1);
    assert_eq!(stage.send(&request).expect("a request"), Dispatched::Deferred);
    stage.clock.advance(POLICY.min_interval);
    assert_eq!(stage.send(&request).expect("a request"), Dispatched::Started { number: 2 });
    assert_eq!(stage.steps()[1], "dbt build --exclude-resource-type unit_test --full-refresh");
    let sent = stage.queue.sent.borrow().len();
    assert_eq!(stage.send(&request).expect("a request"), Dispatched::UnderWay { number: 2 });
    assert_eq!(stage.queue.sent.borrow().len(), sent + 1, "the request is met: only the run is followed");

    *stage.world.run_results.borrow_mut() = Some(json!({"results": [{"unique_id": "model.s.a", "status": "error"}]}));
    stage.world.finish(JobState::Failed { reason: "broken".into() });
    stage.follow(2);
    assert!(stage.steps()[2].ends_with("--full-refresh --select a"), "{:?}", stage.steps());
    stage.world.finish(JobState::Succeeded);
    stage.follow(2);
    stage.clock.advance(POLICY.min_interval);
    assert_eq!(stage.send(&request).expect("a request"), Dispatched::NothingToDo);
    let next = Message::FullRefresh { at: Some(stage.clock.now()) };
    assert_eq!(stage.send(&next).expect("a request"), Dispatched::Started { number: 3 });
}

#[test]
fn a_forced_run_that_is_wished_for_during_another_comes_after_it() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    let forced = Message::Wake { cause: "models".into(), force: true, resume: true };
    stage.send(&forced).expect("a request");
    let again = stage.queue.sent.borrow().iter().any(|(body, _)| body["force"] == json!(true));
    assert!(again, "the request must not get lost: {:?}", stage.queue.sent.borrow());
}

#[test]
fn a_run_that_is_cancelled_on_request_is_neither_repeated_nor_retried() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    let cancelled = Dispatched::Ended { number: 1, status: EndStatus::Cancelled };
    assert_eq!(stage.send(&Message::Cancel { number: 1 }).expect("a request"), cancelled);
    assert_eq!(stage.send(&Message::Cancel { number: 1 }).expect("a request"), cancelled);
    assert!(stage.send(&Message::Cancel { number: 2 }).is_err(), "there is no run 2");
    let said = stage.bus.announced.borrow().last().cloned().expect("an announcement");
    assert_eq!((said.detail_type, said.detail["reason"].as_str()), ("RunFailed", Some("cancelled on request")));
    stage.clock.advance(POLICY.min_interval);
    assert_eq!(stage.wake(), Dispatched::NothingToDo);
    stage.world.load("A.B.C", 2);
    assert_eq!(stage.wake(), Dispatched::Started { number: 2 });
    assert_eq!(stage.world.runs.borrow().len(), 2);
}

#[test]
fn a_claim_that_is_cancelled_before_its_run_exists_ends_without_one() {
    let stage = Stage { world: World { faults: Faults::at(1, false), ..World::default() }, ..Stage::default() };
    stage.world.load("A.B.C", 1);
    assert!(stage.send(&wake()).is_err(), "the trigger fails after the claim");
    let request = Message::Cancel { number: 1 };
    assert_eq!(
        stage.send(&request).expect("a request"),
        Dispatched::UnderWay { number: 1 },
        "the trigger may be on its way"
    );
    stage.clock.advance(START_WITHIN);
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Cancelled });
    assert_eq!(stage.world.runs.borrow().len(), 0);
}

/// A queue on which time passes.
struct SlowQueue<'a>(&'a Stage);

impl DelayedQueue for SlowQueue<'_> {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        self.0.clock.advance(START_WITHIN);
        self.0.queue.send(body, delay).await
    }
}

#[test]
fn an_invocation_too_slow_to_trigger_leaves_it_to_the_next_start() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    let slow = Dispatch {
        store: &stage.store,
        ledger: &stage.world,
        jobs: &stage.world,
        bus: &stage.bus,
        queue: &SlowQueue(&stage),
        clock: &stage.clock,
        policy: POLICY,
    };
    block_on(slow.handle(&wake(), &RunId("slow".into()))).expect("a claim");
    assert_eq!(stage.world.runs.borrow().len(), 0, "somebody else may have started it by now");
    assert_eq!(stage.follow(1), Dispatched::Started { number: 1 });
    assert_eq!(stage.world.runs.borrow().len(), 1);
}

#[test]
fn a_claim_that_is_being_started_is_not_started_twice() {
    let stage = Stage { world: World { faults: Faults::at(1, false), ..World::default() }, ..Stage::default() };
    stage.world.load("A.B.C", 1);
    assert!(stage.send(&wake()).is_err(), "the trigger fails after the claim");
    assert_eq!(stage.wake(), Dispatched::UnderWay { number: 1 });
    assert_eq!(stage.world.runs.borrow().len(), 0);
    stage.clock.advance(START_WITHIN);
    assert_eq!(stage.follow(1), Dispatched::Started { number: 1 });
    assert_eq!(stage.world.runs.borrow().len(), 1);
}

#[test]
fn changed_models_are_built_whole_when_somebody_says_so() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    stage.world.finish(JobState::Succeeded);
    stage.follow(1);
    stage.clock.advance(POLICY.min_interval);
    assert_eq!(stage.wake(), Dispatched::NothingToDo);
    let forced = Message::Wake { cause: "test".into(), force: true, resume: false };
    assert_eq!(stage.send(&forced).expect("a wake-up"), Dispatched::Started { number: 2 });
    assert!(!stage.steps()[1].contains("--select"), "{:?}", stage.steps());
}

#[test]
fn a_run_over_its_time_is_cancelled_and_counts_as_failed() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    stage.clock.advance(POLICY.limit + Duration::from_secs(1));
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Failed });
    assert_eq!(stage.world.runs.borrow()[0].0.state, JobState::Cancelled);
}

#[test]
fn a_run_that_somebody_cancelled_is_done_again_but_not_for_ever() {
    let stage = Stage::default();
    stage.world.load("A.B.C", 1);
    stage.wake();
    for _ in 0..2 {
        stage.world.finish(JobState::Cancelled);
        assert_eq!(stage.follow(1), Dispatched::UnderWay { number: 1 });
    }
    stage.world.finish(JobState::Cancelled);
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Failed });
    assert_eq!(stage.world.runs.borrow().len(), MOST_ATTEMPTS as usize);
}

#[test]
fn whichever_call_fails_one_run_covers_the_work() {
    let mut struck = 0;
    for after_acting in [false, true] {
        for call in 0..12 {
            for port in 0..4 {
                let fault = |wanted| if port == wanted { Faults::at(call, after_acting) } else { Faults::none() };
                let stage = Stage {
                    world: World { faults: fault(0), ..World::default() },
                    store: MemoryStore { faults: fault(1), ..MemoryStore::default() },
                    bus: MemoryBus { faults: fault(2), ..MemoryBus::default() },
                    queue: MemoryQueue { faults: fault(3), ..MemoryQueue::default() },
                    clock: ManualClock::default(),
                };
                stage.world.load("A.B.C", 1);
                let mut ended = false;
                for _ in 0..12 {
                    // A failed message is delivered again; a schedule wakes us in any case.
                    let outcome = stage.send(&wake());
                    struck += usize::from(outcome.is_err());
                    stage.world.finish(JobState::Succeeded);
                    stage.clock.advance(START_WITHIN);
                    ended |= matches!(outcome, Ok(Dispatched::NothingToDo));
                }
                let context = format!("port {port}, call {call}, after acting: {after_acting}");
                assert!(ended, "{context}: the work was never covered");
                // A lost answer of the trigger is found again by the run's cause.
                assert_eq!(stage.world.runs.borrow().len(), 1, "{context}");
            }
        }
    }
    assert!(struck > 20, "the faults must strike");
}
