//! What keeps partitions from going on, as long as it does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where a partition stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Fetch,
    Deliver,
}

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stalls(Arc<Mutex<BTreeMap<(i32, Stage), String>>>);

impl Stalls {
    pub(crate) fn set(&self, partition: i32, stage: Stage, reason: String) {
        self.lock().insert((partition, stage), reason);
    }

    pub(crate) fn clear(&self, partition: i32, stage: Stage) {
        self.lock().remove(&(partition, stage));
    }

    /// The reasons by partition; what keeps a partition from being read comes before what keeps it from being delivered.
    pub(crate) fn all(&self) -> BTreeMap<i32, String> {
        let mut all: BTreeMap<i32, String> = BTreeMap::new();
        for ((partition, _), reason) in self.lock().iter() {
            all.entry(*partition).or_insert_with(|| reason.clone());
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(i32, Stage), String>> {
        // A map of texts is whole whatever the thread that held it was doing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
