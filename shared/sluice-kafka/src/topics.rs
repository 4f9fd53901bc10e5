//! Topics as code: what `platform/sources.yaml` says of each, what the cluster and the registry have, and what lies between.
//!
//! A topic is made, gets more partitions, is kept otherwise, and has its schema registered. It is never deleted and never gets
//! fewer partitions. What no entry names is told and left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use sluice_core::{
    Error, Kind, Result, Sources,
    port::{Clock, Secrets},
    sources::{Format, Source},
};

mod plan;

pub use plan::{Blocked, Change, Plan, What};

use crate::{
    admin::{Admin, Existing, Settings},
    registry::{Registry, subject},
};

/// Kafka's names of the settings that an entry speaks of.
const POLICY: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";

const MS_PER_HOUR: u64 = 3_600_000;

/// A broker may know of a change some moments after the controller has made it: how often and after how long it is asked again.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// A topic as its entry says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// `None` leaves it to the brokers.
    pub partitions: Option<u32>,
    /// What the entry says of how records are kept.
    pub settings: Settings,
    /// The Avro schema of its values.
    pub schema: Option<String>,
}

/// The topics of the entries. The folder holds the schema file of each that is in Avro; without it, schemas are nobody's concern.
/// JSON texts carry no schema's id, so nobody would ask a registry for theirs.
pub fn of(sources: &Sources, schemas: Option<&Path>) -> Result<Vec<Topic>> {
    let topic = |source: &Source| {
        let Source::Kafka { topic, format, partitions, retention_hours, compaction } = source else { return None };
        let schema = match (format, schemas) {
            (Format::Avro, Some(folder)) => schema_file(folder, topic).map(Some),
            _ => Ok(None),
        };
        Some(schema.map(|schema| Topic {
            name: topic.clone(),
            partitions: *partitions,
            settings: settings(*retention_hours, *compaction),
            schema,
        }))
    };
    sources.tables.iter().filter_map(|table| topic(&table.source)).collect()
}

fn schema_file(folder: &Path, topic: &str) -> Result<String> {
    let path = folder.join(format!("{topic}.{}", Format::Avro.extension()));
    std::fs::read_to_string(&path).map_err(|error| {
        Error::config("cannot read the topic's schema file").with("path", path.display()).because(error)
    })
}

fn settings(retention_hours: Option<u32>, compaction: Option<bool>) -> Settings {
    let policy = compaction.map(|compaction| match (compaction, retention_hours) {
        (false, _) => "delete",
        (true, None) => "compact",
        (true, Some(_)) => "compact,delete",
    });
    let retention = retention_hours.map(|hours| (u64::from(hours) * MS_PER_HOUR).to_string());
    let policy = policy.map(|policy| (POLICY.to_owned(), policy.to_owned()));
    policy.into_iter().chain(retention.map(|ms| (RETENTION.to_owned(), ms))).collect()
}

/// What cluster and registry have.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) topics: BTreeMap<String, Existing>,
    /// A topic that is not here could not be asked about.
    pub(crate) settings: BTreeMap<String, Settings>,
    /// Of each topic with a schema what the registry says of it.
    pub(crate) schemas: BTreeMap<String, Registered>,
    /// What could not be asked, so that nothing is known of it.
    pub(crate) warnings: Vec<String>,
}

impl Found {
    /// What each topic's settings are, or why they could not be read.
    fn know(&mut self, settings: BTreeMap<String, Result<Settings>>) {
        for (topic, settings) in settings {
            match settings {
                Ok(settings) => drop(self.settings.insert(topic, settings)),
                Err(error) => {
                    self.warnings.push(format!("the settings of topic {topic} could not be read: {}", error.chain()));
                }
            }
        }
    }
}

/// What a registry says of a topic's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Registered {
    /// It is among the subject's versions.
    Already,
    /// The subject would take it.
    Fits,
    /// Readers or writers of the subject's versions would break: in what.
    Breaks(Vec<String>),
}

/// Cluster and registry, to ask and to change.
pub struct Place<Sec, Clo> {
    pub cluster: Admin,
    pub registry: Option<Registry<Sec, Clo>>,
}

impl<Sec: Secrets, Clo: Clock> Place<Sec, Clo> {
    /// Reads and compares.
    pub async fn plan(&mut self, topics: &[Topic]) -> Result<Plan> {
        let found = self.look(topics).await?;
        Ok(Plan::between(topics, &found))
    }

