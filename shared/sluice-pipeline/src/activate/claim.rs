//! What an activation leaves in the lake: its claim, its end, and the switch that stops all of a destination.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sluice_core::{Error, Result, RunId, lake, port::ObjectStore};

use super::difference::{Proof, Shown};
use crate::log::{self, Put};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub number: u64,
    pub run_id: RunId,
    pub claimed_at: DateTime<Utc>,
    /// As it was requested.
    #[serde(default)]
    pub allow: bool,
    #[serde(default)]
    pub retry: bool,
}

impl Claim {
    /// Whether this run does all that an earlier one has left, with what was requested of that.
    pub(super) fn takes_over(&self, left: u64, allow: bool, retry: bool) -> bool {
        left < self.number && (self.allow || !allow) && (self.retry || !retry)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is held, refused or gone.
    Completed,
    /// The rest is sent by a later run.
    Waiting,
    /// Somebody has to look: it goes on when they or a later run of dbt wake it.
    Stopped,
    /// Nothing was sent: the difference was asked for.
    DryRun,
}

/// What an activation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub destination: String,
    /// 0 for a dry run.
    pub number: u64,
    pub run_id: RunId,
    pub cause: String,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// Records that differ from what is known to be held.
    pub changed: u64,
    pub written: u64,
    /// Changed records that held the model's values when they were read.
    pub already_held: u64,
    pub refused: u64,
    pub gone: u64,
    /// Changed records that are still to be sent.
    pub pending: u64,
    pub unchanged: u64,
    /// Refused or gone before; `sluice retry` tries them again.
    pub given_up: u64,
    pub suppressed: BTreeMap<String, u64>,
    /// How many records each property changes in.
    pub properties: BTreeMap<String, u64>,
    /// Records refused or gone in this run, by reason.
    pub reasons: BTreeMap<String, u64>,
    pub proof: Proof,
    /// Some of the changes; of a dry run only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<Shown>,
}

/// Whether a destination is sent anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    pub stopped: bool,
    pub by: String,
    pub at: DateTime<Utc>,
    pub reason: String,
}

/// The account that was sent to first.
#[derive(Serialize, Deserialize)]
struct Account {
    account: String,
}

/// Fails where another account was sent to: the ledger says nothing of this one.
pub(super) async fn check_account(store: &impl ObjectStore, destination: &str, account: &str) -> Result<()> {
    match read::<Account>(store, &lake::activation_account_key(destination)).await? {
        Some(first) if first.account != account => Err(another(&first.account, account)),
        _ => Ok(()),
    }
}

/// From now on only this account is sent to.
pub(super) async fn keep_account(store: &impl ObjectStore, destination: &str, account: &str) -> Result<()> {
    let first = encode(&Account { account: account.to_owned() })?;
    let is_same = |body: &[u8]| serde_json::from_slice::<Account>(body).is_ok_and(|first| first.account == account);
    match log::put_once(store, &lake::activation_account_key(destination), first, is_same).await? {
        Put::Ours => Ok(()),
        Put::Theirs => Err(another("another one", account)),
    }
}

fn another(first: &str, account: &str) -> Error {
    Error::config(format!(
        "the token is of account {account}, and what was sent before went to {first}; nothing was sent"
    ))
    .with_hint("use the token of that account; to move to another one, see docs/runbooks/an-activation-stops.md")
}

pub(super) async fn newest(store: &impl ObjectStore, destination: &str) -> Result<Option<Claim>> {
    let Some(key) = store.first_key(&lake::activation_prefix(destination)).await? else { return Ok(None) };
    read(store, &key).await
}

/// `false` when another run has claimed this number.
pub(super) async fn put(store: &impl ObjectStore, destination: &str, claim: &Claim) -> Result<bool> {
    let is_ours = |body: &[u8]| serde_json::from_slice::<Claim>(body).is_ok_and(|other| other.run_id == claim.run_id);
    let key = lake::activation_claim_key(destination, claim.number);
    Ok(log::put_once(store, &key, encode(claim)?, is_ours).await? == Put::Ours)
}

pub(super) async fn end(store: &impl ObjectStore, destination: &str, number: u64) -> Result<Option<Report>> {
    read(store, &lake::activation_end_key(destination, number)).await
}

/// The first end counts.
pub(super) async fn put_end(store: &impl ObjectStore, report: &Report) -> Result<()> {
    let key = lake::activation_end_key(&report.destination, report.number);
    log::put_once(store, &key, encode(report)?, |_| true).await.map(drop)
}

/// How the newest activation that has ended did; `None` before the first.
pub async fn last(store: &impl ObjectStore, destination: &str) -> Result<Option<Report>> {
    let Some(claim) = newest(store, destination).await? else { return Ok(None) };
    for number in [claim.number, claim.number.saturating_sub(1)] {
        if let Some(report) = end(store, destination, number).await? {
            return Ok(Some(report));
        }
    }
    Ok(None)
}

/// Who has stopped a destination; `None` while it may be sent to.
pub async fn stopped(store: &impl ObjectStore, destination: &str) -> Result<Option<Switch>> {
    let switch: Option<Switch> = read(store, &lake::activation_switch_key(destination)).await?;
    Ok(switch.filter(|switch| switch.stopped))
}

/// Stops a destination, or lets it be sent to again: a run under way looks before each part of its work.
pub async fn switch(store: &impl ObjectStore, destination: &str, switch: &Switch) -> Result<()> {
    let body = Bytes::from(encode(switch)?);
    store.put(&lake::activation_switch_key(destination), body).await.map(drop)
}

async fn read<T: DeserializeOwned>(store: &impl ObjectStore, key: &str) -> Result<Option<T>> {
    let parse = |body: Bytes| {
        serde_json::from_slice(&body).map_err(|error| {
            Error::invalid_data("an object of an activation does not parse").with("key", key).because(error)
        })
    };
    store.get(key).await?.map(parse).transpose()
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::internal("cannot encode an activation").because(error))
}
