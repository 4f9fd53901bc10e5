//! What a run is marked with, and what it leaves: files of another run, files that cannot be had.

use super::*;
use crate::dispatch::follow::MOST_CAUSE_CHARS;

const TABLE: &str = "STREAMING.PUBLIC.PURCHASES";

fn started() -> Stage {
    let stage = Stage::default();
    stage.world.load(TABLE, 1);
    assert_eq!(stage.wake(), Dispatched::Started { number: 1 });
    stage
}

/// A file in which one node has failed.
fn results(invocation: &str, at: DateTime<Utc>, node: &str) -> serde_json::Value {
    let node = json!({"unique_id": format!("model.sluice.{node}"), "status": "error", "execution_time": 1.0});
    let metadata = json!({"invocation_id": invocation, "generated_at": at.to_rfc3339()});
    json!({"metadata": metadata, "results": [node], "elapsed_time": 1.0})
}

#[test]
fn a_cause_fits_the_job_and_its_marker_stays_whole() {
    let stage = Stage::default();
    stage.world.load(TABLE, 1);
    let cause = "ü,".repeat(2_000);
    stage.send(&Message::Wake { cause, force: false, resume: true }).expect("a start");
    let marked = stage.world.runs.borrow()[0].0.cause.clone();
    assert_eq!(marked.chars().count(), MOST_CAUSE_CHARS);
    assert!(marked.starts_with("sluice dispatch 1 (") && marked.contains(") start 1: ü,") && marked.ends_with('…'));
    stage.clock.advance(START_WITHIN);
    assert_eq!(stage.follow(1), Dispatched::UnderWay { number: 1 });
    assert_eq!(stage.world.runs.borrow().len(), 1, "it is found again by its marker");
}

#[test]
fn results_of_an_earlier_run_say_nothing_of_this_one() {
    let stage = started();
    let before = stage.clock.now() - Duration::from_secs(1);
    stage.world.run_results.replace(Some(results("old", before, "dim_old")));
    stage.clock.advance(Duration::from_secs(60));
    stage.world.finish(JobState::Failed { reason: "before it wrote anything".into() });
    assert_eq!(stage.follow(1), Dispatched::UnderWay { number: 1 });
    let steps = stage.steps();
    assert_eq!(steps[0], steps[1], "all of it is tried again, not what another run had left");

    stage.world.run_results.replace(Some(results("new", stage.clock.now(), "dim_new")));
    stage.world.finish(JobState::Failed { reason: "again".into() });
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Failed });
    let end = block_on(claim::end(&stage.store, 1)).expect("a store").expect("an end");
    assert_eq!(end.report.failed_nodes(), ["model.sluice.dim_new"]);
}

#[test]
fn results_of_the_first_attempt_are_not_those_of_the_retry() {
    let stage = started();
    // A clock that is ahead: only the invocation tells the two apart.
    let ahead = stage.clock.now() + Duration::from_secs(3_000);
    stage.world.run_results.replace(Some(results("first", ahead, "dim_products")));
    stage.world.finish(JobState::Failed { reason: "a model".into() });
    assert_eq!(stage.follow(1), Dispatched::UnderWay { number: 1 });
    assert!(stage.steps()[1].ends_with("--select dim_products"), "{:?}", stage.steps());
    stage.world.finish(JobState::Succeeded);
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Succeeded });
    let kept =
        lake::dbt_artifact_key(&block_on(claim::read(&stage.store, 1)).expect("a claim").run_id, 2, "run_results.json");
    assert!(!stage.store.objects.borrow().contains_key(&kept), "the second attempt left no results of its own");
}

#[test]
fn files_that_cannot_be_had_never_keep_a_run_from_ending() {
    for (kind, waits) in [(Kind::Auth, false), (Kind::Config, false), (Kind::Unavailable, true), (Kind::Timeout, true)]
    {
        let stage = started();
        stage.world.no_artifacts.replace(Some(kind));
        stage.world.finish(JobState::Succeeded);
        if waits {
            assert!(stage.send(&Message::Follow { number: 1 }).is_err(), "{kind:?} may pass");
            stage.clock.advance(POLICY.limit + Duration::from_secs(1));
        }
        assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Succeeded }, "{kind:?}");
    }
}

#[test]
fn results_that_do_not_parse_never_keep_a_run_from_ending() {
    let stage = started();
    stage.world.run_results.replace(Some(json!("<html>")));
    stage.world.finish(JobState::Failed { reason: "a model".into() });
    assert_eq!(stage.follow(1), Dispatched::UnderWay { number: 1 });
    stage.world.finish(JobState::Failed { reason: "a model".into() });
    assert_eq!(stage.follow(1), Dispatched::Ended { number: 1, status: EndStatus::Failed });
}
