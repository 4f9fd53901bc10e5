//! The extract loop: newest commit → source → data files → commit.
//!
//! Before the commit's put nothing has happened; after it everything has. Two overlapping runs race for one key: one
//! wins, the other ends in `Conflict` and its files are never loaded.
//!
//! A source that can show its columns is held against the table's contract first; see [`sluice_core::drift`].

use sluice_core::{
    Commit, Disposition, Error, LakeId, Result, RunId, Sequence, Table,
    commit::FORMAT_VERSION,
    drift::Observed,
    extract::{ExtractRequest, ExtractRun, ExtractSummary, Extracted, Outcome, Plan},
    lake,
    port::{Bus, Clock, ObjectStore},
};

use crate::log::{self, Put};

mod contract;

/// Something that can be read from a cursor on.
pub trait Source {
    /// Whether the source has a cursor column that a request may start from (`from_cursor`).
    const STARTS_FROM_A_VALUE: bool = false;

    /// Makes every row after the run's cursor durable as data files and says where the next run starts. May be called
    /// again for the same cursor after any failure: files of an earlier attempt stay unreferenced.
    fn read(&mut self, run: &ExtractRun<'_>) -> impl Future<Output = Result<Extracted>>;

    /// Says what `read` would find, and has no effect. A source that cannot count without reading says so by a plan
    /// without a count.
    fn plan(&mut self, _: &ExtractRun<'_>) -> impl Future<Output = Result<Plan>> {
        std::future::ready(Ok(Plan::default()))
    }

    /// The columns as the source shows them now; `None` for one whose shape its API fixes. Without effect.
    fn observe(&mut self, _: &ExtractRun<'_>) -> impl Future<Output = Result<Option<Vec<Observed>>>> {
        std::future::ready(Ok(None))
    }
}

/// Runs one extract of one table and commits what it found.
#[allow(clippy::too_many_arguments, reason = "four ports and what they are asked for")]
pub async fn run<S: Source>(
    store: &impl ObjectStore,
    bus: &impl Bus,
    clock: &impl Clock,
    source: &mut S,
    lake_id: &LakeId,
    table: &Table,
    run_id: &RunId,
    request: &ExtractRequest,
) -> Result<ExtractSummary> {
    if request.from_cursor.is_some() && (!S::STARTS_FROM_A_VALUE || request.full_refresh) {
        let refused = "from_cursor is for tables with a cursor column, and not together with full_refresh";
        return Err(Error::unsupported(refused).with("table", &table.table));
    }
    let newest = log::newest_commit(store, &table.table).await?;
    let sequence = newest.as_ref().map_or(Sequence::FIRST, |commit| commit.sequence.next());
    let standing = newest.as_ref().and_then(|commit| commit.cursor_to.clone());
    let cursor = if request.full_refresh { None } else { standing.clone() };
    let run = ExtractRun { request, table, run_id, sequence, cursor: cursor.as_ref() };

    if request.dry_run {
        let plan = source.plan(&run).await?;
        let rows = plan.rows.unwrap_or_default();
        let nothing = summary(Outcome::DryRun, &run, None, &Extracted::default());
        return Ok(ExtractSummary { rows, plan: Some(plan), ..nothing });
    }

    let held = match source.observe(&run).await? {
        Some(observed) => Some(contract::hold(bus, table, newest.as_ref(), observed, run_id).await?),
        None => None,
    };
    let table = held.as_ref().map_or(table, |held| &held.table);
    let run = ExtractRun { table, ..run };

    let mut extracted = source.read(&run).await?;
    // An empty commit would empty a table that is replaced whole.
    let tells_of_drift = table.disposition != Disposition::Replace && held.as_ref().is_some_and(|held| held.is_news);
    if extracted.files.is_empty()
        && !tells_of_drift
        && extracted.rejected.is_none()
        && (extracted.cursor.is_none() || extracted.cursor == standing)
    {
        return Ok(summary(Outcome::NothingNew, &run, None, &extracted));
    }

    let drift = match &held {
        Some(held) => {
            held.remember(&mut extracted.facts)?;
            held.drift.changes.clone()
        }
        None => Vec::new(),
    };
    let commit = Commit {
        format_version: FORMAT_VERSION,
        lake_id: lake_id.clone(),
        table: table.table.clone(),
        sequence,
        run_id: run_id.clone(),
        loader: table.loader,
        disposition: table.disposition,
        key: table.key.clone(),
        version_column: table.version_column.clone(),
        schema: table.columns.clone(),
        schema_fingerprint: table.columns.fingerprint(),
        rows: extracted.rows(),
        files: extracted.files.clone(),
        rejected: extracted.rejected.clone(),
        cursor_from: cursor.clone(),
        cursor_to: extracted.cursor.clone().or(standing),
        reset: None,
        source_facts: extracted.facts.clone(),
        drift,
        scheduled_at: request.time,
        committed_at: clock.now(),
    };
    let key = lake::log_key(&table.table, sequence);
    let is_ours = |body: &[u8]| Commit::decode(body).is_ok_and(|existing| existing.run_id == *run_id);
    match log::put_once(store, &key, commit.encode()?, is_ours).await? {
        Put::Ours => Ok(summary(Outcome::Committed, &run, Some(sequence), &extracted)),
        Put::Theirs => Err(Error::conflict("another run has committed first; this run's files will not be loaded")
            .with("table", &table.table)
            .with("sequence", sequence)),
    }
}

fn summary(
    outcome: Outcome,
    run: &ExtractRun<'_>,
    sequence: Option<Sequence>,
    extracted: &Extracted,
) -> ExtractSummary {
    ExtractSummary {
        outcome,
        table: run.table.table.clone(),
        run_id: run.run_id.clone(),
        sequence,
        rows: extracted.rows(),
        rejected: extracted.rejected.as_ref().map_or(0, |rejected| rejected.rows),
        files: extracted.files.len(),
        bytes: extracted.files.iter().map(|file| file.bytes).sum(),
        cursor_to: extracted.cursor.clone(),
        plan: None,
        facts: extracted.facts.clone(),
    }
}

#[cfg(test)]
mod tests;
