//! Ports in memory, each able to fail at a chosen call, before or after acting.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sluice_core::{
    Error, Result,
    event::Announcement,
    port::{Bus, Clock, DelayedQueue, Deletion, Erasure, Listing, ObjectStore, PutIfAbsent, Stored},
};

/// Counts the calls of all ports together and fails one of them.
#[derive(Debug, Default)]
pub struct Faults {
    calls: RefCell<usize>,
    /// The call that fails; the first is 0.
    pub at: Option<usize>,
    /// The effect happened and only the answer was lost.
    pub after_acting: bool,
    /// No later call acts either.
    dies: bool,
}

impl Faults {
    pub fn none() -> Self {
        Faults::default()
    }

    pub fn at(call: usize, after_acting: bool) -> Self {
        Faults { at: Some(call), after_acting, ..Faults::default() }
    }

    /// Whether the run dies at the call that fails.
    #[must_use]
    pub fn dying(self, dies: bool) -> Self {
        Faults { dies, ..self }
    }

    pub fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    /// Runs one call of a port, or fails it.
    pub fn call<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        let call = self.calls.replace_with(|calls| *calls + 1);
        let is_dead = self.dies && self.at.is_some_and(|at| at < call);
        let fails = self.at == Some(call) || is_dead;
        if fails && (is_dead || !self.after_acting) {
            return Err(Error::unavailable("injected before acting"));
        }
        let result = act();
        if fails { Err(Error::unavailable("injected after acting")) } else { Ok(result) }
    }
}

/// How many keys S3 lists at once.
const AT_ONCE: usize = 1_000;

/// A bucket. Views that share its objects may have faults of their own.
#[derive(Debug, Default)]
pub struct MemoryStore {
    pub objects: Rc<RefCell<BTreeMap<String, Bytes>>>,
    pub faults: Faults,
}

impl ObjectStore for MemoryStore {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.faults.call(|| {
            self.objects.borrow_mut().insert(key.to_owned(), body);
            Stored { checksum: "c".into() }
        })
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        self.faults.call(|| {
            let mut objects = self.objects.borrow_mut();
            if objects.contains_key(key) {
                return PutIfAbsent::Exists;
            }
            objects.insert(key.to_owned(), body);
            PutIfAbsent::Stored(Stored { checksum: "c".into() })
        })
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.faults.call(|| self.objects.borrow().get(key).cloned())
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        self.faults.call(|| self.objects.borrow().keys().find(|key| key.starts_with(prefix)).cloned())
    }
}

impl Listing for MemoryStore {
    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.faults.call(|| self.objects.borrow().keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    async fn keys_after(&self, prefix: &str, after: &str) -> Result<Vec<String>> {
        self.faults.call(|| {
            let objects = self.objects.borrow();
            let keys = objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > after);
            keys.take(AT_ONCE).cloned().collect()
        })
    }
}

impl Deletion for MemoryStore {
    async fn delete(&self, key: &str) -> Result<()> {
        self.faults.call(|| drop(self.objects.borrow_mut().remove(key)))
    }
}

impl Erasure for MemoryStore {
    async fn erase(&self, key: &str) -> Result<()> {
        self.faults.call(|| drop(self.objects.borrow_mut().remove(key)))
    }
}

/// A bus that remembers.
#[derive(Debug, Default)]
pub struct MemoryBus {
    pub announced: RefCell<Vec<Announcement>>,
    pub faults: Faults,
}

impl Bus for MemoryBus {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.faults.call(|| self.announced.borrow_mut().push(announcement))
    }
}

/// Messages to ourselves, with their delays.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    pub sent: RefCell<Vec<(serde_json::Value, Duration)>>,
    pub faults: Faults,
}

impl DelayedQueue for MemoryQueue {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        self.faults.call(|| self.sent.borrow_mut().push((body.clone(), delay)))
    }
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct ManualClock(pub RefCell<DateTime<Utc>>);

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock(RefCell::new(DateTime::UNIX_EPOCH))
    }
}

impl ManualClock {
    pub fn advance(&self, by: Duration) {
        *self.0.borrow_mut() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }
}
