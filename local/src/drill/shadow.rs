//! The shadow tables: their rows and ledger in the warehouse, their commits and runs in the lake, day by day.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use sluice_core::{
    LakeId, Sequence, Sources, Table, TableId, lake,
    port::{Listing, ObjectStore, PutIfAbsent, Row, Statements, Stored},
};
use sluice_http::Client;
use sluice_snowflake::{
    Account, SnowflakeConfig, SqlApi,
    account::{self, Allowed, Deployment, Desired, Settings},
    sql,
};
use sluice_watch::random::Random;
use uuid::Uuid;

use super::{
    beside::Beside,
    plant::{Fault, Plants, SEED},
    tables::{CLICKS, POSTGRES, RATES, SIGNALS, full_name, sources},
};
use crate::account::One;

const BUCKET: &str = "drill";
/// The least that an account's file may say.
const ACCOUNT: &str = r#"
edition: standard
environments: { drill: {} }
storage_integrations:
  SLUICE_LAKE:
    role_arn: ${lake_role_arn}
    external_id: ${lake_external_id}
    allowed_locations: ["s3://${lake_bucket}/"]
"#;
/// What the tables of the drill need of it.
const KINDS: [&str; 6] = ["database ", "schema ", "file format ", "stage ", "table ", "pipe "];
/// Of the topic; the last of them is the one that gets stuck.
const PARTITIONS: u64 = 3;
/// How far a stream that falls behind is behind.
const BEHIND: TimeDelta = TimeDelta::minutes(40);
/// A day's events come half an hour before its load.
const USUAL_DELAY: TimeDelta = TimeDelta::minutes(30);

/// A lake in memory.
#[derive(Debug, Default)]
pub(super) struct Lake(RefCell<BTreeMap<String, Bytes>>);

impl ObjectStore for Lake {
    async fn put(&self, key: &str, body: Bytes) -> sluice_core::Result<Stored> {
        self.0.borrow_mut().insert(key.to_owned(), body);
        Ok(Stored { checksum: String::new() })
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> sluice_core::Result<PutIfAbsent> {
        if self.0.borrow().contains_key(key) {
            return Ok(PutIfAbsent::Exists);
        }
        self.put(key, body).await.map(PutIfAbsent::Stored)
    }

    async fn get(&self, key: &str) -> sluice_core::Result<Option<Bytes>> {
        Ok(self.0.borrow().get(key).cloned())
    }

    async fn first_key(&self, prefix: &str) -> sluice_core::Result<Option<String>> {
        Ok(self.0.borrow().keys().find(|key| key.starts_with(prefix)).cloned())
    }
}

impl Listing for Lake {
    async fn keys(&self, prefix: &str) -> sluice_core::Result<Vec<String>> {
        Ok(self.0.borrow().keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }
}

/// An account in which there is nothing.
struct Nothing;

impl account::Account for Nothing {
    async fn run(&self, _: &str, _: &str, _: &str) -> sluice_core::Result<Vec<Row>> {
        Ok(Vec::new())
    }

