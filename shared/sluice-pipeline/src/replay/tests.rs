//! Whatever fails and wherever a run dies, the next one ends with the table that the archive makes, and leaves nothing.

mod world;

use super::*;
use crate::{
    erase::topic::{self, Person},
    fakes::{Faults, ManualClock, Random},
};
use fakes::{Asked, JsonAlone, email};
use futures::executor::block_on;
use sluice_core::RunId;
use world::{SWAP, StreamedRow, World, streamed};

/// Nothing of a replay that has an outcome is left, but what is told.
fn check_left(world: &World, id: &str, report: &Report, calls: &str) {
    let is_there = world.sides.borrow().keys().any(|side| side.table.ends_with(id));
    assert!(report.side_table.is_some() || !is_there, "{calls}: a side table is left and not told");
    match report.outcome {
        Some(_) if report.files_problem.is_none() => assert_eq!(world.files(id), 0, "{calls}: files are left"),
        _ => {}
    }
}

/// The table is right, everything was announced, and nothing is there but what the earlier run has told of.
fn check_end(world: &World, id: &str, (report, ended): (Report, Result<()>), calls: &str) {
    assert!(ended.is_ok(), "{calls}: {ended:?}");
    assert!(matches!(report.outcome, Some(Outcome::Replayed | Outcome::NothingToChange)), "{calls}: {report:?}");
    assert_eq!(world.rows(), world.expected(), "{calls}");
    assert!(!world.announced.borrow().is_empty(), "{calls}: nobody was told");
    assert_eq!((report.side_table.as_ref(), report.files_problem.as_ref()), (None, None), "{calls}");
    check_left(world, id, &report, calls);
}

#[test]
fn whichever_call_fails_or_ends_a_run_the_next_one_ends_equal() {
    for (dies, after_acting) in [(false, false), (false, true), (true, false), (true, true)] {
        for call in 0.. {
            let calls = format!("call {call}, dies: {dies}, after acting: {after_acting}");
            let mut world = World::damaged();
            world.strike(Faults::at(call, after_acting).dying(dies));
            let (first, ended) = world.replay("A1", SWAP);
            let struck = world.store.faults.calls() > call;
            assert_eq!(ended.is_err() || first.files_problem.is_some(), struck, "{calls}: {ended:?}");
            let has_swapped = world.ledger.borrow().len() == 1;
            assert!(has_swapped || first.outcome != Some(Outcome::Replayed), "{calls}: said and not done");
            assert!(has_swapped || world.announced.borrow().is_empty(), "{calls}: announced and not done");
            let was_deleted = first.outcome.is_none() && has_swapped && world.files("A1") == 0;
            assert!(!was_deleted, "{calls}: the files of a replay that broke off may tell why");
            if !dies {
                check_left(&world, "A1", &first, &calls);
            }

            world.strike(Faults::none());
            check_end(&world, "A2", world.replay("A2", SWAP), &calls);
            assert_eq!(world.ledger.borrow().len(), 1, "{calls}: rows are swapped in once");
            if !struck {
                assert!(call > 30, "only {call} calls were failed");
                break;
            }
        }
    }
}

#[test]
fn a_person_who_was_taken_out_of_the_archive_is_not_brought_back() {
    let mut world = World::damaged();
    let (asked, run) = (Asked::new(), RunId("erasure".into()));
    let table = asked.request().table;
    let person = Person::new(table, "customer_email", "b@example.com").expect("a person");
    let plan = block_on(topic::plan(&world.store, &JsonAlone, table, &person)).expect("a plan");
    let (who, clock) = (("somebody", "request 7"), ManualClock::default());
    let erasing = topic::erase(&world.store, &JsonAlone, &clock, table, &run, &person, &plan, who);
    block_on(erasing).expect("erased");

    world.forgotten = Some("B@example.com");
    let (refused, ended) = world.replay("A1", SWAP);
    assert_eq!((refused.outcome, ended.is_err()), (Some(Outcome::Refused), true), "the table still has the rows");
    world.live.borrow_mut().retain(|row| row.2 > world.committed || email(row.2) != "B@example.com");
    check_end(&world, "A2", world.replay("A2", SWAP), "without the person");
    assert!(world.rows().iter().any(|row| row.2 == 0), "what was missing of others is back");
}

