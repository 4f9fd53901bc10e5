//! Whatever fails, wherever a run dies and whatever is loaded meanwhile: the next replay ends with the table that the loaded
//! commits make.

pub(crate) mod world;

use super::*;
use crate::fakes::{Faults, Random};
use world::{SWAP, World, row};

fn check_end(world: &World, (report, ended): (Report, Result<()>), calls: &str) {
    assert!(ended.is_ok(), "{calls}: {ended:?}");
    assert!(matches!(report.outcome, Some(Outcome::Replayed | Outcome::NothingToChange)), "{calls}: {report:?}");
    assert_eq!(world.table(), world.expected(), "{calls}");
    assert!(!world.announced.borrow().is_empty(), "{calls}: nobody was told");
    assert_eq!((report.side_table, world.sides.borrow().len()), (None, 0), "{calls}: a side table is left");
}

#[test]
fn whichever_call_fails_or_ends_a_replay_the_next_one_ends_equal() {
    for (dies, after_acting) in [(false, false), (false, true), (true, false), (true, true)] {
        for call in 0.. {
            let calls = format!("call {call}, dies: {dies}, after acting: {after_acting}");
            let mut world = World::damaged();
            world.strike(Faults::at(call, after_acting).dying(dies));
            let (first, ended) = world.replay("A1", SWAP);
            let struck = world.store.faults.calls() > call;
            assert_eq!(ended.is_err(), struck, "{calls}: {ended:?}");
            let has_swapped = !world.replays.borrow().is_empty();
            assert!(has_swapped || first.outcome != Some(Outcome::Replayed), "{calls}: said and not done");
            assert!(has_swapped || world.announced.borrow().is_empty(), "{calls}: announced and not done");

            world.strike(Faults::none());
            world.sides.borrow_mut().clear();
            check_end(&world, world.replay("A2", SWAP), &calls);
            assert_eq!(world.replays.borrow().len(), 1, "{calls}: rows are swapped in once");
            if !struck {
                assert!(call > 15, "only {call} calls were failed");
                break;
            }
        }
    }
}

#[test]
fn loads_that_come_at_any_call_of_a_replay_are_neither_lost_nor_doubled() {
    for table in [World::damaged as fn() -> World, World::appended, World::replaced] {
        for call in 0.. {
            let world = table();
            world.arrives_at(call);
            let replayed = world.replay("A1", SWAP);
            let came = world.store.faults.calls() > call;
            check_end(&world, replayed, &format!("a load at call {call}"));
            if !came {
                assert!(call > 12, "loads came at {call} calls only");
                break;
            }
        }
    }
}

#[test]
fn however_often_replays_die_beside_loads_the_last_one_ends_equal() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut world = World::damaged();
        for run in 0..6 {
            if random.percent(30) {
                world.damage();
            }
            if random.percent(50) {
                world.arrive();
            }
            world.arrives_at(random.below(30));
            let (call, after_acting) = (random.below(30), random.percent(50));
            world.strike(Faults::at(call, after_acting).dying(random.percent(70)));
            let _ = world.replay(&format!("A{run}"), SWAP);
        }
        world.strike(Faults::none());
        world.sides.borrow_mut().clear();
        check_end(&world, world.replay("B", SWAP), &format!("seed {seed}"));
    }
}

#[test]
fn a_replay_says_which_commits_differ_and_changes_only_those_rows() {
    let world = World::damaged();
    let (report, ended) = world.replay("A1", SWAP);
    assert_eq!((report.commits, report.rows, report.changes()), (4, 8, 3));
    let found: Vec<_> =
        report.differing.iter().map(|(commit, of)| (*commit, of.only_built, of.differing, of.twice)).collect();
    assert_eq!(found, [(1, 0, 0, 1), (2, 1, 0, 0), (4, 0, 1, 0)]);
    check_end(&world, (report, ended), "the first");
    let (report, ended) = world.replay("A2", SWAP);
    assert_eq!((report.outcome, report.changes()), (Some(Outcome::NothingToChange), 0));
    check_end(&world, (report, ended), "the second");
    assert_eq!((world.replays.take(), world.announced.take()), (vec!["A1".to_owned()], vec![3, 0]));
}

