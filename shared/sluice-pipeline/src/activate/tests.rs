mod wakings;
mod world;

use std::collections::BTreeSet;

use futures::executor::block_on;
use sluice_core::{Kind, Retry};
use world::{NAME, World, allowed, time};

use super::{policy::LIMIT_PASSES, *};
use crate::fakes::Faults;

#[test]
fn only_what_changed_is_sent_and_an_unchanged_run_sends_nothing() {
    let world = World::new(20);
    let first = world.allowed();
    assert_eq!((first.status, first.written, first.pending), (Status::Completed, 20, 0));
    let (requests, reads) = (world.portal.batches.borrow().len(), *world.portal.reads.borrow());
    let again = world.run(&Request::default());
    assert_eq!((again.changed, again.unchanged, again.status), (0, 20, Status::Completed));
    assert_eq!((world.portal.batches.borrow().len(), *world.portal.reads.borrow()), (requests, reads));
    world.want("007", &[("orders", Some("8")), ("tier", Some("low"))]);
    let one = world.run(&Request::default());
    assert_eq!((one.written, &one.properties), (1, &[("orders".to_owned(), 1)].into()));
    let last = world.portal.history.borrow().last().cloned();
    assert_eq!(last, Some(("007".into(), "orders".into(), "8".into())), "and no property beside it");
    world.assert_whole("at the end");
}

#[test]
fn a_value_that_the_portal_holds_in_another_form_is_not_sent() {
    let world = World::new(1);
    let held = [("orders".to_owned(), Some("0.00".to_owned())), ("tier".to_owned(), Some("low".to_owned()))];
    world.portal.records.borrow_mut().get_mut("000").expect("a record").values = held.into();
    let report = world.allowed();
    assert_eq!((report.already_held, report.written), (1, 0));
    assert!(world.portal.batches.borrow().is_empty());
}

/// Dies at each call of each port, before and after it acts, or only fails there; what follows ends it.
#[test]
fn killed_at_any_call_and_repeated_the_portal_is_the_model() {
    let calls = {
        let world = World::new(11).failing(Faults::none());
        world.allowed();
        world.portal.faults.calls()
    };
    assert!(calls > 15, "{calls} calls");
    for at in 0..calls {
        for (after, dies) in [(false, false), (true, false), (false, true), (true, true)] {
            let world = World::new(11).failing(Faults::at(at, after).dying(dies));
            let _ = world.try_run(&allowed());
            let world = world.healed();
            finish(&world);
            world.assert_whole(&format!("call {at}, after {after}, dies {dies}"));
        }
    }
}

#[test]
fn a_lake_a_bus_or_a_queue_that_fails_loses_and_repeats_nothing() {
    for at in 0..12 {
        for after in [false, true] {
            for port in 0..3 {
                let mut world = World::new(5);
                let faults = Faults::at(at, after).dying(true);
                match port {
                    0 => world.store.faults = faults,
                    1 => world.bus.faults = faults,
                    _ => world.queue.faults = faults,
                }
                let _ = world.try_run(&allowed());
                (world.store.faults, world.bus.faults) = (Faults::none(), Faults::none());
                world.queue.faults = Faults::none();
                finish(&world);
                world.assert_whole(&format!("call {at} of port {port}, after {after}"));
                assert!(!world.bus.announced.borrow().is_empty(), "nobody heard of it");
            }
        }
    }
}

/// Runs until one is complete, each after the claim of the one before is over.
fn finish(world: &World) {
    for _ in 0..4 {
        world.clock.advance(world.policy.claim);
        let report = world.allowed();
        if report.status == Status::Completed {
            return;
        }
    }
    panic!("no run came to its end");
}

