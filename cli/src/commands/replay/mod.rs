//! `sluice replay`: a table's rows made again from the lake, compared and swapped in: a raw table's from its commits, a
//! streaming table's of some time from the archive. Or what was announced on the bus, from the bus's own archive. What is done and in which order is the pipeline's; here its ports are wired,
//! and the person at the terminal is asked and told.

mod announcements;
mod files;
mod render;
mod table;
mod terminal;

pub(super) use table::Person;

use chrono::{DateTime, Utc};
use sluice_aws::EventBus;
use sluice_core::{Error, RunId, Sources, Table, sources::Source};
use sluice_pipeline::{
    leftovers,
    replay::{Mode, Outcome as End, Replay, Request},
};
use uuid::Uuid;

use self::{files::Files, terminal::Terminal};
use crate::{
    args::ReplayArgs,
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    formats, output,
    platform::STREAMER,
    warehouse::{LIMITS, ReplayTable},
};

pub(super) async fn run(context: &Context<'_>, args: &ReplayArgs) -> Outcome {
    if let ReplayArgs { announcements: true, from: Some(from), to: Some(to), dry_run, .. } = args {
        return announcements::run(context, (*from, *to), *dry_run).await;
    }
    let mode = match (args.dry_run, args.no_swap) {
        (true, _) => Mode::DryRun,
        (_, true) => Mode::Compare,
        _ => Mode::Swap { delete_unarchived: args.delete_unarchived },
    };
    if matches!(mode, Mode::Swap { .. }) && !args.yes {
        confirm::somebody_is_there("a replay")?;
    }
    match args {
        ReplayArgs { table: Some(name), .. } => table::run(context, args, name, mode).await,
        ReplayArgs { topic: Some(topic), from: Some(from), to: Some(to), .. } => {
            of_topic(context, args, topic, (*from, *to), mode).await
        }
        _ => Err(Failure::usage("a replay needs a table, or a topic and a time")),
    }
}

async fn of_topic(
    context: &Context<'_>,
    args: &ReplayArgs,
    topic: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    mode: Mode,
) -> Outcome {
    let platform = &context.platform;
    let ReplayArgs { partition, from_offset, to_offset, .. } = args;
    let table = table(&platform.place.sources, topic)?;
    if from >= to {
        return Err(Failure::usage("the replayed time ends before it begins")
            .hint("--to is exclusive for a time, and a date stands for its whole day"));
    }
    let settings = platform.environment(STREAMER).await?;
    let setting = |name: &str| {
        let found = settings.get(name).filter(|value| !value.is_empty());
        found.ok_or_else(|| Error::not_found(format!("{STREAMER} has no {name}; deploy it again")))
    };
    let id = &Uuid::now_v7().simple().to_string().to_uppercase();
    let run_id = &RunId(format!("replay-{id}"));
    let (observer, by) = (&platform.warehouse().await?, &platform.caller().await?);
    let (store, terminal) = (&platform.store()?, Terminal::new(context.progress, args.yes));
    leftovers::sweep(store, &table.table, Utc::now()).await?;
    let replay = Replay {
        store,
        formats: &formats::of(&platform.place, table, &settings)?,
        warehouse: &ReplayTable { observer, table, topic, id, by },
        bus: &EventBus::new(&platform.place.aws, setting("SLUICE_BUS_NAME")?),
        operator: &terminal,
        request: Request {
            table,
            topic,
            lake_id: &observer.lake_id,
            cluster_id: setting("SLUICE_CLUSTER_ID")?,
            run_id,
            from,
            to,
            partition: *partition,
            offsets: (from_offset.unwrap_or(0), to_offset.unwrap_or(i64::MAX)),
            mode,
            limits: LIMITS,
        },
    };
    let (report, ended) = replay.run(Files::new(store, table, run_id)?).await;
    observer.keep_estimate().await;
    terminal.clear();
    if report.outcome.is_some() {
        output::print(context.json, &report, render::text)?;
    }
    ended?;
    if report.outcome == Some(End::Declined) { Err(confirm::declined()) } else { Ok(()) }
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
}
