//! One read: `COPY`, rows, position.

use serde_json::{Map, Value, json};
use sluice_core::{
    Cursor, Result,
    extract::{ExtractRun, Plan},
};

use crate::{
    config::PostgresConfig,
    copy::{self, Format, Scanned},
    encoding::{Aside, blocks, untranslatable},
    error::classify,
    position::{Found, Position, Range, Scope, Transactions},
    reading::{Options, Reading, SourceTable},
    sink::BatchSink,
    sql::{self, Rows, Stretch},
};

/// Transactions that a position names as seen.
const MOST_SEEN: usize = 2_000;

/// After a read of more rows nobody asks which transactions they were of: looking through them takes as long as counting.
const MOST_ROWS_LOOKED_AT: u64 = 200_000;

/// What a finished read hands to its commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Where the next read starts; unchanged when there was nothing to read, so that such a run commits nothing.
    pub cursor: Option<Cursor>,
    /// Every row of the table has been read, whatever was read before.
    pub is_whole: bool,
    pub facts: Map<String, Value>,
}

/// Reads the run's table from its cursor on, in one read-only transaction, and gives every row to the sink.
pub async fn read<S: BatchSink>(
    config: &PostgresConfig,
    options: Options,
    run: &ExtractRun<'_>,
    sink: S,
) -> Result<Read> {
    let source = SourceTable::of(run)?;
    let reading = Reading::begin(config, options, run, &source).await?;
    let Scanned { rows, largest_cursor, sink } = reading.copy(&source, None, sink).await?;
    let (cursor, facts) = reading.standing(&source, rows, largest_cursor).await?;
    reading.end(run).await?;
    copy::finish(sink).await?;
    // Nothing read and nothing to be remembered: the run commits nothing.
    let cursor = cursor.map(|position| Cursor::encode(&position)).transpose()?.or_else(|| run.cursor.cloned());
    Ok(Read { cursor, is_whole: matches!(reading.scope, Scope::Everything(_)), facts })
}

/// Counts what [`read`] would give to its sink, in a transaction of the same kind, and tells the range of the cursor's
/// values. Nothing is copied out.
pub async fn plan(config: &PostgresConfig, options: Options, run: &ExtractRun<'_>) -> Result<Plan> {
    let source = SourceTable::of(run)?;
    let reading = Reading::begin(config, options, run, &source).await?;
    let count = sql::count(source.schema, source.table, &reading.shape.cursor(&source), &reading.scope, &Stretch::All);
    let failed = |error| classify(error, "cannot count the rows of the source's table");
    let row = reading.session.client.query_one(&count, &[]).await.map_err(failed)?;
    let rows: i64 = row.try_get(0).map_err(failed)?;
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
    reading.end(run).await?;
    let mut facts = reading.facts();
    facts.insert("cursor_range".into(), json!({ "first": first, "last": last }));
    Ok(Plan { rows: u64::try_from(rows).ok(), facts })
}

impl Reading {
    /// Gives the rows of the scope to the sink, or those of a range of it.
    pub(crate) async fn copy<S: BatchSink>(
        &self,
        source: &SourceTable<'_>,
        range: Option<&Range>,
        sink: S,
    ) -> Result<Scanned<S>> {
        let mut all = Scanned { rows: 0, largest_cursor: None, sink };
        let mut waiting = vec![range.copied().map_or(Stretch::All, Stretch::Range)];
        while let Some(stretch) = waiting.pop() {
            let aside = untranslatable(self, source, &stretch).await?;
            let (step, rest) = match aside.to {
                Some(to) => (stretch.cut(to).0, Some(stretch.cut(to).1)),
                None => (stretch, None),
            };
            let some = self.copy_step(source, &step, &aside, all.sink).await?;
            all = Scanned {
                rows: all.rows + some.rows,
                largest_cursor: all.largest_cursor.max(some.largest_cursor),
                sink: some.sink,
            };
            waiting.extend(rest);
            for value in &aside.crowded {
                waiting.extend(blocks(self, source, *value).await?);
            }
        }
        Ok(all)
    }