#[test]
fn however_often_runs_die_beside_the_stream_the_last_one_ends_equal() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut world = World::damaged();
        for run in 0..8 {
            if random.percent(30) {
                world.damage();
            }
            world.stream();
            let (call, after_acting) = (random.below(50), random.percent(50));
            world.strike(Faults::at(call, after_acting).dying(random.percent(70)));
            let id = format!("A{run}");
            let (report, _) = world.replay(&id, SWAP);
            assert!(report.outcome != Some(Outcome::Replayed) || world.ledger.borrow().contains(&id), "seed {seed}");
        }
        world.strike(Faults::none());
        check_end(&world, "B", world.replay("B", SWAP), &format!("seed {seed}"));
    }
}

#[test]
fn a_replay_changes_what_differs_and_the_next_one_nothing() {
    let world = World::damaged();
    let (report, ended) = world.replay("A1", SWAP);
    let compared = |held, only_archived, differing, twice| {
        let [held, only_archived, differing, twice] = [held, only_archived, differing, twice].map(Some);
        Compared { held, only_archived, only_held: Some(0), differing, twice }
    };
    let found: Vec<Compared> = report.partitions.iter().map(|partition| partition.compared).collect();
    assert_eq!(found, [compared(7, 2, 1, 1), compared(9, 0, 0, 0)]);
    assert_eq!((report.outcome, report.changes()), (Some(Outcome::Replayed), 4));
    let steps = world.steps.take();
    let order = [
        Step::Listing,
        Step::Reading { objects: 4 },
        Step::Filling,
        Step::Comparing,
        Step::Swapping,
        Step::Announcing,
        Step::DeletingFiles,
        Step::Dropping,
    ];
    assert_eq!(steps, order);
    check_end(&world, "A1", (report, ended), "the first");

    let (report, ended) = world.replay("A2", SWAP);
    assert_eq!((report.outcome, report.changes()), (Some(Outcome::NothingToChange), 0));
    check_end(&world, "A2", (report, ended), "the second");
    assert_eq!((world.ledger.take(), world.announced.take()), (vec!["A1".to_owned()], vec![4, 0]));
    let letters = world.store.objects.borrow().keys().filter(|key| key.starts_with("dead-letter/")).count();
    assert_eq!(letters, 2, "one for each bad record, however often it is replayed");
}

/// A replay that changes no row of the table, and announces nothing.
fn unchanged(world: &World, mode: Mode) -> (Report, Result<()>) {
    let before = world.rows();
    let replayed = world.replay("A1", mode);
    assert_eq!(world.rows(), before);
    assert!(world.ledger.borrow().is_empty() && world.announced.borrow().is_empty());
    check_left(world, "A1", &replayed.0, "a replay without a swap");
    replayed
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let world = World::damaged();
    let objects = world.store.objects.borrow().len();
    let (report, ended) = unchanged(&world, Mode::DryRun);
    assert_eq!((report.outcome, ended.is_ok(), report.side_table), (Some(Outcome::DryRun), true, None));
    assert_eq!(report.partitions[0].compared.held, Some(7));
    assert_eq!((world.store.objects.borrow().len(), world.sides.borrow().len()), (objects, 0));
}

#[test]
fn a_comparison_leaves_its_side_table_and_no_file() {
    let world = World::damaged();
    let (report, ended) = unchanged(&world, Mode::Compare);
    assert_eq!((report.outcome, ended.is_ok(), report.changes()), (Some(Outcome::Compared), true, 4));
    assert_eq!(world.sides.borrow().keys().next(), report.side_table.as_ref());
    assert_eq!(world.files("A1"), 0);
}

#[test]
fn nothing_is_made_where_nothing_is_committed() {
    for mode in [Mode::DryRun, Mode::Compare, SWAP] {
        let world = World { committed: -1, ..World::damaged() };
        let (report, ended) = unchanged(&world, mode);
        assert_eq!((report.outcome, ended.is_ok()), (Some(Outcome::NothingArchived), true));
        assert_eq!((report.side_table, world.sides.borrow().len()), (None, 0));
    }
}

