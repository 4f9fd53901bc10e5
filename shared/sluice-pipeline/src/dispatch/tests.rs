use std::cell::RefCell;

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use sluice_core::Sequence;

use super::*;
use crate::fakes::{Faults, ManualClock, MemoryBus, MemoryQueue, MemoryStore};

/// The warehouse and dbt in one: what is loaded, and what the runs have seen of it.
#[derive(Default)]
struct World {
    loaded: RefCell<Positions>,
    runs: RefCell<Vec<(JobRun, Vec<String>)>>,
    recorded: RefCell<Vec<(u64, EndStatus)>>,
    run_results: RefCell<Option<serde_json::Value>>,
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

    async fn recent(&self) -> Result<Vec<JobRun>> {
        self.faults.call(|| self.runs.borrow().iter().rev().map(|(run, _)| run.clone()).collect())
    }

    async fn cancel(&self, _: &str) -> Result<()> {
        self.faults.call(|| self.finish(JobState::Cancelled))
    }

    async fn artifact(&self, _: &str, name: &str) -> Result<Option<Bytes>> {
        self.faults.call(|| {
            let results = self.run_results.borrow();
            results.as_ref().filter(|_| name == "run_results.json").map(|r| Bytes::from(r.to_string()))
        })
    }
}

/// What a schedule sends: it revives a run whose messages were lost.
fn wake() -> Message {
    Message::Wake { cause: "test".into(), force: false, revive: true }
}

#[derive(Default)]
struct Stage {
    world: World,
    store: MemoryStore,
    bus: MemoryBus,
    queue: MemoryQueue,
    clock: ManualClock,
}

const POLICY: Policy =
    Policy { min_interval: Duration::from_secs(900), poll: Duration::from_secs(30), limit: Duration::from_secs(3600) };

impl Stage {
    fn send(&self, message: &Message) -> Result<Dispatched> {
        let dispatch = Dispatch {
            store: &self.store,
            ledger: &self.world,
            jobs: &self.world,
            bus: &self.bus,
            later: &self.queue,
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
fn a_failed_run_is_retried_once_from_what_failed_and_then_left_until_new_data_comes() {
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
    let forced = Message::Wake { cause: "test".into(), force: true, revive: false };
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
    assert_eq!(stage.world.runs.borrow().len(), MOST_ATTEMPTS);
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
