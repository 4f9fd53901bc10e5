use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures::executor::block_on;
use sluice_core::{Table as Entry, TableId, sources::Monitor};
use sluice_watch::{
    Kind, Prices,
    alerts::{Action, Receipt},
    monitors::{SecretFacts, Shape},
    settings::TableSettings,
};

use super::*;
use crate::fakes::{ManualClock, MemoryStore};

mod costing;
mod measuring;
mod mended;
mod outside;

const MINUTES: Duration = Duration::from_secs(300);

/// A warehouse with the same days for each table.
#[derive(Default)]
struct Warehouse {
    is_away: Cell<bool>,
    /// Each statement takes all the time that it is given.
    hangs: Cell<bool>,
    ends: Cell<DateTime<Utc>>,
    clock: Rc<ManualClock>,
    /// Rows of the newest complete day, and of those before it from a day on.
    rows: Cell<u64>,
    rows_since: Cell<NaiveDate>,
    loaded: Cell<u64>,
    failed: RefCell<BTreeSet<u64>>,
    failed_nodes: RefCell<Vec<String>>,
    measures: Cell<usize>,
    works: Cell<usize>,
    /// From when on a topic's partitions were asked for.
    partitions_since: RefCell<BTreeSet<NaiveDate>>,
    /// Rows that the one partition of a topic has brought, and whether asking for them fails.
    streamed: Cell<u64>,
    is_unlisted: Cell<bool>,
    /// The statement over a table fails, and the ledger answers.
    is_unmeasured: Cell<bool>,
    kept: RefCell<BTreeMap<String, BTreeMap<NaiveDate, Day>>>,
    recorded: RefCell<Vec<IncidentChange>>,
    /// From when until when costs were measured.
    costed: RefCell<Vec<(NaiveDate, NaiveDate)>>,
    /// Of the judged day.
    credits: Cell<f64>,
    today: Cell<NaiveDate>,
}

impl Warehouse {
    /// Of what no round asks in which nothing is new.
    fn work<T>(&self, value: T) -> Result<T> {
        self.works.set(self.works.get() + 1);
        self.answer(value)
    }

    fn answer<T>(&self, value: T) -> Result<T> {
        if self.hangs.get() {
            let left = (self.ends.get() - self.clock.now()).to_std().unwrap_or_default();
            self.clock.advance(left);
            return Err(Error::new(sluice_core::Kind::Timeout, "the statement is still running"));
        }
        if self.is_away.get() { Err(Error::unavailable("the warehouse is away")) } else { Ok(value) }
    }
}

impl Observations for Warehouse {
    fn end_within(&self, time: Duration) {
        self.ends.set(self.clock.now() + time);
    }

    async fn loads(&self) -> Result<BTreeMap<String, Loads>> {
        let failed = self.failed.borrow().clone();
        let known = failed.last().copied().unwrap_or_default();
        let loads = Loads { loaded: self.loaded.get(), failed, known, ..Loads::default() };
        self.answer(names().into_iter().map(|name| (name, loads.clone())).collect())
    }

    async fn dbt_runs(&self, _: NaiveDate) -> Result<Vec<EndedRun>> {
        let failed = self.failed_nodes.borrow().clone();
        let status = if failed.is_empty() { "succeeded" } else { "failed" };
        self.answer(vec![EndedRun { status: status.into(), failed, ..EndedRun::default() }])
    }

    async fn newest_row(&self, _: &TableId) -> Result<Option<DateTime<Utc>>> {
        self.answer(Some(self.today.get().and_hms_opt(0, 0, 0).unwrap_or_default().and_utc()))
    }

    async fn partitions(&self, _: &TableId, since: NaiveDate) -> Result<Vec<PartitionRows>> {
        self.partitions_since.borrow_mut().insert(since);
        let at = DateTime::UNIX_EPOCH + chrono::Duration::days(20_000);
        if self.is_unlisted.get() {
            return Err(Error::new(sluice_core::Kind::Timeout, "the statement is still running"));
        }
        let (rows, newest_offset) = (self.streamed.get(), self.streamed.get() as i64 - 1);
        self.answer(vec![PartitionRows { partition: 0, rows, newest_offset, newest_load: at, newest_record: at }])
    }