    async fn ask(&self, _: &[&account::Name], _: &str, _: &str, _: &str) -> sluice_core::Result<Vec<Row>> {
        Ok(Vec::new())
    }
}

/// What makes the databases, schemas, tables, stages and pipes of these sources in an account that has none.
async fn foundation(sources: &Sources, lake_id: &LakeId) -> Result<Vec<String>> {
    let deployment = Deployment { lake: lake_id.0.clone(), bucket: BUCKET.into(), ..Deployment::default() };
    let desired = Desired::parse(ACCOUNT, &Settings::of("drill", deployment), sources)?;
    let (_, plan) = account::look(&Nothing, &desired, &Allowed::default(), "drill").await?;
    let is_one = |what: &str| KINDS.iter().any(|kind| what.starts_with(kind)) && !what.starts_with("database role ");
    let changes = plan.changes.iter().filter(|change| is_one(&change.what));
    Ok(changes.flat_map(|change| &change.statements).map(|statement| statement.text.clone()).collect())
}

pub(super) struct Shadow {
    pub sources: Sources,
    pub lake: Lake,
    pub beside: Beside,
    lake_id: LakeId,
    api: SqlApi<One>,
    first: NaiveDate,
    sequences: BTreeMap<String, u64>,
    dbt_runs: u64,
}

/// A table's day.
struct Load {
    rows: u64,
    in_ledger: u64,
    rejected: u64,
    delay: TimeDelta,
    late: u64,
    nulls: u64,
    price: f64,
}

impl Shadow {
    /// Makes the tables.
    pub(super) async fn new(
        config: &SnowflakeConfig,
        secret: One,
        http: Client,
        lake_id: &LakeId,
        first: NaiveDate,
        beside: Beside,
    ) -> Result<Self> {
        let shadow = Shadow {
            sources: Sources::parse(&sources(None))?,
            lake: Lake::default(),
            beside,
            lake_id: lake_id.clone(),
            api: SqlApi::new(Arc::new(Account::new(config.clone(), secret, http))),
            first,
            sequences: BTreeMap::new(),
            dbt_runs: 0,
        };
        for statement in foundation(&shadow.sources, lake_id).await? {
            shadow.execute(&statement).await?;
        }
        shadow.execute("CREATE TABLE IF NOT EXISTS SHADOW.PUBLIC.NUMBERS (N NUMBER(19,0))").await?;
        let digits: Vec<String> = (0..10).map(|digit| format!("SELECT {digit} AS D")).collect();
        let digits = format!("({})", digits.join(" UNION ALL "));
        shadow
            .execute(&format!(
                "INSERT INTO SHADOW.PUBLIC.NUMBERS (N) SELECT A.D + 10 * B.D + 100 * C.D + 1000 * E.D FROM {digits} AS A \
                 JOIN {digits} AS B ON TRUE JOIN {digits} AS C ON TRUE JOIN {digits} AS E ON TRUE"
            ))
            .await?;
        Ok(shadow)
    }

    async fn execute(&self, statement: &str) -> Result<Vec<Row>> {
        Ok(self.api.execute(statement, Uuid::new_v4(), "drill").await?)
    }

    /// Plays the days that teach.
    pub(super) async fn learn(&mut self, days: u64) -> Result<()> {
        for day in self.first.iter_days().take(days as usize) {
            self.play(day, &Plants::none()).await?;
        }
        Ok(())
    }

    /// Writes what a day leaves behind, with what is planted in it.
    pub(super) async fn play(&mut self, day: NaiveDate, plants: &Plants) -> Result<()> {
        for (name, mean, noise) in POSTGRES {
            self.table_day(name, mean, noise, day, plants).await?;
        }
        self.rates_day(day, plants).await?;
        self.signals_day(day, plants).await?;
        self.beside.play(day, plants).await?;
        self.dbt_day(day, plants).await
    }

    async fn table_day(&mut self, name: &str, mean: f64, noise: f64, day: NaiveDate, plants: &Plants) -> Result<()> {
        let is = |fault: Fault| plants.is(fault, name);
        let silent = plants.fault == Some(Fault::SilentFunction);
        let mut random = Random::of(SEED, name, i64::from(day.to_epoch_days()));
        let mean = mean * (noise * random.normal()).exp();
        let usual = random.count(mean).max(10);
        // A channel is found deaf by what it should be told.
        let drops = is(Fault::DropAtSource) || plants.fault == Some(Fault::DeafChannel) && name == CLICKS;
        let rows = if drops { usual * 2 / 5 } else { usual };
        let load = Load {
            rows,
            in_ledger: if is(Fault::LostOnTheWay) { rows * 2 / 5 } else { rows },
            rejected: if is(Fault::RejectedRows) { rows * 3 / 7 } else { 0 },
            delay: if is(Fault::SlowToReport) { TimeDelta::hours(20) } else { USUAL_DELAY },
            late: if is(Fault::OldRows) { rows * 3 / 10 } else { 0 },
            nulls: if is(Fault::TwentyPercentNulls) { rows / 5 } else { rows / 50 },
            price: 100.0 * (1.0 + 0.004 * random.normal()) * if is(Fault::AnotherUnit) { 100.0 } else { 1.0 },
        };
        let at = day.and_hms_opt(23, 20, 0).unwrap_or_default().and_utc();
        if is(Fault::NoRunForADay) {
            return Ok(());
        }
        let table = self.entry(name)?;
        let sequence = self.next(&table.table);
        self.rows_of(&table.table, sequence, day, at, &load).await?;
        if is(Fault::RowsTwice) {
            self.rows_of(&table.table, sequence, day, at, &load).await?;
        }
        let status = if is(Fault::CommitThatFails) { "failed" } else { "loaded" };
        self.ledger(&table.table, sequence, status, load.in_ledger, at).await?;
        self.commit(&table, sequence, load.rows, load.rejected, at);
        let ended = if silent { at - TimeDelta::hours(8) } else { at };
        self.run_ended(&table.table, ended);
        Ok(())
    }

