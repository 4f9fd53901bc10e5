//! A read too large for one invocation, cut into ranges of the cursor that others read.
//!
//! The ranges follow the rows, not the numbers: a sample of the table's pages tells whether there are as many rows as the
//! planner believes, and where each part ends. They cover
//! everything up to the largest value that the partitioning's snapshot saw; rows without a value belong to the first.
//!
//! Each part is read by a later snapshot of its own. It sees every row that the partitioning's snapshot saw, for rows are
//! never deleted and the server is the same one; [`read_chunk`] makes sure of that. It may see rows of transactions that
//! were in flight then. The position of the partitioning counts all the same, so the next read, which takes every row of a
//! transaction at or above that snapshot's xmin, reads those again: as [`crate::position`] says, reading twice changes
//! nothing and reading too little would be a loss.

use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_core::{
    Cursor, Error, Result,
    extract::ExtractRun,
    split::{Chunk, Partitioning},
};
use tokio_postgres::SimpleQueryMessage;

use crate::{
    config::PostgresConfig,
    copy,
    error::classify,
    position::{Found, Position, Range, Scope},
    reading::{Options, Reading, SourceTable},
    sink::BatchSink,
    sql,
};

/// A plan has no more parts; each is then longer than was asked for.
const MOST_PARTS: u32 = 1_000;

/// How many rows are looked at for each part: its length is then right to a few percent.
const SAMPLE_PER_PART: f64 = 10_000.0;

/// A part's share as the plan keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Share {
    #[serde(flatten)]
    range: Range,
    /// The partitioning did not trust the cursor that it was made from, so its parts do not either.
    everything: bool,
    /// It took the whole table, although the request named a value to start from.
    #[serde(default, skip_serializing_if = "Not::not")]
    whole: bool,
}

/// Cuts what [`crate::read()`] would read; `None` when one invocation can take it.
pub async fn partition(
    config: &PostgresConfig,
    options: Options,
    run: &ExtractRun<'_>,
) -> Result<Option<Partitioning>> {
    if options.split_rows == 0 {
        return Ok(None);
    }
    let source = SourceTable::of(run)?;
    let reading = Reading::begin(config, options, run, &source).await?;
    let estimated = estimate(&reading, &source).await?;
    if estimated <= options.split_rows {
        reading.end(run).await?;
        return Ok(None);
    }
    let parts = u32::try_from(estimated.div_ceil(options.split_rows)).unwrap_or(MOST_PARTS).min(MOST_PARTS);
    let percent = (100.0 * SAMPLE_PER_PART * f64::from(parts) / estimated as f64).min(100.0);
    let Reading { session, shape, scope, snapshot, identity, .. } = &reading;
    let cursor = shape.cursor(&source);
    let failed = |error| classify(error, "cannot partition the read of the source's table");

    let statement = sql::largest(source.schema, source.table, &cursor, scope);
    let row = session.client.query_one(&statement, &[]).await.map_err(failed)?;
    let largest: Option<i64> = row.try_get(0).map_err(failed)?;
    let statement = sql::boundaries(source.schema, source.table, &cursor, scope, parts, percent);
    let row = session.client.query_one(&statement, &[]).await.map_err(failed)?;
    let sampled: i64 = row.try_get(0).map_err(failed)?;
    let boundaries: Option<Vec<i64>> = row.try_get(1).map_err(failed)?;
    // Of a table that is looked through again, the largest value is not only that of what is new.
    let known = if scope.restart().is_some() { reading.extent(&source).await?.0 } else { largest };
    let read_to = Position::read_to(reading.previous.as_ref(), scope, known);
    let written_by = reading.writer(&source, read_to).await?;
    reading.end(run).await?;

    // The planner may be far off, above all about the transactions that wrote the rows; the sample is not.
    let sampled = sampled as f64 * 100.0 / percent;
    let Some(largest) = largest.filter(|_| sampled > options.split_rows as f64) else { return Ok(None) };
    let everything = matches!(scope, Scope::Everything(_) | Scope::From(_, None));
    let whole = source.from.is_some() && matches!(scope, Scope::Everything(_));
    let chunks = ranges(boundaries.unwrap_or_default(), largest)
        .into_iter()
        .map(|range| Chunk::encode(&Share { range, everything, whole }))
        .collect::<Result<Vec<_>>>()?;
    // Which transactions the parts will have seen is not known before they are read.
    let found = Found { read_to, written_by, seen: Vec::new(), table: reading.table.clone() };
    let position = Position::after(reading.previous.as_ref(), scope, snapshot, identity, found);
    let mut facts = reading.facts();
    facts.insert("rows_estimated".into(), (sampled as u64).into());
    let is_whole = matches!(scope, Scope::Everything(_));
    Ok(Some(Partitioning { chunks, cursor: Cursor::encode(&position)?, is_whole, facts }))
}

