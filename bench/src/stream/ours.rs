//! The function's own path, from the event's text to the bytes that would travel: the real loop, over ports that only
//! take what they are given.

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use sluice_core::{
    LakeId, RunId, Sources,
    event::Announcement,
    port::{Bus, Clock, DelayedQueue, ObjectStore, PutIfAbsent, Stored},
};
use sluice_kafka::KafkaEvent;
use sluice_pipeline::stream::{
    Appended, Channel, ChannelStatus, Channels, Decode, Invocation, Limits, Offsets, Opened, Ports, Settings, Sleep,
    Stream,
};

use crate::Output;

pub(crate) const RUN_ID: &str = "019a3c5e-7d0a-7c3e-9f6b-5d1e0c2f4a6b";
pub(crate) const NOW_MICROS: i64 = 1_761_955_200_000_000;

#[derive(Clone, Default)]
struct World {
    output: Rc<RefCell<Output>>,
    committed: Rc<RefCell<Option<i64>>>,
    keep_rows: bool,
}

/// The event's way with everything that it makes.
pub(crate) fn run(text: &str) -> Result<Output> {
    let world = World { keep_rows: true, ..World::default() };
    block_on(serve(&world, KafkaEvent::parse(text)?))?;
    Ok(world.output.take())
}

/// The event's way as the function goes it: the text ends when it has been read.
pub(crate) fn consume(text: Box<str>) -> Result<()> {
    let event = KafkaEvent::parse(&text)?;
    drop(text);
    block_on(serve(&World::default(), event))
}

async fn serve(world: &World, event: KafkaEvent) -> Result<()> {
    let sources = Sources::parse(include_str!("../../../platform/sources.yaml"))?;
    let ports = Ports {
        store: world.clone(),
        channels: world.clone(),
        formats: world.clone(),
        bus: world.clone(),
        queue: world.clone(),
        clock: world.clone(),
        sleep: world.clone(),
    };
    let settings =
        Settings { lake_id: LakeId("lake".into()), cluster_id: "main".into(), announce_interval: Duration::ZERO };
    let stream = Stream::new(ports, sources, settings);
    let batches = event.into_partitions()?;
    let invocation = Invocation { run_id: RunId(RUN_ID.into()), deadline: world.now() + TimeDelta::seconds(60) };
    let report = stream.process(&batches, &invocation).await?;
    anyhow::ensure!(report.failed.is_empty(), "a partition failed: {:?}", report.failed);
    Ok(())
}

type Answer<T> = sluice_core::Result<T>;

impl Channels for World {
    fn limits(&self) -> Limits {
        sluice_snowflake::streaming::LIMITS
    }

    async fn open(&self, _: &Channel) -> Answer<Opened> {
        let status = ChannelStatus { committed: Some(0), ..ChannelStatus::default() };
        Ok(Opened { continuation: String::new(), status })
    }

    async fn append(&self, _: &Channel, _: &str, rows: Bytes, offsets: Offsets) -> Answer<Appended> {
        let packed = sluice_snowflake::streaming::compress(&rows)?;
        let mut output = self.output.borrow_mut();
        output.packed_rows += packed.len();
        if self.keep_rows {
            output.rows.extend_from_slice(&rows);
        }
        *self.committed.borrow_mut() = Some(offsets.last);
        Ok(Appended::Accepted { continuation: String::new() })
    }

    async fn status(&self, _: &Channel) -> Answer<ChannelStatus> {
        Ok(ChannelStatus { committed: *self.committed.borrow(), ..ChannelStatus::default() })
    }

    async fn max_loaded_offset(&self, _: &Channel, _: &RunId) -> Answer<Option<i64>> {
        Ok(None)
    }
}

impl Decode for World {
    async fn decode(&self, _: &str, value: &Bytes) -> Answer<Result<Bytes, String>> {
        Ok(Ok(value.clone()))
    }
}

impl ObjectStore for World {
    async fn put(&self, _: &str, body: Bytes) -> Answer<Stored> {
        self.output.borrow_mut().packed_archive = body.into();
        Ok(Stored { checksum: String::new() })
    }

    async fn put_if_absent(&self, _: &str, _: Bytes) -> Answer<PutIfAbsent> {
        Ok(PutIfAbsent::Exists)
    }

    async fn get(&self, _: &str) -> Answer<Option<Bytes>> {
        Ok(None)
    }

    async fn first_key(&self, _: &str) -> Answer<Option<String>> {
        Ok(None)
    }
}

impl Bus for World {
    async fn announce(&self, _: Announcement) -> Answer<()> {
        Ok(())
    }
}

impl DelayedQueue for World {
    async fn send(&self, _: &serde_json::Value, _: Duration) -> Answer<()> {
        Ok(())
    }
}

impl Clock for World {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(NOW_MICROS).unwrap_or_default()
    }
}

impl Sleep for World {
    async fn sleep(&self, _: Duration) {}
}