    async fn rows_of(
        &self,
        table: &TableId,
        sequence: u64,
        day: NaiveDate,
        at: DateTime<Utc>,
        load: &Load,
    ) -> Result<()> {
        let Load { rows, late, nulls, .. } = load;
        let step = 10.0 / *rows as f64;
        let old = at - TimeDelta::hours(30);
        self.execute(&format!(
            "INSERT INTO {table} (ID, AT, EMAIL, PRICE, _SLUICE_RUN_ID, _SLUICE_SEQUENCE, _SLUICE_LOADED_AT, \
             _SLUICE_SOURCE_FILE, _SLUICE_ROW_NUMBER)\n\
             SELECT {} + N, CASE WHEN N < {late} THEN {} ELSE {} END, CASE WHEN N < {nulls} THEN NULL ELSE 'x' END, \
             {:.4} + N * {step:.6}, 'drill', {sequence}, {}, 'f', N FROM SHADOW.PUBLIC.NUMBERS WHERE N < {rows}",
            i64::from(day.to_epoch_days()) * 100_000,
            timestamp(old),
            timestamp(at - load.delay),
            load.price,
            timestamp(at),
        ))
        .await
        .map(drop)
    }

    /// A rate moves each day, and stands still where that is planted.
    async fn rates_day(&mut self, day: NaiveDate, plants: &Plants) -> Result<()> {
        let table = self.entry(RATES)?;
        let stands = plants.fault == Some(Fault::FlatRate);
        let of = if stands { day - Days::new(1) } else { day };
        let mut random = Random::of(SEED, RATES, i64::from(of.to_epoch_days()));
        let base = 1.0 + 0.01 * random.normal();
        let at = day.and_hms_opt(0, 20, 0).unwrap_or_default().and_utc();
        let (sequence, rows) = (self.next(&table.table), 170);
        self.execute(&format!(
            "INSERT INTO {} (RATE_DATE, BASE_CURRENCY, TARGET_CURRENCY, RATE, RATE_KIND, SOURCE_TIMESTAMP, _SLUICE_RUN_ID, \
             _SLUICE_SEQUENCE, _SLUICE_LOADED_AT, _SLUICE_SOURCE_FILE, _SLUICE_ROW_NUMBER)\n\
             SELECT '{day}'::DATE, 'USD', N::VARCHAR, {base:.8} + N * 0.5, 'final', {at}, 'drill', {sequence}, {at}, '{day}', N \
             FROM SHADOW.PUBLIC.NUMBERS WHERE N < {rows}",
            table.table,
            at = timestamp(at),
        ))
        .await?;
        self.ledger(&table.table, sequence, "loaded", rows, at).await?;
        self.commit(&table, sequence, rows, 0, at);
        self.run_ended(&table.table, at);
        Ok(())
    }

    async fn signals_day(&mut self, day: NaiveDate, plants: &Plants) -> Result<()> {
        let mut random = Random::of(SEED, SIGNALS, i64::from(day.to_epoch_days()));
        let mean = 900.0 * (0.05 * random.normal()).exp();
        let rows = random.count(mean) / PARTITIONS;
        let loaded = day.and_hms_opt(23, 50, 0).unwrap_or_default().and_utc();
        let is_behind = plants.fault == Some(Fault::StreamBehind);
        let record = timestamp(if is_behind { loaded - BEHIND } else { loaded });
        let at = timestamp(loaded);
        let first = i64::from(day.to_epoch_days()) * 100_000;
        let stuck = u64::from(plants.fault == Some(Fault::StuckPartition));
        for partition in 0..PARTITIONS - stuck {
            self.execute(&format!(
                "INSERT INTO {} (ID, _SLUICE_RUN_ID, _SLUICE_SEQUENCE, _SLUICE_LOADED_AT, _SLUICE_SOURCE_FILE, _SLUICE_ROW_NUMBER, \
                 _KAFKA_TOPIC, _KAFKA_PARTITION, _KAFKA_OFFSET, _KAFKA_TIMESTAMP)\n\
                 SELECT {first} + N, 'c/drill', 0, {at}, NULL, NULL, 'signals', {partition}, {first} + N, {record} \
                 FROM SHADOW.PUBLIC.NUMBERS WHERE N < {rows}",
                full_name(SIGNALS)
            ))
            .await?;
        }
        if plants.fault == Some(Fault::DeadLetters) {
            for offset in 0..40 {
                let key = lake::dead_letter_key("signals", 0, first + 50_000 + offset, "drill");
                self.lake.put(&key, Bytes::from_static(b"{}")).await?;
            }
        }
        Ok(())
    }