#[test]
fn an_unknown_outcome_is_read_before_anything_is_sent_again() {
    let at = |at| World::new(2).failing(Faults::at(at, true));
    let lost = (0..12).find(|call| {
        let world = at(*call);
        let _ = world.try_run(&allowed());
        !world.portal.batches.borrow().is_empty()
            && world.ledger.entries.borrow().values().all(|e| e.state == State::Sending)
    });
    let world = at(lost.expect("the call that writes"));
    let report = world.allowed();
    assert_eq!((report.status, report.pending), (Status::Waiting, 2));
    assert_eq!(world.queue.sent.borrow().len(), 1, "somebody looks again");
    let world = world.healed();
    let report = world.run(&Request::default());
    assert_eq!((report.already_held, report.written), (2, 0));
    assert_eq!(world.portal.batches.borrow().len(), 1);
}

#[test]
fn a_batch_that_is_refused_whole_is_halved_to_the_culprit() {
    let mut world = World::new(12);
    world.portal.refused = Some("7".into());
    let report = world.allowed();
    assert_eq!((report.status, report.written, report.refused), (Status::Completed, 11, 1));
    assert_eq!(report.reasons, [("VALIDATION_ERROR".to_owned(), 1)].into());
    assert_eq!(world.ledger.entries.borrow()["007"].state, State::Refused);
    let sent = world.portal.batches.borrow().len();
    let next = world.run(&Request::default());
    assert_eq!((next.given_up, next.changed, world.portal.batches.borrow().len()), (1, 0, sent));
    world.portal.refused = None;
    let retried = world.run(&Request { retry: true, ..Request::default() });
    assert_eq!(retried.written, 1);
    world.assert_whole("after the retry");
}

#[test]
fn much_is_sent_only_when_somebody_has_allowed_it() {
    let mut world = World::new(10);
    let stopped = |world: &World, words: &str| {
        let report = world.run(&Request::default());
        assert_eq!(report.status, Status::Stopped);
        assert!(report.reason.as_deref().is_some_and(|reason| reason.contains(words)), "{report:?}");
    };
    stopped(&world, "the first run, of 10 records");
    assert!(world.portal.batches.borrow().is_empty() && world.ledger.entries.borrow().is_empty());
    world.allowed();
    for number in 0..6 {
        world.want(&format!("{number:03}"), &[("orders", Some("99"))]);
    }
    stopped(&world, "60 % of the known records");
    world.policy.most_rows = 5;
    stopped(&world, "6 records have changed, of at most 5");
    assert_eq!(world.allowed().written, 6);
    let stops = world.bus.announced.borrow().iter().filter(|news| news.detail_type == "SyncStopped").count();
    assert_eq!(stops, 3);
}

#[test]
fn a_canary_that_does_not_hold_what_was_written_stops_the_rest() {
    let mut world = World::new(10);
    world.portal.ignores = true;
    let report = world.allowed();
    assert_eq!((report.status, report.written, report.pending), (Status::Stopped, 2, 8));
    assert_eq!(*world.portal.batches.borrow(), [2]);
}

#[test]
fn refusals_that_are_no_accident_stop_the_run() {
    let mut world = World::new(100);
    for number in 2..100 {
        world.want(&format!("{number:03}"), &[("orders", Some("13"))]);
    }
    world.portal.refused = Some("13".into());
    let report = world.allowed();
    assert_eq!(report.status, Status::Stopped);
    assert!(report.refused > 20 && report.refused < 40, "{report:?}");
}

#[test]
fn records_gone_in_numbers_stop_the_run_and_stay_to_be_sent() {
    let mut world = World::new(100);
    (world.policy.canary, world.policy.part) = (100, 100);
    let all = world.portal.records.take();
    let first = world.allowed();
    assert_eq!((first.status, first.gone, first.pending), (Status::Stopped, 0, 100), "{first:?}");
    assert!(first.reason.is_some_and(|reason| reason.contains("is it the right account?")));
    assert!(world.ledger.entries.borrow().is_empty(), "nothing is given up");
    world.portal.records.replace(all);
    assert_eq!(world.allowed().written, 100);
    for number in 0..40 {
        world.want(&format!("{number:03}"), &[("orders", Some("99"))]);
        world.portal.records.borrow_mut().retain(|id, _| *id != format!("{number:03}") || number >= 30);
    }
    assert_eq!(world.run(&Request::default()).status, Status::Stopped);
    let allowed = world.allowed();
    assert_eq!((allowed.status, allowed.gone, allowed.written), (Status::Completed, 30, 10), "somebody has looked");
}

