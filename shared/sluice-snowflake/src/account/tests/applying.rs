//! Applies: from nothing, again, interrupted anywhere, after edits interrupted anywhere, and by two at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use sluice_core::{
    Error, Kind as ErrorKind, Result,
    port::{Clock, Row},
};

use super::model::Model;
use crate::account::{
    Account, Applied, Applying, Desired, Plan, apply,
    file::tests::{EVERY_FIELD, parsed},
    look,
    name::Name,
    plan::Allowed,
    read::{Reader, Scope},
    state::State,
};

pub(super) const SHIPPED: &str = include_str!("../../../../../platform/warehouse.yaml");

pub(super) struct Now;

impl Clock for Now {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

pub(super) fn applying(run: &str, seconds: i64) -> Applying<'_> {
    let until = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    Applying { run, allowed: Allowed::default(), until, warehouse: "LOADING" }
}

pub(super) fn make(model: &Model, desired: &Desired) -> Result<Applied> {
    block_on(apply(model, &Now, desired, &applying("run-1", 900)))
}

pub(super) fn planned(model: &Model, desired: &Desired) -> Plan {
    block_on(look(model, desired, &Allowed::default(), "sluice:account:test")).expect("a plan").1
}

pub(super) fn seen(model: &Model) -> State {
    let reader = Reader { account: model, tag: "sluice:account:test", enterprise: !model.standard };
    block_on(reader.read(Scope::Everything)).expect("an account")
}