#[test]
fn neither_a_dry_run_nor_a_comparison_changes_the_table() {
    for (mode, outcome, sides) in [(Mode::DryRun, Outcome::DryRun, 0), (Mode::Compare, Outcome::Compared, 1)] {
        let world = World::damaged();
        let before = world.table();
        let (report, ended) = world.replay("A1", mode);
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!((report.outcome, world.sides.borrow().len()), (Some(outcome), sides));
        assert_eq!((world.table(), world.announced.borrow().len(), world.replays.borrow().len()), (before, 0, 0));
    }
    let world = World { confirms: false, ..World::damaged() };
    let (report, ended) = world.replay("A1", SWAP);
    assert_eq!((report.outcome, ended.is_ok(), world.replays.borrow().len()), (Some(Outcome::Declined), true, 0));
}

#[test]
fn rows_that_no_commit_makes_go_only_when_they_are_to() {
    let world = World::damaged();
    world.live.borrow_mut().push(row(77, 1, 2));
    let (report, ended) = world.replay("A1", SWAP);
    assert_eq!((report.outcome, report.only_held()), (Some(Outcome::Refused), 1));
    assert_eq!(ended.expect_err("a refusal").kind(), sluice_core::Kind::Conflict);
    assert!(world.replays.borrow().is_empty());
    check_end(&world, world.replay("A2", Mode::Swap { delete_unarchived: true }), "with the row deleted");
}

#[test]
fn a_commit_that_failed_to_load_is_not_brought_in_by_a_replay() {
    let world = World::damaged();
    world.commit(5, &[(50, 1)]);
    let (report, ended) = world.replay("A1", SWAP);
    assert_eq!(report.unloaded, [Sequence(5)]);
    check_end(&world, (report, ended), "with a commit that is not loaded");
    assert!(!world.table().iter().any(|row| row.0 == 50));
}

#[test]
fn what_was_erased_stays_away_and_what_the_table_has_of_it_stays() {
    let five = Some(Sequence(5));
    // The second was interrupted, and the third is of a version that said nothing of it.
    for (gone, told) in [(&[1, 2, 3, 4][..], five), (&[1], five), (&[1, 2, 3, 4], None)] {
        let world = World::whole();
        // A person of the first commits is in neither a later commit nor, by hand, in the table; another is in the table still.
        world.commit(5, &[(1, 1), (2, 2), (3, 3)]);
        world.read_whole(5);
        world.load(5);
        world.live.borrow_mut().retain(|row| row.0 != 4);
        world.erase(gone, told);
        let before = world.table();
        let (report, ended) = world.replay("A1", SWAP);
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!((report.outcome, report.erased_before), (Some(Outcome::NothingToChange), five));
        assert_eq!(world.table(), before, "{gone:?} {told:?}");
    }
}

#[test]
fn a_lost_file_that_no_later_read_replaces_ends_the_replay_and_is_named() {
    let world = World::damaged();
    world.lose(3);
    let before = world.table();
    let (report, ended) = world.replay("A1", Mode::Swap { delete_unarchived: true });
    let error = ended.expect_err("a file is gone");
    assert!(error.is_final() && error.hint().is_some() && error.to_string().contains("commit=3"), "{error}");
    assert_eq!((report.outcome, world.table()), (None, before));
}

#[test]
fn a_table_that_is_always_loaded_meanwhile_is_left_as_it_is() {
    let world = World::damaged();
    *world.always.borrow_mut() = true;
    let (report, ended) = world.replay("A1", SWAP);
    let error = ended.expect_err("it moves");
    assert!(error.hint().is_some_and(|hint| hint.contains("pause")), "{error}");
    assert_eq!((report.outcome, world.replays.borrow().len(), world.sides.borrow().len()), (None, 0, 0));
}
