//! What a Kafka event source mapping does on AWS, on one machine: polls a topic and invokes a function with batches.
//!
//! Kept from the real one: MSK-shaped events of several partitions, the limits on records and payload, order within a
//! partition, positions that move only after the function has answered, partial batch responses, retries for ever or as often
//! as configured, halved batches, where a new consumer begins. A partition that fails is held back by itself: the others go on.
//! Left out: consumer groups. One process polls all partitions and keeps the positions in a file.

mod event;
mod failures;
mod fetch;
mod function;
mod partition;
mod poller;
mod positions;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use chrono::{DateTime, Utc};
use rskafka::{
    BackoffConfig,
    client::{Client, ClientBuilder, error::Error as ClientError, error::ProtocolError},
};
use tokio::sync::watch;

pub use aws_config::SdkConfig;
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
    pub aws: SdkConfig,
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

/// Polls until `shutdown` turns true; a batch under way is finished or given up, never half counted.
pub async fn run(config: Config, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    Poller::connect(config).await?.run(shutdown).await
}

/// Makes the topic; a topic that is there already is left as it is.
pub async fn create_topic(bootstrap: &str, topic: &str, partitions: i32) -> anyhow::Result<()> {
    const TIMEOUT_MS: i32 = 10_000;

    let created = client(bootstrap).await?.controller_client()?.create_topic(topic, partitions, 1, TIMEOUT_MS).await;
    match created {
        Err(ClientError::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. }) => Ok(()),
        other => other.with_context(|| format!("cannot create topic {topic}")),
    }
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
