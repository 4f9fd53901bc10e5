//! How a streaming table stands: partition by partition, how far behind it is, how fast it grows, how long its rows take.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::{Result, Table, port::required, sources::Source};
use sluice_snowflake::sql::observe::{self, RECENT_SECONDS};

use crate::{
    channels::{Channels, STREAMER},
    commands::{Context, ledger},
    failure::Outcome,
    lag,
    platform::Warehouse,
};

const HOUR_SECONDS: u64 = 3_600;

/// A streaming table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamStatus {
    pub partitions: Vec<Partition>,
    /// Records of the topic that are not durable in the table yet: of all partitions, or as the event source mapping of
    /// all topics reports it. `None` when neither can be told.
    pub lag: Option<u64>,
    /// Why the lag cannot be told, where somebody was asked and gave no answer: the rest of the status stands without it.
    pub lag_problem: Option<String>,
    pub throughput: Throughput,
    /// From the record's time to its append, over the rows of the last hour; `None` without rows.
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
    /// Records above the committed offset; `None` where the broker is out of reach.
    pub lag: Option<u64>,
    /// Rows that the warehouse has refused in the channel's life.
    pub refused: Option<u64>,
    pub newest_event: Option<DateTime<Utc>>,
    pub newest_row: Option<DateTime<Utc>>,
}

/// Rows a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Throughput {
    pub last_five_minutes: f64,
    pub last_hour: f64,
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
            lag: None,
            refused: None,
            newest_event: ledger::time(&row, "newest_event")?,
            newest_row: ledger::time(&row, "newest_row")?,
        });
    }
    let (lag, lag_problem) = match &table.source {
        Source::Kafka { topic, .. } => match follow(context, warehouse, table, topic, &mut partitions).await? {
            Ok(lag) => (lag, None),
            Err(error) => (None, Some(error.to_string())),
        },
        _ => (None, None),
    };
    let row = warehouse.ask("status", &observe::pace(&table.table)).await?.into_iter().next().unwrap_or_default();
    let rate =
        |column: &str, seconds: u64| Ok::<_, sluice_core::Error>(ledger::number(&row, column)? as f64 / seconds as f64);
    let throughput = Throughput {
        last_five_minutes: rate("recent_rows", RECENT_SECONDS)?,
        last_hour: rate("hour_rows", HOUR_SECONDS)?,
    };
    let percentile = |name: &str| ledger::optional_number(&row, name);
    let latency_ms = match (percentile("p50")?, percentile("p95")?, percentile("p99")?) {
        (Some(p50), Some(p95), Some(p99)) => Some(Latency { p50, p95, p99 }),
        _ => None,
    };
    Ok(StreamStatus { partitions, lag, lag_problem, throughput, latency_ms })
}

/// Adds what the channels say, and how far each is behind. Gives how far they are behind together, or why the metric
/// that would tell it cannot be read.
async fn follow(
    context: &Context<'_>,
    warehouse: &Warehouse,
    table: &Table,
    topic: &str,
    partitions: &mut [Partition],
) -> Outcome<Result<Option<u64>>> {
    let settings = context.platform.environment(STREAMER).await?;
    let Some(cluster_id) = settings.get("SLUICE_CLUSTER_ID") else { return Ok(Ok(None)) };
    let ends = lag::ends(&context.platform, topic).await?;
    let number = |partition: u64| i32::try_from(partition).unwrap_or(-1);
    let mut numbers: Vec<i32> = partitions.iter().map(|partition| number(partition.partition)).collect();
    numbers.extend(ends.iter().flat_map(|ends| ends.keys()));
    numbers.sort_unstable();
    numbers.dedup();
    let channels = Channels { warehouse, cluster_id, topic, table: &table.table };
    let statuses = channels.statuses(&numbers).await?;
    let behind = |partition: i32| {
        let committed = statuses.get(&partition).map(|status| status.committed_offset()).transpose()?.flatten();
        let end = ends.as_ref().and_then(|ends| ends.get(&partition).copied());
        // Nothing has been committed of a partition that nobody has written to, or whose first records are under way.
        Ok::<_, sluice_core::Error>(lag::behind(end, committed.or(end.map(|_| -1))))
    };
    for partition in partitions.iter_mut() {
        let number = number(partition.partition);
        partition.lag = behind(number)?;
        if let Some(status) = statuses.get(&number) {
            partition.committed_offset = status.committed_offset()?;
            partition.refused = Some(status.rows_refused);
        }
    }
    match &ends {
        None => Ok(lag::reported(&context.platform, context.platform.stack.resource(STREAMER)?).await),
        Some(ends) => {
            let lags = ends.keys().map(|partition| behind(*partition)).collect::<Result<Vec<_>>>()?;
            Ok(Ok(Some(lags.into_iter().flatten().sum())))
        }
    }
}
