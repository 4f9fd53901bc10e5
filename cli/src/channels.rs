//! What the channels of a streaming table say. Their names follow from the settings of the function that writes to them;
//! Snowflake lists a channel only as it spells it, which may be in upper case.

use std::{collections::BTreeMap, sync::Arc};

use sluice_core::{TableId, port::required};
use sluice_pipeline::stream::Channel;
use sluice_snowflake::{Streaming, sql::ledger, streaming::ChannelStatus};

use crate::{failure::Outcome, platform::Warehouse};

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
        Channel::new(&self.warehouse.lake_id, self.cluster_id, self.topic, partition, self.table.clone()).name
    }

    /// How the partitions' channels stand; a partition whose channel does not exist is absent.
    pub async fn statuses(&self, partitions: &[i32]) -> Outcome<BTreeMap<i32, ChannelStatus>> {
        let plain: Vec<String> = partitions.iter().map(|partition| self.name(*partition)).collect();
        let upper: Vec<String> = plain.iter().map(|name| name.to_uppercase()).collect();
        let names: Vec<&str> = plain.iter().chain(&upper).map(String::as_str).collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let streaming = Streaming::new(Arc::clone(&self.warehouse.account));
        // Boxed, as are some other futures: they hold those of all adapters, too deep for the compiler.
        let mut found = Box::pin(streaming.status(self.table, &names)).await?;
        let partitions = partitions.iter().zip(plain.iter().zip(&upper));
        Ok(partitions
            .filter_map(|(partition, (plain, upper))| {
                Some((*partition, found.remove(plain).or_else(|| found.remove(upper))?))
            })
            .collect())
    }

    /// The offset up to which each partition's rows are durable. A channel without an offset is a forgotten one, which
    /// goes on after its highest row, or a new one; a new one is absent.
    pub async fn committed(&self, partitions: &[i32]) -> Outcome<BTreeMap<i32, i64>> {
        let statuses = self.statuses(partitions).await?;
        let mut committed = BTreeMap::new();
        for partition in partitions {
            let offset = statuses.get(partition).map(ChannelStatus::committed_offset).transpose()?.flatten();
            let offset = match offset {
                Some(offset) => Some(offset),
                None => self.landed(*partition).await?,
            };
            committed.extend(offset.map(|offset| (*partition, offset)));
        }
        Ok(committed)
    }

    async fn landed(&self, partition: i32) -> Outcome<Option<i64>> {
        let rows = self.warehouse.ask("replay", &ledger::landed(self.table, &self.name(partition))).await?;
        let offset = rows.first().filter(|row| row.values().any(Option::is_some));
        Ok(offset.map(|row| crate::commands::signed(required(row, "position")?)).transpose()?)
    }
}
