//! The loop: wait for records, make a batch, invoke until it is answered, move the positions.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use futures::future;
use rskafka::{
    client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling},
    record::RecordAndOffset,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::{debug, error, warn};

use crate::{
    Config, StartingPosition,
    event::{self, Waiting},
    failures::{Failures, Next},
    fetch::fetch,
    function::{self, Function},
    positions::Positions,
};

const FIRST_RETRY: Duration = Duration::from_millis(200);
const SLOWEST_RETRY: Duration = Duration::from_secs(10);

/// Polls one topic for one function. Clones share everything: one runs, another asks for the status.
#[derive(Clone)]
pub struct Poller {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    function: Function,
    partitions: Vec<Arc<PartitionClient>>,
    positions: Positions,
}

/// How far a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStatus {
    pub partition: i32,
    /// The offset that the next record will get.
    pub end_offset: i64,
    /// The first offset that the function has not finished.
    pub position: i64,
}

impl PartitionStatus {
    /// Records that the function has not finished.
    pub fn lag(&self) -> i64 {
        (self.end_offset - self.position).max(0)
    }
}

/// One partition's part of the loop: records that were fetched and not yet finished.
struct Partition {
    number: i32,
    fetched: mpsc::Receiver<Vec<RecordAndOffset>>,
    waiting: VecDeque<RecordAndOffset>,
}

impl Poller {
    /// Connects to the topic, which must exist, and reads the positions.
    pub async fn connect(config: Config) -> anyhow::Result<Self> {
        let client = crate::client(&config.bootstrap).await?;
        let topics = client.list_topics().await.context("cannot list the topics")?;
        let Some(topic) = topics.into_iter().find(|topic| topic.name == config.topic) else {
            bail!("no topic {} at {}; create it first", config.topic, config.bootstrap);
        };
        let connect = |partition: i32| {
            let client = client.partition_client(&config.topic, partition, UnknownTopicHandling::Retry);
            async move { client.await.map(Arc::new).with_context(|| format!("cannot reach partition {partition}")) }
        };
        let partitions: Vec<Arc<PartitionClient>> =
            future::try_join_all(topic.partitions.into_iter().map(connect)).await?;
        let positions = Positions::load(&config.state_path, &config.topic).await?;
        for client in &partitions {
            positions.begin(
                client.partition(),
                beginning(client, positions.get(client.partition()), config.starting_position).await?,
            );
        }
        let function = Function::new(&config.aws, &config.function_name);
        Ok(Poller { shared: Arc::new(Shared { config, function, partitions, positions }) })
    }

    /// Asks the broker how far each partition goes. The topic is idle, all of it done, when no partition has a lag.
    pub async fn status(&self) -> anyhow::Result<Vec<PartitionStatus>> {
        let status = |client: &Arc<PartitionClient>| {
            let client = Arc::clone(client);
            async move {
                let partition = client.partition();
                let end_offset = client.get_offset(OffsetAt::Latest).await.context("cannot ask for the topic's end")?;
                let position = self.shared.positions.get(partition).unwrap_or_default();
                anyhow::Ok(PartitionStatus { partition, end_offset, position })
            }
        };
        future::try_join_all(self.shared.partitions.iter().map(status)).await
    }

