//! A producer in pure Rust: keys decide partitions as in Kafka's Java client, requests stay under the broker's limit.
//!
//! Delivery is at least once. The client resends a request whose answer was lost, and Kafka then holds the records
//! twice: a consumer that cares dedupes by the event's own id.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future;
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder,
        error::Error as ClientError,
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use sluice_core::{Error, Kind, Result};
use tokio::sync::Mutex;

use crate::{
    admin::connection::Connection,
    config::{Credentials, KafkaConfig},
    error::classify,
    partitioner::partition_for_key,
    security,
};

/// Brokers refuse a batch above 1 MiB unless told otherwise.
const REQUEST_BYTES: usize = 900_000;
/// How long connections and requests are tried when nobody says otherwise.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// A topic's partitions are looked up again after this: it may have been given more of them, and Kafka's other clients then
/// spread its keys over all.
const PARTITIONS_KEPT: Duration = Duration::from_secs(300);
/// What the wire format adds to a record, generously.
const RECORD_OVERHEAD: usize = 64;

/// A record on its way to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Records with one key stay in order in one partition.
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: BTreeMap<String, Bytes>,
    pub timestamp: DateTime<Utc>,
}

/// Where a message lies in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub partition: i32,
    pub offset: i64,
}

/// Produces to any topic of one cluster. Connections are made on first use and kept.
pub struct Producer {
    config: KafkaConfig,
    client: Client,
    topics: Mutex<Topics>,
    calls: AtomicU32,
}

pub(crate) type Partitions = Arc<Vec<PartitionClient>>;

/// Topics, and when each was looked up.
#[derive(Default)]
struct Topics(HashMap<String, (Partitions, Instant)>);

impl Topics {
    fn fresh(&self, topic: &str, now: Instant) -> Option<Partitions> {
        let (partitions, at) = self.0.get(topic)?;
        (now.duration_since(*at) < PARTITIONS_KEPT).then(|| Arc::clone(partitions))
    }

    /// However long ago they were looked up.
    fn any(&self, topic: &str) -> Option<Partitions> {
        self.0.get(topic).map(|(partitions, _)| Arc::clone(partitions))
    }

    fn keep(&mut self, topic: &str, partitions: &Partitions, now: Instant) {
        self.0.insert(topic.to_owned(), (Arc::clone(partitions), now));
    }
}

impl Producer {
    /// To a cluster in plain text. `bootstrap` is `host:port`, or several joined by commas.
    pub async fn connect(bootstrap: &str) -> Result<Self> {
        let config = KafkaConfig { bootstrap: bootstrap.to_owned(), ..KafkaConfig::default() };
        Self::connect_with(&config, &Credentials::default(), READ_TIMEOUT).await
    }

