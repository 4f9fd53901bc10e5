//! A source that changes its shape between runs: what is announced, what is committed, what stops.

use sluice_core::drift::{Action, ChangeKind};

use super::*;

/// Numbered rows from a source that shows these columns.
struct Shown<'a> {
    rows: Counter<'a>,
    columns: Vec<Observed>,
    /// The columns that the loop asked for, to read or to plan, by fingerprint.
    read: Vec<String>,
}

impl Source for Shown<'_> {
    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        self.read.push(run.table.columns.fingerprint());
        self.rows.read(run).await
    }

    async fn plan(&mut self, run: &ExtractRun<'_>) -> Result<Plan> {
        self.read.push(run.table.columns.fingerprint());
        self.rows.plan(run).await
    }

    async fn observe(&mut self, _: &ExtractRun<'_>) -> Result<Option<Vec<Observed>>> {
        Ok(Some(self.columns.clone()))
    }
}

fn shown(names: &str) -> Vec<Observed> {
    let column = |column: &str| {
        let (name, becomes) = column.split_once(':').unwrap_or((column, "bigint"));
        serde_json::from_value(json!({"name": name, "source_type": becomes, "becomes": becomes})).expect("a column")
    };
    names.split_whitespace().map(column).collect()
}

fn of(contract: &str) -> Table {
    let mut table = table();
    table.contract = serde_json::from_value(contract.into()).expect("a mode");
    table
}

struct World {
    store: MemoryStore,
    bus: MemoryBus,
    table: Table,
}

impl World {
    fn new(contract: &str) -> Self {
        World { store: MemoryStore::default(), bus: MemoryBus::default(), table: of(contract) }
    }

    /// One run that finds `rows` rows in all, and the columns that it read.
    fn run(&self, rows: u64, columns: &str, run_id: &str) -> (Result<ExtractSummary>, Vec<String>) {
        self.asked(&request(), rows, columns, run_id)
    }

    fn asked(
        &self,
        request: &ExtractRequest,
        rows: u64,
        columns: &str,
        run_id: &str,
    ) -> (Result<ExtractSummary>, Vec<String>) {
        let counter = Counter { rows, store: &self.store };
        let mut source = Shown { rows: counter, columns: shown(columns), read: Vec::new() };
        let (lake, run_id) = (LakeId("lake".into()), RunId(run_id.into()));
        let (store, bus) = (&self.store, &self.bus);
        let clock = ManualClock::default();
        let summary = block_on(run(store, bus, &clock, &mut source, &lake, &self.table, &run_id, request));
        (summary, source.read)
    }

    fn newest(&self) -> Commit {
        block_on(log::newest_commit(&self.store, &self.table.table)).expect("a log").expect("a commit")
    }

    /// Takes out of each commit what it says of the raw table.
    fn as_an_earlier_version_wrote_it(&self) {
        for body in self.store.objects.borrow_mut().values_mut() {
            let Ok(mut commit) = Commit::decode(body) else { continue };
            commit.kept = None;
            *body = commit.encode().expect("a commit").into();
        }
    }

    fn forget(&self, sequence: u64) {
        let key = lake::log_key(&self.table.table, Sequence(sequence));
        self.store.objects.borrow_mut().remove(&key).expect("a commit");
    }

    fn announced(&self) -> Vec<serde_json::Value> {
        self.bus.announced.borrow().iter().map(|announcement| announcement.detail.clone()).collect()
    }
}

#[test]
fn drift_is_announced_once_and_stays_in_every_commit_as_long_as_it_lasts() {
    let world = World::new("evolve");
    world.run(1, "n", "r1").0.expect("a run");
    assert!(world.announced().is_empty());

    let (_, read) = world.run(2, "n extra", "r2");
    assert_eq!(read, ["n:bigint,extra:bigint"]);
    let commit = world.newest();
    assert_eq!(commit.schema.fingerprint(), "n:bigint,extra:bigint");
    let told: Vec<_> = commit.drift.iter().map(|c| (c.kind, c.column.as_str(), c.action)).collect();
    assert_eq!(told, [(ChangeKind::New, "extra", Action::Evolved)]);
    let announced = world.announced();
    assert_eq!((announced.len(), &announced[0]["severity"]), (1, &"warning".into()));
    assert_eq!(announced[0]["changes"], serde_json::to_value(&commit.drift).expect("json"));

    world.run(3, "n extra", "r3").0.expect("a run");
    assert_eq!(world.newest().drift, commit.drift);
    assert_eq!(world.announced().len(), 1, "it is no news any more");
}

