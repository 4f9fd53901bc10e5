//! The lease of an apply: whose the account is, how long it holds, and what is mended before it can be taken.

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use sluice_core::{Kind as ErrorKind, Result, port::Clock};

use super::{
    applying::{Now, SHIPPED, applying, file, made, make, planned},
    model::Model,
};
use crate::account::{
    Applied, Desired, Name, apply,
    file::tests::{settings, sources},
    plan::called,
    release,
};

/// How many seconds pass between two looks at the clock.
struct Slow(Cell<i64>, i64);

impl Clock for Slow {
    fn now(&self) -> DateTime<Utc> {
        self.0.set(self.0.get() + self.1);
        DateTime::UNIX_EPOCH + TimeDelta::seconds(self.0.get())
    }
}

fn slowly(model: &Model, desired: &Desired, seconds: i64) -> Result<Applied> {
    block_on(apply(model, &Slow(Cell::new(0), seconds), desired, &applying("run-1", 1_000_000)))
}

#[test]
fn a_lease_is_renewed_while_an_apply_goes_on() {
    let (model, desired) = (Model::standard(), file(SHIPPED));
    slowly(&model, &desired, 40).unwrap_or_else(|error| panic!("{}", error.chain()));
    let lease = model.lease.borrow();
    assert!(lease.times > 10 && !lease.is_held, "{lease:?}");
}

#[test]
fn an_apply_that_lost_its_lease_stops() {
    let (model, _) = made(SHIPPED, Model::standard());
    let edited = file(&SHIPPED.replace("comment: People.", "comment: Everybody."));
    model.lease.borrow_mut().is_held = false;
    let error =
        block_on(apply(&model, &Thief(&model), &edited, &applying("run-2", 1_000_000))).expect_err("taken over");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(planned(&model, &edited).changes.len(), 1, "it changed something without its lease");
}

/// Time jumps, and meanwhile another run has taken the lease.
struct Thief<'m>(&'m Model);

impl Clock for Thief<'_> {
    fn now(&self) -> DateTime<Utc> {
        let mut lease = self.0.lease.borrow_mut();
        let is_ours = lease.holder == "run-2";
        if is_ours {
            lease.holder = "run-3".to_owned();
        }
        DateTime::UNIX_EPOCH + TimeDelta::seconds(if is_ours { 1_000 } else { 0 })
    }
}

#[test]
fn a_lease_is_given_back_after_a_failure_and_by_who_ends_an_apply() {
    let (model, desired) = (Model::standard(), file(SHIPPED));
    *model.fails_at.borrow_mut() = Some((150, false));
    make(&model, &desired).expect_err("a failure");
    assert!(!model.lease.borrow().is_held);
    let mut lease = model.lease.borrow().clone();
    (lease.is_held, lease.holder) = (true, "run-9".to_owned());
    *model.lease.borrow_mut() = lease;
    block_on(release(&model, "another-run")).expect("an answer");
    assert!(model.lease.borrow().is_held, "it belongs to another run");
    block_on(release(&model, "run-9")).expect("an answer");
    assert!(!model.lease.borrow().is_held);
}

#[test]
fn an_account_of_another_lake_or_environment_is_refused() {
    let (model, _) = made(SHIPPED, Model::standard());
    let before = (model.snapshot(), *model.changes.borrow());
    let mut other_lake = settings("dev");
    other_lake.lake = sluice_core::LakeId("sluice-two".to_owned());
    for settings in [settings("staging"), other_lake] {
        let desired = Desired::parse(SHIPPED, &settings, &sources()).unwrap_or_else(|error| panic!("{error}"));
        assert!(!planned(&model, &desired).changes.is_empty());
        let error = make(&model, &desired).expect_err("another one's account");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.chain().contains("lake=sluice-dev") && error.hint().is_some(), "{}", error.chain());
    }
    assert_eq!((model.snapshot(), *model.changes.borrow()), before);
}

#[test]
fn the_lease_of_an_earlier_version_learns_whose_the_account_is() {
    let (model, desired) = made(SHIPPED, Model::standard());
    let lease = Name::of(["ADMIN", "OBSERVABILITY", "ACCOUNT_LEASE"]);
    let old =
        "CREATE TABLE IF NOT EXISTS X AS\nSELECT ''::VARCHAR AS HOLDER, SYSDATE()::TIMESTAMP_NTZ(6) AS HELD_UNTIL";
    model.property("TABLE", &lease, "COLUMNS", old);
    *model.lease.borrow_mut() = super::model::Lease::default();
    assert_eq!(planned(&model, &desired).changes.len(), 1);
    let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
    assert_eq!(model.lease.borrow().lake, "sluice-dev");
}

#[test]
fn a_quota_that_is_used_up_is_raised_by_the_file() {
    let (model, _) = made(SHIPPED, Model::standard());
    *model.used.borrow_mut() = Some((Name::of(["LOADING"]), 12));
    // Nothing else can be done: neither lease nor notes can be written.
    let edited = SHIPPED.replace("comment: People.", "comment: Everybody.");
    let before = model.snapshot();
    let error = make(&model, &file(&edited)).expect_err("no warehouse");
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{}", error.chain());
    assert_eq!(model.snapshot(), before);
    let raised = file(&edited.replace("dev: { loading: 10", "dev: { loading: 20"));
    let applied = make(&model, &raised).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
    // The monitor of another purpose stops nothing here.
    *model.used.borrow_mut() = Some((Name::of(["TRANSFORMING"]), 100));
    make(&model, &file(SHIPPED)).unwrap_or_else(|error| panic!("{}", error.chain()));
}

#[test]
fn a_pipe_is_replaced_once_none_of_its_files_is_on_the_way() {
    let (model, desired) = made(SHIPPED, Model::standard());
    let pipe = Name::of(["SNOWPIPE", "OPEN_EXCHANGE_RATES", "EXCHANGE_RATES_PIPE"]);
    model.property("PIPE", &pipe, "DEFINITION", "COPY INTO ELSEWHERE FROM @S");
    *model.pending.borrow_mut() = 3;
    let mut allowing = applying("run-1", 900);
    allowing.allowed.replace.insert(called(crate::account::Kind::Pipe, &pipe));
    let error = block_on(apply(&model, &Now, &desired, &allowing)).expect_err("files are on the way");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.chain().contains("pending=3"), "{}", error.chain());
    *model.pending.borrow_mut() = 0;
    let applied =
        block_on(apply(&model, &Now, &desired, &allowing)).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
    assert!(planned(&model, &desired).is_empty());
}