    /// Fails if none of the brokers answers in time. `timeout` is also how long a request is tried again before it
    /// fails.
    pub async fn connect_with(config: &KafkaConfig, credentials: &Credentials, timeout: Duration) -> Result<Self> {
        if config.protocol.is_authenticated() {
            // The client keeps a broker's reason to itself and tries a refused user again, longer than the caller may wait. A login
            // of our own has both at once.
            match tokio::time::timeout(timeout, Connection::to_any(config, credentials)).await {
                Ok(Err(error)) if matches!(error.kind(), Kind::Auth | Kind::Config) => return Err(error),
                _ => {}
            }
        }
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(2),
            deadline: Some(timeout),
            ..BackoffConfig::default()
        };
        let client = builder(config, credentials)?
            .backoff_config(backoff)
            .build()
            .await
            .map_err(|error| classify("cannot connect to Kafka", error).with("bootstrap", &config.bootstrap))?;
        Ok(Producer { config: config.clone(), client, topics: Mutex::default(), calls: AtomicU32::new(0) })
    }

    /// Produces the messages, each to the partition of its key; those without a key go together to one partition,
    /// another one with each call. Returns where each lies, in the order of `messages`. On an error any of them may
    /// have arrived.
    pub async fn produce(&self, topic: &str, messages: Vec<Message>) -> Result<Vec<Placed>> {
        let partitions = self.partitions(topic).await?;
        let count = partitions.len() as u32;
        let keyless = self.calls.fetch_add(1, Ordering::Relaxed) % count;
        let mut placed = vec![Placed { partition: 0, offset: 0 }; messages.len()];
        let mut groups: Vec<(Vec<usize>, Vec<Message>)> = partitions.iter().map(|_| Default::default()).collect();
        for (i, message) in messages.into_iter().enumerate() {
            let partition = message.key.as_deref().map_or(keyless, |key| partition_for_key(key, count));
            if let Some((places, group)) = groups.get_mut(partition as usize) {
                places.push(i);
                group.push(message);
            }
        }
        let sends = partitions.iter().zip(groups).filter(|(_, (places, _))| !places.is_empty());
        let sends =
            sends.map(|(client, (places, group))| async move { Ok((client, places, self.send(client, group).await?)) });
        for (client, places, offsets) in future::try_join_all(sends).await? {
            for (place, offset) in places.into_iter().zip(offsets) {
                placed[place] = Placed { partition: client.partition(), offset };
            }
        }
        Ok(placed)
    }

    /// Produces to one partition, whatever the keys say. Returns the offsets in order.
    pub async fn produce_to(&self, topic: &str, partition: i32, messages: Vec<Message>) -> Result<Vec<i64>> {
        let partitions = self.partitions(topic).await?;
        let client = partitions.iter().find(|client| client.partition() == partition).ok_or_else(|| {
            Error::not_found("the topic has no such partition").with("topic", topic).with("partition", partition)
        })?;
        self.send(client, messages).await
    }

    pub(crate) async fn partitions(&self, topic: &str) -> Result<Partitions> {
        let mut topics = self.topics.lock().await;
        let now = Instant::now();
        if let Some(partitions) = topics.fresh(topic, now) {
            return Ok(partitions);
        }
        let listed = self.client.list_topics().await.map_err(|error| self.failed("cannot list the topics", error))?;
        let listed = listed.into_iter().find(|listed| listed.name == topic && !listed.partitions.is_empty());
        let missing = || {
            let error = Error::not_found("no such topic in Kafka; create it first").with("topic", topic);
            security::hinted(error, &self.config, security::PRODUCE)
        };
        let numbers = listed.ok_or_else(missing)?.partitions;
        // Each client is a connection: where nothing has changed they stay.
        let unchanged = |held: &Partitions| held.iter().map(PartitionClient::partition).eq(numbers.iter().copied());
        let partitions = match topics.any(topic).filter(unchanged) {
            Some(partitions) => partitions,
            None => self.connect_to(topic, &numbers).await?,
        };
        topics.keep(topic, &partitions, now);
        Ok(partitions)
    }

    async fn connect_to(&self, topic: &str, partitions: &BTreeSet<i32>) -> Result<Partitions> {
        let connect = |partition: i32| async move {
            let client = self.client.partition_client(topic, partition, UnknownTopicHandling::Retry).await;
            client.map_err(|error| self.failed("cannot reach a partition's leader", error).with("topic", topic))
        };
        Ok(Arc::new(future::try_join_all(partitions.iter().copied().map(connect)).await?))
    }

    async fn send(&self, client: &PartitionClient, messages: Vec<Message>) -> Result<Vec<i64>> {
        let mut offsets = Vec::with_capacity(messages.len());
        for request in requests(messages) {
            let sent = client.produce(request, Compression::Zstd).await.map_err(|error| {
                self.failed("cannot produce to Kafka", error)
                    .with("topic", client.topic())
                    .with("partition", client.partition())
            })?;
            offsets.extend(sent);
        }
        Ok(offsets)
    }

    pub(crate) fn failed(&self, attempt: &str, error: ClientError) -> Error {
        security::hinted(classify(attempt, error), &self.config, security::PRODUCE)
    }
}

fn builder(config: &KafkaConfig, credentials: &Credentials) -> Result<ClientBuilder> {
    let brokers = config.bootstrap.split(',').map(|broker| broker.trim().to_owned()).collect();
    let mut builder = ClientBuilder::new(brokers).client_id("sluice");
    if let Some(tls) = security::tls(config, credentials)? {
        builder = builder.tls_config(tls);
    }
    if let Some(sasl) = security::sasl(config, credentials)? {
        builder = builder.sasl_config(sasl);
    }
    Ok(builder)
}

/// Cuts messages into requests that a broker with default limits takes, by their size before compression.
fn requests(messages: Vec<Message>) -> Vec<Vec<Record>> {
    let mut requests = Vec::new();
    let mut request = Vec::new();
    let mut size = 0;
    for message in messages {
        let record = record(message);
        let bytes = record.approximate_size() + RECORD_OVERHEAD;
        if size + bytes > REQUEST_BYTES && !request.is_empty() {
            requests.push(std::mem::take(&mut request));
            size = 0;
        }
        size += bytes;
        request.push(record);
    }
    if !request.is_empty() {
        requests.push(request);
    }
    requests
}

fn record(message: Message) -> Record {
    Record {
        key: message.key.map(Vec::from),
        value: message.value.map(Vec::from),
        headers: message.headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
        timestamp: message.timestamp,
    }
}

#[cfg(test)]
mod tests;