    async fn measure_costs(&self, from: NaiveDate, until: NaiveDate, _: &Prices, _: DateTime<Utc>) -> Result<()> {
        self.costed.borrow_mut().push((from, until));
        self.work(())
    }

    async fn keep_costs(&self, _: &[Used], _: &Prices, _: DateTime<Utc>) -> Result<()> {
        self.work(())
    }

    async fn costs(&self, from: NaiveDate) -> Result<Vec<CostDay>> {
        let judged = self.today.get() - chrono::Days::new(2);
        let credits = |day: NaiveDate| if day == judged { self.credits.get() } else { 2.0 };
        let cost = |day| CostDay {
            day,
            source: "snowflake".into(),
            object: "LOADING".into(),
            credits: Some(credits(day)),
            dollars: 2.0 * credits(day),
        };
        self.work(from.iter_days().take_while(|day| *day < self.today.get()).map(cost).collect())
    }

    async fn shapes(&self, tables: &[&Entry]) -> Result<BTreeMap<String, Shape>> {
        self.work(tables.iter().map(|table| (table.table.to_string(), Shape::default())).collect())
    }

    async fn loaded_days(
        &self,
        tables: &[&Entry],
        from: NaiveDate,
    ) -> Result<BTreeMap<String, BTreeMap<NaiveDate, u64>>> {
        let newest = self.today.get() - chrono::Days::new(1);
        let rows = |day: NaiveDate| if day >= self.rows_since.get().min(newest) { self.rows.get() } else { 1_000 };
        let days: BTreeMap<NaiveDate, u64> =
            from.iter_days().take_while(|day| *day <= newest).map(|day| (day, rows(day))).collect();
        self.work(tables.iter().map(|table| (table.table.to_string(), days.clone())).collect())
    }

    async fn history(&self, _: &[&Entry], _: NaiveDate) -> Result<BTreeMap<String, BTreeMap<NaiveDate, Day>>> {
        self.work(self.kept.borrow().clone())
    }

    async fn measure(&self, _: &Entry, _: &TableSettings, from: NaiveDate) -> Result<Measured> {
        self.measures.set(self.measures.get() + 1);
        if self.is_unmeasured.get() {
            return Err(Error::new(sluice_core::Kind::Timeout, "the statement is still running"));
        }
        let newest = self.today.get() - chrono::Days::new(1);
        let rows = |day: NaiveDate| if day >= self.rows_since.get().min(newest) { self.rows.get() } else { 1_000 };
        let days = from.iter_days().take_while(|day| *day <= newest).filter(|day| rows(*day) > 0);
        let days = days.map(|day| (day, Day { rows: rows(day), ..Day::default() })).collect();
        self.work(Measured { days, rows: 10, keys: Some(10) })
    }

    async fn keep(&self, table: &TableId, days: &BTreeMap<NaiveDate, Day>) -> Result<()> {
        self.kept.borrow_mut().entry(table.to_string()).or_default().extend(days.clone());
        self.work(())
    }

    async fn record(&self, changes: &[IncidentChange]) -> Result<()> {
        self.work(())?;
        self.recorded.borrow_mut().extend(changes.to_vec());
        Ok(())
    }
}

#[derive(Default)]
struct Platform {
    /// Runs that those who follow were told of, and whether they take any.
    followed: RefCell<Vec<String>>,
    is_followed: Cell<bool>,
    /// How often it was asked what functions used, and whether that is refused.
    asked: Cell<usize>,
    is_refused: Cell<bool>,
}

impl Surroundings for Platform {
    async fn secrets(&self) -> Result<Vec<SecretFacts>> {
        Ok(Vec::new())
    }

    async fn used(&self, _: NaiveDate, _: NaiveDate) -> Result<Vec<Used>> {
        self.asked.set(self.asked.get() + 1);
        if self.is_refused.get() {
            return Err(Error::new(sluice_core::Kind::Auth, "the role may not ask for metrics"));
        }
        Ok(Vec::new())
    }

    async fn ended(&self, extracts: &[EndedExtract]) -> BTreeSet<String> {
        if !self.is_followed.get() {
            return BTreeSet::new();
        }
        self.followed.borrow_mut().extend(extracts.iter().map(|ended| ended.run.run_id.0.clone()));
        extracts.iter().map(|ended| ended.table.clone()).collect()
    }
}

