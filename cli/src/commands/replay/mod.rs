//! `sluice replay`: a streaming table's rows of some time, made again from the archive, compared and swapped in.
//!
//! The order of effects is what makes it safe to end anywhere: dead letters and data files are functions of the records
//! or of this replay alone, the side table is nobody's but this replay's, and the swap is one transaction with its row in
//! the ledger. Files and side table are removed after it. Called again, a replay finds what still differs, which after
//! a swap is nothing.

mod archive;
mod render;
mod swap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::{LakeId, RunId, Sources, Table, TableId, sources::Source};
use sluice_pipeline::replay::{Archived, Request};
use sluice_snowflake::sql::replay::Range;
use uuid::Uuid;

use crate::{
    args::ReplayArgs,
    channels::{Channels, STREAMER},
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    formats::{self, Formats},
    output,
    warehouse::{LIMITS, Warehouse},
};

/// What was found, and what was done about it.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    pub table: TableId,
    pub topic: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// `nothing archived`, `dry run`, `nothing to change`, `refused`, `compared`, `replayed`.
    pub outcome: &'static str,
    /// Where the archive's rows are, as long as they are there.
    pub side_table: Option<TableId>,
    /// Why data files are left in the lake: they are to be deleted when there is an outcome.
    pub files_problem: Option<String>,
    pub partitions: Vec<Partition>,
}

/// One partition's range, in the archive and in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    pub partition: i32,
    /// `None` when nothing of the asked time is archived and committed.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// What the channel holds as committed: nothing above is touched.
    pub committed: Option<i64>,
    pub objects: usize,
    pub records: u64,
    pub rows: u64,
    pub dead_letters: u64,
    /// Offsets of the range without a record in the archive.
    pub absent: u64,
    /// How often a record was archived again.
    pub repeated: u64,
    /// Different offsets among the table's rows of the range.
    pub held: Option<u64>,
    pub only_archived: Option<u64>,
    pub only_held: Option<u64>,
    pub differing: Option<u64>,
    /// Rows of the table that are there more than once.
    pub twice: Option<u64>,
}

impl Answer {
    fn sum(&self, count: impl Fn(&Partition) -> Option<u64>) -> u64 {
        self.partitions.iter().filter_map(count).sum()
    }

    /// Rows that a swap would write or remove.
    fn changes(&self) -> u64 {
        self.sum(|p| p.only_archived) + self.sum(|p| p.only_held) + self.sum(|p| p.differing) + self.sum(|p| p.twice)
    }

    fn partition(&mut self, number: i32) -> Option<&mut Partition> {
        self.partitions.iter_mut().find(|partition| partition.partition == number)
    }
}

/// What all steps share.
struct Replay<'a> {
    context: &'a Context<'a>,
    args: &'a ReplayArgs,
    table: &'a Table,
    topic: &'a str,
    warehouse: &'a Warehouse,
    cluster_id: &'a str,
    /// Upper-case letters and digits, new each time.
    id: &'a str,
    run_id: &'a RunId,
    formats: &'a Formats,
}

pub async fn run(context: &Context<'_>, args: &ReplayArgs) -> Outcome {
    let platform = &context.platform;
    let table = table(&platform.place.sources, &args.topic)?;
    if args.from >= args.to {
        return Err(Failure::usage("the replayed time ends before it begins")
            .hint("--to is exclusive for a time, and a date stands for its whole day"));
    }
    if !(args.dry_run || args.no_swap || args.yes) {
        confirm::somebody_is_there("a replay")?;
    }
    let settings = platform.environment(STREAMER).await?;
    let setting = |name: &str| {
        let found = settings.get(name).filter(|value| !value.is_empty());
        found.ok_or_else(|| {
            Failure::from(sluice_core::Error::not_found(format!("{STREAMER} has no {name}; deploy it again")))
        })
    };
    let id = Uuid::now_v7().simple().to_string().to_uppercase();
    let replay = Replay {
        context,
        args,
        table,
        topic: &args.topic,
        warehouse: &platform.warehouse().await?,
        cluster_id: setting("SLUICE_CLUSTER_ID")?,
        id: &id,
        run_id: &RunId(format!("replay-{id}")),
        formats: &formats::of(&platform.place, table, &settings)?,
    };
    let (mut answer, files) = Box::pin(replay.read()).await?;
    let ranges = replay.ranges(&answer);
    if ranges.is_empty() {
        answer.outcome = "nothing archived";
        return output::print(context.json, &answer, render::text);
    }
    if args.dry_run {
        Box::pin(replay.count_held(&mut answer, &ranges)).await?;
        answer.outcome = "dry run";
        return output::print(context.json, &answer, render::text);
    }
    let by = platform.caller().await?;
    Box::pin(replay.settle(answer, &ranges, &files, &by, setting("SLUICE_BUS_NAME")?)).await
}