#[test]
fn another_account_gets_nothing_of_what_this_ones_ledger_says() {
    let mut world = World::new(2);
    world.allowed();
    world.want("000", &[("orders", Some("9"))]);
    let batches = world.portal.batches.borrow().len();
    world.portal.account = "2".into();
    let report = world.allowed();
    assert_eq!((report.status, world.portal.batches.borrow().len()), (Status::Stopped, batches));
    assert!(report.reason.is_some_and(|reason| reason.contains("the token is of account 2")));
    let error = world.try_run(&Request { dry_run: true, ..Request::default() }).expect_err("a dry run says so, too");
    assert_eq!(error.kind(), Kind::Config);
    world.portal.account = String::new();
    assert_eq!(world.run(&Request::default()).written, 1);
}

#[test]
fn a_switch_stops_everything_and_lets_it_go_on() {
    let world = World::new(3);
    let set = |stopped| {
        let at = time(0).expect("a time");
        let to = Switch { stopped, by: "ada".into(), at, reason: "wrong prices".into() };
        block_on(switch(&world.store, NAME, &to)).expect("kept");
    };
    set(true);
    let report = world.allowed();
    assert_eq!((report.status, report.reason.as_deref()), (Status::Stopped, Some("stopped by ada: wrong prices")));
    assert!(world.portal.batches.borrow().is_empty());
    set(false);
    assert_eq!(world.allowed().written, 3);
}

#[test]
fn a_null_keeps_what_is_there_unless_it_is_to_clear() {
    let mut world = World::new(1);
    world.allowed();
    world.want("000", &[("orders", None), ("tier", None)]);
    assert_eq!(world.run(&Request::default()).changed, 0);
    world.policy.clear = BTreeSet::from(["tier".to_owned()]);
    assert_eq!(world.run(&Request::default()).written, 1);
    let values = world.portal.records.borrow()["000"].values.clone();
    assert_eq!(values, [("orders".to_owned(), Some("0".to_owned())), ("tier".to_owned(), None)].into());
}

#[test]
fn a_suppressed_record_is_counted_and_never_sent() {
    let world = World::new(3);
    world.model.rows.borrow_mut()[1].suppressed = Some("opted out".into());
    let report = world.allowed();
    assert_eq!((report.written, report.suppressed), (2, [("opted out".to_owned(), 1)].into()));
    assert!(world.portal.history.borrow().iter().all(|(id, _, _)| id != "001"));
}

#[test]
fn a_record_that_is_gone_or_merged_is_neither_made_nor_followed() {
    let mut world = World::new(4);
    world.portal.records.borrow_mut().remove("001");
    world.portal.records.borrow_mut().remove("002");
    world.portal.merged.insert("002".into(), "003".into());
    let report = world.allowed();
    assert_eq!((report.written, report.gone, report.status), (2, 2, Status::Completed));
    assert!(world.portal.history.borrow().iter().all(|(id, _, _)| id != "001" && id != "002"));
    assert_eq!(world.run(&Request::default()).given_up, 2);
}

#[test]
fn a_value_that_no_property_takes_is_refused_before_it_is_sent() {
    let world = World::new(2);
    world.want("001", &[("orders", Some("many"))]);
    let report = world.allowed();
    assert_eq!((report.written, report.refused), (1, 1));
    assert_eq!(report.reasons, [("orders: the value is no number".to_owned(), 1)].into());
}

