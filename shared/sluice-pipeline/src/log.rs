//! Append-only logs in the lake: numbered objects, each put only if absent, the newest listing first.
//!
//! A table's commits and the dbt runs' claims are both such logs.

use bytes::Bytes;
use sluice_core::{
    Commit, Error, Result, Sequence, TableId, lake,
    port::{ObjectStore, PutIfAbsent},
};

/// The newest commit of a table; `None` before the first. Two requests, however long the log is.
pub async fn newest_commit(store: &impl ObjectStore, table: &TableId) -> Result<Option<Commit>> {
    let Some(key) = store.first_key(&lake::log_prefix(table)).await? else { return Ok(None) };
    let (_, sequence) = lake::parse_log_key(&key)
        .ok_or_else(|| Error::invalid_data("the log holds an object that is no commit").with("key", &key))?;
    read_commit(store, table, sequence).await.map(Some)
}

/// One commit, checked against the key it was read from.
pub async fn read_commit(store: &impl ObjectStore, table: &TableId, sequence: Sequence) -> Result<Commit> {
    find_commit(store, table, sequence).await?.ok_or_else(|| {
        Error::not_found("the commit does not exist in the lake").with("key", lake::log_key(table, sequence))
    })
}

/// The same for those who can do without it; `None` where the lake has no such commit.
pub async fn find_commit(store: &impl ObjectStore, table: &TableId, sequence: Sequence) -> Result<Option<Commit>> {
    let key = lake::log_key(table, sequence);
    let Some(body) = store.get(&key).await? else { return Ok(None) };
    let commit = Commit::decode(&body).map_err(|error| error.with("key", &key))?;
    if commit.table != *table || commit.sequence != sequence {
        let error = Error::invalid_data("the commit's content names another table or sequence").with("key", &key);
        return Err(error.as_final());
    }
    Ok(Some(commit))
}

/// How a put-if-absent of our own object ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is ours: stored now, or earlier by a put whose answer was lost.
    Ours,
    /// Somebody else's object has the key.
    Theirs,
}

/// Puts an object if absent. When the key is taken, `is_ours` looks at what is there.
pub async fn put_once(
    store: &impl ObjectStore,
    key: &str,
    body: Vec<u8>,
    is_ours: impl FnOnce(&[u8]) -> bool,
) -> Result<Put> {
    match store.put_if_absent(key, Bytes::from(body)).await? {
        PutIfAbsent::Stored(_) => Ok(Put::Ours),
        PutIfAbsent::Exists => {
            let existing = store
                .get(key)
                .await?
                .ok_or_else(|| Error::unavailable("the store refused a put and then had no object").with("key", key))?;
            Ok(if is_ours(&existing) { Put::Ours } else { Put::Theirs })
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::fakes::{Faults, MemoryStore};

    #[test]
    fn a_commit_that_cannot_be_read_is_not_taken_to_be_gone() {
        let table: TableId = "A.B.C".parse().expect("a table");
        let mut store = MemoryStore::default();
        assert_eq!(block_on(find_commit(&store, &table, Sequence(1))).expect("an answer"), None);
        store.faults = Faults::at(0, false);
        let error = block_on(find_commit(&store, &table, Sequence(1))).expect_err("the lake is away");
        assert!(error.is_transient(), "{error}");
    }
}
