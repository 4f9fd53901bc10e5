//! The loop: wait for records, make a batch, invoke until it is answered, move the positions.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, bail};
use futures::future;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::{debug, error, warn};

use crate::kafka_poller::{
    Config, Lost, StartingPosition,
    event::{self, PAYLOAD_BYTES, Waiting},
    failures::{Failures, Next},
    fetch::Source,
    function::{self, Function},
    partition::Partition,
    positions::Positions,
    stalls::{Stage, Stalls},
};

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
    stalls: Stalls,
}

/// How far a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    pub partition: i32,
    /// The offset that the next record will get.
    pub end_offset: i64,
    /// The first offset that the function has not finished.
    pub position: i64,
    /// Why it does not go on.
    pub stalled: Option<String>,
}

impl PartitionStatus {
    /// Records that the function has not finished.
    pub fn lag(&self) -> i64 {
        (self.end_offset - self.position).max(0)
    }
}

impl Poller {
    /// Connects to the topic, which must exist, and reads the positions.
    pub async fn connect(config: Config) -> anyhow::Result<Self> {
        let client = crate::kafka_poller::client(&config.bootstrap).await?;
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
        let function = Function::new(config.lambda.clone(), &config.function_name);
        Ok(Poller { shared: Arc::new(Shared { config, function, partitions, positions, stalls: Stalls::default() }) })
    }

    /// Asks the broker how far each partition goes. The topic is idle, all of it done, when no partition has a lag.
    pub async fn status(&self) -> anyhow::Result<Vec<PartitionStatus>> {
        let status = |client: &Arc<PartitionClient>| {
            let client = Arc::clone(client);
            async move {
                let partition = client.partition();
                let end_offset = client.get_offset(OffsetAt::Latest).await.context("cannot ask for the topic's end")?;
                let position = self.shared.positions.get(partition).unwrap_or_default();
                let stalled = self.shared.stalls.all().remove(&partition);
                anyhow::Ok(PartitionStatus { partition, end_offset, position, stalled })
            }
        };
        future::try_join_all(self.shared.partitions.iter().map(status)).await
    }

