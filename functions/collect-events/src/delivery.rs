//! Into Kafka, or into the outbox while Kafka is away or refuses the topic.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::future;
use serde_json::Value;
use sluice_core::{
    Error, Result,
    port::{DelayedQueue, Secrets},
};
use sluice_kafka::{Cluster, Message, is_away};
use sluice_lambda::hint;
use tracing::warn;

use crate::{check::Valid, outbox};

/// After a failure Kafka, or the topic that it was about, is left alone for this long: no request waits for what is away.
const PAUSE: Duration = Duration::from_secs(10);

/// Kafka, as far as this function needs it.
pub trait EventProducer {
    /// The messages are on all in-sync replicas when it returns. On an error any of them may be.
    fn produce(&self, topic: &str, messages: Vec<Message>) -> impl Future<Output = Result<()>>;
}

/// Where accepted events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Kafka,
    Outbox,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Kafka => "kafka",
            Via::Outbox => "spool",
        }
    }
}

/// What the last request has learnt about Kafka as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Untried,
    Reached,
    Away { since: Instant },
}

/// Kafka with the outbox behind it.
pub struct Delivery<K, Q> {
    producer: K,
    outbox: Q,
    /// The outbox's dead letters.
    dead: Q,
    reach: Cell<Reach>,
    /// The topics that were refused, and when.
    refused: RefCell<BTreeMap<String, Instant>>,
}

impl<K: EventProducer, Q: DelayedQueue> Delivery<K, Q> {
    pub fn new(producer: K, outbox: Q, dead: Q) -> Self {
        Delivery { producer, outbox, dead, reach: Cell::new(Reach::Untried), refused: RefCell::default() }
    }

    pub fn reach(&self) -> Reach {
        self.reach.get()
    }

    /// The events are durable when it returns. On an error some of them may be, here or there: what is sent again with
    /// the same ids counts once.
    pub async fn deliver(&self, topic: &str, events: Vec<Valid>, at: DateTime<Utc>, now: Instant) -> Result<Via> {
        if !self.rests(topic, now) {
            let records = events.iter().map(|e| outbox::record(e.key.clone(), e.text.clone(), at)).collect();
            match self.producer.produce(topic, records).await {
                Ok(()) => {
                    self.reached(topic);
                    return Ok(Via::Kafka);
                }
                Err(error) => self.failed(topic, &error, now),
            }
        }
        let messages = outbox::pack(topic, at, &events)?;
        let sends = messages.iter().map(|message| self.outbox.send(message, Duration::ZERO));
        future::try_join_all(sends).await?;
        Ok(Via::Outbox)
    }

    /// What waits in the outbox, for Kafka alone: what fails stays in the queue.
    pub async fn drain(&self, topic: &str, records: Vec<Message>) -> Result<()> {
        self.producer.produce(topic, records).await?;
        self.reached(topic);
        Ok(())
    }

    /// A message of the outbox that has nowhere to go is kept as it is, to be sent back when its topic takes events again.
    pub async fn bury(&self, message: &Value) -> Result<()> {
        self.dead.send(message, Duration::ZERO).await
    }

    /// Whether Kafka or the topic has failed a moment ago.
    fn rests(&self, topic: &str, now: Instant) -> bool {
        let lately = |at: Instant| now.duration_since(at) < PAUSE;
        let away = matches!(self.reach.get(), Reach::Away { since } if lately(since));
        away || self.refused.borrow().get(topic).is_some_and(|at| lately(*at))
    }

    fn reached(&self, topic: &str) {
        self.reach.set(Reach::Reached);
        self.refused.borrow_mut().remove(topic);
    }

    fn failed(&self, topic: &str, error: &Error, now: Instant) {
        let (kind, hint) = (error.kind(), hint(error));
        if is_away(error) {
            self.reach.set(Reach::Away { since: now });
            warn!(topic, error = error.chain(), error_kind = %kind, hint, "Kafka is away, events wait in the outbox");
        } else {
            self.refused.borrow_mut().insert(topic.to_owned(), now);
            warn!(topic, error = error.chain(), error_kind = %kind, hint, "Kafka refuses a topic's events, they wait in the outbox");
        }
    }
}

impl<S: Secrets> EventProducer for Cluster<S> {
    async fn produce(&self, topic: &str, messages: Vec<Message>) -> Result<()> {
        Cluster::produce(self, topic, messages).await
    }
}