/// A row of the table whose record the archive lacks.
fn unarchived() -> StreamedRow {
    streamed(2, 3, 1)
}

#[test]
fn rows_that_the_archive_lacks_go_only_when_they_are_to() {
    let world = World::damaged();
    world.live.borrow_mut().push(unarchived());
    let (report, ended) = unchanged(&world, SWAP);
    assert_eq!(report.outcome, Some(Outcome::Refused));
    let error = ended.expect_err("a refusal");
    assert_eq!((error.kind(), report.unarchived()), (Kind::Conflict, 1));
    assert!(error.to_string().contains("1 rows that the archive lacks"), "{error}");

    let deleted = world.replay("A2", Mode::Swap { delete_unarchived: true });
    assert_eq!(deleted.0.changes(), 5);
    check_end(&world, "A2", deleted, "with the rows deleted");
}

#[test]
fn rows_that_come_in_before_the_swap_end_it_unchanged() {
    let world = World::damaged();
    *world.meanwhile.borrow_mut() = Some(unarchived());
    let (report, ended) = world.replay("A1", SWAP);
    assert_eq!((report.outcome, ended.expect_err("a conflict").kind()), (None, Kind::Conflict));
    assert!(world.ledger.borrow().is_empty() && world.live.borrow().contains(&streamed(1, 2, 9)));
    assert_eq!((world.files("A1"), world.sides.borrow().len()), (1, 0));
}

#[test]
fn what_the_operator_does_not_confirm_is_not_done() {
    let world = World { confirms: false, ..World::damaged() };
    let (report, ended) = unchanged(&world, SWAP);
    assert_eq!((report.outcome, ended.is_ok()), (Some(Outcome::Declined), true));
    assert_eq!((world.files("A1"), world.sides.borrow().len()), (0, 0));
}

/// A replay in which one call fails, counted from the last one.
fn strike_from_end(back: usize) -> (World, Report, Result<()>) {
    let mut world = World::damaged();
    let calls = {
        let world = World::damaged();
        world.replay("A1", SWAP).1.expect("a whole run");
        world.store.faults.calls()
    };
    world.strike(Faults::at(calls - back, false));
    let (report, ended) = world.replay("A1", SWAP);
    (world, report, ended)
}

#[test]
fn after_the_swap_nothing_that_fails_makes_it_undone() {
    let (world, report, ended) = strike_from_end(3);
    let hint = ended.expect_err("no announcement").hint().map(str::to_owned);
    assert!(hint.is_some_and(|hint| hint.contains("call again")));
    assert_eq!((report.outcome, world.files("A1")), (Some(Outcome::Replayed), 0));

    let (world, report, ended) = strike_from_end(2);
    assert_eq!((report.outcome, ended.is_ok(), world.files("A1")), (Some(Outcome::Replayed), true, 1));
    assert!(report.files_problem.is_some_and(|problem| problem.contains("injected")));

    let (world, report, ended) = strike_from_end(1);
    let hint = ended.expect_err("a side table").hint().map(str::to_owned);
    let side = report.side_table.expect("it is still there").to_string();
    assert!(hint.is_some_and(|hint| hint.contains(&side)));
    assert_eq!((report.outcome, world.sides.borrow().len()), (Some(Outcome::Replayed), 1));
}

#[test]
fn a_file_that_cannot_be_deleted_keeps_no_other() {
    let file = |part: &str| DataFile { path: part.into(), rows: 1, bytes: 1, checksum: String::new(), values: vec![] };
    let files = ["a", "b", "c"].map(file);
    let mut world = World::whole();
    for file in &files {
        world.store.objects.borrow_mut().insert(file.path.clone(), Default::default());
    }
    world.strike(Faults::at(0, false));
    let deleted = futures::executor::block_on(delete(&world.store, &files));
    assert!(deleted.is_err());
    let left = |part: &str| world.store.objects.borrow().contains_key(part);
    assert_eq!(["a", "b", "c"].map(left), [true, false, false]);
}