fn table<'a>(sources: &'a Sources, wanted: &str) -> Outcome<&'a Table> {
    let tables = &sources.tables;
    let topic = |table: &Table| match &table.source {
        Source::Kafka { topic, .. } => Some(topic.clone()),
        _ => None,
    };
    tables.iter().find(|table| topic(table).as_deref() == Some(wanted)).ok_or_else(|| {
        let topics: Vec<String> = tables.iter().filter_map(topic).collect();
        Failure::usage(format!("no table of {} takes the topic '{wanted}'", sources.file()))
            .hint(format!("there are {}", topics.join(", ")))
    })
}

impl Replay<'_> {
    fn lake_id(&self) -> &LakeId {
        &self.warehouse.lake_id
    }

    fn channels(&self) -> Channels<'_> {
        let Replay { warehouse, cluster_id, topic, table, .. } = self;
        Channels { warehouse, cluster_id, topic, table: &table.table }
    }

    fn request(&self) -> Request<'_> {
        let ReplayArgs { from, to, partition, from_offset, to_offset, dry_run, .. } = self.args;
        Request {
            table: self.table,
            topic: self.topic,
            lake_id: self.lake_id(),
            cluster_id: self.cluster_id,
            run_id: self.run_id,
            from: *from,
            to: *to,
            partition: *partition,
            offsets: (from_offset.unwrap_or(0), to_offset.unwrap_or(i64::MAX)),
            keep_dead_letters: !dry_run,
            limits: LIMITS,
        }
    }

    fn ranges(&self, answer: &Answer) -> Vec<Range> {
        let channels = self.channels();
        let range = |found: &Partition| {
            let channel = channels.name(found.partition);
            Some(Range { partition: found.partition, first: found.first?, last: found.last?, channel })
        };
        answer.partitions.iter().filter_map(range).collect()
    }
}

impl Partition {
    fn of(archived: &Archived, objects: usize, committed: Option<i64>) -> Self {
        Partition {
            partition: archived.partition,
            first: archived.range.map(|(first, _)| first),
            last: archived.range.map(|(_, last)| last),
            committed,
            objects,
            records: archived.records,
            rows: archived.rows,
            dead_letters: archived.dead_letters,
            absent: archived.absent(),
            repeated: archived.repeated,
            ..Partition::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_found_by_its_whole_name() {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        let found = table(&sources, "purchases").expect("a table");
        assert_eq!(found.table.to_string(), "STREAMING.PUBLIC.PURCHASES");
        let failure = table(&sources, "purchase").expect_err("no topic");
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.text().contains("there are purchases"), "{}", failure.text());
    }

    #[test]
    fn what_differs_is_what_would_change() {
        let partition = Partition {
            only_archived: Some(1),
            only_held: Some(2),
            differing: Some(3),
            twice: Some(4),
            rows: 100,
            ..Partition::default()
        };
        let same = Partition { only_archived: Some(0), rows: 5, ..Partition::default() };
        let answer = render::tests::answer(vec![partition, same]);
        assert_eq!(answer.changes(), 10);
        let answer = render::tests::answer(vec![Partition::default()]);
        assert_eq!(answer.changes(), 0);
    }
}
