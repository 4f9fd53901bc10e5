//! An in-memory world: lake, channels with delayed commits, bus, clock; calm, or failing at any call.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use chrono::TimeDelta;
use sluice_core::{
    event::Announcement,
    port::{ObjectStore, PutIfAbsent, Stored},
};

use super::*;
use crate::fakes::LIMITS;
pub(super) use crate::fakes::Random;

#[derive(Default)]
struct State {
    owner: u64,
    appends: u64,
    /// Rows taken and not yet durable: offsets of the rows, and the channel's offset after them.
    waiting: VecDeque<(Vec<i64>, i64)>,
    committed: Option<i64>,
    errors: u64,
    never_commits: bool,
    take_overs: u32,
}

struct World {
    random: Random,
    /// How many calls in a hundred fail before their effect, and how many after it.
    trouble: usize,
    now: DateTime<Utc>,
    owners: u64,
    channels: BTreeMap<String, State>,
    table: HashMap<String, Vec<i64>>,
    objects: BTreeMap<String, Bytes>,
    announcements: Vec<Announcement>,
    /// Messages to the dispatch loop's queue, and when they come.
    messages: Vec<(serde_json::Value, DateTime<Utc>)>,
    append_bytes: usize,
    append_sizes: Vec<usize>,
    /// The same as they would travel.
    packed_sizes: Vec<usize>,
    /// Channel and offset of rows that the warehouse takes and then refuses.
    refused: BTreeSet<(String, i64)>,
    decoder_is_down: bool,
    bus_is_down: bool,
}

/// All ports at once; clones share the world.
#[derive(Clone)]
pub(super) struct Model(Rc<RefCell<World>>);

impl Model {
    /// Nothing fails, and rows are durable once the loop has waited.
    pub(super) fn calm() -> Self {
        Self::new(0, 0)
    }

    pub(super) fn new(seed: u64, trouble: usize) -> Self {
        Model(Rc::new(RefCell::new(World {
            random: Random::new(seed),
            trouble,
            now: DateTime::from_timestamp(1_761_900_000, 0).expect("a time"),
            owners: 0,
            channels: BTreeMap::new(),
            table: HashMap::new(),
            objects: BTreeMap::new(),
            announcements: Vec::new(),
            messages: Vec::new(),
            append_bytes: LIMITS.append_bytes,
            append_sizes: Vec::new(),
            packed_sizes: Vec::new(),
            refused: BTreeSet::new(),
            decoder_is_down: false,
            bus_is_down: false,
        })))
    }

    /// The most bytes of rows that it takes together.
    pub(super) fn set_append_bytes(&self, most: usize) {
        self.0.borrow_mut().append_bytes = most;
    }

    pub(super) fn set_trouble(&self, trouble: usize) {
        self.0.borrow_mut().trouble = trouble;
    }

    pub(super) fn advance(&self, by: Duration) {
        let mut world = self.0.borrow_mut();
        world.now += TimeDelta::from_std(by).expect("a short time");
    }

    pub(super) fn rows_in(&self, channel: &str) -> Vec<i64> {
        self.0.borrow().table.get(channel).cloned().unwrap_or_default()
    }

    /// The archive of a partition's records from the first to the last of these offsets.
    pub(super) fn archived(&self, date: &str, partition: i32, first: i64, last: i64) -> Option<Bytes> {
        let found = |key: &str| {
            let name = sluice_core::lake::Archive::parse("purchases", key);
            name.is_some_and(|name| (name.partition, name.first, name.last) == (partition, first, last))
        };
        let objects = self.objects(&format!("archive/purchases/{date}/"));
        objects.into_iter().find(|(key, _)| found(key)).map(|(_, body)| body)
    }

    pub(super) fn objects(&self, prefix: &str) -> Vec<(String, Bytes)> {
        let world = self.0.borrow();
        let matching = world.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        matching.map(|(key, body)| (key.clone(), body.clone())).collect()
    }

    pub(super) fn announced(&self, detail_type: &str) -> Vec<serde_json::Value> {
        let world = self.0.borrow();
        let matching = world.announcements.iter().filter(|announcement| announcement.detail_type == detail_type);
        matching.map(|announcement| announcement.detail.clone()).collect()
    }

