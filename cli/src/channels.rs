//! What the channels of a streaming table say. Their names follow from the settings of the function that writes to them.

use std::collections::BTreeMap;

use sluice_core::{Result, TableId};
use sluice_pipeline::stream::{Channel, ChannelStatus};

use crate::{
    failure::Outcome,
    warehouse::{Observe, Warehouse},
};

/// The function that writes to the channels.
pub const STREAMER: &str = "StreamKafka";

/// A topic's channels.
pub struct Channels<'a> {
    pub warehouse: &'a Warehouse,
    pub cluster_id: &'a str,
    pub topic: &'a str,
    pub table: &'a TableId,
}

impl Channels<'_> {
    pub fn name(&self, partition: i32) -> String {
        self.channel(partition).name
    }

    fn channel(&self, partition: i32) -> Channel {
        Channel::new(&self.warehouse.lake_id, self.cluster_id, self.topic, partition, self.table.clone())
    }

    /// How the partitions' channels stand; a partition whose channel does not exist is absent.
    pub async fn statuses(&self, partitions: &[i32]) -> Outcome<BTreeMap<i32, Result<ChannelStatus>>> {
        let channels: Vec<Channel> = partitions.iter().map(|partition| self.channel(*partition)).collect();
        let mut found = self.warehouse.channels(&channels).await?;
        let placed = partitions.iter().zip(&channels);
        Ok(placed.filter_map(|(partition, channel)| Some((*partition, found.remove(&channel.name)?))).collect())
    }

    /// The offset up to which each partition's rows are durable. A channel without an offset is a forgotten one, which
    /// goes on after its highest row, or a new one; a new one is absent.
    pub async fn committed(&self, partitions: &[i32]) -> Outcome<BTreeMap<i32, i64>> {
        let mut statuses = self.statuses(partitions).await?;
        let mut committed = BTreeMap::new();
        for partition in partitions {
            let offset = match statuses.remove(partition).transpose()?.and_then(|status| status.committed) {
                Some(offset) => Some(offset),
                None => self.warehouse.landed(&self.channel(*partition)).await?,
            };
            committed.extend(offset.map(|offset| (*partition, offset)));
        }
        Ok(committed)
    }
}