    /// Polls as [`run`](Self::run) does, and begins anew with the saved positions at each `restart`, whatever is under way:
    /// an invocation may go on without anybody who hears its answer.
    pub async fn run_restarted(
        &self,
        shutdown: watch::Receiver<bool>,
        mut restart: mpsc::Receiver<()>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                ended = self.run(shutdown.clone()) => return ended,
                Some(()) = restart.recv() => self.shared.positions.reload().await?,
            }
        }
    }

    /// Polls until `shutdown` turns true. The function sees each record at least once, a partition's in order.
    pub async fn run(&self, mut shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
        // Dropped at the end, which ends the tasks.
        let mut fetchers = JoinSet::new();
        let partitions = self.shared.partitions.iter().map(|client| {
            let number = client.partition();
            let position = self.shared.positions.get(number).unwrap_or_default();
            // One chunk is with the function, one waits, one is being fetched.
            let (sender, fetched) = mpsc::channel(1);
            fetchers.spawn(fetch(Arc::clone(client), position, sender));
            Partition { number, fetched, waiting: VecDeque::new() }
        });
        let mut partitions: Vec<Partition> = partitions.collect();
        tokio::select! {
            () = is_true(&mut shutdown) => Ok(()),
            result = self.poll(&mut partitions) => result,
        }
    }

    async fn poll(&self, partitions: &mut [Partition]) -> anyhow::Result<()> {
        let Config { failures, batch_size, .. } = &self.shared.config;
        let mut failures = Failures::new(*failures, *batch_size);
        let mut wait = FIRST_RETRY;
        loop {
            self.gather(partitions).await;
            let Delivered { sent, done, error } = self.deliver(partitions, failures.limit()).await?;
            if done > 0 || error.is_none() {
                failures.advanced();
                wait = FIRST_RETRY;
            }
            let Some(cause) = error else { continue };
            let cause = format!("{cause:#}");
            let total: usize = sent.values().map(Vec::len).sum();
            if done == 0 && failures.failed(total) == Next::GiveUp {
                error!(error = cause, offsets = ?sent, "records are given up after as many retries as are configured");
                self.advance(partitions, |partition| sent.get(&partition).map_or(0, Vec::len)).await?;
                failures.advanced();
                continue;
            }
            let retry_in_ms = wait.as_millis() as u64;
            warn!(error = cause, retry_in_ms, "a batch is not done, it will be sent again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(SLOWEST_RETRY);
        }
    }

    /// Returns when there is a batch: full, or begun and waited for.
    async fn gather(&self, partitions: &mut [Partition]) {
        let batch_size = self.shared.config.batch_size;
        let mut end: Option<Instant> = None;
        loop {
            let waiting: usize = partitions.iter().map(|partition| partition.waiting.len()).sum();
            if waiting >= batch_size {
                return;
            }
            if waiting > 0 && end.is_none() {
                end = Some(Instant::now() + self.shared.config.window);
            }
            // A partition with a full share waits, so that none fills the memory while another is empty.
            let receives =
                partitions.iter_mut().filter(|partition| partition.waiting.len() < batch_size).map(|partition| {
                    Box::pin(async {
                        match partition.fetched.recv().await {
                            Some(chunk) => partition.waiting.extend(chunk),
                            // Its task is gone, which only happens at the end.
                            None => future::pending().await,
                        }
                    })
                });
            let receives = future::select_all(receives);
            match end {
                None => drop(receives.await),
                Some(end) => {
                    if tokio::time::timeout_at(end, receives).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Sends one batch of at most so many records and moves the positions past what is done.
    async fn deliver(&self, partitions: &mut [Partition], most: usize) -> anyhow::Result<Delivered> {
        let Config { bootstrap, topic, .. } = &self.shared.config;
        let waiting: Vec<Waiting<'_>> =
            partitions.iter().map(|p| Waiting { partition: p.number, records: &p.waiting }).collect();
        let event = event::build(bootstrap, topic, &waiting, most);
        let sent: BTreeMap<i32, Vec<i64>> = waiting
            .iter()
            .zip(&event.taken)
            .filter(|(_, taken)| **taken > 0)
            .map(|(w, taken)| (w.partition, w.records.iter().take(*taken).map(|record| record.offset).collect()))
            .collect();
        let answer = self.shared.function.invoke(event.payload).await;
        let done = match answer.and_then(|response| function::done(topic, &sent, &response)) {
            Ok(done) => done,
            Err(error) => return Ok(Delivered { sent, done: 0, error: Some(error) }),
        };
        self.advance(partitions, |partition| done.get(&partition).copied().unwrap_or_default()).await?;
        let failed: Vec<i32> = sent
            .iter()
            .filter(|(p, sent)| done.get(p).is_none_or(|done| *done < sent.len()))
            .map(|(p, _)| *p)
            .collect();
        let error = (!failed.is_empty()).then(|| anyhow::anyhow!("the function failed partitions {failed:?}"));
        let done = done.values().sum();
        debug!(records = done, "records are done");
        Ok(Delivered { sent, done, error })
    }

    /// Moves the positions past so many waiting records of each partition.
    async fn advance(&self, partitions: &mut [Partition], count: impl Fn(i32) -> usize) -> anyhow::Result<()> {
        let mut to = Vec::new();
        for partition in partitions {
            if let Some(last) = partition.waiting.drain(..count(partition.number)).next_back() {
                to.push((partition.number, last.offset + 1));
            }
        }
        self.shared.positions.advance(to).await
    }
}

/// What became of one event.
struct Delivered {
    /// The offsets that were in it.
    sent: BTreeMap<i32, Vec<i64>>,
    /// How many of them are done.
    done: usize,
    /// The function's: nothing, or not everything, is done.
    error: Option<anyhow::Error>,
}

/// Where to begin in a partition: at the saved position if the topic has it, else where the configuration says. A
/// position outside the topic is about another one that had its name.
async fn beginning(client: &PartitionClient, saved: Option<i64>, start: StartingPosition) -> anyhow::Result<i64> {
    let earliest = client.get_offset(OffsetAt::Earliest).await.context("cannot ask for the topic's beginning")?;
    let latest = client.get_offset(OffsetAt::Latest).await.context("cannot ask for the topic's end")?;
    match saved {
        Some(position) if (earliest..=latest).contains(&position) => Ok(position),
        Some(position) => {
            warn!(
                partition = client.partition(),
                position, earliest, latest, "the saved position is outside the topic"
            );
            Ok(earliest)
        }
        None => match start {
            StartingPosition::TrimHorizon => Ok(earliest),
            StartingPosition::Latest => Ok(latest),
            StartingPosition::AtTimestamp(at) => {
                let offset = client.get_offset(OffsetAt::Timestamp(at)).await;
                let offset = offset.with_context(|| format!("cannot ask for the topic's offset at {at}"))?;
                // A broker says -1 when every record is older.
                Ok(if offset < 0 { latest } else { offset })
            }
        },
    }
}

/// Returns when the value is true, or nobody can make it true any more.
async fn is_true(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends the poller, too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