#[derive(Default)]
struct Mailbox {
    is_away: Cell<bool>,
    messages: RefCell<Vec<(String, Action, String)>>,
}

impl Channels for Mailbox {
    async fn available(&self) -> Result<BTreeSet<String>> {
        Ok(BTreeSet::from(["data-alerts".to_owned(), "mail".to_owned()]))
    }

    async fn send(&self, message: &Message) -> Result<Option<Receipt>> {
        if self.is_away.get() && message.channel == "data-alerts" {
            return Err(Error::unavailable("the channel is away"));
        }
        let content = &message.content;
        self.messages.borrow_mut().push((message.channel.clone(), content.action, content.title.clone()));
        Ok(Some(Receipt { channel: "C1".into(), message: "1.1".into() }))
    }
}

fn names() -> Vec<String> {
    sources(1).tables.iter().map(|table| table.table.to_string()).collect()
}

/// This many tables that load once a day.
fn sources(tables: usize) -> Sources {
    let mut text = "tables:\n".to_owned();
    for at in 0..tables {
        text.push_str(&format!(
            "  - table: DLT.A.T{at}\n    description: d\n    source: {{kind: postgres, schema: s, table: t{at}, cursor: id}}\n    \
             loader: copy\n    disposition: merge\n    schedule: daily 0\n    key: [id]\n    \
             columns:\n      - {{name: id, type: bigint, required: true}}\n"
        ));
    }
    Sources::parse(&text).expect("valid sources")
}

struct Stage {
    store: MemoryStore,
    warehouse: Warehouse,
    platform: Platform,
    mailbox: Mailbox,
    clock: Rc<ManualClock>,
    sources: Sources,
    table: Table,
    calendar: Calendar,
    run: Cell<u32>,
    seconds: Cell<i64>,
}

impl Stage {
    fn new(tables: usize) -> Self {
        Stage::of(sources(tables))
    }

    fn of(sources: Sources) -> Self {
        let table = Table::parse(include_str!("../../../../platform/alerts.yaml")).expect("the shipped table");
        let clock = Rc::new(ManualClock(RefCell::new("2026-03-03T09:00:00Z".parse().expect("a time"))));
        let stage = Stage {
            store: MemoryStore::default(),
            warehouse: Warehouse { clock: Rc::clone(&clock), ..Warehouse::default() },
            platform: Platform::default(),
            mailbox: Mailbox::default(),
            clock,
            sources,
            table: Table { summary: None, canary: None, ..table },
            calendar: Calendar::default(),
            run: Cell::new(0),
            seconds: Cell::new(60),
        };
        stage.warehouse.rows.set(1_000);
        stage.warehouse.rows_since.set(NaiveDate::MAX);
        stage.warehouse.credits.set(2.0);
        // Runs are as they should be for the days of these tests.
        let run = br#"{"run_id": "r", "ended_at": "2026-03-10T00:20:00Z", "outcome": "nothing_new"}"#;
        for table in &stage.sources.tables {
            let key = sluice_core::lake::last_run_key(&table.table);
            stage.store.objects.borrow_mut().insert(key, bytes::Bytes::from_static(run));
        }
        stage
    }

    fn round(&self) -> Outcome {
        self.clock.advance(MINUTES);
        self.round_now(&Asked::default())
    }

    fn round_now(&self, asked: &Asked) -> Outcome {
        self.try_round(asked).expect("a round")
    }

    fn try_round(&self, asked: &Asked) -> Result<Outcome> {
        self.warehouse.today.set(self.clock.now().date_naive());
        self.run.set(self.run.get() + 1);
        let run_id = RunId(format!("run-{}", self.run.get()));
        let watch = Watch {
            store: &self.store,
            warehouse: &self.warehouse,
            platform: &self.platform,
            channels: &self.mailbox,
            clock: &*self.clock,
            sources: &self.sources,
            table: &self.table,
            calendar: &self.calendar,
            stack: "sluice",
            run_id: &run_id,
            until: self.clock.now() + chrono::Duration::seconds(self.seconds.get()),
        };
        block_on(watch.round(asked))
    }

