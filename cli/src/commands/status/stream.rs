//! How a streaming table stands: partition by partition, and how long its newest rows took.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::{Table, port::required};
use sluice_pipeline::stream::Channel;
use sluice_snowflake::{Streaming, sql::observe};

use crate::{
    commands::{Context, ledger},
    failure::Outcome,
    platform::Warehouse,
};

/// A streaming table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamStatus {
    pub partitions: Vec<Partition>,
    /// From the record's time to its append, over the newest rows; `None` without rows.
    pub latency_ms: Option<Latency>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    pub topic: String,
    pub partition: u64,
    pub rows: u64,
    /// The highest offset among the table's rows.
    pub highest_offset: u64,
    /// The offset that the channel holds as committed: it passes dead letters too, which have no row.
    pub committed_offset: Option<i64>,
    /// Rows that the warehouse has refused in the channel's life.
    pub refused: Option<u64>,
    pub newest_event: Option<DateTime<Utc>>,
    pub newest_row: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
}

pub async fn status(context: &Context<'_>, warehouse: &Warehouse, table: &Table) -> Outcome<StreamStatus> {
    let mut partitions = Vec::new();
    for row in warehouse.ask("status", &observe::partitions(&table.table)).await? {
        partitions.push(Partition {
            topic: required(&row, "topic")?.to_owned(),
            partition: ledger::number(&row, "number")?,
            rows: ledger::number(&row, "row_count")?,
            highest_offset: ledger::number(&row, "highest")?,
            committed_offset: None,
            refused: None,
            newest_event: ledger::time(&row, "newest_event")?,
            newest_row: ledger::time(&row, "newest_row")?,
        });
    }
    channels(context, warehouse, table, &mut partitions).await?;
    let row = warehouse.ask("status", &observe::latency(&table.table)).await?.into_iter().next().unwrap_or_default();
    let percentile = |name: &str| ledger::optional_number(&row, name);
    let latency_ms = match (percentile("p50")?, percentile("p95")?, percentile("p99")?) {
        (Some(p50), Some(p95), Some(p99)) => Some(Latency { p50, p95, p99 }),
        _ => None,
    };
    Ok(StreamStatus { partitions, latency_ms })
}

/// Adds what the channels say. Their names follow from the settings of the function that writes to them; Snowflake lists
/// a channel only as it spells it, which may be in upper case.
async fn channels(
    context: &Context<'_>,
    warehouse: &Warehouse,
    table: &Table,
    partitions: &mut [Partition],
) -> Outcome {
    let settings = context.platform.environment("StreamKafka").await?;
    let Some(cluster) = settings.get("SLUICE_CLUSTER_ID") else { return Ok(()) };
    let name = |partition: &Partition| {
        let number = i32::try_from(partition.partition).unwrap_or_default();
        Channel::new(&warehouse.lake_id, cluster, &partition.topic, number, table.table.clone()).name
    };
    let plain: Vec<String> = partitions.iter().map(&name).collect();
    let upper: Vec<String> = plain.iter().map(|name| name.to_uppercase()).collect();
    let names: Vec<&str> = plain.iter().chain(&upper).map(String::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    let statuses = Streaming::new(Arc::clone(&warehouse.account)).status(&table.table, &names).await?;
    for ((partition, plain), upper) in partitions.iter_mut().zip(&plain).zip(&upper) {
        if let Some(status) = statuses.get(plain).or_else(|| statuses.get(upper)) {
            partition.committed_offset = status.committed_offset()?;
            partition.refused = Some(status.rows_refused);
        }
    }
    Ok(())
}
