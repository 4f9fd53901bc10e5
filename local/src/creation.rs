//! Which creation of its topics a broker on this machine holds.
//!
//! The broker keeps its records in memory and writes them now and then: one that is killed forgets acknowledged records
//! and gives their offsets to others. The stream skips what lies below a channel's committed offset, so it would skip
//! those. Therefore the broker is asked where its topics end before anybody can produce to it. Where it has lost records,
//! that is said, and the cluster id, which is part of every channel's name, becomes another one.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result};
use sluice_core::{LakeId, Sources, sources::Source};
use sluice_local::kafka_poller::{self, Lost};
use sluice_pipeline::stream::Channel;
use snowflake_emulator::Emulator;

use crate::{
    machine::{
        deploy::STACK,
        registry::Registry,
        services,
        state::{Folders, write_whole},
    },
    topics,
};

/// By partition.
type Offsets = BTreeMap<i32, i64>;

/// What a topic has been read up to, and where its partitions end.
struct Topic {
    name: String,
    /// The first offset of each partition that is neither in the table nor put aside.
    read: Offsets,
    ends: Offsets,
}

impl Topic {
    fn lost(&self) -> Vec<Lost> {
        let of = |(&partition, &read): (&i32, &i64)| {
            let end = self.ends.get(&partition).copied().unwrap_or_default();
            (read > end).then_some(Lost { partition, read, end })
        };
        self.read.iter().filter_map(of).collect()
    }

    /// Where a poller begins whose channels know nothing: behind what was read, and never behind the end.
    fn beginnings(&self) -> Offsets {
        let of = |(&partition, &read): (&i32, &i64)| {
            let end = self.ends.get(&partition).copied().unwrap_or_default();
            (partition, read.min(end))
        };
        self.read.iter().map(of).collect()
    }
}

/// The cluster id for what the broker holds now. Must be asked while the broker does not run.
pub(crate) async fn cluster_id(
    folders: &Folders,
    registry: &Registry,
    warehouse: &Emulator,
    sources: &Sources,
) -> Result<String> {
    let kept = folders.state("kafka-creation");
    let creation: u32 = match fs::read_to_string(&kept) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} holds no number", kept.display()))?,
        Err(_) => 1,
    };
    let topics = look(folders, registry, warehouse, sources, &id(creation)).await?;
    let mut has_lost = false;
    for topic in &topics {
        for lost in topic.lost() {
            has_lost = true;
            println!("  ! topic {}, {lost}", topic.name);
        }
    }
    if !has_lost {
        return Ok(id(creation));
    }
    println!(
        "    What the stream had read is in the warehouse; what it had not, only its producer has. The broker was killed: end\n    \
         it with Ctrl-C, or POST /restart/kafka. From here on the topic counts as made again, with the cluster id {}.",
        id(creation + 1)
    );
    write_whole(&kept, (creation + 1).to_string())?;
    for topic in &topics {
        let path = poller_state(folders, &topic.name);
        kafka_poller::save_positions(&path, &topic.name, topic.beginnings()).await?;
    }
    Ok(id(creation + 1))
}

/// Fails when the broker, which does not run, holds less than was read from it.
pub(crate) async fn check(folders: &Folders, registry: &Registry, read: &BTreeMap<&str, Offsets>) -> Result<()> {
    let names: Vec<&str> = read.keys().copied().collect();
    let mut ends = services::kafka_ends(folders, registry, &names).await?;
    for (topic, read) in read {
        let ends = ends.remove(*topic).unwrap_or_default();
        let lost = Topic { name: (*topic).to_owned(), read: read.clone(), ends }.lost();
        if let Some(lost) = lost.into_iter().next() {
            return Err(lost)
                .with_context(|| format!("topic {topic}; start the platform again, which takes it from there"));
        }
    }
    Ok(())
}

async fn look(
    folders: &Folders,
    registry: &Registry,
    warehouse: &Emulator,
    sources: &Sources,
    cluster_id: &str,
) -> Result<Vec<Topic>> {
    let tokens = warehouse.offset_tokens();
    let mut topics = Vec::new();
    for table in &sources.tables {
        let Source::Kafka { topic, partitions, .. } = &table.source else { continue };
        let mut read = kafka_poller::saved_positions(&poller_state(folders, topic), topic).await?;
        let known = read.keys().max().map_or(0, |partition| partition + 1);
        for partition in 0..known.max(topics::partitions(*partitions)) {
            let lake = LakeId(STACK.into());
            let channel = Channel::new(&lake, cluster_id, topic, partition, table.table.clone()).name;
            let token = tokens.iter().find(|(name, _)| name.eq_ignore_ascii_case(&channel));
            let committed: Option<i64> =
                token.map(|(_, token)| token.parse()).transpose().context("a token is no offset")?;
            if let Some(committed) = committed {
                let position = read.entry(partition).or_default();
                *position = (*position).max(committed + 1);
            }
        }
        topics.push(Topic { name: topic.clone(), read, ends: Offsets::new() });
    }
    // On a first start, and on a state whose topics nobody has read yet, there is nothing to compare.
    if topics.iter().all(|topic| topic.read.values().all(|read| *read == 0)) {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let mut ends = services::kafka_ends(folders, registry, &names).await?;
    for topic in &mut topics {
        topic.ends = ends.remove(&topic.name).unwrap_or_default();
    }
    Ok(topics)
}

/// Where the pollers keep their positions.
pub(crate) fn positions(folders: &Folders) -> PathBuf {
    folders.state("positions")
}

fn poller_state(folders: &Folders, topic: &str) -> PathBuf {
    topics::positions_file(&positions(folders), topic)
}

/// The id of the set `local` in samconfig.toml, and others after it.
fn id(creation: u32) -> String {
    if creation == 1 { "local".to_owned() } else { format!("local-{creation}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_ends_before_what_was_read_has_lost_records() {
        let topic = Topic {
            name: "purchases".into(),
            read: Offsets::from([(0, 10), (1, 9_700), (2, 5), (3, 0)]),
            ends: Offsets::from([(0, 10), (1, 3_200), (2, 8)]),
        };
        assert_eq!(topic.lost(), [Lost { partition: 1, read: 9_700, end: 3_200 }]);
        let words = topic.lost()[0].to_string();
        assert!(words.contains("partition 1") && words.contains("lost 6500 records"), "{words}");
        assert_eq!(
            topic.beginnings(),
            Offsets::from([(0, 10), (1, 3_200), (2, 5), (3, 0)]),
            "no record twice, none left out"
        );
        let gone = Topic { ends: Offsets::new(), ..topic };
        assert_eq!(gone.lost().len(), 3, "a topic that is gone has lost all that was read of it");
    }

    #[test]
    fn each_creation_has_an_id_of_its_own() {
        assert_eq!([id(1), id(2), id(3)], ["local", "local-2", "local-3"]);
    }
}
