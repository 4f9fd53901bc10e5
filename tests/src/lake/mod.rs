//! A lake in memory for tests of whole functions: runs that share it may be killed, and what they committed can be read
//! as the table that it loads into.

mod loaded;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{pending, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use sluice_core::{
    Result, Secret,
    event::Announcement,
    port::{Bus, DelayedQueue, ObjectStore, PutIfAbsent, Secrets, Stored},
};

pub use loaded::Row;

/// When a run ends without a word, as a function does whose process is killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Death {
    #[default]
    Never,
    /// At one of its calls of the lake, the first being 0; the effect may have happened.
    AtCall { call: usize, after_acting: bool },
    /// After it has been woken this many times: between any two steps, also while it talks to its source.
    AfterWakings(usize),
}

/// A bus that remembers.
#[derive(Debug, Default)]
pub struct MemoryBus(pub RefCell<Vec<Announcement>>);

impl Bus for MemoryBus {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.0.borrow_mut().push(announcement);
        Ok(())
    }
}

/// A queue that remembers, with the messages' delays.
#[derive(Debug, Default)]
pub struct MemoryQueue(pub RefCell<Vec<(serde_json::Value, Duration)>>);

impl DelayedQueue for MemoryQueue {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        self.0.borrow_mut().push((body.clone(), delay));
        Ok(())
    }
}

/// One run's view of the lake. Runs made by [`MemoryLake::run`] share the objects.
#[derive(Debug, Default)]
pub struct MemoryLake {
    objects: Rc<RefCell<BTreeMap<String, Bytes>>>,
    death: Death,
    calls: Cell<usize>,
    dead: Cell<bool>,
}

impl MemoryLake {
    /// Another run over the same objects, which dies as told.
    pub fn run(&self, death: Death) -> Self {
        MemoryLake { objects: self.objects.clone(), death, ..Self::default() }
    }

    /// Drives what a run does until it ends or dies; `None` when it has died.
    pub async fn until_death<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut wakings = 0;
        poll_fn(|context| {
            wakings += 1;
            if matches!(self.death, Death::AfterWakings(limit) if wakings > limit) {
                return Poll::Ready(None);
            }
            match work.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self.dead.get() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects.borrow().keys().cloned().collect()
    }

    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.objects.borrow().clone()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.borrow().is_empty()
    }

    async fn call<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Bytes>) -> T) -> Result<T> {
        let call = self.calls.replace(self.calls.get() + 1);
        let dies = match self.death {
            Death::AtCall { call: at, after_acting } if at == call => Some(after_acting),
            _ => None,
        };
        if dies == Some(false) {
            self.die().await;
        }
        let result = act(&mut self.objects.borrow_mut());
        if dies == Some(true) {
            self.die().await;
        }
        Ok(result)
    }

    async fn die(&self) {
        self.dead.set(true);
        pending::<()>().await;
    }
}

fn stored() -> Stored {
    Stored { checksum: "checksum".into() }
}

impl ObjectStore for MemoryLake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.call(|objects| {
            objects.insert(key.to_owned(), body);
            stored()
        })
        .await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        self.call(|objects| {
            if objects.contains_key(key) {
                return PutIfAbsent::Exists;
            }
            objects.insert(key.to_owned(), body);
            PutIfAbsent::Stored(stored())
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.call(|objects| objects.get(key).cloned()).await
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        self.call(|objects| objects.keys().find(|key| key.starts_with(prefix)).cloned()).await
    }
}

/// One secret under every name.
#[derive(Debug)]
pub struct OneSecret(pub &'static str);

impl Secrets for OneSecret {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(self.0))
    }
}

/// Where and how the n-th of a series of runs dies: a number of the series' seed, so that a failure can be repeated.
pub fn death(seed: u64, run: u64) -> Death {
    let dice = mix(seed ^ mix(run));
    let (kind, number) = (dice % 3, (dice >> 8) as usize);
    match kind {
        0 => Death::AtCall { call: number % 6, after_acting: false },
        1 => Death::AtCall { call: number % 6, after_acting: true },
        _ => Death::AfterWakings(number % 40),
    }
}

/// SplitMix64's finisher.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
