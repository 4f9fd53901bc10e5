//! How a streaming table stands: partition by partition, how far behind it is, how fast it grows, how long its rows take.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::{Table, sources::Source};
use sluice_pipeline::{
    observe::{Latency, PartitionRows, RECENT_SECONDS},
    stream::{Channel, ChannelStatus},
};

use crate::{
    commands::Context,
    failure::{Failure, Outcome},
    lag::{self, Polled},
    platform::STREAMER,
    warehouse::{Observe, Warehouse},
};

const HOUR_SECONDS: u64 = 3_600;

/// A streaming table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StreamStatus {
    pub partitions: Vec<Partition>,
    /// Records of the topic that are neither durable in the table nor dead letters: of all partitions, or as the event
    /// source mapping of all topics reports it. `None` when neither can be told.
    pub lag: Option<u64>,
    /// Who was asked about the lag or the channels and gave no answer: the rest of the status stands without it.
    pub lag_problem: Option<String>,
    pub throughput: Throughput,
    /// From the record's time to its append, over the rows of the last hour; `None` without rows.
    pub latency_ms: Option<Latency>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Partition {
    pub topic: String,
    pub partition: u64,
    pub rows: u64,
    /// The highest offset among the table's rows.
    pub highest_offset: u64,
    /// The offset that the channel holds as committed. It moves only with rows: dead letters that rows follow are below
    /// it, those after the newest row above it.
    pub committed_offset: Option<i64>,
    /// Records that are neither durable nor dead letters; `None` where the broker is out of reach or gave no answer.
    pub lag: Option<u64>,
    /// Rows that the warehouse has refused in the channel's life.
    pub refused: Option<u64>,
    pub newest_event: Option<DateTime<Utc>>,
    pub newest_row: Option<DateTime<Utc>>,
}

/// Rows a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Throughput {
    pub last_five_minutes: f64,
    pub last_hour: f64,
}

impl From<PartitionRows> for Partition {
    fn from(found: PartitionRows) -> Self {
        let PartitionRows { topic, partition, rows, highest_offset, newest_event, newest_row } = found;
        let (committed_offset, lag, refused) = (None, None, None);
        Partition { topic, partition, rows, highest_offset, committed_offset, lag, refused, newest_event, newest_row }
    }
}

pub(super) async fn status(context: &Context<'_>, warehouse: &Warehouse, table: &Table) -> Outcome<StreamStatus> {
    let found = warehouse.partitions(&table.table).await?;
    let mut partitions: Vec<Partition> = found.into_iter().map(Partition::from).collect();
    let (lag, lag_problem) = match &table.source {
        Source::Kafka { topic, .. } => follow(context, warehouse, table, topic, &mut partitions).await?,
        _ => (None, None),
    };
    let pace = warehouse.pace(&table.table).await?;
    let rate = |rows: u64, seconds: u64| rows as f64 / seconds as f64;
    let throughput = Throughput {
        last_five_minutes: rate(pace.recent_rows, RECENT_SECONDS),
        last_hour: rate(pace.hour_rows, HOUR_SECONDS),
    };
    Ok(StreamStatus { partitions, lag, lag_problem, throughput, latency_ms: pace.latency_ms })
}

/// By partition.
type Offsets = BTreeMap<i32, i64>;

/// What broker, poller and channels say about a topic. Each may be away while the others answer.
struct Asked {
    /// `None` where this machine cannot reach the broker.
    ends: Outcome<Option<Offsets>>,
    positions: Outcome<Offsets>,
    channels: Outcome<BTreeMap<i32, sluice_core::Result<ChannelStatus>>>,
}