pub(super) fn file(yaml: &str) -> Desired {
    parsed(yaml).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn made(yaml: &str, model: Model) -> (Model, Desired) {
    let desired = file(yaml);
    let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
    (model, desired)
}

#[test]
fn an_account_is_made_from_nothing_and_the_second_plan_is_empty() {
    for (yaml, model) in [(EVERY_FIELD, Model::enterprise()), (SHIPPED, Model::standard())] {
        let (model, desired) = made(yaml, model);
        let plan = planned(&model, &desired);
        assert!(plan.is_empty() && plan.warnings.is_empty(), "{}", plan.to_text());
        assert_eq!(plan.unnamed, Vec::<String>::new());
        assert_eq!(plan.to_json()["changes"], serde_json::json!([]));
        let before = *model.changes.borrow();
        let again = make(&model, &desired).expect("nothing to do");
        assert_eq!((again.statements, *model.changes.borrow()), (0, before));
        // One note for each statement, and the lease is free again.
        assert_eq!(model.notes.borrow().len(), before);
        assert!(!model.lease.borrow().is_held);
    }
}

#[test]
fn an_apply_that_ends_anywhere_is_finished_by_the_next() {
    for (yaml, model, step) in
        [(SHIPPED, Model::standard as fn() -> Model, 1), (EVERY_FIELD, Model::enterprise as fn() -> Model, 7)]
    {
        let (fresh, desired) = made(yaml, model());
        let (whole, statements) = (seen(&fresh), *fresh.changes.borrow());
        assert!(statements > 100, "{statements}");
        for at in (1..=statements).step_by(step) {
            for after in [false, true] {
                let broken = model();
                *broken.fails_at.borrow_mut() = Some((at, after));
                let error = make(&broken, &desired).expect_err("an interruption");
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                *broken.fails_at.borrow_mut() = None;
                make(&broken, &desired).unwrap_or_else(|error| panic!("{at} {after}: {}", error.chain()));
                assert_eq!(seen(&broken), whole, "statement {at}, {after}");
            }
        }
    }
}

/// What a request is, whatever it is about: its verb and the types that it names.
fn kind(request: &str) -> String {
    let is_type = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let known = ["ON", "IN", "TO", "FUTURE", "ALL", "FROM", "SET", "UNSET", "TABLE"];
    let types = [
        "ROLE",
        "USER",
        "WAREHOUSE",
        "DATABASE",
        "SCHEMA",
        "STAGE",
        "PIPE",
        "MONITOR",
        "INTEGRATION",
        "POLICY",
        "GRANTS",
    ];
    let words: Vec<&str> = request.split_whitespace().take(12).collect();
    let spoken = words.iter().enumerate().filter(|(at, word)| {
        *at < 2 && is_type(word)
            || known.contains(word)
            || types.iter().any(|name| word.trim_end_matches('S') == name.trim_end_matches('S'))
    });
    spoken.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

/// Numbers of requests: the first and the last of each kind, or with `SLUICE_EVERY_REQUEST=1` all of them.
fn requests(asked: &[String]) -> BTreeSet<usize> {
    let all = 1..asked.len();
    if std::env::var_os("SLUICE_EVERY_REQUEST").is_some() {
        return all.collect();
    }
    let mut of_kind: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for at in all {
        of_kind.entry(kind(&asked[at - 1])).or_insert((at, at)).1 = at;
    }
    of_kind.into_values().flat_map(|(first, last)| [first, last]).collect()
}

#[test]
fn a_request_that_is_lost_anywhere_is_made_up_for_by_the_next_apply() {
    let (fresh, desired) = made(SHIPPED, Model::standard());
    let asked = fresh.asked.borrow().clone();
    let whole = seen(&fresh);
    let chosen = requests(&asked);
    assert!(chosen.len() > 50, "{chosen:?}");
    for at in chosen {
        for is_answer in [false, true] {
            let broken = Model::standard();
            *broken.lost.borrow_mut() = Some((at, is_answer));
            let first = make(&broken, &desired);
            // Its lease holds until it runs out; what it has made stays.
            broken.lease.borrow_mut().is_held = false;
            // A question for rows that gets no answer leaves something unknown and ends nothing.
            if let Err(error) = first {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "request {at}: {}", error.chain());
            }
            make(&broken, &desired).unwrap_or_else(|error| panic!("request {at}: {}", error.chain()));
            assert_eq!(seen(&broken), whole, "request {at}: {}", asked[at - 1]);
        }
    }
}

#[test]
fn an_apply_whose_time_is_up_says_what_is_left() {
    let model = Model::standard();
    let desired = file(SHIPPED);
    let cut = block_on(apply(&model, &Now, &desired, &applying("run-1", 0))).expect("a beginning");
    assert!(cut.is_cut_short() && cut.statements > 0, "{cut:?}");
    let whole = make(&model, &desired).expect("the rest");
    assert!(!whole.is_cut_short() && whole.left.is_empty());
}

/// An account that answers as if there were nothing to take.
struct Stubborn<'m>(&'m Model);

impl Account for Stubborn<'_> {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        if statement.starts_with("REVOKE") {
            return Err(Error::new(ErrorKind::NotFound, "does not exist or not authorized"));
        }
        self.0.run(role, statement, tag).await
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.0.ask(warehouses, role, statement, tag).await
    }
}

#[test]
fn what_was_sent_and_is_planned_again_is_not_for_another_apply() {
    let (model, desired) = made(SHIPPED, Model::standard());
    block_on(model.run(
        "SECURITYADMIN",
        "GRANT OPERATE ON WAREHOUSE LOADING TO ROLE SLUICE_LOADER",
        "sluice:account:test",
    ))
    .expect("a grant");
    let applied = block_on(apply(&Stubborn(&model), &Now, &desired, &applying("run-1", 900))).expect("an end");
    assert_eq!(applied.ineffective, ["REVOKE OPERATE ON WAREHOUSE LOADING FROM ROLE SLUICE_LOADER"]);
    assert!(!applied.is_cut_short() && applied.left.changes.len() == 1, "{applied:?}");
    let whole = make(&model, &desired).expect("it is taken");
    assert!(whole.ineffective.is_empty() && whole.left.is_empty());
}

