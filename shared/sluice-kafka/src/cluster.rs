//! One cluster for the life of a function's instance: connected on first use, again after it was away, and with a new user
//! after the old one was refused.

use std::{sync::Arc, time::Duration};

use sluice_core::{Error, Kind, Result, port::Secrets, with_secret};
use tokio::sync::Mutex;

use crate::{
    config::{Credentials, KafkaConfig},
    iam::Iam,
    producer::{Message, Producer},
};

/// The cluster and the user that we are there.
pub struct Cluster<S> {
    config: KafkaConfig,
    secrets: S,
    timeout: Duration,
    iam: Option<Iam>,
    connected: Mutex<Option<(Credentials, Arc<Producer>)>>,
}

impl<S: Secrets> Cluster<S> {
    /// No attempt to produce takes longer than `timeout`.
    pub fn new(config: KafkaConfig, secrets: S, timeout: Duration) -> Self {
        Cluster { config, secrets, timeout, iam: None, connected: Mutex::default() }
    }

    /// Who we are where the brokers take IAM.
    #[must_use]
    pub fn with_iam(mut self, iam: Iam) -> Self {
        self.iam = Some(iam);
        self
    }

    /// The messages are on all in-sync replicas when it returns. On an error any of them may be.
    pub async fn produce(&self, topic: &str, messages: Vec<Message>) -> Result<()> {
        match &self.config.secret {
            None => self.attempt(Credentials::default(), topic, messages).await,
            Some(name) => {
                let attempt = async |credentials| self.attempt(credentials, topic, messages.clone()).await;
                with_secret(&self.secrets, name, attempt).await
            }
        }
    }

    async fn attempt(&self, credentials: Credentials, topic: &str, messages: Vec<Message>) -> Result<()> {
        let credentials = Credentials { iam: self.iam.clone(), ..credentials };
        // Boxed: the client's futures are deeper than the compiler looks.
        let work = Box::pin(async { self.producer(credentials).await?.produce(topic, messages).await.map(drop) });
        let outcome = tokio::time::timeout(self.timeout, work).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, "Kafka has not answered in time").with("topic", topic).exhausted())
        });
        if outcome.as_ref().is_err_and(is_away) {
            // A connection that failed half way may hold anything.
            *self.connected.lock().await = None;
        }
        outcome
    }

    async fn producer(&self, credentials: Credentials) -> Result<Arc<Producer>> {
        let mut connected = self.connected.lock().await;
        if let Some((_, producer)) = connected.as_ref().filter(|(known, _)| *known == credentials) {
            return Ok(Arc::clone(producer));
        }
        // The client's own retries end first: what it says at last tells a refusal from a cluster that is away.
        let producer = Producer::connect_with(&self.config, &credentials, self.timeout / 2).await?;
        let producer = Arc::new(producer);
        *connected = Some((credentials, Arc::clone(&producer)));
        Ok(producer)
    }
}

/// Whether an error is about the cluster as a whole. Any other is about the user, the topic, or what was sent to it.
pub fn is_away(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unavailable | Kind::Timeout)
}
