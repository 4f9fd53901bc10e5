//! Why a commit waits to be loaded: one object of the lake for each table, about its last attempt that failed and will be
//! made again. What loads, or has failed for good, stands in the ledger.
//!
//! The object is for people who look after the platform, and no loop reads it. It is in the lake and not in the warehouse,
//! which may be what fails.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Kind, Result, Sequence, TableId, lake,
    port::{Clock, ObjectStore},
};
use tracing::warn;

/// An attempt at a load that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    pub sequence: Sequence,
    pub at: DateTime<Utc>,
    pub kind: String,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl FailedAttempt {
    fn new(sequence: Sequence, at: DateTime<Utc>, error: &Error) -> Self {
        FailedAttempt {
            sequence,
            at,
            kind: error.kind().as_str().to_owned(),
            reason: error.chain(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

/// The table's last attempt that failed, whatever has become of its commit since.
pub async fn last(store: &impl ObjectStore, table: &TableId) -> Result<Option<FailedAttempt>> {
    let key = lake::failed_load_key(table);
    let Some(body) = store.get(&key).await? else { return Ok(None) };
    let broken = |error| Error::invalid_data("the table's last attempt at a load cannot be read").because(error);
    serde_json::from_slice(&body).map(Some).map_err(|error| broken(error).with("key", key))
}

/// Makes an attempt at a load of the table's commit, and keeps why it failed. That it cannot be kept fails nothing more.
pub async fn kept<T>(
    store: &impl ObjectStore,
    clock: &impl Clock,
    table: &TableId,
    sequence: Sequence,
    attempt: impl Future<Output = Result<T>>,
) -> Result<T> {
    let ended = attempt.await;
    // Another delivery does the work, and says so.
    if let Err(error) = ended.as_ref()
        && error.kind() != Kind::Conflict
        && let Err(failed) = keep(store, table, &FailedAttempt::new(sequence, clock.now(), error)).await
    {
        warn!(%table, error = failed.chain(), "cannot keep in the lake why a load failed");
    }
    ended
}

async fn keep(store: &impl ObjectStore, table: &TableId, failed: &FailedAttempt) -> Result<()> {
    let body = serde_json::to_vec(failed)
        .map_err(|error| Error::internal("cannot encode an attempt at a load").because(error))?;
    store.put(&lake::failed_load_key(table), body.into()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::executor::block_on;

    use super::*;
    use crate::fakes::{Faults, ManualClock, MemoryStore};

    fn attempt(store: &MemoryStore, clock: &ManualClock, sequence: u64, ended: Result<u64>) -> Result<u64> {
        block_on(kept(store, clock, &table(), Sequence(sequence), async { ended }))
    }

    fn table() -> TableId {
        "A.B.C".parse().expect("a table")
    }

    #[test]
    fn the_last_attempt_that_failed_is_kept_with_its_reason() {
        let (store, clock) = (MemoryStore::default(), ManualClock::default());
        let last = || block_on(last(&store, &table())).expect("readable");
        assert_eq!(attempt(&store, &clock, 1, Ok(7)).expect("loaded"), 7);
        assert_eq!(last(), None);
        let denied = || Error::config("the lake cannot be read").because("Access Denied").with_hint("fix the role");
        attempt(&store, &clock, 2, Err(denied())).expect_err("denied");
        clock.advance(Duration::from_secs(60));
        attempt(&store, &clock, 3, Err(denied())).expect_err("denied");
        let kept = last().expect("an attempt");
        assert_eq!((kept.sequence, kept.at, kept.kind.as_str()), (Sequence(3), clock.now(), "Config"));
        assert_eq!(kept.reason, "the lake cannot be read: Access Denied");
        assert_eq!(kept.hint.as_deref(), Some("fix the role"));
        attempt(&store, &clock, 4, Err(Error::conflict("another delivery has it"))).expect_err("taken");
        assert_eq!(last(), Some(kept), "another delivery's work is no failure");
    }

    #[test]
    fn what_cannot_be_kept_leaves_the_attempts_own_error() {
        let store = MemoryStore { faults: Faults::at(0, false), ..MemoryStore::default() };
        let error = attempt(&store, &ManualClock::default(), 1, Err(Error::unavailable("away"))).expect_err("away");
        assert_eq!(error.to_string(), "away");
    }
}
