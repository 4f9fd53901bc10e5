//! A lake in memory for tests of whole functions: runs that share it may be killed, and what they committed can be read
//! as the table that it loads into.

mod loaded;

use std::{
    cell::Cell,
    collections::BTreeMap,
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use sluice_core::{
    Result, Secret,
    port::{ObjectStore, PutIfAbsent, Secrets, Stored},
};

pub use loaded::Row;

use crate::ports::{Faults, MemoryStore};

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

/// One run's view of the lake. Runs made by [`MemoryLake::run`] share the objects.
#[derive(Debug, Default)]
pub struct MemoryLake {
    store: MemoryStore,
    death: Death,
    dead: Cell<bool>,
}

impl MemoryLake {
    /// Another run over the same objects, which dies as told.
    pub fn run(&self, death: Death) -> Self {
        let faults = match death {
            Death::AtCall { call, after_acting } => Faults::at(call, after_acting),
            Death::Never | Death::AfterWakings(_) => Faults::none(),
        };
        MemoryLake { store: MemoryStore { objects: self.store.objects.clone(), faults }, death, dead: Cell::default() }
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
        self.store.objects.borrow().keys().cloned().collect()
    }

    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.store.objects.borrow().clone()
    }

    pub fn is_empty(&self) -> bool {
        self.store.objects.borrow().is_empty()
    }

    /// The answer of a call, unless the run dies at it.
    async fn survived<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.is_err() {
            self.dead.set(true);
            pending::<()>().await;
        }
        answer
    }
}

impl ObjectStore for MemoryLake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.survived(self.store.put(key, body).await).await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        self.survived(self.store.put_if_absent(key, body).await).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.survived(self.store.get(key).await).await
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        self.survived(self.store.first_key(prefix).await).await
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
