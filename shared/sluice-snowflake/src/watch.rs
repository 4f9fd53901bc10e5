//! What the watcher asks of the warehouse, over the SQL API.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, Utc};
use sluice_core::{
    ColumnType, LakeId, Result, RunId, Table, TableId, names,
    port::{Row, Secrets, required},
};
use sluice_pipeline::{
    openlineage::{events::LoadFact, round::LoadFacts},
    watch::{ColumnDay, CostDay, Day, EndedRun, IncidentChange, Loads, Measured, Observations, PartitionRows, Used},
};
use sluice_watch::{
    Prices,
    monitors::{Profile, Shape},
    settings::TableSettings,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    SqlApi,
    answer::{optional, text, value},
    sql::{costs, ledger::REPLAY, observe, views, watch as sql},
};

/// One round's view of the warehouse.
pub struct Watcher<'a, Sec> {
    statements: &'a SqlApi<Sec>,
    lake_id: &'a LakeId,
    run_id: &'a RunId,
    deadline: Cell<Instant>,
    /// Whether it has sent what no result cache answers, so that the warehouse runs.
    is_running: Cell<bool>,
}

impl<'a, Sec: Secrets> Watcher<'a, Sec> {
    pub(crate) fn new(statements: &'a SqlApi<Sec>, lake_id: &'a LakeId, run_id: &'a RunId, deadline: Instant) -> Self {
        Watcher { statements, lake_id, run_id, deadline: Cell::new(deadline), is_running: Cell::new(false) }
    }

    /// Keeps an estimate of what the round's statements took. A round that has only looked whether anything is new keeps none:
    /// Snowflake may have answered it without the warehouse, which the estimate would start every five minutes.
    pub async fn keep_estimate(&self) {
        if self.is_running.get() {
            self.statements.keep_estimate().await;
        } else {
            self.statements.forget_estimate();
        }
    }

    async fn rows(&self, statement: &str) -> Result<Vec<Row>> {
        let tag = format!("sluice:watch:{}", self.run_id);
        // Boxed: a round's future holds many of these, too deep for the compiler.
        Box::pin(self.statements.execute_or_end(statement, Uuid::new_v4(), &tag, self.deadline.get())).await
    }

    /// What changes rows, or reads a whole table that has new ones.
    async fn work(&self, statement: &str) -> Result<Vec<Row>> {
        self.is_running.set(true);
        self.rows(statement).await
    }

    async fn each(&self, statements: Vec<String>) -> Result<()> {
        for statement in statements {
            self.work(&statement).await?;
        }
        Ok(())
    }
}

