//! The ledger's rows as values.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::{
    Error, Result, Sequence, TableId,
    port::{Row, required},
};
use sluice_snowflake::sql::{ledger, observe};

use crate::{failure::Outcome, platform::Warehouse};

/// What the ledger says of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loads {
    /// The highest loaded sequence.
    pub newest: Option<u64>,
    pub loaded: u64,
    pub failed: u64,
}

/// A commit that failed to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadFailure {
    pub sequence: u64,
    pub reason: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

/// A ledger entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub status: String,
    pub rows: u64,
    pub reason: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

impl Entry {
    /// Whether nothing more is done for the commit.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "loaded" | "failed")
    }
}

/// A run of dbt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DbtRun {
    pub number: u64,
    pub status: String,
    pub selectors: String,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// The newest run of dbt that has ended.
pub async fn last_dbt_run(warehouse: &Warehouse) -> Outcome<Option<DbtRun>> {
    let rows = warehouse.ask("status", &observe::dbt_runs(1)).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(DbtRun {
        number: number(row, "number")?,
        status: text(row, "status").unwrap_or_default(),
        selectors: text(row, "selectors").unwrap_or_default(),
        started_at: time(row, "started_at")?,
        finished_at: time(row, "finished_at")?,
    }))
}

pub async fn loads(warehouse: &Warehouse) -> Outcome<BTreeMap<String, Loads>> {
    let mut tables: BTreeMap<String, Loads> = BTreeMap::new();
    for row in warehouse.ask("status", &observe::load_states(&warehouse.lake_id)).await? {
        let loads = tables.entry(required(&row, "table_name")?.to_owned()).or_default();
        let commits = number(&row, "commits")?;
        match required(&row, "status")? {
            "loaded" => {
                loads.loaded += commits;
                loads.newest = loads.newest.max(Some(number(&row, "newest")?));
            }
            "failed" => loads.failed += commits,
            _ => {}
        }
    }
    Ok(tables)
}

pub async fn failures(warehouse: &Warehouse) -> Outcome<BTreeMap<String, LoadFailure>> {
    let rows = warehouse.ask("status", &observe::failures(&warehouse.lake_id)).await?;
    let failure = |row: &Row| -> Result<(String, LoadFailure)> {
        let failure = LoadFailure {
            sequence: number(row, "sequence")?,
            reason: text(row, "reason"),
            at: time(row, "loaded_at")?,
        };
        Ok((required(row, "table_name")?.to_owned(), failure))
    };
    Ok(rows.iter().map(failure).collect::<Result<_>>()?)
}

/// The newest entries, by table and sequence.
pub async fn recent(
    warehouse: &Warehouse,
    table: Option<&TableId>,
    limit: usize,
) -> Outcome<BTreeMap<(String, u64), Entry>> {
    let rows = warehouse.ask("runs", &observe::recent_loads(&warehouse.lake_id, table, limit)).await?;
    let keyed = |row: &Row| -> Result<_> {
        Ok(((required(row, "table_name")?.to_owned(), number(row, "sequence")?), entry_of(row)?))
    };
    Ok(rows.iter().map(keyed).collect::<Result<_>>()?)
}

pub async fn entry(warehouse: &Warehouse, table: &TableId, sequence: Sequence) -> Outcome<Option<Entry>> {
    let rows = warehouse.ask("run", &ledger::entry(&warehouse.lake_id, table, sequence)).await?;
    Ok(rows.first().map(entry_of).transpose()?)
}

fn entry_of(row: &Row) -> Result<Entry> {
    Ok(Entry {
        status: required(row, "status")?.to_owned(),
        rows: number(row, "rows_loaded")?,
        reason: text(row, "reason"),
        at: time(row, "loaded_at")?,
    })
}

pub fn text(row: &Row, column: &str) -> Option<String> {
    row.get(column).cloned().flatten()
}

/// A count that must be there.
pub fn number(row: &Row, column: &str) -> Result<u64> {
    optional_number(row, column)?
        .ok_or_else(|| Error::internal("the warehouse's answer lacks a number").with("column", column))
}

pub fn optional_number(row: &Row, column: &str) -> Result<Option<u64>> {
    text(row, column).map(|text| text.parse()).transpose().map_err(|error: std::num::ParseIntError| {
        Error::invalid_data("the warehouse's answer holds no number where one belongs")
            .with("column", column)
            .because(error)
    })
}

pub fn time(row: &Row, column: &str) -> Result<Option<DateTime<Utc>>> {
    text(row, column).map(|text| text.parse()).transpose().map_err(|error: chrono::ParseError| {
        Error::invalid_data("the warehouse's answer holds no time where one belongs")
            .with("column", column)
            .because(error)
    })
}
