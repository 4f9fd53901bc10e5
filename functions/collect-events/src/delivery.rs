//! Into Kafka, or into the spool while Kafka is away.

use std::{
    cell::Cell,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::future;
use sluice_core::{
    Error, Kind, Result,
    port::{Later, Secrets},
};
use sluice_kafka::{Credentials, KafkaConfig, Message, Producer};
use tokio::sync::Mutex;
use tracing::warn;

use crate::{check::Valid, spool};

/// After a failure Kafka is left alone for so long: while it is away, no request waits for it.
const PAUSE: Duration = Duration::from_secs(10);

/// Kafka, as far as this function needs it.
pub trait Log {
    /// The messages are on all in-sync replicas when it returns. On an error any of them may be.
    fn produce(&self, topic: &str, messages: Vec<Message>) -> impl Future<Output = Result<()>>;
}

/// Where accepted events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Kafka,
    Spool,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Kafka => "kafka",
            Via::Spool => "spool",
        }
    }
}

/// What the last request has learnt about Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Untried,
    Reached,
    Away { since: Instant },
}

/// Kafka with the spool behind it.
pub struct Delivery<K, Q> {
    log: K,
    spool: Q,
    reach: Cell<Reach>,
}

impl<K: Log, Q: Later> Delivery<K, Q> {
    pub fn new(log: K, spool: Q) -> Self {
        Delivery { log, spool, reach: Cell::new(Reach::Untried) }
    }

    pub fn reach(&self) -> Reach {
        self.reach.get()
    }

    /// The events are durable when it returns. On an error some of them may be, here or there: what is sent again with
    /// the same ids counts once.
    pub async fn deliver(&self, topic: &str, events: Vec<Valid>, at: DateTime<Utc>, now: Instant) -> Result<Via> {
        let resting = matches!(self.reach.get(), Reach::Away { since } if now.duration_since(since) < PAUSE);
        if !resting {
            let records = events.iter().map(|e| spool::record(e.key.clone(), e.text.clone(), at)).collect();
            match self.log.produce(topic, records).await {
                Ok(()) => {
                    self.reach.set(Reach::Reached);
                    return Ok(Via::Kafka);
                }
                Err(error) => {
                    self.reach.set(Reach::Away { since: now });
                    warn!(topic, error = error.chain(), error_kind = %error.kind(), "Kafka is away, events are spooled");
                }
            }
        }
        let messages = spool::pack(topic, at, &events)?;
        let sends = messages.iter().map(|message| self.spool.send(message, Duration::ZERO));
        future::try_join_all(sends).await?;
        Ok(Via::Spool)
    }

    /// What was spooled, for Kafka alone: what fails stays in the queue.
    pub async fn drain(&self, topic: &str, records: Vec<Message>) -> Result<()> {
        self.log.produce(topic, records).await?;
        self.reach.set(Reach::Reached);
        Ok(())
    }
}

/// The cluster, connected on first use and anew after any failure.
pub struct Broker<S> {
    config: KafkaConfig,
    secrets: S,
    patience: Duration,
    producer: Mutex<Option<Arc<Producer>>>,
}

impl<S: Secrets> Broker<S> {
    pub fn new(config: KafkaConfig, secrets: S, patience: Duration) -> Self {
        Broker { config, secrets, patience, producer: Mutex::default() }
    }

    async fn producer(&self) -> Result<Arc<Producer>> {
        let mut held = self.producer.lock().await;
        if let Some(producer) = held.as_ref() {
            return Ok(Arc::clone(producer));
        }
        let credentials = match &self.config.secret {
            Some(name) => {
                let secret = self.secrets.get(name).await?;
                serde_json::from_str(secret.expose()).map_err(|error| {
                    // serde's message may quote the value: keep only where it stopped.
                    Error::config("the Kafka secret is not JSON of username, password and ca_pem")
                        .with("secret", name)
                        .with("column", error.column())
                })?
            }
            None => Credentials::default(),
        };
        let producer = Arc::new(Producer::connect_with(&self.config, &credentials, self.patience).await?);
        *held = Some(Arc::clone(&producer));
        Ok(producer)
    }
}

impl<S: Secrets> Log for Broker<S> {
    async fn produce(&self, topic: &str, messages: Vec<Message>) -> Result<()> {
        let attempt = async { self.producer().await?.produce(topic, messages).await.map(drop) };
        let outcome = tokio::time::timeout(self.patience, attempt).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, "Kafka has not answered in time").with("topic", topic).exhausted())
        });
        if outcome.is_err() {
            // A connection that failed half way may hold anything.
            *self.producer.lock().await = None;
        }
        outcome
    }
}