    async fn copy_step<S: BatchSink>(
        &self,
        source: &SourceTable<'_>,
        stretch: &Stretch,
        aside: &Aside,
        sink: S,
    ) -> Result<Scanned<S>> {
        let Reading { session, shape, scope, lengths, .. } = self;
        let cursor = shape.cursor(source);
        let rows = Rows { scope, stretch, without: &aside.rows, without_values: &aside.crowded };
        let statement = sql::copy(source.schema, source.table, &shape.fields, &cursor, &rows, lengths.as_ref());
        let format = Format {
            fields: shape.fields.clone(),
            lengths: lengths.clone(),
            cursor_index: shape.cursor_index,
            as_bytes: Vec::new(),
        };
        let mut all = copy::stream(session, &statement, format.clone(), sink).await?;
        for rows in &aside.rows {
            let statement = sql::copy_bytes(source.schema, source.table, &shape.fields, &cursor, scope, rows);
            let format = Format { lengths: None, as_bytes: rows.fields.clone(), ..format.clone() };
            let some = copy::stream(session, &statement, format, all.sink).await?;
            let largest_cursor = all.largest_cursor.max(some.largest_cursor);
            all = Scanned { rows: all.rows + some.rows, largest_cursor, sink: some.sink };
        }
        Ok(all)
    }

    /// Where the table stands after a read of `rows` rows with values up to `largest`, and what there is to tell. `None`
    /// where the standing position remains. Asks within the same snapshot.
    async fn standing(
        &self,
        source: &SourceTable<'_>,
        rows: u64,
        largest: Option<i64>,
    ) -> Result<(Option<Position>, Map<String, Value>)> {
        let Reading { previous, scope, snapshot, identity, .. } = self;
        let mut facts = self.facts();
        facts.insert("rows_read".into(), rows.into());
        let mut largest = largest;
        if scope.restart().is_some() || (rows == 0 && previous.is_some()) {
            let (largest_of_all, has_rows) = self.extent(source).await?;
            if !has_rows {
                let table = format!("{}.{}", source.schema, source.table);
                tracing::warn!(source = %table, "the source's table is empty; earlier runs have read rows of it");
                facts.insert("emptied".into(), true.into());
            }
            if scope.restart().is_some() {
                largest = largest_of_all;
            }
        }
        if rows == 0 && scope.restart().is_none() {
            return Ok((None, facts));
        }
        let read_to = Position::read_to(previous.as_ref(), scope, largest);
        let found = Found {
            read_to,
            written_by: self.writer(source, read_to).await?,
            seen: self.seen(source, rows).await?,
            table: self.table.clone(),
        };
        Ok((Some(Position::after(previous.as_ref(), scope, snapshot, identity, found)), facts))
    }

    /// The transactions in the snapshot's range whose rows have been read, this time or before. None where that would take
    /// long to find out, or they are many: their rows are then read once more.
    async fn seen(&self, source: &SourceTable<'_>, rows: u64) -> Result<Vec<u32>> {
        let Reading { session, snapshot, shape, scope, .. } = self;
        let above = match scope {
            _ if rows > MOST_ROWS_LOOKED_AT || snapshot.xmin == snapshot.xmax => return Ok(Vec::new()),
            Scope::From(..) | Scope::Behind(_) => return Ok(Vec::new()),
            Scope::Everything(_) => None,
            Scope::Since(since) => since.above,
        };
        let recent = Transactions { xmax: snapshot.xmax as u32, distance: snapshot.xmax - snapshot.xmin };
        let cursor = shape.cursor(source);
        let statement = sql::seen(source.schema, source.table, &cursor, above, recent, MOST_SEEN + 1);
        let failed = |error| classify(error, "cannot ask which transactions have been seen");
        let row = session.client.query_one(&statement, &[]).await.map_err(failed)?;
        let seen: Option<Vec<i64>> = row.try_get(0).map_err(failed)?;
        let mut seen: Vec<u32> = seen.unwrap_or_default().into_iter().map(|xid| xid as u32).collect();
        seen.sort_unstable();
        Ok(if seen.len() > MOST_SEEN { Vec::new() } else { seen })
    }
}
