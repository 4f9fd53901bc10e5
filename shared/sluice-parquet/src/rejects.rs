//! The reject file: one JSON line per row that broke its contract, compressed as it grows.

use std::io::Write;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use sluice_core::{Error, Result};
use zstd::stream::write::Encoder;

/// zstd's own default: rejects are few, so neither speed nor size matters much.
const ZSTD_LEVEL: i32 = 3;

/// The file is held in memory until the run ends. Millions of rejected rows fit; more than that is not a bad row here
/// and there but a contract that does not describe its source, and a commit of the few rest would hide it.
const MAX_COMPRESSED_BYTES: usize = 32 * 1024 * 1024;

/// The whole file.
pub(crate) struct RejectedRows {
    pub rows: u64,
    pub body: Bytes,
}

pub(crate) struct RejectFile {
    rejected_at: String,
    rows: u64,
    encoder: Option<Encoder<'static, Vec<u8>>>,
}

impl RejectFile {
    pub(crate) fn new(time: DateTime<Utc>) -> Self {
        let rejected_at = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        RejectFile { rejected_at, rows: 0, encoder: None }
    }

    pub(crate) fn add(&mut self, row: &Value, reason: &str) -> Result<()> {
        let failed = |error| Error::internal("cannot compress a rejected row").because(error);
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            None => self.encoder.insert(Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(failed)?),
        };
        // The row is written as it is: it may be tens of megabytes, and is not copied for its line.
        let (reason, rejected_at) = (Value::from(reason), Value::from(self.rejected_at.as_str()));
        write!(encoder, r#"{{"reason":{reason},"rejected_at":{rejected_at},"row":"#).map_err(failed)?;
        serde_json::to_writer(&mut *encoder, row).map_err(|error| failed(error.into()))?;
        encoder.write_all(b"}\n").map_err(failed)?;
        self.rows += 1;
        if encoder.get_ref().len() > MAX_COMPRESSED_BYTES {
            return Err(Error::invalid_data(format!(
                "{} rows broke the table's contract, more than one run keeps; compare the contract with the source",
                self.rows
            ))
            .as_final());
        }
        Ok(())
    }

    /// `None` when nothing was rejected.
    pub(crate) fn finish(self) -> Result<Option<RejectedRows>> {
        let Some(encoder) = self.encoder else { return Ok(None) };
        let body = encoder.finish().map_err(|error| Error::internal("cannot end the reject file").because(error))?;
        Ok(Some(RejectedRows { rows: self.rows, body: Bytes::from(body) }))
    }
}
