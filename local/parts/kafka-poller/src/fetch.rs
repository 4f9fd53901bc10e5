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

use crate::Lost;

const FETCH_BYTES: i32 = 4_000_000;
const LONGEST_WAIT_MS: i32 = 250;
/// A broker may answer at once that there is nothing, whatever wait it was asked for.
const PAUSE_AT_THE_END: Duration = Duration::from_millis(50);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// Fetches from `offset` on, for as long as somebody receives. Errors are waited out: a broker comes back. One that comes
/// back with fewer records than were read ends it: what it is given now gets offsets that the function knows already.
pub(crate) async fn fetch(
    client: Arc<PartitionClient>,
    mut offset: i64,
    sender: mpsc::Sender<Vec<RecordAndOffset>>,
) -> Result<(), Lost> {
    while !sender.is_closed() {
        match client.fetch_records(offset, 1..FETCH_BYTES, LONGEST_WAIT_MS).await {
            Ok((records, _)) => {
                let Some(last) = records.last() else {
                    tokio::time::sleep(PAUSE_AT_THE_END).await;
                    continue;
                };
                offset = last.offset + 1;
                if sender.send(records).await.is_err() {
                    return Ok(());
                }
            }
            Err(ClientError::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. }) => {
                match (client.get_offset(OffsetAt::Earliest).await, client.get_offset(OffsetAt::Latest).await) {
                    (_, Ok(end)) if offset > end => {
                        return Err(Lost { partition: client.partition(), read: offset, end });
                    }
                    // Records were deleted.
                    (Ok(earliest), Ok(_)) if offset < earliest => {
                        warn!(
                            partition = client.partition(),
                            offset, earliest, "position is before the topic's first record: from its beginning"
                        );
                        offset = earliest;
                    }
                    _ => tokio::time::sleep(PAUSE_AFTER_ERROR).await,
                }
            }
            Err(error) => {
                warn!(partition = client.partition(), offset, %error, "cannot fetch, trying again");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
    Ok(())
}
