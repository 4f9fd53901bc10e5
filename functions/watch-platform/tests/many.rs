//! Five hundred tables in one round: each statement and each object takes the time that it takes over a network, on a clock of
//! its own, and what the process holds is measured. Alone in its process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sluice_core::{
    Result, RunId, Sequence, Sources, Table as Entry, TableId, lake,
    port::{Clock, Listing, ObjectStore, PutIfAbsent, Stored},
};
use sluice_pipeline::watch::{
    Asked, Channels, ColumnDay, CostDay, Day, EndedExtract, EndedRun, IncidentChange, Loads, Measured, Observations,
    Outcome, PartitionRows, Surroundings, Used, Watch,
};
use sluice_testkit::ports::MemoryStore;
use sluice_watch::{
    Calendar, Prices,
    alerts::{Message, Receipt, Table},
    monitors::{Profile, SecretFacts, Shape},
    settings::TableSettings,
};
use tokio::time::{Instant, sleep};

const TABLES: usize = 500;
const COLUMNS: usize = 12;

/// Of a statement, and of an object of the lake.
const STATEMENT: Duration = Duration::from_millis(50);
const OBJECT: Duration = Duration::from_millis(20);

/// What a round may take and hold.
const MOST_SECONDS: f64 = 60.0;
const MOST_MEGABYTES: u64 = 128;

/// The function's own time.
const TIMEOUT: Duration = Duration::from_secs(120);

struct Virtual {
    began: Instant,
    at: DateTime<Utc>,
}

impl Clock for Virtual {
    fn now(&self) -> DateTime<Utc> {
        self.at + self.began.elapsed()
    }
}

struct FarLake(MemoryStore);

impl ObjectStore for FarLake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        sleep(OBJECT).await;
        self.0.put(key, body).await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        sleep(OBJECT).await;
        self.0.put_if_absent(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        sleep(OBJECT).await;
        self.0.get(key).await
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        sleep(OBJECT).await;
        self.0.first_key(prefix).await
    }
}

impl Listing for FarLake {
    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        sleep(OBJECT).await;
        self.0.keys(prefix).await
    }
}

/// A warehouse in which each table has a hundred days, all columns watched.
struct FarWarehouse {
    today: NaiveDate,
}

fn day() -> Day {
    let profile = Some(Profile { mean: 10.0, minimum: 1.0, maximum: 20.0 });
    let column = |at| (format!("c{at}"), ColumnDay { nulls: 3, profile });
    Day { rows: 1_000, late: Some(1), delay_seconds: Some(90), columns: (0..COLUMNS).map(column).collect() }
}

impl FarWarehouse {
    fn days<T>(&self, from: NaiveDate, of: impl Fn() -> T) -> BTreeMap<NaiveDate, T> {
        from.iter_days().take_while(|day| *day < self.today).map(|day| (day, of())).collect()
    }
}

fn by_table<T>(tables: &[&Entry], of: impl Fn() -> T) -> BTreeMap<String, T> {
    tables.iter().map(|table| (table.table.to_string(), of())).collect()
}

impl Observations for FarWarehouse {
    fn end_within(&self, _: Duration) {}

    async fn loads(&self) -> Result<BTreeMap<String, Loads>> {
        sleep(STATEMENT * 2).await;
        let loads = Loads { loaded: 1, known: 1, newest: Some((1, 1_000)), ..Loads::default() };
        Ok((0..TABLES).map(|at| (format!("DLT.A.T{at}"), loads.clone())).collect())
    }

    async fn dbt_runs(&self, _: NaiveDate) -> Result<Vec<EndedRun>> {
        sleep(STATEMENT).await;
        let at = |back: i64| self.today.and_time(chrono::NaiveTime::MIN).and_utc() - chrono::TimeDelta::hours(back);
        let run = |back| EndedRun {
            status: "succeeded".into(),
            seconds: 300.0,
            finished_at: at(back),
            ..EndedRun::default()
        };
        Ok((1..2_000).map(run).collect())
    }

    async fn newest_row(&self, _: &TableId) -> Result<Option<DateTime<Utc>>> {
        sleep(STATEMENT).await;
        Ok(None)
    }

    async fn partitions(&self, _: &TableId, _: NaiveDate) -> Result<Vec<PartitionRows>> {
        sleep(STATEMENT).await;
        Ok(Vec::new())
    }

    async fn shapes(&self, tables: &[&Entry]) -> Result<BTreeMap<String, Shape>> {
        sleep(STATEMENT).await;
        Ok(by_table(tables, Shape::default))
    }

    async fn loaded_days(
        &self,
        tables: &[&Entry],
        from: NaiveDate,
    ) -> Result<BTreeMap<String, BTreeMap<NaiveDate, u64>>> {
        sleep(STATEMENT).await;
        Ok(by_table(tables, || self.days(from, || 1_000)))
    }

    async fn history(&self, tables: &[&Entry], from: NaiveDate) -> Result<BTreeMap<String, BTreeMap<NaiveDate, Day>>> {
        sleep(STATEMENT).await;
        Ok(by_table(tables, || self.days(from, day)))
    }

    async fn measure(&self, _: &Entry, _: &TableSettings, from: NaiveDate) -> Result<Measured> {
        sleep(STATEMENT).await;
        Ok(Measured { days: self.days(from, day), rows: 100_000, keys: Some(100_000) })
    }

