//! The streaming loop's channels on Snowpipe Streaming; what a channel's offset cannot tell is asked over the SQL API.

use std::{cell::RefCell, collections::HashMap};

use bytes::Bytes;
use sluice_core::{
    Error, Kind, Result,
    port::{Secrets, Statements},
};
use sluice_pipeline::stream::{self, Appended, Channel, ChannelStatus, Channels, Offsets, Opened};
use sluice_snowflake::{Streaming, sql::ledger, streaming};
use uuid::Uuid;

// A row that the loop lets pass is one that an append takes.
const _: () = assert!(
    stream::ROW_BYTES == streaming::MAX_RAW_BYTES
        && stream::PACKED_ROW_BYTES == streaming::MAX_COMPRESSED_BYTES
        && stream::ROW_LEVEL == streaming::LEVEL
);

/// Channels of the default pipe of each table.
pub struct SnowflakeChannels<Sec, Sta> {
    streaming: Streaming<Sec>,
    statements: Sta,
    /// The names of open channels as Snowflake spells them: it finds a channel in any case, but lists it only in this.
    spelled: RefCell<HashMap<String, String>>,
}

impl<Sec: Secrets, Sta: Statements> SnowflakeChannels<Sec, Sta> {
    pub fn new(streaming: Streaming<Sec>, statements: Sta) -> Self {
        SnowflakeChannels { streaming, statements, spelled: RefCell::default() }
    }
}

impl<Sec: Secrets, Sta: Statements> Channels for SnowflakeChannels<Sec, Sta> {
    async fn open(&self, channel: &Channel) -> Result<Opened> {
        let streaming::Opened { continuation, status } = self.streaming.open(&channel.table, &channel.name).await?;
        let committed = status.committed_offset()?;
        if !status.channel.is_empty() {
            self.spelled.borrow_mut().insert(channel.name.clone(), status.channel);
        }
        Ok(Opened { continuation, committed, errors: status.rows_refused, last_error: status.last_error_message })
    }

    async fn append(&self, channel: &Channel, continuation: &str, rows: Bytes, offsets: Offsets) -> Result<Appended> {
        let offsets = (offsets.first, offsets.last);
        match self.streaming.append(&channel.table, &channel.name, continuation, &rows, offsets).await? {
            streaming::Appended::Accepted { continuation } => Ok(Appended::Accepted { continuation }),
            streaming::Appended::Stale { code } => {
                tracing::info!(channel = channel.name, code, "the continuation token is stale");
                Ok(Appended::Stale)
            }
        }
    }

    async fn status(&self, channel: &Channel) -> Result<ChannelStatus> {
        let spelled = self.spelled.borrow().get(&channel.name).cloned();
        let name = spelled.as_deref().unwrap_or(&channel.name);
        let mut statuses = self.streaming.status(&channel.table, &[name]).await?;
        // Both are mended by opening the channel, which the next delivery does.
        let about = |text| Error::new(Kind::Unavailable, text).with("channel", &channel.name);
        let status = statuses.remove(name).ok_or_else(|| about("the channel is gone"))?;
        if !status.is_healthy() {
            return Err(about("the channel must be opened again").with("code", status.code));
        }
        let committed = status.committed_offset()?;
        Ok(ChannelStatus { committed, errors: status.rows_refused, last_error: status.last_error_message })
    }

    async fn landed(&self, channel: &Channel) -> Result<Option<i64>> {
        let statement = ledger::landed(&channel.table, &channel.name);
        let tag = format!("sluice:stream:{}", channel.name);
        let rows = self.statements.execute(&statement, Uuid::new_v4(), &tag).await?;
        let offset = rows.first().and_then(|row| row.get("position")?.as_deref());
        offset.map(str::parse).transpose().map_err(|error| {
            Error::invalid_data("the highest offset in the table is no number")
                .with("table", &channel.table)
                .because(error)
        })
    }
}
