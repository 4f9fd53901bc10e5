//! Reading one partition ahead of the function.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::kafka_poller::{
    Lost,
    batch::{self, Batches, Record, Unreadable},
    stalls::{Stage, Stalls},
    wire::{Connection, Fetched},
};

const FETCH_BYTES: i32 = 4_000_000;
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// A broker may answer at once that there is nothing, whatever wait it was asked for.
const PAUSE_AT_THE_END: Duration = Duration::from_millis(50);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// A partition, and where it is read from.
pub(crate) struct Source {
    pub bootstrap: String,
    pub topic: String,
    pub client: Arc<PartitionClient>,
    pub stalls: Stalls,
}

impl Source {
    /// Fetches from `offset` on, for as long as somebody receives. Errors are waited out: a broker comes back. They are told,
    /// and so is what cannot be read: that is left out, and what follows goes on. A broker that comes back with fewer records
    /// than were read ends it: what it is given now gets offsets that the function knows already.
    pub(crate) async fn fetch(self, mut offset: i64, sender: mpsc::Sender<Vec<Record>>) -> Result<(), Lost> {
        let partition = self.client.partition();
        let mut connection = None;
        while !sender.is_closed() {
            let batches = match self.next(&mut connection, offset).await {
                Ok(batches) => batches,
                Err(error) => {
                    let error = match error.downcast::<Lost>() {
                        Ok(lost) => return Err(lost),
                        Err(error) => error,
                    };
                    connection = None;
                    warn!(partition, offset, error = format!("{error:#}"), "cannot fetch, trying again");
                    self.stalls.set(partition, Stage::Fetch, format!("cannot fetch from offset {offset}: {error:#}"));
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    continue;
                }
            };
            self.stalls.clear(partition, Stage::Fetch);
            for Unreadable { first, last, reason } in &batches.unreadable {
                error!(partition, first, last, reason, "records cannot be read and are left out");
            }
            let is_at_the_end = batches.next == offset;
            offset = batches.next;
            if !batches.records.is_empty() && sender.send(batches.records).await.is_err() {
                return Ok(());
            }
            if is_at_the_end {
                tokio::time::sleep(PAUSE_AT_THE_END).await;
            }
        }
        Ok(())
    }

    async fn next(&self, connection: &mut Option<Connection>, offset: i64) -> Result<Batches> {
        let partition = self.client.partition();
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(Connection::to_leader(&self.bootstrap, &self.topic, partition).await?),
        };
        match connection.fetch(&self.topic, partition, offset, FETCH_BYTES, LONGEST_WAIT).await? {
            Fetched::Batches(bytes) => batch::read(&bytes, offset),
            Fetched::OutOfRange => {
                let [earliest, end] = [OffsetAt::Earliest, OffsetAt::Latest].map(|at| self.client.get_offset(at));
                let (earliest, end) = futures::future::join(earliest, end).await;
                let end = end.context("cannot ask for the topic's end")?;
                if offset > end {
                    return Err(Lost { partition, read: offset, end }.into());
                }
                let next = earliest.context("cannot ask for the topic's beginning")?.max(offset);
                if next > offset {
                    warn!(
                        partition,
                        offset,
                        earliest = next,
                        "position is before the topic's first record: from there"
                    );
                }
                Ok(Batches { next, ..Batches::default() })
            }
        }
    }
}