    /// The first offset of each partition that the function has not finished. Asks nobody.
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        self.shared.positions.all()
    }

    /// Why partitions do not go on, where they do not.
    pub fn stalled(&self) -> BTreeMap<i32, String> {
        self.shared.stalls.all()
    }

    /// The topic that is polled.
    pub fn topic(&self) -> &str {
        &self.shared.config.topic
    }

    /// Polls as [`run`](Self::run) does, and begins again with the saved positions at each `restart`, whatever is under way:
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
        let Config { bootstrap, topic, failures, batch_size, .. } = &self.shared.config;
        let partitions = self.shared.partitions.iter().map(|client| {
            let number = client.partition();
            let position = self.shared.positions.get(number).unwrap_or_default();
            // One chunk is with the function, one waits, one is being fetched.
            let (sender, fetched) = mpsc::channel(1);
            let source = Source {
                bootstrap: bootstrap.clone(),
                topic: topic.clone(),
                client: Arc::clone(client),
                stalls: self.shared.stalls.clone(),
            };
            fetchers.spawn(source.fetch(position, sender));
            Partition::new(number, topic, fetched, Failures::new(*failures, *batch_size))
        });
        let mut partitions: Vec<Partition> = partitions.collect();
        let lost = async {
            while let Some(ended) = fetchers.join_next().await {
                if let Ok(Err(lost)) = ended {
                    return lost;
                }
            }
            future::pending().await
        };
        tokio::select! {
            () = is_true(&mut shutdown) => Ok(()),
            lost = lost => Err(lost).context(format!("topic {topic}")),
            result = self.poll(&mut partitions) => result,
        }
    }

    async fn poll(&self, partitions: &mut [Partition]) -> anyhow::Result<()> {
        loop {
            self.gather(partitions).await;
            self.deliver(partitions).await?;
            // Another one is first in the next event: none can fill every event alone.
            partitions.rotate_left(1);
        }
    }

    /// Returns when there is a batch: full, or begun and waited for, or to be sent again.
    async fn gather(&self, partitions: &mut [Partition]) {
        let Config { batch_size, window, .. } = self.shared.config;
        loop {
            partitions.iter_mut().for_each(|partition| partition.take_fetched(batch_size));
            let now = Instant::now();
            let due = partitions.iter().filter_map(|partition| partition.due(window)).min();
            let ready = partitions.iter().filter(|partition| partition.is_ready(now));
            let (records, bytes) = ready.fold((0, 0), |(records, bytes), partition| {
                (records + partition.waiting().len().min(partition.failures.limit()), bytes + partition.bytes())
            });
            if records >= batch_size || bytes >= PAYLOAD_BYTES || due.is_some_and(|due| due <= now) {
                return;
            }
            let receives = partitions.iter_mut().filter(|partition| partition.has_room(batch_size));
            let receives: Vec<_> = receives.map(|partition| Box::pin(partition.receive())).collect();
            let received = async {
                if receives.is_empty() {
                    future::pending::<()>().await;
                } else {
                    future::select_all(receives).await;
                }
            };
            match due {
                None => received.await,
                // Whether time is up is asked above.
                Some(due) => drop(tokio::time::timeout_at(due, received).await),
            }
        }
    }

    /// Sends one batch of what may be sent now, and moves each partition's position past what is done or given up.
    async fn deliver(&self, partitions: &mut [Partition]) -> anyhow::Result<()> {
        let Config { bootstrap, topic, failures, batch_size, .. } = &self.shared.config;
        let now = Instant::now();
        let alone = partitions.iter().find(|partition| partition.is_alone && partition.is_ready(now));
        let alone = alone.map(|partition| partition.number);
        let waiting: Vec<Waiting<'_>> = partitions
            .iter()
            .filter(|partition| partition.is_ready(now) && alone.is_none_or(|alone| alone == partition.number))
            .map(|p| Waiting { partition: p.number, records: p.waiting(), most: p.failures.limit() })
            .collect();
        let event = event::build(bootstrap, topic, &waiting, *batch_size);
        let sent: BTreeMap<i32, Vec<i64>> = waiting
            .iter()
            .zip(&event.taken)
            .filter(|(_, taken)| **taken > 0)
            .map(|(w, taken)| (w.partition, w.records.iter().take(*taken).map(|record| record.offset).collect()))
            .collect();
        let answer = self.shared.function.invoke(event.payload).await;
        let (mut past, cause) = match answer.and_then(|response| function::done(topic, &sent, &response)) {
            Ok(done) => (done, None),
            Err(error) => (BTreeMap::new(), Some(error)),
        };
        // Of partitions that failed together any may be the bad one: an event that is halved is first divided by them.
        let divide = cause.is_some() && failures.bisect && sent.len() > 1;
        let cause = cause.map_or_else(|| "the function failed the partition".to_owned(), |cause| format!("{cause:#}"));
        let stalls = &self.shared.stalls;
        for partition in partitions.iter_mut() {
            let Some(offsets) = sent.get(&partition.number) else { continue };
            let done = past.get(&partition.number).copied().unwrap_or_default();
            if done > 0 {
                partition.went_on();
                stalls.clear(partition.number, Stage::Deliver);
            }
            let Some(undone) = offsets.get(done) else { continue };
            if done == 0 && divide {
                partition.is_alone = true;
            } else if done == 0 && partition.failures.failed(offsets.len()) == Next::GiveUp {
                error!(
                    error = cause,
                    partition = partition.number,
                    ?offsets,
                    "records are given up after as many retries as are configured"
                );
                past.insert(partition.number, offsets.len());
                partition.went_on();
                stalls.clear(partition.number, Stage::Deliver);
                continue;
            }
            stalls.set(partition.number, Stage::Deliver, format!("the function fails at offset {undone}: {cause}"));
            let retry_in_ms = partition.hold().as_millis() as u64;
            warn!(
                error = cause,
                partition = partition.number,
                retry_in_ms,
                "records are not done and will be sent again"
            );
        }
        debug!(records = past.values().sum::<usize>(), "records are behind us");
        let mut to = Vec::new();
        for partition in partitions.iter_mut() {
            let last = past.get(&partition.number).and_then(|count| partition.pass(*count));
            to.extend(last.map(|last| (partition.number, last + 1)));
        }
        if to.is_empty() { Ok(()) } else { self.shared.positions.advance(to).await }
    }
}

/// Where to begin in a partition: at the saved position if the topic has it, at the topic's first record if that was
/// deleted, and where the configuration says if there is no position.
async fn beginning(client: &PartitionClient, saved: Option<i64>, start: StartingPosition) -> anyhow::Result<i64> {
    let earliest = client.get_offset(OffsetAt::Earliest).await.context("cannot ask for the topic's beginning")?;
    let latest = client.get_offset(OffsetAt::Latest).await.context("cannot ask for the topic's end")?;
    match saved {
        Some(position) if (earliest..=latest).contains(&position) => Ok(position),
        Some(read) if read > latest => Err(Lost { partition: client.partition(), read, end: latest }.into()),
        Some(position) => {
            warn!(partition = client.partition(), position, earliest, "the records at the saved position were deleted");
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
