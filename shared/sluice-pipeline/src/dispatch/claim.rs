//! A dbt run's claim and its end: two objects in the lake, each put if absent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result, RunId, lake, port::ObjectStore};

use super::{BTreeMap, TableId};
use crate::log::{self, Put};

/// Where each raw table stands: a number that changes with every load.
pub type Positions = BTreeMap<TableId, u64>;

/// Somebody is about to run, or runs, dbt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub number: u64,
    pub run_id: RunId,
    pub claimed_at: DateTime<Utc>,
    pub cause: String,
    /// Empty means everything.
    pub selectors: Vec<String>,
    /// What the run will have covered if it succeeds.
    pub positions: Positions,
    /// What was covered before it; still covered if it fails.
    pub covered: Positions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndStatus {
    Succeeded,
    Failed,
}

impl EndStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            EndStatus::Succeeded => "succeeded",
            EndStatus::Failed => "failed",
        }
    }
}

/// How a claimed run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub number: u64,
    pub status: EndStatus,
    pub dbt_run_id: String,
    pub ended_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub covered: Positions,
}

/// The newest claim, whether ended or not.
pub(super) async fn newest(store: &impl ObjectStore) -> Result<Option<Claim>> {
    let Some(key) = store.first_key(lake::DBT_LOG_PREFIX).await? else { return Ok(None) };
    let number = lake::counted_number(&key)
        .ok_or_else(|| Error::invalid_data("the dbt log holds an object that is no claim").with("key", &key))?;
    read(store, number).await.map(Some)
}

pub(super) async fn read(store: &impl ObjectStore, number: u64) -> Result<Claim> {
    let key = lake::dbt_claim_key(number);
    let body = store.get(&key).await?.ok_or_else(|| Error::not_found("no such dbt claim").with("key", &key))?;
    decode(&key, &body)
}

/// `false` when another dispatcher has claimed this number.
pub(super) async fn put(store: &impl ObjectStore, claim: &Claim) -> Result<bool> {
    let is_ours = |body: &[u8]| serde_json::from_slice::<Claim>(body).is_ok_and(|other| other.run_id == claim.run_id);
    Ok(log::put_once(store, &lake::dbt_claim_key(claim.number), encode(claim)?, is_ours).await? == Put::Ours)
}

pub(super) async fn end(store: &impl ObjectStore, number: u64) -> Result<Option<End>> {
    let key = lake::dbt_end_key(number);
    store.get(&key).await?.map(|body| decode(&key, &body)).transpose()
}

/// The first end counts; a later one is dropped.
pub(super) async fn put_end(store: &impl ObjectStore, end: &End) -> Result<()> {
    log::put_once(store, &lake::dbt_end_key(end.number), encode(end)?, |_| true).await.map(drop)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::internal("cannot encode a dbt claim").because(error))
}

fn decode<T: for<'de> Deserialize<'de>>(key: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::invalid_data("an object of the dbt log does not parse").with("key", key).because(error))
}