/// Adds what the channels say, and how far each is behind. Gives how far they are behind together, and what could not
/// be asked.
async fn follow(
    context: &Context<'_>,
    warehouse: &Warehouse,
    table: &Table,
    topic: &str,
    partitions: &mut [Partition],
) -> Outcome<(Option<u64>, Option<String>)> {
    let settings = context.platform.environment(STREAMER).await?;
    let Some(cluster_id) = settings.get("SLUICE_CLUSTER_ID") else { return Ok((None, None)) };
    let ends = lag::ends(&context.platform, topic).await;
    let out_of_reach = matches!(ends, Ok(None));
    let mut numbers: Vec<i32> = partitions.iter().map(number).collect();
    numbers.extend(ends.iter().flatten().flat_map(|ends| ends.keys()));
    numbers.sort_unstable();
    numbers.dedup();
    let channel = |partition| Channel::new(&warehouse.lake_id, cluster_id, topic, partition, table.table.clone());
    let named: Vec<Channel> = numbers.iter().copied().map(channel).collect();
    let channels = warehouse.channels(&named).await.map_err(Failure::from).map(|mut found| {
        let placed = numbers.iter().zip(&named);
        placed.filter_map(|(partition, channel)| Some((*partition, found.remove(&channel.name)?))).collect()
    });
    // Asked again after the channels: records that came meanwhile are no sign that others are lost.
    let ends = if ends.is_ok() && !out_of_reach { lag::ends(&context.platform, topic).await } else { ends };
    let polled = lag::polled(&context.platform, topic).await;
    let stalled = polled.as_ref().ok().and_then(Polled::problem);
    let positions = polled.map(|polled| polled.positions);
    let (lag, problem) = match place(partitions, Asked { ends, positions, channels }) {
        Ok(lag) => (lag, stalled),
        Err(problem) => (None, Some(problem)),
    };
    if !out_of_reach {
        return Ok((lag, problem));
    }
    Ok(match lag::reported(&context.platform, context.platform.stack.resource(STREAMER)?).await {
        Ok(reported) => (reported, problem),
        Err(error) => (None, Some(problem.into_iter().chain([error.chain()]).collect::<Vec<_>>().join("; "))),
    })
}

/// Puts the answers to their partitions. The lag needs all of them; without one the others are shown.
fn place(partitions: &mut [Partition], Asked { ends, positions, channels }: Asked) -> Result<Option<u64>, String> {
    let mut problems: Vec<String> = Vec::new();
    let mut missing = |failure: Failure| problems.push(failure.message());
    let ends = ends.unwrap_or_else(|failure| {
        missing(failure);
        None
    });
    let positions = positions.unwrap_or_else(|failure| {
        missing(failure);
        Offsets::new()
    });
    let channels = channels.unwrap_or_else(|failure| {
        missing(failure);
        BTreeMap::new()
    });
    let (mut committed, mut refused) = (Offsets::new(), BTreeMap::new());
    for (partition, channel) in channels {
        match channel {
            Ok(status) => {
                refused.insert(partition, status.errors);
                committed.extend(status.committed.map(|offset| (partition, offset)));
            }
            Err(error) => missing(error.into()),
        }
    }
    for (partition, end) in ends.iter().flatten() {
        if let Some(committed) = committed.get(partition).filter(|committed| *committed >= end) {
            problems.push(format!(
                "partition {partition} ends at offset {end}, the channel has {committed}: the topic was made again, or its \
                 broker has lost records, and new ones below that offset are skipped; give the topic another cluster id"
            ));
        }
    }
    let lags: Option<BTreeMap<i32, u64>> = ends.filter(|_| problems.is_empty()).map(|ends| {
        let of = |(partition, end): (i32, i64)| {
            let at = |offsets: &Offsets| offsets.get(&partition).copied();
            (partition, lag::behind(end, at(&committed), at(&positions)))
        };
        ends.into_iter().map(of).collect()
    });
    for partition in partitions.iter_mut() {
        let number = number(partition);
        partition.committed_offset = committed.get(&number).copied();
        partition.refused = refused.get(&number).copied();
        partition.lag = lags.as_ref().and_then(|lags| lags.get(&number).copied());
    }
    if problems.is_empty() { Ok(lags.map(|lags| lags.values().sum())) } else { Err(problems.join("; ")) }
}

