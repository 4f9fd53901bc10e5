//! Waits until the platform is done: nothing in a queue, every commit in the ledger, the topic consumed, no dbt run due.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::QueueAttributeName;
use sluice_aws::S3Lake;
use sluice_core::{Loader, Sources, lake, port::ObjectStore};
use sluice_pipeline::{dispatch, log};
use snowflake_emulator::Emulator;

use crate::topics::Topics;

/// How often the state is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// When nothing has changed for this long, nothing will: the longest pause by design is a delayed message of a minute.
const STALLED_AFTER: Duration = Duration::from_secs(120);

/// Everything that the question "is it done?" needs.
pub(crate) struct Watch<'a> {
    pub sqs: &'a aws_sdk_sqs::Client,
    pub stack: &'a str,
    pub store: &'a S3Lake,
    pub sources: &'a Sources,
    pub warehouse: &'a Emulator,
    pub topics: &'a Topics,
}

impl Watch<'_> {
    /// Resolves when nothing is left to do. Fails at once when a message has gone to a dead-letter queue, and with what
    /// is still open when nothing moves any more or the deadline has passed.
    pub(crate) async fn done(&self, deadline: Duration) -> Result<()> {
        let start = Instant::now();
        let (mut last, mut last_change) = (Vec::new(), start);
        loop {
            let open = self.open().await?;
            if open.is_empty() {
                return Ok(());
            }
            if start.elapsed() > deadline {
                bail!("not done after {} s: {}", deadline.as_secs(), open.join("; "));
            }
            let transforming = open.iter().any(|item| item.contains("dbt"));
            if open != last || transforming {
                (last, last_change) = (open, Instant::now());
            } else if last_change.elapsed() > STALLED_AFTER {
                bail!(
                    "nothing has moved for {} s, still open: {}; the functions' logs are in ministack.log (`make clean` \
                     forgets the kept state)",
                    STALLED_AFTER.as_secs(),
                    open.join("; ")
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What is left to do, in words.
    async fn open(&self) -> Result<Vec<String>> {
        // What is among the outbox's dead letters waits for a person: nothing moves it, and it holds up nothing.
        for queue in ["extract-dead", "load-dead", "dispatch-dead", "activate-dead"] {
            if self.messages(queue, true).await? > 0 {
                bail!("a message has gone to the dead-letter queue {}-{queue}; see the function's log", self.stack);
            }
        }
        let mut open = Vec::new();
        let lags = self.topics.lags().await?;
        open.extend(lags.into_iter().map(|(topic, lag)| format!("{lag} records of the topic {topic} to stream")));
        open.extend(self.unloaded().await?);
        for queue in ["extract", "load", "dispatch", "activate", "spool"] {
            // A delayed message to the extract is no work: it looks, much later, whether a partitioned read has lost a part.
            let delayed = queue != "extract";
            let messages = self.messages(queue, delayed).await?;
            if messages > 0 {
                open.push(format!("{messages} messages in the queue {queue}"));
            }
        }
        if let Some(run) = dispatch::under_way(self.store).await? {
            open.push(format!("dbt run {run} under way"));
        }
        Ok(open)
    }

    /// Visible, in flight, and delayed where those count.
    async fn messages(&self, queue: &str, delayed: bool) -> Result<u64> {
        let name = format!("{}-{queue}", self.stack);
        let url =
            self.sqs.get_queue_url().queue_name(&name).send().await.with_context(|| format!("no queue {name}"))?;
        let attributes = self
            .sqs
            .get_queue_attributes()
            .set_queue_url(url.queue_url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await
            .with_context(|| format!("cannot look at the queue {name}"))?;
        let count = |name: QueueAttributeName| -> u64 {
            attributes.attributes().and_then(|all| all.get(&name)).and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let waiting = if delayed { count(QueueAttributeName::ApproximateNumberOfMessagesDelayed) } else { 0 };
        Ok(waiting
            + count(QueueAttributeName::ApproximateNumberOfMessages)
            + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible))
    }

    /// Commits that the ledger does not know the end of.
    async fn unloaded(&self) -> Result<Vec<String>> {
        let mut open = Vec::new();
        for table in self.sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
            let Some(newest) = self.store.first_key(&lake::log_prefix(&table.table)).await? else { continue };
            let newest = lake::counted_number(&newest).context("the log holds an object that is no commit")?;
            let statement = format!(
                "SELECT SEQUENCE FROM ADMIN__OBSERVABILITY.LOADS WHERE TABLE_NAME = '{}' AND STATUS IN ('loaded', 'failed')",
                table.table
            );
            // The file is with dbt just now: whatever the ledger says will be there afterwards.
            let Ok(rows) = self.warehouse.query(&statement).await else {
                return Ok(vec!["dbt has the warehouse".into()]);
            };
            let known: BTreeSet<u64> = rows.iter().flatten().flatten().filter_map(|text| text.parse().ok()).collect();
            let missing = (1..=newest).filter(|sequence| !known.contains(sequence)).count();
            if missing > 0 {
                open.push(format!("{missing} commits of {} to load", table.table));
            }
        }
        Ok(open)
    }
}

/// How many commits each table has; tables without any are left out.
pub(crate) async fn newest_sequences(store: &S3Lake, sources: &Sources) -> Result<Vec<(String, u64)>> {
    let mut newest = Vec::new();
    for table in sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
        if let Some(commit) = log::newest_commit(store, &table.table).await? {
            newest.push((table.table.to_string(), commit.sequence.0));
        }
    }
    Ok(newest)
}

/// Rows of all commits of each table: committed and rejected.
pub(crate) async fn committed(store: &S3Lake, sources: &Sources) -> Result<Vec<(String, u64, u64)>> {
    let mut tables = Vec::new();
    for table in sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
        let newest = log::newest_commit(store, &table.table).await?.map_or(0, |commit| commit.sequence.0);
        let (mut rows, mut rejected) = (0, 0);
        for sequence in 1..=newest {
            let commit = log::read_commit(store, &table.table, sluice_core::Sequence(sequence)).await?;
            rows += commit.rows;
            rejected += commit.rejected.map_or(0, |rejected| rejected.rows);
        }
        tables.push((table.table.to_string(), rows, rejected));
    }
    Ok(tables)
}

/// Kafka records of a topic that were kept because they broke the contract.
pub(crate) async fn dead_letters(aws: &aws_config::SdkConfig, topic: &str) -> Result<u64> {
    let config = aws_sdk_s3::config::Builder::from(aws).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let bucket = format!("{}-lake-{}", crate::machine::deploy::STACK, crate::machine::services::ACCOUNT);
    let mut pages =
        client.list_objects_v2().bucket(bucket).prefix(format!("dead-letter/{topic}/")).into_paginator().send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        count += page.context("cannot list the dead letters")?.contents().len() as u64;
    }
    Ok(count)
}

/// Whether the newest dbt run has failed.
pub(crate) async fn failed_runs(store: &S3Lake) -> Result<bool> {
    Ok(dispatch::last_status(store).await? == Some(dispatch::EndStatus::Failed))
}