impl<Sec: Secrets> Observations for Watcher<'_, Sec> {
    fn end_within(&self, time: Duration) {
        self.deadline.set(Instant::now() + time);
    }

    async fn loads(&self) -> Result<BTreeMap<String, Loads>> {
        let statements = [sql::load_states, sql::failures_and_replays, sql::newest_loads].map(|it| it(self.lake_id));
        let [states, ends, newest] = statements.each_ref().map(|statement| self.rows(statement));
        // At once: a warehouse that answers slowly would take three times as much of the round.
        let (states, ends, newest) = futures::try_join!(states, ends, newest)?;
        let mut tables: BTreeMap<String, Loads> = BTreeMap::new();
        for row in states {
            let loads = tables.entry(required(&row, "table_name")?.to_owned()).or_default();
            let commits = value::<u64>(&row, "commits")?;
            loads.known = loads.known.max(value(&row, "newest")?);
            match required(&row, "status")? {
                "loaded" => loads.loaded = commits,
                "failed" => {}
                _ => loads.oldest_submitted = optional(&row, "oldest")?,
            }
        }
        for row in ends {
            let loads = tables.entry(required(&row, "table_name")?.to_owned()).or_default();
            if required(&row, "loader")? == REPLAY {
                loads.replayed_at = loads.replayed_at.max(Some(value(&row, "loaded_at")?));
            } else {
                loads.failed.insert(value(&row, "sequence")?);
            }
        }
        for row in newest {
            let loads = tables.entry(required(&row, "table_name")?.to_owned()).or_default();
            loads.newest = Some((value(&row, "sequence")?, value(&row, "rows_loaded")?));
        }
        Ok(tables)
    }

    async fn dbt_runs(&self, since: NaiveDate) -> Result<Vec<EndedRun>> {
        let run = |row: &Row| {
            Ok(EndedRun {
                status: required(row, "status")?.to_owned(),
                full_refresh: text(row, "full_refresh").is_some_and(|is_full| is_full == "true"),
                failed: text(row, "failed_nodes").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
                seconds: optional(row, "seconds")?.unwrap_or_default(),
                credits: optional(row, "credits")?.unwrap_or_default(),
                finished_at: value(row, "finished_at")?,
            })
        };
        self.rows(&sql::dbt_runs(since)).await?.iter().map(run).collect()
    }

    async fn newest_row(&self, table: &TableId) -> Result<Option<DateTime<Utc>>> {
        let rows = self.rows(&sql::newest_row(table)).await?;
        rows.first().map_or(Ok(None), |row| optional(row, "newest"))
    }

    async fn partitions(&self, table: &TableId, since: NaiveDate) -> Result<Vec<PartitionRows>> {
        let rows = |row: &Row| {
            let newest_load = value(row, "newest_load")?;
            Ok(PartitionRows {
                partition: value(row, "topic_partition")?,
                rows: value(row, "row_count")?,
                newest_offset: value(row, "newest_offset")?,
                newest_load,
                newest_record: optional(row, "newest_record")?.unwrap_or(newest_load),
            })
        };
        self.rows(&sql::partitions(table, since)).await?.iter().map(rows).collect()
    }

    async fn measure_costs(&self, from: NaiveDate, until: NaiveDate, prices: &Prices, at: DateTime<Utc>) -> Result<()> {
        self.work(&costs::measure(from, until, prices, at)).await.map(drop)
    }

    async fn keep_costs(&self, used: &[Used], prices: &Prices, at: DateTime<Utc>) -> Result<()> {
        self.each(costs::keep(used, prices, at)).await
    }

    async fn costs(&self, from: NaiveDate) -> Result<Vec<CostDay>> {
        let cost = |row: &Row| {
            Ok(CostDay {
                day: value(row, "day")?,
                source: required(row, "source")?.to_owned(),
                object: required(row, "object")?.to_owned(),
                credits: optional(row, "credits")?,
                dollars: value(row, "dollars")?,
            })
        };
        self.rows(&costs::by_day(from)).await?.iter().map(cost).collect()
    }

    async fn shapes(&self, tables: &[&Table]) -> Result<BTreeMap<String, Shape>> {
        let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
        for table in tables {
            let columns = table.columns.columns().iter();
            let contract = columns.map(|column| (names::fold(&column.name), data_type(column.column_type).to_owned()));
            shapes.insert(table.table.to_string(), Shape { contract: contract.collect(), found: BTreeMap::new() });
        }
        let databases: BTreeSet<&String> = tables.iter().map(|table| &table.table.database).collect();
        for database in databases {
            let own: Vec<&Table> = tables.iter().copied().filter(|table| table.table.database == *database).collect();
            for row in self.rows(&sql::columns(database, &own)).await? {
                let table = format!("{database}.{}.{}", required(&row, "table_schema")?, required(&row, "table_name")?);
                let column = required(&row, "column_name")?;
                let is_own = column.starts_with("_SLUICE_") || column.starts_with("_KAFKA_");
                if let Some(shape) = shapes.get_mut(&table).filter(|_| !is_own) {
                    shape.found.insert(column.to_owned(), required(&row, "data_type")?.to_owned());
                }
            }
        }
        Ok(shapes)
    }

    async fn loaded_days(
        &self,
        tables: &[&Table],
        from: NaiveDate,
    ) -> Result<BTreeMap<String, BTreeMap<NaiveDate, u64>>> {
        let mut days: BTreeMap<String, BTreeMap<NaiveDate, u64>> = BTreeMap::new();
        for row in self.rows(&sql::loaded_days(self.lake_id, tables, from)).await? {
            let of_table = days.entry(required(&row, "table_name")?.to_owned()).or_default();
            of_table.insert(value(&row, "day")?, value(&row, "row_count")?);
        }
        Ok(days)
    }

    async fn history(&self, tables: &[&Table], from: NaiveDate) -> Result<BTreeMap<String, BTreeMap<NaiveDate, Day>>> {
        let mut tables_: BTreeMap<String, BTreeMap<NaiveDate, Day>> = BTreeMap::new();
        for row in self.rows(&sql::history(tables, from)).await? {
            let days = tables_.entry(required(&row, "table_name")?.to_owned()).or_default();
            let day = days.entry(value(&row, "day")?).or_default();
            day.rows = value(&row, "row_count")?;
            match text(&row, "column_name").filter(|name| !name.is_empty()) {
                None => {
                    (day.late, day.delay_seconds) = (optional(&row, "late_rows")?, optional(&row, "delay_seconds")?);
                }
                Some(column) => {
                    let nulls = optional(&row, "null_count")?.unwrap_or_default();
                    let part = |name: &str| optional::<f64>(&row, name);
                    let profile = profile(part("mean")?, part("minimum")?, part("maximum")?);
                    day.columns.insert(column, ColumnDay { nulls, profile });
                }
            }
        }
        Ok(tables_)
    }

    async fn measure(&self, table: &Table, settings: &TableSettings, from: NaiveDate) -> Result<Measured> {
        let mut measured = Measured::default();
        for row in self.work(&sql::measure(table, settings, from)).await? {
            let rows = value(&row, "row_count")?;
            let Some(day) = optional::<NaiveDate>(&row, "day")? else {
                (measured.rows, measured.keys) = (rows, optional(&row, "key_count")?);
                continue;
            };
            let mut known = Day {
                rows,
                late: optional(&row, "late_rows")?,
                delay_seconds: optional(&row, "delay_seconds")?,
                columns: BTreeMap::new(),
            };
            for (at, (name, is_number)) in sql::watched(settings).into_iter().enumerate() {
                let values = value::<u64>(&row, &format!("v{at}"))?;
                let part = |letter: char| match is_number {
                    true => optional::<f64>(&row, &format!("{letter}{at}")),
                    false => Ok(None),
                };
                // Rounded as it is kept, so that what was kept equals what is measured.
                let mean = part('s')?.map(|sum| rounded(sum / values as f64));
                let profile = profile(mean, part('l')?, part('h')?);
                known.columns.insert(name.clone(), ColumnDay { nulls: rows.saturating_sub(values), profile });
            }
            measured.days.insert(day, known);
        }
        Ok(measured)
    }

    async fn keep(&self, table: &TableId, days: &BTreeMap<NaiveDate, Day>) -> Result<()> {
        self.each(sql::keep(table, days)).await
    }

    async fn record(&self, changes: &[IncidentChange]) -> Result<()> {
        self.each(sql::record(&self.run_id.0, changes)).await
    }
}