/// Reads one chunk of a partitioning whose cursor was `planned`, and gives its rows to the sink.
pub async fn read_chunk<S: BatchSink>(
    config: &PostgresConfig,
    options: Options,
    run: &ExtractRun<'_>,
    chunk: &Chunk,
    planned: &Cursor,
    sink: S,
) -> Result<Map<String, Value>> {
    let Share { range, everything, whole } = chunk.decode()?;
    let planned: Position = planned.decode()?;
    let run = ExtractRun { cursor: run.cursor.filter(|_| !everything), ..*run };
    let mut source = SourceTable::of(&run)?;
    source.from = source.from.filter(|_| !whole);
    let reading = Reading::begin(config, options, &run, &source).await?;
    let of = |error: Error| error.with("table", &run.table.table).with("run_id", run.run_id);
    if reading.identity != planned.source {
        let message = "the cluster, its timeline or the table is another one than when the read was partitioned";
        return Err(of(Error::conflict(message).as_final()));
    }
    if !reading.snapshot.covers(&planned.snapshot)? {
        return Err(of(Error::unavailable("this server is behind the one on which the read was partitioned")));
    }
    let scanned = reading.copy(&source, Some(&range), sink).await?;
    reading.end(&run).await?;
    copy::finish(scanned.sink).await?;
    let mut facts = reading.facts();
    facts.insert("rows_read".into(), scanned.rows.into());
    Ok(facts)
}

async fn estimate(reading: &Reading, source: &SourceTable<'_>) -> Result<u64> {
    let statement = sql::estimate(source.schema, source.table, &reading.shape.cursor(source), &reading.scope);
    let answer = reading.session.client.simple_query(&statement).await;
    let answer = answer.map_err(|error| classify(error, "cannot estimate the rows of the source's table"))?;
    let text: String = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    let plan: Value = serde_json::from_str(&text)
        .map_err(|error| Error::invalid_data("the server's estimate is not JSON").because(error))?;
    let rows = plan[0]["Plan"]["Plan Rows"].as_f64();
    rows.map(|rows| rows as u64).ok_or_else(|| Error::invalid_data("the server's estimate names no number of rows"))
}

/// Ranges that meet: the first from the beginning, the last to the largest value. Values that fill more than a part make
/// several boundaries equal, and one longer part.
fn ranges(mut boundaries: Vec<i64>, largest: i64) -> Vec<Range> {
    boundaries.retain(|boundary| *boundary < largest);
    boundaries.push(largest);
    boundaries.sort_unstable();
    boundaries.dedup();
    let above = std::iter::once(None).chain(boundaries.iter().copied().map(Some));
    above.zip(&boundaries).map(|(above, to)| Range { above, to: *to }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        let cut = |boundaries: &[i64], largest| -> Vec<(Option<i64>, i64)> {
            ranges(boundaries.to_vec(), largest).iter().map(|range| (range.above, range.to)).collect()
        };
        assert_eq!(cut(&[3, 7], 9), [(None, 3), (Some(3), 7), (Some(7), 9)]);
        assert_eq!(cut(&[3, 3, 3, 9, 9], 9), [(None, 3), (Some(3), 9)], "one value fills several parts");
        assert_eq!(cut(&[], i64::MAX), [(None, i64::MAX)]);
        assert_eq!(cut(&[i64::MIN, 5], 4), [(None, i64::MIN), (Some(i64::MIN), 4)]);
    }

    #[test]
    fn a_share_is_kept_as_a_flat_object() {
        let share = Share { range: Range { above: None, to: 7 }, everything: true, whole: false };
        let chunk = Chunk::encode(&share).unwrap();
        assert_eq!(chunk.0, serde_json::json!({ "above": null, "to": 7, "everything": true }));
        assert_eq!(chunk.decode::<Share>().unwrap().range, share.range);
    }
}
