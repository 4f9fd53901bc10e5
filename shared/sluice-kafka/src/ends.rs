//! Where a topic's partitions end.

use std::collections::BTreeMap;

use futures::future;
use rskafka::client::partition::{OffsetAt, PartitionClient};
use sluice_core::{Error, Result};

use crate::{error::classify, producer::Producer};

impl Producer {
    /// The offset that the next record of each partition will have.
    pub async fn ends(&self, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let partitions = self.partitions(topic).await?;
        let end = |client: &PartitionClient| {
            let partition = client.partition();
            async move {
                let end = client.get_offset(OffsetAt::Latest).await.map_err(|error| {
                    classify("cannot ask where a partition ends", error)
                        .with("topic", topic)
                        .with("partition", partition)
                })?;
                Ok::<_, Error>((partition, end))
            }
        };
        Ok(future::try_join_all(partitions.iter().map(end)).await?.into_iter().collect())
    }
}
