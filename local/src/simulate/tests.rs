use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use sluice_watch::{
    alerts::{Action, Board, Receipt, Round, Table},
    calendar::Calendar,
    finding::Verdict,
};

use super::{score::planted, *};

/// The days that are observed, New Year and Easter among them.
const DAYS: u64 = 90;

fn first() -> NaiveDate {
    "2026-12-28".parse().expect("a Monday")
}

fn calendar() -> Calendar {
    Calendar::parse(include_str!("../../../platform/calendar.yaml")).expect("the shipped calendar")
}

fn world(seed: u64) -> World {
    World::new(seed, first(), DAYS, calendar())
}

#[test]
fn ninety_clean_days_have_less_than_one_false_alarm_in_a_hundred_checks() {
    let mut score = Score::default();
    for seed in 0..2 {
        let world = world(seed);
        for day in first().iter_days().take(DAYS as usize) {
            let findings = world.judge(&world.morning(day, &[]));
            let degraded = findings.iter().find(|finding| matches!(finding.verdict, Verdict::Degraded(_)));
            assert_eq!(degraded, None, "each check of the world is judged");
            score.add_clean(&findings);
        }
    }
    assert!(score.checks > 20_000, "{score:?}");
    // The goal is 1 %; what is reached is far below, and a monitor that grows loose is seen.
    assert!(score.false_alarm_rate() < 0.002, "{score:?}");
}

#[test]
fn planted_faults_are_found_and_nothing_else_is() {
    let mut score = Score::default();
    let mut of_kinds: BTreeMap<FaultKind, (usize, usize)> = BTreeMap::new();
    for seed in 10..12 {
        let world = world(seed);
        for (at, fault) in planted(12).enumerate() {
            // Each on a day of its own, workdays: markets are closed on others.
            let mut day = first() + Days::new((7 + at as u64 * 5) % (DAYS - 7));
            while chrono::Datelike::weekday(&day).num_days_from_monday() >= 5 || calendar().on("", day).is_some() {
                day = day + Days::new(1);
            }
            let findings = world.judge(&world.morning(day, &[fault]));
            let trial = Trial::of(fault, &findings, &world);
            let of_kind = of_kinds.entry(fault.kind).or_default();
            of_kind.0 += usize::from(trial.found);
            of_kind.1 += 1;
            score.add(&trial);
        }
    }
    assert!(score.planted > 250, "{score:?}");
    assert!(score.recall() >= 0.95 && score.precision() >= 0.95, "{score:?} {of_kinds:?}");
    for (kind, (found, all)) in of_kinds {
        assert!(found as f64 >= 0.9 * all as f64, "{kind:?}: {found} of {all}");
    }
}

#[test]
fn faults_of_other_kinds_and_sizes_are_found_too() {
    let world = world(20);
    let day = first() + Days::new(50);
    let sized = [0.5, 0.8, 1.0].map(|size| (FaultKind::DropAtSource, size));
    let lost = [0.01, 0.1].map(|size| (FaultKind::DropOnTheWay, size));
    let late = [(FaultKind::Late, 5.0), (FaultKind::Double, 3.0), (FaultKind::Cost, 5.0), (FaultKind::Nulls, 0.5)];
    let (mut found, mut all) = (0, 0);
    for (kind, size) in FaultKind::OTHERS.into_iter().chain(sized).chain(lost).chain(late) {
        for at in 0..9 {
            let fault = Fault { kind, size, at };
            let trial = Trial::of(fault, &world.judge(&world.morning(day, &[fault])), &world);
            found += usize::from(trial.found);
            all += 1;
        }
    }
    assert!(found as f64 >= 0.9 * f64::from(all), "{found} of {all}");
}

#[test]
fn every_planted_kind_reaches_a_channel_in_its_first_round_and_ends_there() {
    let world = world(30);
    let table = Table::parse(include_str!("../../../platform/alerts.yaml")).expect("the shipped table");
    let table = Table { summary: None, canary: None, ..table };
    let (upstream, available) = (world.upstream(), BTreeSet::from(["data-alerts".to_owned(), "mail".to_owned()]));
    let day = first() + Days::new(45);
    for (kind, size) in FaultKind::PLANTED.into_iter().chain(FaultKind::OTHERS) {
        let fault = Fault { kind, size, at: 1 };
        let object = fault.objects(&world).remove(0);
        let mut board = Board::default();
        let mut actions = Vec::new();
        for at in 0..5_u64 {
            let faults = if at < 2 { vec![fault] } else { Vec::new() };
            let morning = world.morning(day + Days::new(at), &faults);
            let findings = world.judge(&morning);
            let round = Round {
                stack: "drill",
                table: &table,
                upstream: &upstream,
                available: &available,
                calendar: &sluice_watch::Calendar::default(),
                findings: &findings,
                commands: &[],
                now: morning.now,
            };
            for message in board.round(&round) {
                if message.content.lines.iter().any(|line| line.object.starts_with(&object)) {
                    actions.push((at, message.content.action));
                }
                board.delivered(&message, Some(Receipt { channel: "C1".to_owned(), message: "1.1".to_owned() }));
            }
        }
        assert!(actions.contains(&(0, Action::Open)), "{kind:?}: {actions:?}");
        assert!(actions.contains(&(3, Action::Resolve)), "{kind:?}: {actions:?}");
        assert!(board.alerts.is_empty(), "{kind:?}: {board:?}");
    }
}

#[test]
fn a_silent_function_is_one_message_for_all_its_tables() {
    let world = world(31);
    let table = Table::parse(include_str!("../../../platform/alerts.yaml")).expect("the shipped table");
    let table = Table { summary: None, canary: None, ..table };
    let available: BTreeSet<String> = table.channels.iter().map(|channel| channel.name.clone()).collect();
    let morning =
        world.morning(first() + Days::new(40), &[Fault { kind: FaultKind::SilentFunction, size: 1.0, at: 2 }]);
    let findings = world.judge(&morning);
    let late = findings.iter().filter(|finding| finding.breach().is_some()).count();
    let round = Round {
        stack: "drill",
        table: &table,
        upstream: &world.upstream(),
        available: &available,
        calendar: &sluice_watch::Calendar::default(),
        findings: &findings,
        commands: &[],
        now: morning.now,
    };
    let messages = Board::default().round(&round);
    let pages: Vec<_> = messages.iter().filter(|message| message.channel == "page").collect();
    assert!(late > 3 && pages.len() == 1, "{late} breaches, {} pages", pages.len());
    assert_eq!(pages[0].content.silences.len(), late - 1, "{:?}", pages[0].content);
}

#[test]
fn a_seed_makes_the_same_world() {
    let day = first() + Days::new(3);
    let rows = |seed| {
        let morning = world(seed).morning(day, &[]);
        morning.tables.iter().map(|(_, facts)| facts.rows.as_ref().map_or(0, |rows| rows.rows)).collect::<Vec<_>>()
    };
    assert_eq!(rows(5), rows(5));
    assert_ne!(rows(5), rows(6));
}