#[test]
fn an_extract_proves_what_landed_and_tells_what_was_overwritten() {
    let world = World::new(3);
    world.allowed();
    assert_eq!(world.run(&Request::default()).proof, Proof { waiting: 3, ..Proof::default() });
    world.extract();
    let after = world.run(&Request::default());
    assert_eq!((after.proof, after.changed), (Proof { landed: 3, ..Proof::default() }, 0));
    {
        let mut records = world.portal.records.borrow_mut();
        let record = records.get_mut("001").expect("a record");
        record.values.insert("tier".into(), Some("by hand".into()));
        record.changed += 1;
    }
    world.extract();
    let report = world.run(&Request::default());
    assert_eq!(report.proof, Proof { landed: 2, overwritten: 1, waiting: 0 });
    assert_eq!(report.written, 1, "the model's value is there again");
    world.extract();
    assert_eq!(world.run(&Request::default()).proof.landed, 3);
}

#[test]
fn a_dry_run_tells_the_difference_and_leaves_nothing_behind() {
    let world = World::new(7);
    let report = world.run(&Request { dry_run: true, ..Request::default() });
    assert_eq!((report.status, report.changed, report.shown.len()), (Status::DryRun, 7, 5));
    assert_eq!(report.properties, [("orders".to_owned(), 7), ("tier".to_owned(), 7)].into());
    assert!(report.reason.is_some_and(|reason| reason.contains("first run")), "what a run would object to");
    assert!(world.store.objects.borrow().is_empty() && world.portal.batches.borrow().is_empty());
    assert!(world.ledger.entries.borrow().is_empty() && world.bus.announced.borrow().is_empty());
}

/// A webhook cannot be read: what may have arrived arrives again, and only that.
#[test]
fn a_destination_that_cannot_be_read_is_sent_what_is_not_known() {
    let mut world = World::new(6);
    world.portal.readable = false;
    assert_eq!(world.allowed().written, 6);
    assert_eq!(world.run(&Request::default()).changed, 0);
    world.want("003", &[("orders", Some("9")), ("tier", Some("low"))]);
    let call = (0..12).find(|at| {
        let mut copy = World::new(1).failing(Faults::at(*at, true));
        copy.portal.readable = false;
        let _ = copy.try_run(&allowed());
        !copy.portal.batches.borrow().is_empty() && copy.ledger.entries.borrow()["000"].state == State::Sending
    });
    let world = world.failing(Faults::at(call.expect("the call that writes"), true));
    assert_eq!(world.run(&Request::default()).pending, 1);
    let world = world.healed();
    assert_eq!(world.run(&Request::default()).written, 1);
    let writes = world.portal.history.borrow().iter().filter(|(id, _, value)| id == "003" && value == "9").count();
    assert_eq!(writes, 2, "at least once");
    assert_eq!(world.run(&Request::default()).changed, 0);
}

#[test]
fn more_than_a_run_can_hold_is_not_even_read_and_says_what_to_do() {
    let mut world = World::new(10);
    world.policy.most_values = 29;
    let report = world.allowed();
    assert_eq!((report.status, report.changed), (Status::Stopped, 0));
    assert!(report.reason.is_some_and(|reason| reason.contains("the model has 10 rows of 3 columns")));
    assert_eq!(world.bus.announced.borrow()[0].detail_type, "SyncStopped");
    world.policy.most_values = 30;
    assert_eq!(world.allowed().written, 10);
    world.model.rows.borrow_mut().truncate(1);
    world.policy.most_values = 29;
    assert_eq!(world.run(&Request::default()).status, Status::Stopped, "the ledger counts, too");
}

#[test]
fn a_model_with_a_record_twice_is_not_sent() {
    let world = World::new(2);
    let twice = world.model.rows.borrow()[0].clone();
    world.model.rows.borrow_mut().push(twice);
    let report = world.allowed();
    assert_eq!((report.status, report.written), (Status::Stopped, 0));
    let news = world.bus.announced.borrow();
    assert_eq!(news[0].detail_type, "SyncStopped", "it needs a person");
    assert!(world.queue.sent.borrow().is_empty(), "and is not met again before one has looked");
}