#[test]
fn drift_is_committed_even_when_there_are_no_rows_and_then_no_more() {
    let world = World::new("reject");
    world.run(1, "n", "r1").0.expect("a run");
    let (summary, read) = world.run(1, "n extra", "r2");
    let summary = summary.expect("a run");
    assert_eq!((summary.outcome, summary.rows, read), (Outcome::Committed, 0, vec!["n:bigint".to_owned()]));
    assert_eq!(world.newest().cursor_to, Some(Cursor(json!(1))));
    assert_eq!(world.run(1, "n extra", "r3").0.expect("a run").outcome, Outcome::NothingNew);
    assert_eq!(world.announced().len(), 1);
}

#[test]
fn an_empty_commit_never_tells_of_drift_where_it_would_empty_the_table() {
    let mut world = World::new("reject");
    world.table.disposition = Disposition::Replace;
    world.run(1, "n", "r1").0.expect("a run");
    assert_eq!(world.run(0, "n extra", "r2").0.expect("a run").outcome, Outcome::NothingNew);
}

#[test]
fn a_dry_run_tells_drift_and_plans_with_the_columns_a_run_would_read() {
    let world = World::new("evolve");
    world.run(1, "n", "r1").0.expect("a run");
    let before = world.store.objects.borrow().clone();
    let dry = ExtractRequest { dry_run: true, ..request() };
    let (summary, read) = world.asked(&dry, 3, "n extra", "dry");
    let summary = summary.expect("a plan");
    assert_eq!((summary.outcome, summary.rows, read), (Outcome::DryRun, 2, vec!["n:bigint,extra:bigint".to_owned()]));
    world.run(3, "n extra", "r2").0.expect("a run");
    assert_eq!(summary.drift, world.newest().drift, "as the run's commit tells it");
    assert_eq!(world.announced().len(), 1, "by the run alone");

    let same = world.asked(&dry, 3, "n extra", "dry").0.expect("a plan");
    assert_eq!(same.drift, summary.drift, "what lasts is told as long as it lasts");
    let kept = world.store.objects.borrow();
    assert!(before.iter().all(|(key, body)| kept.get(key) == Some(body)));
}

#[test]
fn a_dry_run_fails_where_the_run_would_and_tells_nobody_else() {
    let world = World::new("freeze");
    world.run(1, "n", "r1").0.expect("a run");
    let before = world.store.objects.borrow().clone();
    let dry = ExtractRequest { dry_run: true, ..request() };
    let (refused, read) = world.asked(&dry, 2, "n extra", "dry");
    assert_eq!(refused.expect_err("frozen").kind(), Kind::SchemaMismatch);
    assert!(read.is_empty(), "nothing may be planned");
    assert_eq!(*world.store.objects.borrow(), before);
    assert!(world.announced().is_empty());
}

#[test]
fn a_frozen_table_stops_before_writing_and_tells_it_with_one_id() {
    let world = World::new("freeze");
    world.run(1, "n", "r1").0.expect("a run");
    let before = world.store.objects.borrow().clone();
    for run in ["r2", "r3"] {
        let (refused, read) = world.run(2, "n extra", run);
        assert_eq!(refused.expect_err("frozen").kind(), Kind::SchemaMismatch);
        assert!(read.is_empty(), "nothing may be read");
    }
    assert_eq!(*world.store.objects.borrow(), before);
    let announced = world.announced();
    assert_eq!(announced.len(), 2);
    assert_eq!(announced[0]["id"], announced[1]["id"]);
    assert_eq!(announced[0]["severity"], "error");
    world.run(2, "n", "r4").0.expect("a run, since the source is as before");
}