/// As Kafka counts; what is no partition of Kafka's has no channel.
fn number(partition: &Partition) -> i32 {
    i32::try_from(partition.partition).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use sluice_core::Error;

    use super::*;

    fn partitions() -> Vec<Partition> {
        let partition = |number| Partition {
            topic: "purchases".into(),
            partition: number,
            rows: 5,
            highest_offset: 6,
            committed_offset: None,
            lag: None,
            refused: None,
            newest_event: None,
            newest_row: None,
        };
        vec![partition(0), partition(1)]
    }

    fn channel(committed: i64) -> sluice_core::Result<ChannelStatus> {
        Ok(ChannelStatus { committed: Some(committed), errors: 2, last_error: None })
    }

    fn asked() -> Asked {
        Asked {
            ends: Ok(Some([(0, 10), (1, 20), (2, 3)].into())),
            positions: Ok([(0, 10), (1, 15), (2, 0)].into()),
            channels: Ok([(0, channel(6)), (1, channel(16))].into()),
        }
    }

    fn seen(partitions: &[Partition]) -> Vec<(Option<i64>, Option<u64>, Option<u64>)> {
        partitions.iter().map(|p| (p.committed_offset, p.refused, p.lag)).collect()
    }

    #[test]
    fn dead_letters_are_no_lag_and_a_partition_without_rows_counts() {
        let mut partitions = partitions();
        assert_eq!(place(&mut partitions, asked()), Ok(Some(3 + 3)));
        assert_eq!(seen(&partitions), [(Some(6), Some(2), Some(0)), (Some(16), Some(2), Some(3))]);
        let out_of_reach = Asked { ends: Ok(None), positions: Ok(BTreeMap::new()), ..asked() };
        assert_eq!(place(&mut partitions, out_of_reach), Ok(None));
        assert_eq!(seen(&partitions)[0], (Some(6), Some(2), None));
    }

    #[test]
    fn a_topic_that_ends_before_its_channels_offset_is_told() {
        for (end, is_lost) in [(17, false), (16, true), (0, true)] {
            let mut partitions = partitions();
            let ends = Ok(Some([(0, 10), (1, end), (2, 3)].into()));
            match place(&mut partitions, Asked { ends, ..asked() }) {
                Ok(_) => assert!(!is_lost, "{end}"),
                Err(problem) => {
                    assert!(is_lost, "{problem}");
                    let said = format!("partition 1 ends at offset {end}, the channel has 16");
                    assert!(problem.contains(&said) && problem.contains("another cluster id"), "{problem}");
                }
            }
            assert_eq!(partitions[1].committed_offset, Some(16));
        }
    }

    #[test]
    fn what_gives_no_answer_is_told_and_the_rest_stands() {
        let away = || Failure::from(Error::unavailable("cannot connect").because("nobody listens"));
        let no_broker = Asked { ends: Err(away()), ..asked() };
        let no_poller = Asked { positions: Err(away()), ..asked() };
        for asked in [no_broker, no_poller] {
            let mut partitions = partitions();
            assert_eq!(place(&mut partitions, asked), Err("cannot connect: nobody listens".to_owned()));
            assert_eq!(seen(&partitions), [(Some(6), Some(2), None), (Some(16), Some(2), None)]);
        }
        let no_topic = Failure::from(Error::not_found("no such topic in Kafka; create it first"));
        let nobody = Asked { ends: Err(no_topic), channels: Err(away()), ..asked() };
        let problem = place(&mut partitions(), nobody).expect_err("two problems");
        assert_eq!(problem, "no such topic in Kafka; create it first; cannot connect: nobody listens");
        let foreign = Error::invalid_data("another program writes to it");
        let foreign = Asked { channels: Ok([(0, Err(foreign)), (1, channel(16))].into()), ..asked() };
        let mut partitions = partitions();
        assert!(place(&mut partitions, foreign).expect_err("no offset").contains("another program writes to it"));
        assert_eq!(seen(&partitions), [(None, None, None), (Some(16), Some(2), None)]);
    }
}