    fn report(&self) -> Report {
        match self.round() {
            Outcome::Round(report) => report,
            Outcome::Busy | Outcome::Noted => panic!("no round"),
        }
    }

    /// The id of the incident of a monitor.
    fn incident(&self, monitor: Monitor) -> String {
        let state = block_on(State::read(&self.store)).expect("a board");
        let found = state.board.incidents.values().find(|incident| incident.monitor == monitor);
        found.expect("an incident").id()
    }

    fn told(&self, kind: &str) -> Vec<Action> {
        self.told_by("data-alerts", kind)
    }

    fn told_by(&self, channel: &str, kind: &str) -> Vec<Action> {
        let messages = self.mailbox.messages.borrow();
        let of_kind = messages.iter().filter(|(by, _, title)| by == channel && title.contains(kind));
        of_kind.map(|(_, action, _)| *action).collect()
    }
}

#[test]
fn a_day_with_few_rows_is_told_once_and_resolved_when_they_have_come() {
    let stage = Stage::new(1);
    stage.warehouse.rows.set(300);
    for _ in 0..3 {
        assert_eq!(stage.report().breached, 1);
    }
    let opened = || stage.told("Volume drop").into_iter().filter(|action| *action == Action::Open).count();
    assert_eq!(opened(), 1);
    stage.warehouse.rows.set(1_000);
    for _ in 0..4 {
        stage.report();
    }
    assert_eq!((opened(), stage.told("Volume drop").last()), (1, Some(&Action::Resolve)));
    let states: Vec<String> = stage.warehouse.recorded.borrow().iter().map(|change| change.state.clone()).collect();
    assert!(states.contains(&"open".to_owned()) && states.contains(&"resolved".to_owned()), "{states:?}");
}

#[test]
fn a_warehouse_that_is_away_is_degraded_and_told_and_its_changes_wait() {
    let stage = Stage::new(1);
    stage.report();
    stage.warehouse.is_away.set(true);
    stage.clock.advance(MINUTES * 12 * 24);
    let first = stage.report();
    assert!(first.missing >= 3 && stage.told("No data").is_empty(), "{first:?}");
    stage.report();
    assert!(stage.told("No data").contains(&Action::Open), "{:?}", stage.mailbox.messages);
    assert!(stage.warehouse.recorded.borrow().is_empty());
    stage.warehouse.is_away.set(false);
    stage.report();
    assert!(stage.warehouse.recorded.borrow().iter().any(|change| change.kind == Kind::NoData.as_str()));
}

#[test]
fn a_message_that_a_channel_has_not_taken_is_due_again_in_the_next_round() {
    let stage = Stage::new(1);
    stage.warehouse.rows.set(300);
    stage.mailbox.is_away.set(true);
    let report = stage.report();
    assert!(report.unsent > 0 && stage.told("Volume drop").is_empty(), "{report:?}");
    stage.mailbox.is_away.set(false);
    assert_eq!(stage.report().unsent, 0);
    assert_eq!(stage.told("Volume drop"), [Action::Open]);
}

#[test]
fn of_two_rounds_at_once_one_is_run_and_one_that_died_is_taken_over() {
    let stage = Stage::new(1);
    stage.report();
    let dead = RunId("dead".into());
    assert!(block_on(state::claim(&stage.store, &*stage.clock, 2, &dead)).expect("a claim"));
    assert_eq!(stage.round_now(&Asked::default()), Outcome::Busy);
    stage.clock.advance(MINUTES);
    assert!(matches!(stage.round_now(&Asked::default()), Outcome::Round(Report { round: 2, .. })));
}

#[test]
fn a_board_that_cannot_be_read_is_put_aside_and_told_again() {
    for damaged in
        ["", "{\"round\": 7, \"board\"", "{\"board\": {\"incidents\": {\"k\": {\"of\": \"a later version\"}}}}"]
    {
        let stage = Stage::new(1);
        stage.warehouse.rows.set(300);
        stage.report();
        stage.clock.advance(MINUTES);
        stage.store.objects.borrow_mut().insert(sluice_core::lake::WATCH_BOARD_KEY.to_owned(), damaged.into());
        assert_eq!(stage.report().round, 1);
        assert_eq!(stage.told("Volume drop"), [Action::Open, Action::Open]);
        assert_eq!(stage.store.objects.borrow()[sluice_core::lake::WATCH_UNREADABLE_KEY], damaged);
    }
}