impl<Sec: Secrets> Watcher<'_, Sec> {
    /// The views that people query, as the statements that make them say: others when a version has others.
    pub fn views(&self) -> String {
        views::ALL.each_ref().map(views::View::create).join(";\n")
    }

    pub async fn make_views(&self) -> Result<()> {
        for view in &views::ALL {
            self.rows(&view.create()).await?;
        }
        Ok(())
    }
}

impl<Sec: Secrets> LoadFacts for Watcher<'_, Sec> {
    async fn load_facts(&self, table: &TableId, limit: usize) -> Result<BTreeMap<u64, LoadFact>> {
        let mut facts = BTreeMap::new();
        for row in self.rows(&observe::recent_loads(self.lake_id, table, limit)).await? {
            let status = required(&row, "status")?;
            let Some(at) = optional(&row, "loaded_at")?.filter(|_| status != "submitted") else { continue };
            let (sequence, rows) = (value(&row, "sequence")?, value(&row, "rows_loaded")?);
            let failure = (status != "loaded").then(|| text(&row, "reason").unwrap_or_else(|| status.to_owned()));
            facts.insert(sequence, LoadFact { sequence, rows, failure, at });
        }
        Ok(facts)
    }
}

fn profile(mean: Option<f64>, minimum: Option<f64>, maximum: Option<f64>) -> Option<Profile> {
    Some(Profile { mean: mean?, minimum: minimum?, maximum: maximum? })
}

fn rounded(number: f64) -> f64 {
    format!("{number:.10}").parse().unwrap_or(number)
}

/// What INFORMATION_SCHEMA calls a column of this type.
fn data_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Bigint | ColumnType::Decimal(..) => "NUMBER",
        ColumnType::Text => "TEXT",
        ColumnType::Timestamp => "TIMESTAMP_NTZ",
        ColumnType::Date => "DATE",
        ColumnType::Boolean => "BOOLEAN",
    }
}