    async fn dbt_day(&mut self, day: NaiveDate, plants: &Plants) -> Result<()> {
        let mut random = Random::of(SEED, "dbt", i64::from(day.to_epoch_days()));
        let usual = 480.0 * (0.1 * random.normal()).exp();
        let slow = if plants.fault == Some(Fault::DbtTakesTenTimes) { 10.0 } else { 1.0 };
        let costly = if plants.fault == Some(Fault::CostTimesThree) { 3.0 } else { 1.0 };
        let fails = plants.fault == Some(Fault::DbtFails);
        self.dbt_runs += 1;
        let at = day.and_hms_opt(13, 0, 0).unwrap_or_default().and_utc();
        let run_id = format!("dbt-{}", self.dbt_runs);
        let run = sql::ledger::DbtRun {
            number: self.dbt_runs,
            run_id: &run_id,
            dbt_run_id: "1",
            status: if fails { "failed" } else { "succeeded" },
            selectors: "",
            cause: "drill",
            reason: None,
            full_refresh: false,
            attempts: 1,
            models: 20,
            tests: 80,
            skipped: 0,
            rows: 0,
            failed: if fails { "test.sluice.unique_sales" } else { "" },
            failures: u64::from(fails),
            seconds: usual * slow,
            credits: usual / 480.0 * costly,
            started_at: at,
            finished_at: at,
        };
        self.execute(&sql::ledger::dbt_run(&run)).await.map(drop)
    }

    async fn ledger(&self, table: &TableId, sequence: u64, status: &str, rows: u64, at: DateTime<Utc>) -> Result<()> {
        let lake = &self.lake_id.0;
        let rows = if status == "failed" { 0 } else { rows };
        self.execute(&format!(
            "INSERT INTO ADMIN.OBSERVABILITY.LOADS (LAKE_ID, TABLE_NAME, SEQUENCE, RUN_ID, STATUS, LOADER, ROWS_LOADED, FILES, REASON, \
             LOADED_AT) SELECT '{lake}', '{table}', {sequence}, 'drill', '{status}', 'copy', {rows}, 1, NULL, {}",
            timestamp(at)
        ))
        .await
        .map(drop)
    }

    fn commit(&self, table: &Table, sequence: u64, rows: u64, rejected: u64, at: DateTime<Utc>) {
        let path = lake::data_key(&table.table, &sluice_core::RunId("drill".into()), 0);
        let mut commit = json!({
            "format_version": 1, "lake_id": self.lake_id, "table": table.table, "sequence": sequence, "run_id": "drill",
            "loader": table.loader, "disposition": table.disposition, "key": table.key, "schema": table.columns,
            "schema_fingerprint": "", "rows": rows, "scheduled_at": at, "committed_at": at,
            "files": [{"path": path, "rows": rows, "bytes": 1, "checksum": "x"}],
        });
        if rejected > 0 {
            commit["rejected"] = json!({"rows": rejected, "path": lake::rejected_key(&table.table, &sluice_core::RunId("drill".into()))});
        }
        self.write(&lake::log_key(&table.table, Sequence(sequence)), &commit);
    }

    fn run_ended(&self, table: &TableId, at: DateTime<Utc>) {
        self.write(&lake::last_run_key(table), &json!({"run_id": "drill", "ended_at": at, "outcome": "committed"}));
    }

    fn write(&self, key: &str, value: &Value) {
        self.lake.0.borrow_mut().insert(key.to_owned(), value.to_string().into());
    }

    fn next(&mut self, table: &TableId) -> u64 {
        let sequence = self.sequences.entry(table.to_string()).or_default();
        *sequence += 1;
        *sequence
    }

    fn entry(&self, name: &str) -> Result<Table> {
        let table = self.sources.tables.iter().find(|table| table.table.table == name).cloned();
        table.ok_or_else(|| anyhow::anyhow!("no shadow table {name}"))
    }
}

fn timestamp(at: DateTime<Utc>) -> String {
    format!("'{}'::TIMESTAMP_NTZ(6)", at.format("%Y-%m-%d %H:%M:%S%.6f"))
}
