//! Files that a proof or a replay of a topic has put into the lake for itself and has not taken back, because it was killed.
//!
//! No commit names them, so nothing else finds them; they hold rows, and so persons. The name says when they were made.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_core::{
    Result, RunId, TableId, lake,
    port::{Deletion, Listing},
};

/// What neither a proof nor a replay outlives.
const OVER_AFTER: TimeDelta = TimeDelta::days(1);

/// The run of a proof, by when it began and whose invocation reads for it.
pub(crate) fn of_proof(now: DateTime<Utc>, run: &RunId) -> RunId {
    RunId(format!("{}{:013}-{run}", lake::PROOF, now.timestamp_millis()))
}

/// The files that any of them has left of a table, whether it is over or not.
pub async fn find(store: &impl Listing, table: &TableId) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for prefix in lake::aside_prefixes(table) {
        found.extend(store.keys(&prefix).await?);
    }
    Ok(found)
}

/// Deletes those that are over; how many there were.
pub async fn sweep(store: &(impl Listing + Deletion), table: &TableId, now: DateTime<Utc>) -> Result<usize> {
    let mut over = find(store, table).await?;
    over.retain(|key| made_at(key).is_none_or(|at| now - at > OVER_AFTER));
    for key in &over {
        store.delete(key).await?;
    }
    Ok(over.len())
}

/// When what has put a file began; `None` for a name of an earlier form.
fn made_at(key: &str) -> Option<DateTime<Utc>> {
    let run = key.split('/').find(|part| part.starts_with(lake::PROOF) || part.starts_with(lake::REPLAY))?;
    let millis = match run.strip_prefix(lake::PROOF) {
        Some(rest) => rest.split('-').next().filter(|millis| millis.len() == 13)?.parse().ok()?,
        // A UUID of version 7 begins with its time.
        None => i64::from_str_radix(run.strip_prefix(lake::REPLAY)?.get(..12)?, 16).ok()?,
    };
    DateTime::from_timestamp_millis(millis)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::fakes::MemoryStore;

    #[test]
    fn files_of_a_killed_proof_or_replay_go_and_those_of_one_that_runs_stay() {
        let table: TableId = "A.B.C".parse().expect("a table");
        let now = DateTime::from_timestamp_millis(1_800_000_000_000).expect("a time");
        let [old, new] = [now - TimeDelta::days(2), now - TimeDelta::hours(2)];
        let replay = |at: DateTime<Utc>| RunId(format!("replay-{:012X}7ABC8DEF0123456789AB", at.timestamp_millis()));
        let proof = |at| of_proof(at, &RunId("3f2a-11".into()));
        let store = MemoryStore::default();
        let put = |key: String| drop(store.objects.borrow_mut().insert(key, "rows".into()));
        for at in [old, new] {
            put(lake::data_key(&table, &proof(at), 0));
            put(lake::data_key(&table, &replay(at), 0));
            put(lake::rejected_key(&table, &proof(at)));
        }
        put(lake::data_key(&table, &RunId("prove-3f2a-11".into()), 0));
        put(lake::data_key(&table, &RunId("0001-run".into()), 0));
        assert_eq!(block_on(find(&store, &table)).expect("keys").len(), 7);
        assert_eq!(block_on(sweep(&store, &table, now)).expect("swept"), 4);
        let left: Vec<String> = store.objects.borrow().keys().cloned().collect();
        let kept = [
            lake::data_key(&table, &RunId("0001-run".into()), 0),
            lake::data_key(&table, &proof(new), 0),
            lake::data_key(&table, &replay(new), 0),
            lake::rejected_key(&table, &proof(new)),
        ];
        assert_eq!(left, kept);
    }
}
