//! What an administrator asks of a cluster: which topics there are, and that some be made, grow or be kept otherwise.
//!
//! The client that produces can make a topic and no more: neither settings nor partitions can be asked for through it. So
//! these five requests are written here; TLS and the user's login come from the libraries that the client uses, too.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::{Error, Result};

use crate::{
    config::{Credentials, KafkaConfig},
    security,
};

pub(crate) mod connection;
#[cfg(test)]
mod tests;
mod wire;

use connection::{Api, Connection, of_any, refused};
use wire::{Answer, Body};

const METADATA: Api = Api { key: 3, version: 1, name: "Metadata" };
const CREATE_TOPICS: Api = Api { key: 19, version: 4, name: "CreateTopics" };
const DESCRIBE_CONFIGS: Api = Api { key: 32, version: 1, name: "DescribeConfigs" };
const CREATE_PARTITIONS: Api = Api { key: 37, version: 0, name: "CreatePartitions" };
const INCREMENTAL_ALTER_CONFIGS: Api = Api { key: 44, version: 0, name: "IncrementalAlterConfigs" };

/// How long the brokers may take over a change.
const DONE_WITHIN_MS: i32 = 20_000;
/// What a broker has set for topics whose request leaves it open.
const BROKERS_DEFAULT: i16 = -1;
/// The type of a topic among those that have settings.
const TOPIC: i8 = 2;
/// To give a setting a value.
const SET: i8 = 0;
/// The cluster's controller is another broker by now.
const NOT_CONTROLLER: i16 = 41;

/// Settings of a topic, by Kafka's names for them.
pub type Settings = BTreeMap<String, String>;

/// A cluster's controller.
pub struct Admin {
    config: KafkaConfig,
    controller: Connection,
}

/// A topic as the cluster has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Existing {
    pub partitions: u32,
    /// Kafka keeps something of its own in it.
    pub is_internal: bool,
}

/// What the cluster says of itself.
struct Cluster {
    brokers: Vec<(i32, String)>,
    controller: i32,
    topics: BTreeMap<String, Existing>,
}

impl Admin {
    /// Connects to the controller, which any of the brokers names. Where the one that was asked does not, or names one that has
    /// just gone, another may.
    pub async fn connect(config: &KafkaConfig, credentials: &Credentials) -> Result<Self> {
        of_any(config, |address| async move { Self::through(&address, config, credentials).await }).await
    }

    async fn through(address: &str, config: &KafkaConfig, credentials: &Credentials) -> Result<Self> {
        let mut connection = Connection::open(address, config, credentials).await?;
        let Cluster { brokers, controller, .. } = cluster(&mut connection).await?;
        let controller = brokers.into_iter().find(|(id, _)| *id == controller).map(|(_, address)| address);
        let controller = controller.ok_or_else(|| Error::unavailable("the cluster has no controller now"))?;
        if controller != connection.address {
            connection = Connection::open(&controller, config, credentials).await?;
        }
        Ok(Admin { config: config.clone(), controller: connection })
    }

    /// Every topic that the user may see.
    pub async fn topics(&mut self) -> Result<BTreeMap<String, Existing>> {
        Ok(cluster(&mut self.controller).await?.topics)
    }

    /// What these settings of topics are, set for them or inherited. The broker refuses each topic for itself.
    pub async fn settings(&mut self, topics: &[&str], names: &[&str]) -> Result<BTreeMap<String, Result<Settings>>> {
        let names = |body: Body| body.list(names, |body, name| body.text(name));
        let body = Body::default().list(topics, |body, topic| names(body.i8(TOPIC).text(topic))).flag(false);
        let answer = self.controller.ask(DESCRIBE_CONFIGS, body).await?;
        let mut answer = Answer(&answer);
        answer.i32()?;
        let described = answer.list(|answer| {
            let (code, said, _, topic) = (answer.i16()?, answer.nullable_text()?, answer.i8()?, answer.text()?);
            let settings = answer.list(|answer| {
                let (name, value) = (answer.text()?, answer.nullable_text()?.unwrap_or_default());
                // Whether it is read-only, where it comes from, whether it is a secret, and its synonyms.
                let _ = (answer.flag()?, answer.i8()?, answer.flag()?);
                answer.list(|answer| Ok((answer.text()?, answer.nullable_text()?, answer.i8()?)))?;
                Ok((name, value))
            })?;
            let settings = if code == 0 { Ok(settings.into_iter().collect()) } else { Err(refused(code, said)) };
            Ok((topic, settings))
        })?;
        Ok(described.into_iter().collect())
    }

