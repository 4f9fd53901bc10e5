//! One partition's part of the loop: what waits of it, and how its failures are going.

use std::{collections::VecDeque, time::Duration};

use futures::future;
use tokio::{sync::mpsc, time::Instant};

use crate::kafka_poller::{
    batch::Record,
    event::{self, PAYLOAD_BYTES},
    failures::Failures,
};

const FIRST_RETRY: Duration = Duration::from_millis(200);
const SLOWEST_RETRY: Duration = Duration::from_secs(10);

/// Records of one partition that were fetched and are not behind us.
pub(crate) struct Partition {
    pub number: i32,
    pub failures: Failures,
    /// Sent in events of its own until it goes on: it failed together with others, and one of them may be the bad one.
    pub is_alone: bool,
    topic_bytes: usize,
    fetched: mpsc::Receiver<Vec<Record>>,
    waiting: VecDeque<Record>,
    /// What the waiting records take in an event.
    bytes: usize,
    /// Since when the first of them waits, or the last batch was sent.
    since: Instant,
    /// Set while records are to be sent again: not before then.
    retry_at: Option<Instant>,
    /// How long the next failure holds the partition back.
    wait: Duration,
}

impl Partition {
    pub(crate) fn new(number: i32, topic: &str, fetched: mpsc::Receiver<Vec<Record>>, failures: Failures) -> Self {
        Partition {
            number,
            failures,
            is_alone: false,
            topic_bytes: topic.len(),
            fetched,
            waiting: VecDeque::new(),
            bytes: 0,
            since: Instant::now(),
            retry_at: None,
            wait: FIRST_RETRY,
        }
    }

    pub(crate) fn waiting(&self) -> &VecDeque<Record> {
        &self.waiting
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A partition that holds as much as an event may waits, so that none fills the memory while another is empty.
    pub(crate) fn has_room(&self, batch_size: usize) -> bool {
        self.waiting.len() < batch_size && self.bytes < PAYLOAD_BYTES
    }

    /// Takes what has been fetched, without waiting for more.
    pub(crate) fn take_fetched(&mut self, batch_size: usize) {
        while self.has_room(batch_size)
            && let Ok(chunk) = self.fetched.try_recv()
        {
            self.take(chunk);
        }
    }

    /// Waits for a chunk and takes it. Nothing is lost when the future is dropped.
    pub(crate) async fn receive(&mut self) {
        match self.fetched.recv().await {
            Some(chunk) => self.take(chunk),
            // Its task is gone, which only happens at the end.
            None => future::pending().await,
        }
    }

    fn take(&mut self, chunk: Vec<Record>) {
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.bytes += chunk.iter().map(|record| event::record_bytes(self.topic_bytes, record)).sum::<usize>();
        self.waiting.extend(chunk);
    }

    /// When what waits must be sent at the latest: after the window, or when it is time to try again.
    pub(crate) fn due(&self, window: Duration) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.retry_at.unwrap_or(self.since + window))
    }

    /// Whether something waits that may be sent now.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        !self.waiting.is_empty() && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Records are behind us: nothing is to be sent again, as far as we know.
    pub(crate) fn went_on(&mut self) {
        self.failures.advanced();
        self.is_alone = false;
        self.retry_at = None;
        self.wait = FIRST_RETRY;
    }

    /// Holds the partition back, each time longer, and says for how long. Others go on meanwhile.
    pub(crate) fn hold(&mut self) -> Duration {
        let wait = self.wait;
        self.retry_at = Some(Instant::now() + wait);
        self.wait = (wait * 2).min(SLOWEST_RETRY);
        wait
    }

    /// Leaves the first `count` records behind; gives the offset of the last of them.
    pub(crate) fn pass(&mut self, count: usize) -> Option<i64> {
        let topic_bytes = self.topic_bytes;
        let mut last = None;
        for record in self.waiting.drain(..count) {
            self.bytes -= event::record_bytes(topic_bytes, &record);
            last = Some(record.offset);
        }
        if last.is_some() {
            self.since = Instant::now();
        }
        last
    }
}
