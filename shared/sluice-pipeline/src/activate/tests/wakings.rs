//! What is left for later, who goes on with it, and who waits.

use super::*;

fn limit() -> Option<Error> {
    Some(Error::new(Kind::RateLimited, "used up for today").with_retry(Retry::Permanent))
}

/// The message at a place of the queue, as it is delivered.
fn message(world: &World, at: usize) -> Request {
    serde_json::from_value(world.queue.sent.borrow()[at].0.clone()).expect("a request")
}

#[test]
fn a_limit_ends_the_run_and_the_next_one_goes_on() {
    let world = World::new(10);
    *world.portal.limited.borrow_mut() = limit();
    let report = world.allowed();
    assert_eq!((report.status, report.written), (Status::Waiting, 0));
    assert_eq!(world.queue.sent.borrow()[0].1, LIMIT_PASSES);
    assert!(world.bus.announced.borrow().is_empty(), "it is neither complete nor stopped");
    assert_eq!(world.allowed().written, 10);
    let news: Vec<_> = world.bus.announced.borrow().iter().map(|news| news.detail_type).collect();
    assert_eq!(news, ["SyncCompleted"]);
    world.assert_whole("after the limit");
}

#[test]
fn of_many_wakings_while_a_limit_stands_one_goes_on() {
    let world = World::new(2);
    for _ in 0..3 {
        *world.portal.limited.borrow_mut() = limit();
        assert_eq!(world.run(&Request::default()).status, Status::Waiting);
    }
    for at in 0..2 {
        assert_eq!(world.try_run(&message(&world, at)).expect("no error"), Activated::TakenOver);
    }
    assert_eq!(world.queue.sent.borrow().len(), 3, "what was taken over wakes nobody");
    assert_eq!(world.run(&message(&world, 2)).written, 2);
}

#[test]
fn what_a_person_allowed_outlives_a_later_waking_that_nobody_did() {
    let world = World::new(10);
    *world.portal.limited.borrow_mut() = limit();
    assert_eq!(world.allowed().status, Status::Waiting);
    assert_eq!(world.run(&Request::default()).status, Status::Stopped, "nobody has allowed this one");
    assert_eq!(world.run(&message(&world, 0)).written, 10);
    world.assert_whole("as allowed");
}

#[test]
fn a_run_that_has_died_takes_nothing_over() {
    let mut world = World::new(2);
    *world.portal.limited.borrow_mut() = limit();
    world.run(&Request::default());
    world.bus.faults = Faults::at(0, false).dying(true);
    let _ = world.try_run(&Request::default());
    world.bus.faults = Faults::none();
    assert_eq!(world.try_run(&message(&world, 0)).expect("no error"), Activated::TakenOver, "it may be under way");
    world.clock.advance(world.policy.claim);
    assert_eq!(world.run(&message(&world, 0)).status, Status::Completed);
}

#[test]
fn a_run_that_finds_another_under_way_waits_for_it() {
    let world = World::new(3);
    block_on(claim::put(
        &world.store,
        NAME,
        &Claim {
            number: 1,
            run_id: RunId("other".into()),
            claimed_at: time(0).expect("a time"),
            allow: false,
            retry: false,
        },
    ))
    .expect("claimed");
    assert_eq!(world.try_run(&allowed()).expect("no error"), Activated::Deferred);
    assert!(world.portal.batches.borrow().is_empty());
    let sent: Request = serde_json::from_value(world.queue.sent.borrow()[0].0.clone()).expect("a request");
    assert_eq!(sent, allowed());
    world.clock.advance(world.policy.claim);
    assert_eq!(world.allowed().number, 2, "a claim whose run has died is not for ever");
}