    async fn keep(&self, _: &TableId, _: &BTreeMap<NaiveDate, Day>) -> Result<()> {
        sleep(STATEMENT).await;
        Ok(())
    }

    async fn measure_costs(&self, _: NaiveDate, _: NaiveDate, _: &Prices, _: DateTime<Utc>) -> Result<()> {
        sleep(STATEMENT).await;
        Ok(())
    }

    async fn keep_costs(&self, _: &[Used], _: &Prices, _: DateTime<Utc>) -> Result<()> {
        sleep(STATEMENT).await;
        Ok(())
    }

    async fn costs(&self, _: NaiveDate) -> Result<Vec<CostDay>> {
        sleep(STATEMENT).await;
        Ok(Vec::new())
    }

    async fn record(&self, _: &[IncidentChange]) -> Result<()> {
        sleep(STATEMENT).await;
        Ok(())
    }
}

struct Alone;

impl Surroundings for Alone {
    async fn secrets(&self) -> Result<Vec<SecretFacts>> {
        Ok(Vec::new())
    }

    async fn used(&self, _: NaiveDate, _: NaiveDate) -> Result<Vec<Used>> {
        Ok(Vec::new())
    }

    async fn ended(&self, extracts: &[EndedExtract]) -> BTreeSet<String> {
        extracts.iter().map(|ended| ended.table.clone()).collect()
    }
}

impl Channels for Alone {
    async fn available(&self) -> Result<BTreeSet<String>> {
        Ok(BTreeSet::from(["mail".to_owned()]))
    }

    async fn send(&self, _: &Message) -> Result<Option<Receipt>> {
        Ok(None)
    }
}

fn sources() -> Sources {
    let mut text = "tables:\n".to_owned();
    for at in 0..TABLES {
        let _ = write!(
            text,
            "  - table: DLT.A.T{at}\n    description: d\n    source: {{kind: postgres, schema: s, table: t{at}, cursor: id}}\n    \
             loader: copy\n    disposition: merge\n    schedule: hourly\n    key: [id]\n    columns:\n      \
             - {{name: id, type: bigint, required: true}}\n"
        );
        for column in 0..COLUMNS {
            let _ = writeln!(text, "      - {{name: c{column}, type: \"decimal(18,4)\"}}");
        }
    }
    Sources::parse(&text).expect("valid sources")
}

fn lake(sources: &Sources, at: DateTime<Utc>) -> FarLake {
    let store = MemoryStore::default();
    for table in &sources.tables {
        let commit = json!({
            "format_version": 1, "lake_id": "l", "table": table.table, "sequence": 1, "run_id": "r", "loader": table.loader,
            "disposition": table.disposition, "key": table.key, "schema": table.columns, "schema_fingerprint": "", "rows": 1_000,
            "scheduled_at": at, "committed_at": at,
            "files": [{"path": lake::data_key(&table.table, &RunId("r".into()), 0), "rows": 1_000, "bytes": 1, "checksum": "x"}],
        });
        let run = json!({"run_id": "r", "ended_at": at, "outcome": "committed"});
        let mut objects = store.objects.borrow_mut();
        objects.insert(lake::log_key(&table.table, Sequence(1)), commit.to_string().into());
        objects.insert(lake::last_run_key(&table.table), run.to_string().into());
    }
    FarLake(store)
}

/// The most memory that this process has held, in megabytes.
fn most_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("a number") / 1_024
}

#[tokio::test(start_paused = true)]
async fn five_hundred_tables_are_watched_within_a_minute_and_128_mib() {
    let at: DateTime<Utc> = "2026-03-03T09:30:00Z".parse().expect("a time");
    let sources = sources();
    let (store, clock) = (lake(&sources, at - chrono::TimeDelta::minutes(10)), Virtual { began: Instant::now(), at });
    let table = Table::parse(include_str!("../../../platform/alerts.yaml")).expect("the shipped table");
    let working = std::time::Instant::now();
    for (round, fresh) in [(1, false), (2, true)] {
        let began = Instant::now();
        let watch = Watch {
            store: &store,
            platform: &Alone,
            warehouse: &FarWarehouse { today: at.date_naive() },
            channels: &Alone,
            clock: &clock,
            sources: &sources,
            table: &table,
            calendar: &Calendar::default(),
            stack: "sluice",
            run_id: &RunId(format!("round-{round}")),
            until: clock.now() + TIMEOUT,
        };
        let outcome = Box::pin(watch.round(&Asked { fresh, ..Asked::default() })).await.expect("a round");
        let Outcome::Round(report) = outcome else { panic!("busy") };
        let seconds = began.elapsed().as_secs_f64() + working.elapsed().as_secs_f64();
        println!("round {round}: {seconds:.1} s, {} MiB at most, {report:?}", most_megabytes());
        assert_eq!((report.measured, report.postponed, report.breached), (TABLES, 0, 0), "{report:?}");
        assert!(report.healthy >= 10 * TABLES, "{report:?}");
        assert!(seconds <= MOST_SECONDS, "a round took {seconds:.1} s");
    }
    assert!(most_megabytes() <= MOST_MEGABYTES, "{} MiB", most_megabytes());
}
