//! What a request with rows may hold, and how they are packed for it.

use bytes::Bytes;
use sluice_core::{Error, Result};

/// The limit on a request as it travels. Decimal megabytes, the smaller reading of "4 MB".
pub const MAX_COMPRESSED_BYTES: usize = 4_000_000;

/// The limit on a request before compression, for servers that still count so.
pub const MAX_RAW_BYTES: usize = 16_000_000;

/// Rows repeat themselves so much that more effort buys little.
pub const LEVEL: i32 = 1;

/// Packs the rows of one append as they travel.
pub fn compress(text: &[u8]) -> Result<Bytes> {
    zstd::bulk::compress(text, LEVEL)
        .map(Bytes::from)
        .map_err(|error| Error::internal("cannot compress rows").because(error))
}
