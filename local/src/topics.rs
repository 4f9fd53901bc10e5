//! The topics of `sources.yaml` on one machine: each is made on the broker and has a poller of its own, as on AWS it has
//! an event source mapping of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use sluice_core::{Secret, Sources, functions::STREAM_KAFKA, sources::Source};
use sluice_kafka::{
    Admin, Credentials, KafkaConfig, Registry, RegistryConfig,
    topics::{self, Place},
};
use sluice_local::kafka_poller::{Config, FailurePolicy, Poller, StartingPosition};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{account::One, invoke::Functions};

/// How many partitions a topic has whose entry says nothing of it.
const PARTITIONS: u32 = 3;

/// Lambda allows this many records in one event; the payload's size is reached first.
const BATCH: usize = 10_000;
const WINDOW: Duration = Duration::from_millis(200);

/// The same for an entry.
pub(crate) fn partitions(of_entry: Option<u32>) -> i32 {
    i32::try_from(of_entry.unwrap_or(PARTITIONS)).unwrap_or(i32::MAX)
}

/// Makes the topics what their entries say, and registers their schemas, by the code of `sluice topics apply`. What would lose
/// records, or cannot be done, is told and left; so are schemas where a file of one cannot be read.
pub(crate) async fn make(bootstrap: &str, registry: &str, sources: &Sources, schemas: &Path) -> Result<()> {
    let mut wanted = topics::of(sources, Some(schemas)).or_else(|error| {
        println!("  ! no schema is registered: {}", error.chain());
        topics::of(sources, None)
    })?;
    for topic in &mut wanted {
        topic.partitions.get_or_insert(PARTITIONS);
    }
    let config = KafkaConfig { bootstrap: bootstrap.to_owned(), ..KafkaConfig::default() };
    let cluster = Admin::connect(&config, &Credentials::default()).await.context("cannot reach the broker")?;
    let config = RegistryConfig { url: registry.to_owned(), secret: None };
    let registry = Registry::new(config, sluice_http::Client::new()?, One(Secret::new(String::new())));
    let mut place = Place { cluster, registry: Some(registry) };
    let (_, left) = place.apply(&wanted, &BTreeSet::new()).await;
    let left = left.context("cannot make the topics")?;
    if !left.is_empty() {
        println!("{}", left.to_text().trim_end());
    }
    Ok(())
}

/// A poller for each topic. Clones share them.
#[derive(Clone)]
pub(crate) struct Topics(Vec<Poller>);

impl Topics {
    /// Connects a poller to each topic. Positions are in the folder, a file a topic;
    /// without its file a topic is read from its beginning.
    pub(crate) async fn connect(
        bootstrap: &str,
        sources: &Sources,
        functions: &Functions,
        positions: &Path,
    ) -> Result<Self> {
        let mut pollers = Vec::new();
        for config in configs(bootstrap, sources, functions, positions) {
            let topic = config.topic.clone();
            pollers.push(Poller::connect(config).await.with_context(|| format!("cannot poll the topic {topic}"))?);
        }
        Ok(Topics(pollers))
    }

    /// Polls each topic in a task. What is sent to any of the senders makes its poller begin again.
    pub(crate) fn spawn(
        &self,
        tasks: &mut JoinSet<Result<()>>,
        stopped: &watch::Receiver<bool>,
    ) -> Vec<mpsc::Sender<()>> {
        let spawn = |poller: &Poller| {
            let (poller, stopped) = (poller.clone(), stopped.clone());
            let (restart, restarts) = mpsc::channel(1);
            tasks.spawn(async move { poller.run_restarted(stopped, restarts).await });
            restart
        };
        self.0.iter().map(spawn).collect()
    }

    pub(crate) fn of(&self, topic: &str) -> Option<&Poller> {
        self.0.iter().find(|poller| poller.topic() == topic)
    }

    /// The first offset of each partition of each topic that the function has not finished.
    pub(crate) fn positions(&self) -> BTreeMap<&str, BTreeMap<i32, i64>> {
        self.0.iter().map(|poller| (poller.topic(), poller.positions())).collect()
    }

    /// Topics with records that the function has not finished, and how many.
    pub(crate) async fn lags(&self) -> Result<Vec<(&str, i64)>> {
        let mut lags = Vec::new();
        for poller in &self.0 {
            let lag = poller.status().await?.iter().map(|partition| partition.lag()).sum();
            if lag > 0 {
                lags.push((poller.topic(), lag));
            }
        }
        Ok(lags)
    }
}

/// The topics that a table takes.
pub(crate) fn names(sources: &Sources) -> impl Iterator<Item = &str> {
    sources.tables.iter().filter_map(|table| match &table.source {
        Source::Kafka { topic, .. } => Some(topic.as_str()),
        _ => None,
    })
}

/// The file of a topic's positions.
pub(crate) fn positions_file(folder: &Path, topic: &str) -> PathBuf {
    folder.join(format!("{topic}.json"))
}

fn configs(bootstrap: &str, sources: &Sources, functions: &Functions, positions: &Path) -> Vec<Config> {
    let config = |topic: &str| Config {
        bootstrap: bootstrap.to_owned(),
        topic: topic.to_owned(),
        function_name: functions.name(&STREAM_KAFKA),
        lambda: functions.lambda.clone(),
        batch_size: BATCH,
        window: WINDOW,
        starting_position: StartingPosition::TrimHorizon,
        // Bad records are the function's to put aside, so a batch is never given up.
        failures: FailurePolicy::default(),
        state_path: positions_file(positions, topic),
    };
    names(sources).map(config).collect()
}

#[cfg(test)]
mod tests {
    use sluice_local::function_url::Lambda;

    use super::*;

    #[test]
    fn every_topic_of_the_file_has_a_poller_and_positions_of_its_own() {
        let entry = |table: &str, topic: &str| {
            format!(
                "\n  - {{ table: STREAMING.PUBLIC.{table}, description: d, source: {{ kind: kafka, topic: {topic} }}, loader: \
                 streaming, disposition: append, columns: [{{ name: event_id, type: text }}] }}\n"
            )
        };
        let shipped = include_str!("../../platform/sources.yaml");
        let text = [shipped, &entry("ORDERS", "orders"), &entry("CLICKS", "web.clicks")].concat();
        let sources = Sources::parse(&text).expect("valid sources");
        let functions = Functions::new(Lambda::at("http://127.0.0.1:9").expect("a client"), "stack");
        let found: Vec<(String, String)> = configs("b:1", &sources, &functions, Path::new("p"))
            .into_iter()
            .map(|config| (config.topic, config.state_path.display().to_string()))
            .collect();
        let expected =
            [("purchases", "p/purchases.json"), ("orders", "p/orders.json"), ("web.clicks", "p/web.clicks.json")];
        assert_eq!(found, expected.map(|(topic, path)| (topic.to_owned(), path.to_owned())));
    }
}
