//! The contract's word on a source that has changed: announced before the commit records it, and before a run that it
//! forbids stops.

use std::pin::pin;

use futures::{StreamExt, stream};
use sluice_core::{
    Column, Commit, Error, Kind, Result, RunId, Sequence, Table,
    drift::{self, Drift, OBSERVED_FACT, Observed},
    event::{self, DriftDetected},
    port::{Bus, ObjectStore},
};
use uuid::Uuid;

use crate::log;

/// Names the announcements of drift among all UUIDs derived from names.
const NAMESPACE: Uuid = Uuid::from_u128(0x0b6b_3f5d_7c1a_4f0e_9a43_5d2c_80e1_44b7);

/// What a run goes on with.
pub(crate) struct ContractCheck {
    /// The table as this run reads and commits it.
    pub table: Table,
    pub drift: Drift,
    /// Whether the newest commit does not tell of it yet, so that this run must commit even without rows.
    pub is_news: bool,
    observed: Vec<Observed>,
}

impl ContractCheck {
    /// Compares. Without effect.
    pub(crate) fn new(table: &Table, newest: Option<&Commit>, observed: Vec<Observed>) -> Self {
        let drift = drift::compare(table, newest, &observed);
        let is_news = !drift.news(newest).is_empty();
        let table = Table { columns: drift.schema.clone(), ..table.clone() };
        ContractCheck { table, drift, is_news, observed }
    }

    /// Keeps what was observed for the next run to compare with.
    pub(crate) fn remember(&self, facts: &mut serde_json::Map<String, serde_json::Value>) -> Result<()> {
        let observed = serde_json::to_value(&self.observed)
            .map_err(|error| Error::internal("cannot encode what a source shows").because(error))?;
        facts.insert(OBSERVED_FACT.to_owned(), observed);
        Ok(())
    }
}

/// Compares, announces what is new, and fails if the contract forbids it. A run that dies after the announcement is
/// followed by one that makes the same announcement with the same id.
pub(super) async fn check_contract(
    bus: &impl Bus,
    table: &Table,
    newest: Option<&Commit>,
    observed: Vec<Observed>,
    run_id: &RunId,
) -> Result<ContractCheck> {
    let check = ContractCheck::new(table, newest, observed);
    let drift = &check.drift;
    let news = drift.news(newest);
    if let Some(severity) = news.iter().map(|change| change.severity()).max() {
        let id = serde_json::to_vec(&drift.changes)
            .map(|changes| format!("{}#drift-{}", table.table, Uuid::new_v5(&NAMESPACE, &changes)))
            .map_err(|error| Error::internal("cannot encode drift").because(error))?;
        for change in &news {
            tracing::warn!(table = %table.table, change = %change, action = ?change.action, "source and contract differ");
        }
        bus.announce(event::drift_detected(&DriftDetected {
            id,
            run_id: run_id.clone(),
            table: table.table.clone(),
            severity,
            changes: drift.changes.clone(),
        }))
        .await?;
    }
    drift.permit(table)?;
    Ok(check)
}

/// The most commits that are looked at for columns of which the newest one does not tell.
const MOST_LOOKED_AT: u64 = 1_000;
const READ_AT_ONCE: usize = 16;

/// What the raw table keeps from before a commit of an earlier version, which does not say so. The next commit does, so this
/// is done once for each table.
pub(super) async fn raw_columns_before(store: &impl ObjectStore, newest: &Commit) -> Result<Vec<Column>> {
    let table = &newest.table;
    let mut earlier: Vec<Commit> = Vec::new();
    let oldest = newest.sequence.0.saturating_sub(MOST_LOOKED_AT).max(Sequence::FIRST.0);
    let reads = (oldest..newest.sequence.0).rev().map(|sequence| log::read_commit(store, table, Sequence(sequence)));
    let mut reads = pin!(stream::iter(reads).buffered(READ_AT_ONCE));
    while let Some(read) = reads.next().await {
        let commit = match read {
            // What is gone or cannot be read tells nothing, and stops no run.
            Err(error) if error.kind() == Kind::NotFound || error.is_final() => continue,
            read => read?,
        };
        // Most commits have the columns of their neighbours.
        let is_complete = commit.kept.is_some();
        if is_complete || earlier.last().is_none_or(|last| last.schema != commit.schema) {
            earlier.push(commit);
        }
        if is_complete {
            break;
        }
    }
    let kept = drift::untold(newest, &earlier);
    tracing::info!(table = %table, columns = kept.len(), "commits of an earlier version were asked for what the raw table keeps");
    Ok(kept)
}