    /// The messages that the dispatch loop gets, each with the time at which it comes.
    pub(super) fn messages(&self) -> Vec<(serde_json::Value, DateTime<Utc>)> {
        self.0.borrow().messages.clone()
    }

    pub(super) fn append_sizes(&self) -> Vec<usize> {
        self.0.borrow().append_sizes.clone()
    }

    pub(super) fn packed_sizes(&self) -> Vec<usize> {
        self.0.borrow().packed_sizes.clone()
    }

    pub(super) fn never_commit(&self, channel: &str) {
        self.with(channel, |state| state.never_commits = true);
    }

    /// The next `times` appends find that somebody else has opened the channel.
    pub(super) fn take_over(&self, channel: &str, times: u32) {
        self.with(channel, |state| state.take_overs = times);
    }

    /// The warehouse deletes the channel, as it does with idle ones; the rows stay.
    pub(super) fn forget(&self, channel: &str) {
        self.0.borrow_mut().channels.remove(channel);
    }

    /// The warehouse will take the row of this offset and then refuse it.
    pub(super) fn refuse(&self, channel: &str, offset: i64) {
        self.0.borrow_mut().refused.insert((channel.to_owned(), offset));
    }

    /// What the channel counts.
    pub(super) fn refused_rows(&self, channel: &str) -> u64 {
        self.with(channel, |state| state.errors)
    }

    pub(super) fn decoder_is_down(&self, down: bool) {
        self.0.borrow_mut().decoder_is_down = down;
    }

    /// And the dispatch loop's queue with it.
    pub(super) fn bus_is_down(&self, down: bool) {
        self.0.borrow_mut().bus_is_down = down;
    }

    /// Makes some of what waits durable: any number of appends of each channel, in their order.
    pub(super) fn commit_some(&self) {
        let mut world = self.0.borrow_mut();
        let world = &mut *world;
        for (name, state) in world.channels.iter_mut().filter(|(_, state)| !state.never_commits) {
            let count =
                if world.trouble == 0 { state.waiting.len() } else { world.random.below(state.waiting.len() + 1) };
            for (mut offsets, committed) in state.waiting.drain(..count) {
                let taken = offsets.len();
                offsets.retain(|offset| !world.refused.contains(&(name.clone(), *offset)));
                state.errors += (taken - offsets.len()) as u64;
                state.committed = Some(committed);
                world.table.entry(name.clone()).or_default().extend(offsets);
            }
        }
    }

    fn with<T>(&self, channel: &str, f: impl FnOnce(&mut State) -> T) -> T {
        f(self.0.borrow_mut().channels.entry(channel.to_owned()).or_default())
    }

    /// A call: it may fail before its effect, and its answer may be lost. Others run before and after.
    async fn call<T>(&self, effect: impl FnOnce(&mut World) -> T) -> Result<T> {
        pause().await;
        self.fail()?;
        let answer = effect(&mut self.0.borrow_mut());
        pause().await;
        self.fail()?;
        Ok(answer)
    }

    fn fail(&self) -> Result<()> {
        let mut world = self.0.borrow_mut();
        let trouble = world.trouble;
        if world.random.percent(trouble) { Err(Error::unavailable("the model failed a call")) } else { Ok(()) }
    }
}

