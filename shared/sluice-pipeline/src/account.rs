//! What the last look at the warehouse's account has found, as one object of the lake.
//!
//! The object is for people who look after the platform. No loop reads it to decide anything.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result, RunId, lake, port::ObjectStore};

/// A key is old after this many days, and is to be rotated.
pub const KEY_DAYS: i64 = 90;

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    pub run_id: RunId,
    pub at: DateTime<Utc>,
    /// How many differences there are between the account and its file.
    pub differences: usize,
    /// In one line.
    pub summary: String,
    /// Of each service that logs in with a key.
    pub keys: Vec<KeyAge>,
}

/// Since when a service has its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAge {
    pub user: String,
    /// The older of two, while a rotation is under way. The warehouse may not say.
    pub set_at: Option<DateTime<Utc>>,
}

impl KeyAge {
    pub fn days(&self, now: DateTime<Utc>) -> Option<i64> {
        Some((now - self.set_at?).num_days().max(0))
    }
}

impl AccountStatus {
    /// The key that is to be given another first.
    pub fn oldest_key(&self) -> Option<&KeyAge> {
        self.keys.iter().filter(|key| key.set_at.is_some()).min_by_key(|key| key.set_at)
    }
}

/// What was found last; `None` before the first look.
pub async fn last(store: &impl ObjectStore) -> Result<Option<AccountStatus>> {
    let key = lake::account_status_key();
    let Some(body) = store.get(key).await? else { return Ok(None) };
    let broken = |error| Error::invalid_data("what was found of the account cannot be read").because(error);
    serde_json::from_slice(&body).map(Some).map_err(|error| broken(error).with("key", key))
}

/// Keeps what was found.
pub async fn record(store: &impl ObjectStore, status: &AccountStatus) -> Result<()> {
    // Serialising texts and times cannot fail.
    let body = serde_json::to_vec(status).unwrap_or_default();
    store.put(lake::account_status_key(), Bytes::from(body)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_oldest_key_is_the_one_that_was_set_first() {
        let now = Utc::now();
        let key = |user: &str, days: Option<i64>| KeyAge {
            user: user.to_owned(),
            set_at: days.map(|days| now - TimeDelta::days(days)),
        };
        let keys = vec![key("A", Some(3)), key("B", Some(91)), key("C", None)];
        let status = AccountStatus { run_id: RunId("r".into()), at: now, differences: 0, summary: String::new(), keys };
        let oldest = status.oldest_key().expect("one");
        assert_eq!((oldest.user.as_str(), oldest.days(now)), ("B", Some(91)));
    }
}
