//! How a plan is looked after: what is lost is queued again, and what goes on no more is given up.

use super::*;

#[test]
fn what_is_lost_is_queued_again_and_ever_more_seldom() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let parts = world.parts();
    world.serve(&parts[0]).expect("a part");
    let mut queued = Vec::new();
    for look in 0..60 {
        assert!(matches!(world.look(1), Outcome::UnderWay(_)));
        let messages = world.messages();
        assert_eq!(messages.last().map(|message| message.part), Some(None), "somebody looks again");
        if messages.len() > 1 {
            queued.push((look * 5, messages[..messages.len() - 1].iter().filter_map(|message| message.part).collect()));
        }
        world.pass(LOOK_EVERY);
    }
    let lost: Vec<usize> = vec![1, 2, 3];
    let times: Vec<i64> = queued.iter().map(|(minutes, _): &(i64, Vec<usize>)| *minutes).collect();
    assert_eq!(times, [20, 40, 80, 160]);
    assert!(queued.iter().all(|(_, parts)| *parts == lost), "{queued:?}");
    world.serve_all(&parts);
    assert_eq!(world.loaded(), world.source());
    assert_eq!(world.look(1), Outcome::Over);
    assert!(world.messages().is_empty(), "nobody looks any more");
}

#[test]
fn an_expired_plan_is_announced_and_the_next_run_makes_another() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let parts = world.parts();
    world.serve(&parts[0]).expect("a part");
    world.pass(STUCK);
    let second = world.run().expect("the next day");
    assert_eq!((second.outcome, second.run_id.0.as_str()), (Extract::InParts, "r2"), "a new plan");
    let told = world.bus.announced.take();
    assert_eq!(told.iter().map(|told| told.detail_type).collect::<Vec<_>>(), ["LoadFailed"]);
    assert_eq!((&told[0].detail["id"], &told[0].detail["kind"]), (&json!("A.B.C#split-1"), &json!("Timeout")));
    assert_eq!(world.serve(&parts[1]).expect("an old message"), Outcome::Over);
    let new = world.parts();
    assert!(new.iter().all(|part| part.number == 2));
    world.serve_all(&new);
    assert_eq!(
        world.serve(&parts[2]).expect("an old message"),
        Outcome::Over,
        "its place is taken, as it was given up"
    );
    let [commit] = &world.commits()[..] else { panic!("one commit") };
    assert_eq!((commit.run_id.0.as_str(), world.keys_of(commit).len()), ("r2", 10));
}

#[test]
fn each_time_is_met_once_however_late_and_by_however_many_runs() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    world.parts();
    for (minutes, queued) in [(19, 0), (38, 4), (39, 0), (79, 4), (81, 4), (150, 0), (700, 4)] {
        world.pass(TimeDelta::minutes(minutes) - (world.clock.now() - DateTime::UNIX_EPOCH));
        for again in 0..3 {
            assert!(matches!(world.look(1), Outcome::UnderWay(_)));
            assert_eq!(world.run().expect("a run").outcome, Extract::InParts);
            let expected = if again == 0 { queued } else { 0 };
            assert_eq!(world.parts().len(), expected, "look {again} after {minutes} minutes");
        }
    }
}

#[test]
fn a_plan_whose_parts_come_in_is_not_given_up_however_long_it_takes() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let parts = world.parts();
    for part in &parts {
        world.pass(STUCK - LOOK_EVERY);
        assert!(matches!(world.look(1), Outcome::UnderWay(_)));
        world.serve(part).expect("a part");
    }
    assert!(world.bus.announced.borrow().is_empty());
    assert_eq!(world.commits().len(), 1);
    assert_eq!(world.loaded(), world.source());
}

#[test]
fn a_table_no_longer_merged_gives_up_its_plan_and_is_read_whole() {
    for look_first in [true, false] {
        let mut world = World::new("merge", 10);
        world.run().expect("a plan");
        let mut parts = world.parts();
        let last = parts.pop().expect("four parts");
        world.serve_all(&parts);
        world.table.disposition = Disposition::Replace;
        if look_first {
            assert_eq!(world.serve(&last).expect("a look"), Outcome::GivenUp);
        }
        assert_eq!(world.run().expect("a run").outcome, Extract::Committed);
        let told = world.bus.announced.take();
        assert_eq!(told.iter().map(|told| told.detail_type).collect::<Vec<_>>(), ["LoadFailed"]);
        let [commit] = &world.commits()[..] else { panic!("one commit") };
        assert_eq!((commit.disposition, world.keys_of(commit).len()), (Disposition::Replace, 10));
    }
}

#[test]
fn a_look_comes_a_while_after_its_plan_and_parts_at_once() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let delays: Vec<Duration> = world.queue.sent.borrow().iter().map(|(_, delay)| *delay).collect();
    assert_eq!(delays[0], Duration::from_secs(300));
    assert!(delays[1..].iter().all(Duration::is_zero));
}
