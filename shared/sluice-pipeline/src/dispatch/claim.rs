//! What a dbt run leaves in the lake: its claim, its further starts, the request to stop it, and its end. Each is one
//! object, put if absent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result, RunId, lake, port::ObjectStore};

use super::{BTreeMap, TableId, results::Report};
use crate::log::{self, Put};

/// Where each raw table stands: a number that changes with every load.
pub type Positions = BTreeMap<TableId, u64>;

/// Somebody is about to run, or runs, dbt. It is the run's first start as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub number: u64,
    pub run_id: RunId,
    pub claimed_at: DateTime<Utc>,
    pub cause: String,
    /// Empty means everything.
    pub selectors: Vec<String>,
    /// Incremental models are built again.
    #[serde(default)]
    pub full_refresh: bool,
    /// When the newest full refresh, this or an earlier one, was claimed: a repeated request for it is known by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_refresh_at: Option<DateTime<Utc>>,
    /// What the run will have covered if it succeeds.
    pub positions: Positions,
    /// What was covered before it; still covered if it fails.
    pub covered: Positions,
}

impl Claim {
    /// The start that the claim itself is.
    pub(super) fn first_start(&self) -> Start {
        Start {
            number: self.number,
            start: 1,
            by: self.run_id.clone(),
            at: self.claimed_at,
            attempt: 1,
            retry: false,
            selectors: self.selectors.clone(),
            ended: Vec::new(),
        }
    }
}

/// The right to trigger the job once. The invocation that puts it triggers; no other does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    pub number: u64,
    /// Counts every start of the run, also one whose trigger was never sent.
    pub start: u64,
    /// The invocation that triggers.
    pub by: RunId,
    pub at: DateTime<Utc>,
    /// Counts those starts that came to something.
    pub attempt: u32,
    /// Only what failed before is built.
    pub retry: bool,
    pub selectors: Vec<String>,
    /// The starts before this one whose dbt run has ended, with its id.
    #[serde(default)]
    pub ended: Vec<(u64, String)>,
}

/// The request to stop a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    pub number: u64,
    pub at: DateTime<Utc>,
    /// What the run then counts as.
    pub status: EndStatus,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndStatus {
    Succeeded,
    Failed,
    /// Somebody wanted it.
    Cancelled,
}

impl EndStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            EndStatus::Succeeded => "succeeded",
            EndStatus::Failed => "failed",
            EndStatus::Cancelled => "cancelled",
        }
    }
}

/// How a claimed run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub number: u64,
    pub status: EndStatus,
    /// The last run of the dbt job; empty if none was started.
    pub dbt_run_id: String,
    pub ended_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub report: Report,
    pub covered: Positions,
}

/// The newest claim, whether ended or not.
pub async fn newest(store: &impl ObjectStore) -> Result<Option<Claim>> {
    let Some(key) = store.first_key(lake::DBT_LOG_PREFIX).await? else { return Ok(None) };
    read(store, counted(&key)?).await.map(Some)
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

/// The newest start of a run.
pub(super) async fn newest_start(store: &impl ObjectStore, claim: &Claim) -> Result<Start> {
    let prefix = lake::dbt_start_prefix(claim.number);
    let Some(key) = store.first_key(&prefix).await? else { return Ok(claim.first_start()) };
    counted(&key)?;
    let body =
        store.get(&key).await?.ok_or_else(|| Error::not_found("no such start of a dbt run").with("key", &key))?;
    decode(&key, &body)
}

/// `false` when another invocation makes this start.
pub(super) async fn put_start(store: &impl ObjectStore, start: &Start) -> Result<bool> {
    let is_ours = |body: &[u8]| serde_json::from_slice::<Start>(body).is_ok_and(|other| other.by == start.by);
    let key = lake::dbt_start_key(start.number, start.start);
    Ok(log::put_once(store, &key, encode(start)?, is_ours).await? == Put::Ours)
}

pub(super) async fn stop(store: &impl ObjectStore, number: u64) -> Result<Option<Stop>> {
    let key = lake::dbt_stop_key(number);
    store.get(&key).await?.map(|body| decode(&key, &body)).transpose()
}

/// The first request counts; the one that counts is given back.
pub(super) async fn put_stop(store: &impl ObjectStore, request: Stop) -> Result<Stop> {
    log::put_once(store, &lake::dbt_stop_key(request.number), encode(&request)?, |_| true).await?;
    Ok(stop(store, request.number).await?.unwrap_or(request))
}

/// How the n-th run ended; `None` while it is under way.
pub async fn end(store: &impl ObjectStore, number: u64) -> Result<Option<End>> {
    let key = lake::dbt_end_key(number);
    store.get(&key).await?.map(|body| decode(&key, &body)).transpose()
}

/// The first end counts; a later one is dropped.
pub(super) async fn put_end(store: &impl ObjectStore, end: &End) -> Result<()> {
    log::put_once(store, &lake::dbt_end_key(end.number), encode(end)?, |_| true).await.map(drop)
}

fn counted(key: &str) -> Result<u64> {
    lake::counted_number(key)
        .ok_or_else(|| Error::invalid_data("the dbt log holds an object that is not of it").with("key", key))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::internal("cannot encode a dbt claim").because(error))
}

fn decode<T: for<'de> Deserialize<'de>>(key: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::invalid_data("an object of the dbt log does not parse").with("key", key).because(error))
}