#[test]
fn a_claim_of_a_clock_that_was_ahead_stops_no_round() {
    let stage = Stage::new(1);
    let now = stage.clock.now();
    stage.clock.advance(MINUTES * 100_000);
    assert!(block_on(state::claim(&stage.store, &*stage.clock, 1, &RunId("ahead".into()))).expect("a claim"));
    stage.clock.0.replace(now);
    assert!(matches!(stage.round_now(&Asked::default()), Outcome::Round(Report { round: 1, .. })));
}

#[test]
fn a_time_in_the_future_is_refused_and_stops_no_later_round() {
    let stage = Stage::new(1);
    stage.report();
    let at = |minutes: i64| Some(stage.clock.now() + chrono::Duration::minutes(minutes));
    let error = stage.try_round(&Asked { at: at(60), ..Asked::default() }).expect_err("ahead of the clock");
    assert!(!error.is_transient(), "{}", error.chain());
    assert!(stage.try_round(&Asked { at: at(3), ..Asked::default() }).is_ok());
    // What an earlier version remembers of such a time.
    let mut state = block_on(State::read(&stage.store)).expect("a board");
    state.at = at(60 * 24 * 365);
    block_on(state.write(&stage.store)).expect("written");
    assert!(stage.report().at < stage.clock.now() + MINUTES);
}

#[test]
fn a_watcher_that_was_broken_for_days_goes_on_when_it_is_mended() {
    let stage = Stage::new(1);
    stage.report();
    let claim = |run: u32| block_on(state::claim(&stage.store, &*stage.clock, 2, &RunId(format!("dead-{run}"))));
    for run in 0..500 {
        assert!(claim(run).expect("a claim"), "{run}");
        assert!(claim(run).expect("an answer that was lost"), "{run}");
        assert!(!claim(run + 1_000).expect("an answer"), "{run}");
        stage.clock.advance(MINUTES);
    }
    assert!(matches!(stage.round_now(&Asked::default()), Outcome::Round(Report { round: 2, .. })));
}

#[test]
fn a_table_is_measured_once_a_day_after_loads_and_when_somebody_asks() {
    let stage = Stage::new(1);
    let measured = |rounds: usize| {
        let before = stage.warehouse.measures.get();
        for _ in 0..rounds {
            stage.report();
        }
        stage.warehouse.measures.get() - before
    };
    assert_eq!(measured(13), 1);
    stage.warehouse.loaded.set(1);
    assert_eq!(measured(13), 1);
    stage.clock.advance(MINUTES * 12 * 24);
    assert_eq!(measured(2), 1);
    let before = stage.warehouse.measures.get();
    stage.clock.advance(MINUTES);
    stage.round_now(&Asked { fresh: true, ..Asked::default() });
    assert_eq!(stage.warehouse.measures.get() - before, 1);
}

#[test]
fn tables_for_which_a_round_has_no_time_are_measured_in_a_later_one() {
    let stage = Stage::new(90);
    stage.seconds.set(10);
    let report = stage.report();
    assert_eq!((report.measured, report.postponed), (0, 90));
    stage.seconds.set(60);
    let report = stage.report();
    assert_eq!((report.measured, report.postponed), (90, 0));
}

#[test]
fn an_incident_is_acknowledged_and_an_unknown_one_is_said_to_be_so() {
    let stage = Stage::new(1);
    stage.warehouse.rows.set(300);
    stage.report();
    let incident = stage.incident(Monitor::Volume);
    let by = || "ann".to_owned();
    let known = Command::Acknowledge { incident: incident.clone(), by: by(), says: None };
    let unknown = Command::Acknowledge { incident: "00000000".into(), by: by(), says: None };
    stage.clock.advance(MINUTES);
    let asked = Asked { commands: vec![known, unknown], ..Asked::default() };
    let Outcome::Round(report) = stage.round_now(&asked) else { panic!("busy") };
    assert_eq!(report.unknown, ["00000000"]);
    assert_eq!(stage.told("Volume drop"), [Action::Open, Action::Acknowledge]);
}
