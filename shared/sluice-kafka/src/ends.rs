//! Where a topic's partitions end.

use std::collections::BTreeMap;

use futures::future;
use rskafka::client::partition::OffsetAt;
use sluice_core::{Error, Result};

use crate::producer::Producer;

impl Producer {
    /// The offset that the next record of each partition will have.
    pub async fn ends(&self, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let partitions = self.partitions(topic).await?;
        let ends = partitions.iter().map(|client| async move {
            let partition = client.partition();
            let end = client.get_offset(OffsetAt::Latest).await.map_err(|error| {
                self.failed("cannot ask where a partition ends", error)
                    .with("topic", topic)
                    .with("partition", partition)
            })?;
            Ok::<_, Error>((partition, end))
        });
        Ok(future::try_join_all(ends).await?.into_iter().collect())
    }
}
