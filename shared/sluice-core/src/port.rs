//! The ports: everything the pipelines ask of the outside world. An adapter keeps the contract in each doc comment.
//!
//! Futures are not `Send`: a Lambda instance does one invocation at a time on one thread.

use std::{collections::BTreeMap, future::Future, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};

pub use crate::secret::{SecretStore, Secrets};
use crate::{Error, Hops, Result, event::Announcement};

/// An object and what the store says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The checksum the store computed on arrival.
    pub checksum: String,
}

/// What became of a conditional put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutIfAbsent {
    Stored(Stored),
    /// The key was taken. The caller reads the object: it may be its own, from an answer that was lost.
    Exists,
}

/// An object's content that is still being made while it is put.
pub trait Content {
    /// The next piece, of any length; `None` after the last. An error ends the put that asked for it.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>>;
}

/// The lake. Read-after-write and list-after-write consistent.
pub trait ObjectStore {
    /// Durable when it returns. Overwrites.
    fn put(&self, key: &str, body: Bytes) -> impl Future<Output = Result<Stored>>;

    /// Puts an object while its content is being made. Nothing is seen under the key before all of it is durable, and
    /// nothing ever when the content or a part of the put fails. A store with uploads in parts sends what it has got
    /// and holds a bounded number of parts; one without holds the object.
    fn put_content(&self, key: &str, content: &mut impl Content) -> impl Future<Output = Result<Stored>> {
        put_collected(self, key, content)
    }

    /// Atomic: of any number of concurrent calls for one key exactly one stores.
    fn put_if_absent(&self, key: &str, body: Bytes) -> impl Future<Output = Result<PutIfAbsent>>;

    /// `None` when the key does not exist; every other failure is an error.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>>>;

    /// The first key under the prefix in byte order.
    fn first_key(&self, prefix: &str) -> impl Future<Output = Result<Option<String>>>;
}

/// A lake whose keys can be listed: for those who look back. No loop of a function needs it.
pub trait Listing {
    /// Every key under the prefix, in byte order.
    fn keys(&self, prefix: &str) -> impl Future<Output = Result<Vec<String>>>;

    /// The next keys under the prefix after a place that need be no key: as many as the store lists at once, none at the end.
    fn keys_after(&self, prefix: &str, after: &str) -> impl Future<Output = Result<Vec<String>>> {
        async move { Ok(self.keys(prefix).await?.into_iter().filter(|key| key.as_str() > after).collect()) }
    }
}

/// A lake whose objects can be deleted: for loops that take back what they have put for themselves alone. No loop of a function
/// needs it.
pub trait Deletion {
    /// A key that does not exist is no error.
    fn delete(&self, key: &str) -> impl Future<Output = Result<()>>;
}

/// A lake from which objects can be erased: for those who must erase a person. No loop of a function needs it.
pub trait Erasure {
    /// Every version of the object, also of one that is deleted. A key without any is no error.
    fn erase(&self, key: &str) -> impl Future<Output = Result<()>>;
}

async fn put_collected<S: ObjectStore + ?Sized>(store: &S, key: &str, content: &mut impl Content) -> Result<Stored> {
    let mut body = Vec::new();
    while let Some(piece) = content.next().await? {
        body.extend_from_slice(&piece);
    }
    store.put(key, Bytes::from(body)).await
}

/// The bus. Accepted when it returns; delivered at least once.
pub trait Bus {
    fn announce(&self, announcement: Announcement) -> impl Future<Output = Result<()>>;
}

/// A message to ourselves, later: how a function waits without waiting.
pub trait DelayedQueue {
    fn send(&self, body: &serde_json::Value, delay: Duration) -> impl Future<Output = Result<()>>;

    /// Sends the next message of a chain that has come so far. A queue that counts puts the count into the message.
    fn send_after(&self, _: Hops, body: &serde_json::Value, delay: Duration) -> impl Future<Output = Result<()>> {
        self.send(body, delay)
    }

    /// Sends at once what goes on with no chain: news that something has ended, which may set off other work.
    fn begin(&self, body: &serde_json::Value) -> impl Future<Output = Result<()>> {
        self.send(body, Duration::ZERO)
    }
}

/// The function's own queue as the work of one message sees it: what it sends goes on with the message's chain.
#[derive(Debug, Clone, Copy)]
pub struct InChain<'a, Q> {
    queue: &'a Q,
    hops: Hops,
}

impl<'a, Q> InChain<'a, Q> {
    pub fn new(queue: &'a Q, hops: Hops) -> Self {
        InChain { queue, hops }
    }
}

impl<Q: DelayedQueue> DelayedQueue for InChain<'_, Q> {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        self.queue.send_after(self.hops, body, delay).await
    }

    async fn begin(&self, body: &serde_json::Value) -> Result<()> {
        self.queue.begin(body).await
    }
}

/// Time that passes. "Today" never comes from here: it is the event's `time`.
pub trait Clock {
    fn now(&self) -> DateTime<Utc>;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// One row of a statement's answer: column name in lower case to text, `None` for NULL.
pub type Row = BTreeMap<String, Option<String>>;

/// A warehouse that runs SQL. One call is one request; nothing carries over to the next.
pub trait Statements {
    /// Runs the statement to its end and returns its rows. `request` identifies one attempt: resending it after a lost
    /// answer must not run the statement twice, where the warehouse can tell. `tag` goes into the query's tag.
    fn execute(&self, statement: &str, request: uuid::Uuid, tag: &str) -> impl Future<Output = Result<Vec<Row>>>;
}

/// How a statement that was handed in stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    UnderWay,
    Ended(Vec<Row>),
    Failed {
        reason: String,
    },
    /// Ended by somebody or by a time limit.
    Cancelled,
}

/// A warehouse that takes statements which run for longer than a function may wait.
pub trait Submissions {
    /// Hands a statement in and gives its handle. Not idempotent, whatever `request` is. The warehouse ends the
    /// statement by itself after `limit`.
    fn submit(
        &self,
        statement: &str,
        request: uuid::Uuid,
        tag: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<String>>;

    /// Of a long answer only the first rows are given.
    fn look(&self, handle: &str) -> impl Future<Output = Result<Progress>>;

    /// Asks for the end of a statement; one that has ended is left as it is.
    fn cancel(&self, handle: &str) -> impl Future<Output = Result<()>>;
}

/// The value of a column that must be there and not NULL.
pub fn required<'a>(row: &'a Row, column: &str) -> Result<&'a str> {
    row.get(column)
        .and_then(Option::as_deref)
        .ok_or_else(|| Error::internal("the warehouse's answer lacks a column").with("column", column))
}
