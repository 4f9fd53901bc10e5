//! What a request with rows may hold, and how they are packed for it.

use bytes::Bytes;
use sluice_core::{Error, Result};
use sluice_pipeline::stream::Limits;

/// Those of a request: decimal megabytes, the smaller reading of "4 MB" as it travels, and 16 MB before compression for
/// servers that still count so. Rows repeat themselves so much that more effort at compressing buys little.
pub const LIMITS: Limits = Limits { append_bytes: 3_800_000, row_bytes: 16_000_000, packed_bytes: 4_000_000, level: 1 };

/// Packs the rows of one append as they travel.
pub fn compress(text: &[u8]) -> Result<Bytes> {
    zstd::bulk::compress(text, LIMITS.level)
        .map(Bytes::from)
        .map_err(|error| Error::internal("cannot compress rows").because(error))
}
