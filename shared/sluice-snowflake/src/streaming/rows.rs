//! Rows on their way into appends: NDJSON in requests that Snowflake takes.

use bytes::Bytes;
use sluice_core::{Error, Result};

/// The limit on a request as it travels. Decimal megabytes, the smaller reading of "4 MB".
pub const MAX_COMPRESSED_BYTES: usize = 4_000_000;

/// The limit on a request before compression, for servers that still count so.
pub const MAX_RAW_BYTES: usize = 16_000_000;

/// Rows repeat themselves so much that more effort buys little.
const LEVEL: i32 = 1;

/// One row: a JSON object without line breaks, and where it stood in its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    pub offset: i64,
    pub json: Bytes,
}

/// Rows for one append, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// NDJSON, not compressed.
    pub rows: Bytes,
    pub count: usize,
    /// First and last offset.
    pub offsets: (i64, i64),
}

/// What [`split_rows`] made of the rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub chunks: Vec<Chunk>,
    /// Offsets of rows that are too large for any append; the caller keeps them elsewhere.
    pub oversized: Vec<i64>,
}

/// Cuts rows into as few appends as the limits allow, without changing their order.
pub fn split_rows(rows: &[StreamRow]) -> Result<Split> {
    split_within(rows, MAX_RAW_BYTES, MAX_COMPRESSED_BYTES)
}

fn split_within(rows: &[StreamRow], raw: usize, compressed: usize) -> Result<Split> {
    let mut split = Split::default();
    let mut start = 0;
    let mut bytes = 0;
    for (i, row) in rows.iter().enumerate() {
        let line = row.json.len() + 1;
        if bytes + line > raw {
            cut(&rows[start..i], raw, compressed, &mut split)?;
            (start, bytes) = (i, 0);
        }
        bytes += line;
    }
    cut(&rows[start..], raw, compressed, &mut split)?;
    Ok(split)
}

/// Appends one chunk, or halves until each part compresses well enough.
fn cut(rows: &[StreamRow], raw: usize, compressed: usize, split: &mut Split) -> Result<()> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
    let text = ndjson(rows);
    if text.len() <= raw && compress(&text)?.len() <= compressed {
        split.chunks.push(Chunk { rows: text.into(), count: rows.len(), offsets: (first.offset, last.offset) });
    } else if rows.len() == 1 {
        split.oversized.push(first.offset);
    } else {
        let (front, back) = rows.split_at(rows.len() / 2);
        cut(front, raw, compressed, split)?;
        cut(back, raw, compressed, split)?;
    }
    Ok(())
}

fn ndjson(rows: &[StreamRow]) -> Vec<u8> {
    let mut text = Vec::with_capacity(rows.iter().map(|row| row.json.len() + 1).sum());
    for row in rows {
        text.extend_from_slice(&row.json);
        text.push(b'\n');
    }
    text
}

/// Packs the rows of one append as they travel.
pub fn compress(text: &[u8]) -> Result<Bytes> {
    zstd::bulk::compress(text, LEVEL)
        .map(Bytes::from)
        .map_err(|error| Error::internal("cannot compress rows").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(offset: i64, json: &str) -> StreamRow {
        StreamRow { offset, json: Bytes::copy_from_slice(json.as_bytes()) }
    }

    /// Text that zstd cannot shorten much, another one for each seed.
    fn noise(seed: u64, bytes: usize) -> String {
        let mut state = 88_172_645_463_325_252 + seed;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 90) as u8)
        };
        (0..bytes).map(|_| next()).collect()
    }

    fn offsets(split: &Split) -> Vec<(i64, i64)> {
        split.chunks.iter().map(|chunk| chunk.offsets).collect()
    }

    #[test]
    fn rows_become_lines_in_order() {
        let split = split_rows(&[row(5, "{\"a\":1}"), row(9, "{\"a\":2}")]).expect("a split");
        assert_eq!(split.chunks, [Chunk { rows: "{\"a\":1}\n{\"a\":2}\n".into(), count: 2, offsets: (5, 9) }]);
        assert_eq!(split_rows(&[]).expect("nothing"), Split::default());
    }

    #[test]
    fn a_chunk_keeps_both_limits_and_gaps_in_offsets_do_not_matter() {
        let rows: Vec<StreamRow> = (0..10).map(|i| row(i * 10, "{\"a\":12}")).collect();
        let by_raw = split_within(&rows, 27, 1_000).expect("a split");
        assert_eq!(offsets(&by_raw), [(0, 20), (30, 50), (60, 80), (90, 90)]);

        let noisy: Vec<StreamRow> = (0..8).map(|i| row(i, &noise(i as u64, 1_000))).collect();
        let by_size = split_within(&noisy, 100_000, 2_500).expect("a split");
        assert!(by_size.chunks.len() > 1 && by_size.oversized.is_empty());
        assert!(by_size.chunks.iter().all(|chunk| compress(&chunk.rows).expect("compressed").len() <= 2_500));
        assert_eq!(by_size.chunks.iter().map(|chunk| chunk.count).sum::<usize>(), 8);
    }

    #[test]
    fn a_row_that_fits_nowhere_is_named_and_the_others_go_on() {
        let rows = [row(1, "{}"), row(2, &noise(0, 500)), row(3, "{}")];
        let split = split_within(&rows, 100, 1_000).expect("a split");
        assert_eq!((offsets(&split), &split.oversized[..]), (vec![(1, 1), (3, 3)], &[2_i64][..]));
    }
}