#[test]
fn one_apply_runs_at_a_time() {
    let (model, _) = made(SHIPPED, Model::standard());
    let edited = file(&SHIPPED.replace("comment: People.", "comment: Everybody."));
    model.lease.borrow_mut().holder = "another-run".to_owned();
    model.lease.borrow_mut().is_held = true;
    let error = make(&model, &edited).expect_err("a conflict");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.chain().contains("run=another-run"), "{}", error.chain());
    assert_eq!(planned(&model, &edited).changes.len(), 1);
}

/// Pairs of what a file may say and what it may say instead.
const EDITS: [(&str, &str); 16] = [
    ("size: SMALL\n    auto", "size: X2LARGE\n    auto"),
    ("    queue_timeout: 600\n", ""),
    ("retention_days: 7", "retention_days: 30"),
    ("notify_at: [75, 90]", "notify_at: [50]"),
    ("    suspend_immediately_at: 110\n", ""),
    ("grant: [USAGE, OPERATE]", "grant: [USAGE, MONITOR]"),
    ("in: [ANALYTICS.MARTS, ANALYTICS.REPORTING]", "in: ANALYTICS"),
    ("roles: [SOURCES_READER, ANALYTICS.MARTS_READER]", "roles: [ANALYTICS.MARTS_READER]"),
    ("network_policy: SERVICES\n    auth", "network_policy: PEOPLE\n    auth"),
    ("values: [\"${egress}\"]", "values: [\"${egress}\", 203.0.113.99]"),
    ("on: integration SLUICE_LAKE, with_grant_option: true", "on: integration SLUICE_LAKE"),
    ("methods: [KEYPAIR]", "methods: [KEYPAIR, OAUTH]"),
    ("allowed_values: [engineering, analytics]", "allowed_values: [analytics, engineering, sales]"),
    ("tags: { ADMIN.SECURITY.COST_CENTER: analytics }", "tags: { ADMIN.SECURITY.COST_CENTER: engineering }"),
    ("secondary_roles: true", "secondary_roles: false"),
    ("managed_access: true", "managed_access: false"),
];

#[test]
fn edits_interrupted_anywhere_end_where_a_fresh_account_begins() {
    let mut random = numbers(7);
    for round in 0..12 {
        let (model, _) = made(EVERY_FIELD, Model::enterprise());
        let mut yaml = EVERY_FIELD.to_owned();
        for _ in 0..3 {
            for _ in 0..4 {
                let (one, other) = EDITS[random() % EDITS.len()];
                let (from, to) = if yaml.contains(one) { (one, other) } else { (other, one) };
                // A line that was taken out stays out.
                if !from.is_empty() {
                    yaml = yaml.replacen(from, to, 1);
                }
            }
            let desired = file(&yaml);
            let (fresh, _) = made(&yaml, Model::enterprise());
            let (before, whole) = (model.snapshot(), seen(&fresh));
            let begun = *model.changes.borrow();
            make(&model, &desired).unwrap_or_else(|error| panic!("{round}: {}", error.chain()));
            assert_eq!(seen(&model), whole, "{round}: {yaml}");
            // The same again, interrupted at each of its statements.
            for (at, after) in (1..=*model.changes.borrow() - begun).flat_map(|at| [(at, false), (at, true)]) {
                let broken = Model::enterprise();
                *broken.world.borrow_mut() = before.clone();
                *broken.fails_at.borrow_mut() = Some((at, after));
                make(&broken, &desired).expect_err("an interruption");
                *broken.fails_at.borrow_mut() = None;
                let applied = make(&broken, &desired).unwrap_or_else(|error| panic!("{round}: {}", error.chain()));
                assert!(applied.left.is_empty(), "{round}, {at}: {}", applied.left.to_text());
                assert_eq!(seen(&broken), whole, "{round}, {at}, {after}: {yaml}");
            }
        }
    }
}

/// A seeded sequence of numbers.
fn numbers(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).expect("24 bits")
    }
}