/// Lets everything else go first, once.
async fn pause() {
    let mut paused = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs a future of the model to its end.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

impl State {
    /// Why the newest of the refused rows was refused is told with a value, as it may be.
    fn status(&self) -> ChannelStatus {
        let errors = self.errors;
        let last_error = (errors > 0).then(|| format!("row {errors}: 's3cret' is not recognized"));
        ChannelStatus { committed: self.committed, errors, last_error }
    }
}

impl Channels for Model {
    fn limits(&self) -> Limits {
        Limits { append_bytes: self.0.borrow().append_bytes, ..LIMITS }
    }

    async fn open(&self, channel: &Channel) -> Result<Opened> {
        self.call(|world| {
            world.owners += 1;
            let state = world.channels.entry(channel.name.clone()).or_default();
            state.owner = world.owners;
            state.appends = 0;
            state.waiting.clear();
            let continuation = format!("{}:0", state.owner);
            Opened { continuation, status: state.status() }
        })
        .await
    }

    async fn append(&self, channel: &Channel, continuation: &str, rows: Bytes, offsets: Offsets) -> Result<Appended> {
        self.call(|world| {
            world.append_sizes.push(rows.len());
            world.packed_sizes.push(zstd::bulk::compress(&rows, 1).expect("compresses").len());
            let state = world.channels.entry(channel.name.clone()).or_default();
            if state.take_overs > 0 {
                state.take_overs -= 1;
                state.waiting.clear();
                return Appended::Stale;
            }
            if format!("{}:{}", state.owner, state.appends) != continuation {
                return Appended::Stale;
            }
            let row_offset = |line: &[u8]| {
                let row: serde_json::Value = serde_json::from_slice(line).expect("a row is JSON");
                let run_id = row["_SLUICE_RUN_ID"].as_str().expect("a run id");
                assert!(run_id.starts_with(&format!("{}/", channel.name)), "{run_id}");
                row["_KAFKA_OFFSET"].as_i64().expect("an offset")
            };
            let in_rows: Vec<i64> = rows.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(row_offset).collect();
            assert!(in_rows.iter().all(|offset| (offsets.first..=offsets.last).contains(offset)), "{offsets:?}");
            state.appends += 1;
            state.waiting.push_back((in_rows, offsets.last));
            Appended::Accepted { continuation: format!("{}:{}", state.owner, state.appends) }
        })
        .await
    }

    async fn status(&self, channel: &Channel) -> Result<ChannelStatus> {
        self.call(|world| world.channels.entry(channel.name.clone()).or_default().status()).await
    }

    async fn max_loaded_offset(&self, channel: &Channel, _: &RunId) -> Result<Option<i64>> {
        self.call(|world| world.table.get(&channel.name).and_then(|offsets| offsets.iter().max().copied())).await
    }
}

impl Decode for Model {
    async fn decode(&self, _: &str, value: &Bytes) -> Result<Result<Bytes, String>> {
        // The model's format is JSON after one byte.
        let json = value.strip_prefix(b"!").map(Bytes::copy_from_slice);
        let decoded = self.call(|world| {
            if world.decoder_is_down {
                return Err(Error::unavailable("the decoder is down"));
            }
            Ok(json.ok_or_else(|| "the value is not of the model's format".to_owned()))
        });
        decoded.await?
    }
}

impl ObjectStore for Model {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.call(|world| {
            let before = world.objects.insert(key.to_owned(), body.clone());
            assert!(before.is_none_or(|before| before == body), "{key} was written twice with different content");
            Stored { checksum: String::new() }
        })
        .await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        self.call(|world| {
            if world.objects.contains_key(key) {
                return PutIfAbsent::Exists;
            }
            world.objects.insert(key.to_owned(), body);
            PutIfAbsent::Stored(Stored { checksum: String::new() })
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.call(|world| world.objects.get(key).cloned()).await
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        Err(Error::unsupported("streaming lists nothing").with("prefix", prefix))
    }
}

impl Bus for Model {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        let sent = self.call(|world| {
            if world.bus_is_down {
                return Err(Error::unavailable("the bus is down"));
            }
            world.announcements.push(announcement);
            Ok(())
        });
        sent.await?
    }
}

impl DelayedQueue for Model {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        let sent = self.call(|world| {
            if world.bus_is_down {
                return Err(Error::unavailable("the queue is down"));
            }
            let at = world.now + TimeDelta::from_std(delay).expect("a short time");
            world.messages.push((body.clone(), at));
            Ok(())
        });
        sent.await?
    }
}

impl Clock for Model {
    fn now(&self) -> DateTime<Utc> {
        self.0.borrow().now
    }
}

impl Sleep for Model {
    async fn sleep(&self, duration: Duration) {
        pause().await;
        self.advance(duration);
        self.commit_some();
        pause().await;
    }
}
