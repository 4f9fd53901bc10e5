//! Reading one partition ahead of the function.

use std::{sync::Arc, time::Duration};

use rskafka::{
    client::{
        error::{Error as ClientError, ProtocolError},
        partition::{OffsetAt, PartitionClient},
    },
    record::RecordAndOffset,
};
use tokio::sync::mpsc;
use tracing::warn;

const FETCH_BYTES: i32 = 4_000_000;
const LONGEST_WAIT_MS: i32 = 250;
/// A broker may answer at once that there is nothing, whatever wait it was asked for.
const PAUSE_AT_THE_END: Duration = Duration::from_millis(50);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// Fetches from `offset` on, for as long as somebody receives. Errors are waited out: a broker comes back.
pub(crate) async fn fetch(client: Arc<PartitionClient>, mut offset: i64, sender: mpsc::Sender<Vec<RecordAndOffset>>) {
    while !sender.is_closed() {
        match client.fetch_records(offset, 1..FETCH_BYTES, LONGEST_WAIT_MS).await {
            Ok((records, _)) => {
                let Some(last) = records.last() else {
                    tokio::time::sleep(PAUSE_AT_THE_END).await;
                    continue;
                };
                offset = last.offset + 1;
                if sender.send(records).await.is_err() {
                    return;
                }
            }
            Err(ClientError::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. }) => {
                // Records were deleted, or the topic is another one than the positions are about.
                match client.get_offset(OffsetAt::Earliest).await {
                    Ok(earliest) => {
                        warn!(
                            partition = client.partition(),
                            offset, earliest, "position is outside the topic: from its beginning"
                        );
                        offset = earliest;
                    }
                    Err(_) => tokio::time::sleep(PAUSE_AFTER_ERROR).await,
                }
            }
            Err(error) => {
                warn!(partition = client.partition(), offset, %error, "cannot fetch, trying again");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}