    /// Makes a topic; how many partitions and copies it has that are not said here, the brokers decide.
    pub async fn create(&mut self, topic: &str, partitions: Option<u32>, settings: &Settings) -> Result<()> {
        let partitions = partitions.map_or(i32::from(BROKERS_DEFAULT), number);
        let settings: Vec<(&String, &String)> = settings.iter().collect();
        let body = Body::default().list(&[topic], |body, topic| {
            let body = body.text(topic).i32(partitions).i16(BROKERS_DEFAULT).list::<i32>(&[], |body, _| body);
            body.list(&settings, |body, (name, value)| body.text(name).text(value))
        });
        let answer = self.controller.ask(CREATE_TOPICS, body.i32(DONE_WITHIN_MS).flag(false)).await?;
        self.done(&answer, topic)
    }

    /// Gives a topic this many partitions, which must be more than it has.
    pub async fn grow(&mut self, topic: &str, partitions: u32) -> Result<()> {
        let body = Body::default().list(&[topic], |body, topic| body.text(topic).i32(number(partitions)).no_list());
        let answer = self.controller.ask(CREATE_PARTITIONS, body.i32(DONE_WITHIN_MS).flag(false)).await?;
        self.done(&answer, topic)
    }

    /// Gives settings of a topic these values, and leaves its others alone.
    pub async fn set(&mut self, topic: &str, settings: &Settings) -> Result<()> {
        let settings: Vec<(&String, &String)> = settings.iter().collect();
        let body = Body::default().list(&[topic], |body, topic| {
            let body = body.i8(TOPIC).text(topic);
            body.list(&settings, |body, (name, value)| body.text(name).i8(SET).text(value))
        });
        let answer = self.controller.ask(INCREMENTAL_ALTER_CONFIGS, body.flag(false)).await?;
        let mut answer = Answer(&answer);
        answer.i32()?;
        let answers =
            answer.list(|answer| Ok((answer.i16()?, answer.nullable_text()?, answer.i8()?, answer.text()?)))?;
        self.outcome(answers.into_iter().map(|(code, said, _, name)| (name, code, said)), topic)
    }

    /// What an answer to a request about one topic comes to.
    fn done(&self, answer: &[u8], topic: &str) -> Result<()> {
        let mut answer = Answer(answer);
        answer.i32()?;
        let answers = answer.list(|answer| Ok((answer.text()?, answer.i16()?, answer.nullable_text()?)))?;
        self.outcome(answers.into_iter(), topic)
    }

    fn outcome(&self, mut answers: impl Iterator<Item = (String, i16, Option<String>)>, topic: &str) -> Result<()> {
        let Some((_, code, said)) = answers.find(|(name, ..)| name == topic) else {
            return Err(Error::invalid_data("the broker answers for another topic").with("topic", topic));
        };
        let error = match code {
            0 => return Ok(()),
            NOT_CONTROLLER => Error::unavailable("the cluster has another controller by now")
                .with_hint("call again: it is asked for then"),
            code => security::hinted(refused(code, said), &self.config, security::ADMINISTER),
        };
        Err(error.with("topic", topic).with("broker", &self.controller.address))
    }
}

/// As the protocol counts.
fn number(partitions: u32) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

async fn cluster(connection: &mut Connection) -> Result<Cluster> {
    let answer = connection.ask(METADATA, Body::default().no_list()).await?;
    let mut answer = Answer(&answer);
    let brokers = answer.list(|answer| {
        let (id, host, port) = (answer.i32()?, answer.text()?, answer.i32()?);
        answer.nullable_text()?;
        Ok((id, format!("{host}:{port}")))
    })?;
    let controller = answer.i32()?;
    let topics = answer.list(|answer| {
        let (_, name, is_internal) = (answer.i16()?, answer.text()?, answer.flag()?);
        let partitions = answer.list(|answer| {
            let _ = (answer.i16()?, answer.i32()?, answer.i32()?);
            answer.list(Answer::i32)?;
            answer.list(Answer::i32)
        })?;
        Ok((name, Existing { partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX), is_internal }))
    })?;
    Ok(Cluster { brokers, controller, topics: topics.into_iter().collect() })
}