    async fn look(&mut self, topics: &[Topic]) -> Result<Found> {
        let mut found = Found { topics: self.cluster.topics().await?, ..Found::default() };
        let there = |topic: &&Topic| found.topics.contains_key(&topic.name) && !topic.settings.is_empty();
        let there: Vec<&str> = topics.iter().filter(there).map(|topic| topic.name.as_str()).collect();
        if !there.is_empty() {
            match self.cluster.settings(&there, &[POLICY, RETENTION]).await {
                Ok(settings) => found.know(settings),
                // Then partitions and schemas are compared all the same.
                Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::Auth) => {
                    found.warnings.push(format!("settings of topics could not be read: {}", error.chain()));
                }
                Err(error) => return Err(error),
            }
        }
        for topic in topics {
            let Some(schema) = &topic.schema else { continue };
            match &self.registry {
                Some(registry) => {
                    let registered = asked(registry, &topic.name, schema).await?;
                    found.schemas.insert(topic.name.clone(), registered);
                }
                None => found.warnings.push(format!(
                    "no schema registry is named (SchemaRegistryUrl), so the schema of {} is registered nowhere",
                    topic.name
                )),
            }
        }
        Ok(found)
    }

    /// Makes the changes of a plan that is made here: those that were made, and what is left, or why it ended. One that was
    /// interrupted goes on when it is called again. What would lose records is done where the caller has said so of the topic.
    pub async fn apply(&mut self, topics: &[Topic], may_lose: &BTreeSet<String>) -> (Vec<Change>, Result<Plan>) {
        let mut done = Vec::new();
        let left = self.make_all(topics, may_lose, &mut done).await;
        (done, left)
    }

    async fn make_all(
        &mut self,
        topics: &[Topic],
        may_lose: &BTreeSet<String>,
        done: &mut Vec<Change>,
    ) -> Result<Plan> {
        for change in self.plan(topics).await?.changes {
            if change.loses.is_some() && !may_lose.contains(&change.topic) {
                continue;
            }
            self.make(topics, &change).await?;
            done.push(change);
        }
        let mut left = self.plan(topics).await?;
        for _ in 1..LOOKS {
            if !left.changes.iter().any(|change| done.contains(change)) {
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            left = self.plan(topics).await?;
        }
        Ok(left)
    }

    async fn make(&mut self, topics: &[Topic], change: &Change) -> Result<()> {
        let name = &change.topic;
        match &change.what {
            What::Create { partitions, settings } => match self.cluster.create(name, *partitions, settings).await {
                // Made by somebody meanwhile: the plan after this one compares it. One that is still not listed is hidden.
                Err(error) if error.kind() == Kind::Conflict => {
                    for _ in 0..LOOKS {
                        if self.cluster.topics().await?.contains_key(name) {
                            return Ok(());
                        }
                        tokio::time::sleep(BETWEEN_LOOKS).await;
                    }
                    let hidden = Error::new(Kind::Auth, "the topic is there, and this user may not see it");
                    let hint = "allow the user Describe on the topic, or name another user by --secret";
                    Err(hidden.with("topic", name).with_hint(hint))
                }
                made => made,
            },
            What::Grow { to, .. } => self.cluster.grow(name, *to).await,
            What::Set { to, .. } => self.cluster.set(name, to).await,
            What::Register { subject } => {
                let schema = topics.iter().find(|topic| topic.name == *name).and_then(|topic| topic.schema.as_deref());
                let (Some(registry), Some(schema)) = (&self.registry, schema) else { return Ok(()) };
                registry.register(subject, schema).await.map(drop).map_err(|error| error.with("topic", name))
            }
        }
    }
}

async fn asked<Sec: Secrets, Clo: Clock>(
    registry: &Registry<Sec, Clo>,
    topic: &str,
    schema: &str,
) -> Result<Registered> {
    let subject = subject(topic);
    let about = |error: Error| error.with("subject", &subject);
    if registry.has(&subject, schema).await.map_err(about)? {
        return Ok(Registered::Already);
    }
    let faults = registry.faults(&subject, schema).await.map_err(about)?;
    Ok(if faults.is_empty() { Registered::Fits } else { Registered::Breaks(faults) })
}
