//! A replay's warehouse: the side table, the comparison and the swap over the SQL API.

use std::{collections::BTreeMap, time::Duration};

use sluice_core::{
    DataFile, Error, Result, Table, TableId,
    port::{Row, Secrets, required},
};
use sluice_pipeline::{
    observe::Observe,
    replay::{Compared, Range, Warehouse},
    stream::Channel,
};

use crate::{
    Observer,
    answer::value,
    sql::{
        load, lock, replay as sql,
        swap::{ALREADY_REPLAYED, REPLAYED},
    },
};

/// Copying and comparing millions of rows takes minutes.
const LONGEST: Duration = Duration::from_secs(3_600);

/// One replay's view of its table.
pub struct ReplayTable<'a, Sec> {
    pub observer: &'a Observer<Sec>,
    pub table: &'a Table,
    pub topic: &'a str,
    /// Upper-case letters and digits, new for each replay.
    pub id: &'a str,
    /// Who asked for it, as AWS knows them.
    pub by: &'a str,
}

impl<Sec: Secrets> ReplayTable<'_, Sec> {
    fn sql<'a>(&'a self, ranges: &'a [Range]) -> sql::Replay<'a> {
        let ReplayTable { observer, table, topic, id, by } = self;
        sql::Replay { table, topic, lake: &observer.lake_id, id, by, ranges }
    }

    async fn ask(&self, statement: &str) -> Result<Vec<Row>> {
        self.observer.run(&format!("replay:{}", self.id), statement, LONGEST).await
    }
}

impl<Sec: Secrets> Warehouse for ReplayTable<'_, Sec> {
    async fn committed(&self, channels: &[Channel]) -> Result<BTreeMap<String, i64>> {
        let mut statuses = self.observer.channels(channels).await?;
        let mut committed = BTreeMap::new();
        for channel in channels {
            let offset = match statuses.remove(&channel.name).transpose()?.and_then(|status| status.committed) {
                Some(offset) => Some(offset),
                None => self.observer.max_loaded_offset(channel).await?,
            };
            committed.extend(offset.map(|offset| (channel.name.clone(), offset)));
        }
        Ok(committed)
    }

    async fn count(&self, ranges: &[Range]) -> Result<BTreeMap<i32, Compared>> {
        // A partition without a row has no line in the answer.
        let none = Compared { held: Some(0), ..Compared::default() };
        let mut counted: BTreeMap<i32, Compared> = ranges.iter().map(|range| (range.partition, none)).collect();
        for row in self.ask(&sql::live(&self.sql(ranges))).await? {
            let (offsets, rows): (u64, u64) = (value(&row, "offsets")?, value(&row, "row_count")?);
            let (held, twice) = (Some(offsets), Some(rows.saturating_sub(offsets)));
            counted.insert(value(&row, "number")?, Compared { held, twice, ..Compared::default() });
        }
        Ok(counted)
    }

    fn side_table(&self) -> TableId {
        self.sql(&[]).side_table()
    }

    async fn fill(&self, files: &[DataFile]) -> Result<()> {
        let replay = self.sql(&[]);
        self.ask(&replay.create()).await?;
        replay.permit_loaded(&self.ask(&replay.load(files)?).await?)
    }

    async fn compare(&self, ranges: &[Range]) -> Result<BTreeMap<i32, Compared>> {
        let compared = |row: &Row| -> Result<(i32, Compared)> {
            let count = |column| value(row, column).map(Some);
            let compared = Compared {
                held: count("held")?,
                only_archived: count("only_archived")?,
                only_held: count("only_held")?,
                differing: count("differing")?,
                twice: count("twice")?,
            };
            Ok((value(row, "number")?, compared))
        };
        self.ask(&self.sql(ranges).compare()).await?.iter().map(compared).collect()
    }

    async fn swap(&self, ranges: &[Range], files: &[DataFile], delete_unarchived: bool) -> Result<()> {
        self.ask(&lock::create(&self.observer.lake_id, &self.table.table)).await?;
        let rows = self.ask(&self.sql(ranges).swap(files.len(), delete_unarchived)?).await?;
        match rows.first().map(|row| required(row, load::RESULT_COLUMN)).transpose()? {
            Some(REPLAYED | ALREADY_REPLAYED) => Ok(()),
            other => {
                let error = Error::internal("the swap answered something else than that it is done");
                Err(error.with("answer", other.unwrap_or("nothing")))
            }
        }
    }

    async fn drop_side_table(&self) -> Result<()> {
        self.ask(&self.sql(&[]).drop_side_table()).await.map(drop)
    }
}
