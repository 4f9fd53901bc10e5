//! What a Kafka event source mapping does on AWS, on one machine: polls a topic and invokes a function with batches.
//!
//! Kept from the real one: MSK-shaped events of several partitions, the limits on records and payload, order within a
//! partition, positions that move only after the function has answered, partial batch responses, retries for ever or as often
//! as configured, halved batches, where a new consumer begins. A partition that fails is held back by itself: the others go on.
//! Records are read from the broker's bytes, so that headers and times arrive however odd they are; what cannot be read is left
//! out with a word, and what keeps a partition from going on is in its status.
//! Left out: consumer groups. One process polls all partitions and keeps the positions in a file.

mod batch;
mod event;
mod failures;
mod fetch;
mod function;
mod partition;
mod poller;
mod positions;
mod stalls;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use futures::future;
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder,
        partition::{OffsetAt, UnknownTopicHandling},
    },
};
use tokio::sync::watch;

pub use crate::function_url::Lambda;
pub use failures::FailurePolicy;
pub use poller::{PartitionStatus, Poller};

/// What to poll, whom to invoke, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port` of a broker, or several joined by commas.
    pub bootstrap: String,
    pub topic: String,
    pub function_name: String,
    /// Region, credentials and the endpoint of the Lambda API.
    pub lambda: Lambda,
    /// The most records in one event; Lambda allows 10,000.
    pub batch_size: usize,
    /// How long a batch that is not full waits for more.
    pub window: Duration,
    /// Where a partition begins that the file says nothing about.
    pub starting_position: StartingPosition,
    pub failures: FailurePolicy,
    /// The file with the position of each partition.
    pub state_path: PathBuf,
}

/// Where a new consumer begins, in the mapping's own words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StartingPosition {
    /// With the first record that the topic still has.
    #[default]
    TrimHorizon,
    /// With the first record that is produced from now on.
    Latest,
    /// With the first record that is not older.
    AtTimestamp(DateTime<Utc>),
}

/// A partition that ends before what was read from it: the broker has lost records that it had acknowledged, and gives
/// their offsets to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    pub partition: i32,
    /// The first offset that was not read yet.
    pub read: i64,
    /// The offset that the next record will get.
    pub end: i64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { partition, read, end } = self;
        write!(f, "partition {partition} ends at offset {end} and was read up to {}: ", read - 1)?;
        write!(f, "the broker has lost {} records that it had acknowledged", read - end)
    }
}

impl std::error::Error for Lost {}

/// Where each partition of a topic ends; empty when there is no such topic.
pub async fn ends(bootstrap: &str, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
    let client = client(bootstrap).await?;
    let topics = client.list_topics().await.context("cannot list the topics")?;
    let partitions =
        topics.into_iter().find(|known| known.name == topic).map_or_else(Default::default, |t| t.partitions);
    let end = |partition: i32| {
        let client = client.partition_client(topic, partition, UnknownTopicHandling::Retry);
        async move {
            let client = client.await.with_context(|| format!("cannot reach partition {partition}"))?;
            let end = client.get_offset(OffsetAt::Latest).await.context("cannot ask for the topic's end")?;
            anyhow::Ok((partition, end))
        }
    };
    Ok(future::try_join_all(partitions.into_iter().map(end)).await?.into_iter().collect())
}

/// The positions that a poller with this file would begin with.
pub async fn saved_positions(state_path: &Path, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
    Ok(positions::Positions::load(state_path, topic).await?.all())
}

/// Gives a poller that does not run other positions to begin with.
pub async fn save_positions(state_path: &Path, topic: &str, to: BTreeMap<i32, i64>) -> anyhow::Result<()> {
    positions::Positions::load(state_path, topic).await?.advance(to).await
}

/// Polls until `shutdown` turns true; a batch under way is finished or given up, never half counted.
pub async fn run(config: Config, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    Poller::connect(config).await?.run(shutdown).await
}

async fn client(bootstrap: &str) -> anyhow::Result<Client> {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(2),
        deadline: Some(Duration::from_secs(20)),
        ..BackoffConfig::default()
    };
    let brokers = bootstrap.split(',').map(|broker| broker.trim().to_owned()).collect();
    let client = ClientBuilder::new(brokers).client_id("sluice-poller").backoff_config(backoff).build().await;
    client.with_context(|| format!("cannot connect to Kafka at {bootstrap}"))
}