#[test]
fn whichever_call_fails_drift_is_announced_before_it_is_committed() {
    for (of_store, after_acting) in [(true, false), (true, true), (false, false), (false, true)] {
        let strikes = |call| {
            let mut world = World::new("evolve");
            world.run(1, "n", "r1").0.expect("a run");
            let faults = if of_store { &mut world.store.faults } else { &mut world.bus.faults };
            *faults = Faults::at(call, after_acting);
            // It may fail; what it left is what counts.
            let _ = world.run(2, "n extra", "r2");
            let faults = if of_store { &world.store.faults } else { &world.bus.faults };
            let struck = faults.calls() > call;
            if !world.newest_or_first().drift.is_empty() {
                assert!(!world.announced().is_empty(), "call {call}, after acting: {after_acting}");
            }
            world.bus.faults = Faults::none();
            world.run(3, "n extra", "r3").0.expect("a run");
            assert!(!world.announced().is_empty(), "call {call}, after acting: {after_acting}");
            assert_eq!(world.newest().drift.len(), 1);
            struck
        };
        let struck = (0..50).take_while(|call| strikes(*call)).count();
        assert!((1..50).contains(&struck), "{struck} faults struck");
    }
}

impl World {
    fn newest_or_first(&mut self) -> Commit {
        self.store.faults = Faults::none();
        self.newest()
    }
}

#[test]
fn a_column_that_comes_back_with_another_type_stops_the_run() {
    let world = World::new("evolve");
    world.run(1, "n extra", "r1").0.expect("a run");
    world.run(2, "n", "r2").0.expect("a run");
    world.run(3, "n", "r3").0.expect("a run");
    let standing = world.newest();
    let (error, read) = world.run(4, "n extra:text", "r4");
    let error = error.expect_err("the raw table keeps a number");
    assert_eq!((error.kind(), read.len()), (sluice_core::Kind::SchemaMismatch, 0), "{error}");
    assert_eq!(world.newest(), standing, "no commit");
    world.run(4, "n extra", "r5").0.expect("it came back as it was");
    assert_eq!(world.newest().schema.fingerprint(), "n:bigint,extra:bigint");
    assert_eq!(world.newest().kept, Some(vec![]));
}

#[test]
fn a_column_that_went_away_before_an_upgrade_is_still_known() {
    let world = World::new("evolve");
    world.run(1, "n extra", "r1").0.expect("a run");
    for (rows, run_id) in [(2, "r2"), (3, "r3"), (4, "r4")] {
        world.run(rows, "n", run_id).0.expect("a run");
    }
    world.as_an_earlier_version_wrote_it();
    let standing = world.newest();
    let error = world.run(5, "n extra:text", "r5").0.expect_err("the raw table keeps a number");
    assert_eq!(error.kind(), sluice_core::Kind::SchemaMismatch, "{error}");
    assert_eq!(world.newest(), standing, "no commit");
    world.run(5, "n", "r6").0.expect("a run");
    let kept = world.newest().kept.map(|kept| sluice_core::Schema(kept).fingerprint());
    assert_eq!(kept.as_deref(), Some("extra:bigint"), "from now on each commit tells");
    world.forget(1);
    world.run(6, "n extra:text", "r7").0.expect_err("the older commits are not asked again");
}

#[test]
fn a_contract_with_a_type_that_the_raw_table_cannot_get_stops_the_run() {
    let mut world = World::new("reject");
    world.run(1, "n", "r1").0.expect("a run");
    world.table.columns.0[0].column_type = "text".parse().expect("a type");
    for dry_run in [true, false] {
        let request = ExtractRequest { dry_run, ..request() };
        let error = world.asked(&request, 2, "n:text", "r2").0.expect_err("the raw table keeps a number");
        assert!(error.to_string().contains("keeps 'n' as bigint") && error.hint().is_some(), "{error}");
    }
    // A person who has made the raw table again reads everything again.
    let again = ExtractRequest { full_refresh: true, ..request() };
    world.asked(&again, 2, "n:text", "r3").0.expect("a full refresh");
    world.run(3, "n:text", "r4").0.expect("a run");
    assert_eq!((world.newest().schema.fingerprint().as_str(), world.newest().kept), ("n:text", Some(vec![])));
}
