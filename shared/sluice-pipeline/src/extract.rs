//! The extract loop: newest commit → source → data files → commit.
//!
//! Before the commit's put nothing has happened; after it everything has. Two overlapping runs race for one key: one
//! wins, the other ends in `Conflict` and its files are never loaded.
//!
//! A source that can show its columns is checked against the table's contract first; see [`sluice_core::drift`].

use chrono::TimeDelta;
use sluice_core::{
    Change, Column, Commit, Cursor, Disposition, Error, LakeId, Result, RunId, Sequence, Table,
    commit::FORMAT_VERSION,
    drift::{self, Observed},
    extract::{Aside, ExtractRequest, ExtractRun, ExtractSummary, Extracted, Outcome, Plan},
    lake,
    port::{Bus, Clock, ObjectStore},
};

use crate::{
    leftovers,
    log::{self, Put},
};

mod contract;

pub(crate) use contract::ContractCheck;

/// Something that can be read from a cursor on.
pub trait Source {
    /// Whether the source has a cursor column that a request may start from (`from_cursor`).
    const STARTS_FROM_A_VALUE: bool = false;

    /// Whether it can tell the rows that a cursor has behind it from the others.
    const READS_BEHIND: bool = false;

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
    let steps = Steps { store, bus, clock, lake_id };
    let begun = steps.begin::<S>(table, request).await?;
    let run = begun.run(table, run_id, request);
    if request.dry_run {
        return steps.dry_run(source, &run, &begun).await;
    }
    if request.aside.is_some() {
        return steps.aside(source, &run, &begun).await;
    }
    let check = steps.check_contract(source, &run, &begun).await?;
    let run = ExtractRun { table: check.as_ref().map_or(table, |check| &check.table), ..run };
    steps.read_and_commit(source, &run, &begun, check.as_ref()).await
}

/// Where a table stands when a run begins.
pub(crate) struct Begun {
    pub newest: Option<Commit>,
    sequence: Sequence,
    /// Where the run reads from: the newest commit's cursor, unless everything is to be read. The rows of a replaced
    /// table's commit are the whole table, so that one is always read from its beginning.
    cursor: Option<Cursor>,
}

impl Begun {
    pub(crate) fn run<'a>(
        &'a self,
        table: &'a Table,
        run_id: &'a RunId,
        request: &'a ExtractRequest,
    ) -> ExtractRun<'a> {
        ExtractRun { request, table, run_id, sequence: self.sequence, cursor: self.cursor.as_ref() }
    }

    /// What the raw table has beyond the columns that the run reads.
    pub(crate) fn kept(&self, table: &Table, check: Option<&ContractCheck>) -> Vec<Column> {
        match check {
            Some(check) => check.drift.kept.clone(),
            None => drift::kept(table, self.newest.as_ref(), &table.columns),
        }
    }

    fn standing(&self) -> Option<Cursor> {
        self.newest.as_ref().and_then(|commit| commit.cursor_to.clone())
    }
}

/// How old the newest commit gets before a run that finds nothing new says so by another, without rows or with the same ones: the
/// warehouse holds a source back whose last commit is old, and a quiet weekend is none of a source that nobody reads.
const LOOKED_AT: TimeDelta = TimeDelta::hours(12);

/// The steps of a run, in the order in which they are taken.
pub(crate) struct Steps<'a, O, B, C> {
    pub store: &'a O,
    pub bus: &'a B,
    pub clock: &'a C,
    pub lake_id: &'a LakeId,
}

impl<O: ObjectStore, B: Bus, C: Clock> Steps<'_, O, B, C> {
    pub(crate) async fn begin<S: Source>(&self, table: &Table, request: &ExtractRequest) -> Result<Begun> {
        let is_replaced = table.disposition == Disposition::Replace;
        if request.from_cursor.is_some() && (!S::STARTS_FROM_A_VALUE || request.full_refresh || is_replaced) {
            let refused = "from_cursor is for tables with a cursor column that are not replaced whole, and not together \
                           with full_refresh";
            return Err(Error::unsupported(refused).with("table", &table.table).about_request());
        }
        let mut newest = log::newest_commit(self.store, &table.table).await?;
        if let Some(newest) = newest.as_mut().filter(|newest| newest.kept.is_none()) {
            newest.kept = Some(contract::raw_columns_before(self.store, newest).await?);
        }
        let sequence = newest.as_ref().map_or(Sequence::FIRST, |commit| commit.sequence.next());
        let mut begun = Begun { newest, sequence, cursor: None };
        if !request.full_refresh && !is_replaced {
            begun.cursor = begun.standing();
        }
        Ok(begun)
    }

    /// Checks the source's columns against the contract; `None` for a source that cannot show them.
    pub(crate) async fn check_contract<S: Source>(
        &self,
        source: &mut S,
        run: &ExtractRun<'_>,
        begun: &Begun,
    ) -> Result<Option<ContractCheck>> {
        permit_contract(run, begun)?;
        let Some(observed) = source.observe(run).await? else { return Ok(None) };
        contract::check_contract(self.bus, run.table, begun.newest.as_ref(), observed, run.run_id).await.map(Some)
    }

    /// Says what a run would read of the columns that the contract lets it read, and fails where the run would. Without
    /// effect: what has changed is announced by the run that meets it.
    pub(crate) async fn dry_run<S: Source>(
        &self,
        source: &mut S,
        run: &ExtractRun<'_>,
        begun: &Begun,
    ) -> Result<ExtractSummary> {
        permit_contract(run, begun)?;
        let observed = source.observe(run).await?;
        let check = observed.map(|observed| ContractCheck::new(run.table, begun.newest.as_ref(), observed));
        if let Some(check) = &check {
            check.drift.permit(run.table)?;
        }
        let run = ExtractRun { table: check.as_ref().map_or(run.table, |check| &check.table), ..*run };
        let plan = source.plan(&run).await?;
        let rows = plan.rows.unwrap_or_default();
        let drift = check.as_ref().map(|check| check.drift.changes.clone()).unwrap_or_default();
        let nothing = summary(Outcome::DryRun, &run, None, &Extracted::default());
        Ok(ExtractSummary { rows, plan: Some(plan), drift, ..nothing })
    }

    /// Reads rows for a proof, by the cursor of the newest commit. Nothing is committed and nothing announced.
    pub(crate) async fn aside<S: Source>(
        &self,
        source: &mut S,
        run: &ExtractRun<'_>,
        begun: &Begun,
    ) -> Result<ExtractSummary> {
        let table = &run.table.table;
        if !S::READS_BEHIND {
            let refused = "this source cannot tell the rows that its cursor has behind it";
            return Err(Error::unsupported(refused).with("table", table).about_request());
        }
        let (Some(newest), Some(_)) = (&begun.newest, run.cursor) else {
            let refused = "the table has no cursor, so nothing lies behind it";
            return Err(Error::unsupported(refused).with("table", table).about_request());
        };
        let check = source.observe(run).await?.map(|observed| ContractCheck::new(run.table, Some(newest), observed));
        if let Some(check) = &check {
            check.drift.permit(run.table)?;
        }
        // Its files are apart from those of runs, whose permission to delete is not a person's.
        let run_id = &leftovers::of_proof(self.clock.now(), run.run_id);
        let run = ExtractRun { table: check.as_ref().map_or(run.table, |check| &check.table), run_id, ..*run };
        let extracted = source.read(&run).await?;
        let told = summary(Outcome::Aside, &run, None, &extracted);
        let aside = Aside { newest: newest.sequence, files: extracted.files, rejected: extracted.rejected };
        Ok(ExtractSummary { aside: Some(aside), ..told })
    }

    pub(crate) async fn read_and_commit<S: Source>(
        &self,
        source: &mut S,
        run: &ExtractRun<'_>,
        begun: &Begun,
        check: Option<&ContractCheck>,
    ) -> Result<ExtractSummary> {
        let mut extracted = source.read(run).await?;
        refuse_to_empty(run, &extracted)?;
        let standing = begun.standing();
        let is_old = begun.newest.as_ref().is_some_and(|newest| self.clock.now() - newest.committed_at >= LOOKED_AT);
        // What somebody asks for besides, such as days of long ago, says nothing of what is new.
        let is_due = is_old && !asks_for_more(run.request);
        // An empty commit would empty a table that is replaced whole.
        let is_news =
            run.table.disposition != Disposition::Replace && (is_due || check.is_some_and(|check| check.is_news));
        if extracted.files.is_empty()
            && !is_news
            && extracted.rejected.is_none()
            && (extracted.cursor.is_none() || extracted.cursor == standing)
        {
            return Ok(summary(Outcome::NothingNew, run, None, &extracted));
        }
        if !is_due && has_replaced_the_same(run, begun, &extracted) {
            let nothing = Extracted { facts: extracted.facts, cursor: extracted.cursor, ..Extracted::default() };
            return Ok(summary(Outcome::NothingNew, run, None, &nothing));
        }
        let mut drift = Vec::new();
        if let Some(check) = check {
            check.remember(&mut extracted.facts)?;
            drift.clone_from(&check.drift.changes);
        }
        let cursor_to = extracted.cursor.clone().or(standing);
        self.commit(run, &extracted, cursor_to, drift, begun.kept(run.table, check)).await?;
        Ok(summary(Outcome::Committed, run, Some(run.sequence), &extracted))
    }

    /// Puts the commit. Done again for the same run, nothing changes.
    pub(crate) async fn commit(
        &self,
        run: &ExtractRun<'_>,
        extracted: &Extracted,
        cursor_to: Option<Cursor>,
        drift: Vec<Change>,
        kept: Vec<Column>,
    ) -> Result<()> {
        let ExtractRun { request, table, run_id, sequence, cursor } = *run;
        let commit = Commit {
            format_version: FORMAT_VERSION,
            lake_id: self.lake_id.clone(),
            table: table.table.clone(),
            sequence,
            run_id: run_id.clone(),
            loader: table.loader,
            disposition: table.disposition,
            key: table.key.clone(),
            version_column: table.version_column.clone(),
            schema: table.columns.clone(),
            schema_fingerprint: table.columns.fingerprint(),
            kept: Some(kept),
            rows: extracted.rows(),
            files: extracted.files.clone(),
            rejected: extracted.rejected.clone(),
            cursor_from: cursor.cloned(),
            cursor_to,
            whole_since: extracted.whole_since,
            reset: None,
            source_facts: extracted.facts.clone(),
            drift,
            scheduled_at: request.time,
            committed_at: self.clock.now(),
        };
        let key = lake::log_key(&table.table, sequence);
        let is_ours = |body: &[u8]| Commit::decode(body).is_ok_and(|existing| existing.run_id == *run_id);
        match log::put_once(self.store, &key, commit.encode()?, is_ours).await? {
            Put::Ours => Ok(()),
            Put::Theirs => Err(Error::conflict("another run has committed first; this run's files will not be loaded")
                .with("table", &table.table)
                .with("sequence", sequence)
                .as_final()),
        }
    }
}

/// A person who asks for everything again may have made the raw table again, with the contract's types.
fn permit_contract(run: &ExtractRun<'_>, begun: &Begun) -> Result<()> {
    match run.request.full_refresh {
        true => Ok(()),
        false => drift::permit_contract(run.table, begun.newest.as_ref()),
    }
}

/// The rows of a replaced table's commit are the whole table. A source without rows may empty it; one of whose rows
/// none is left tells of a broken contract, and readers keep what they have. The rejects file is there to be looked at.
fn refuse_to_empty(run: &ExtractRun<'_>, extracted: &Extracted) -> Result<()> {
    match &extracted.rejected {
        Some(rejected) if run.table.disposition == Disposition::Replace && extracted.rows() == 0 => {
            let message =
                format!("all {} rows break the contract; the table keeps the rows that it has", rejected.rows);
            Err(Error::invalid_data(message).with("table", &run.table.table).with("rejects", &rejected.path))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a request is for more than what is new.
pub(crate) fn asks_for_more(request: &ExtractRequest) -> bool {
    *request != ExtractRequest::scheduled(request.table.clone(), request.time)
}

/// A table that is replaced is read whole by each run. Where its source's cursor tells one content from another, and it is
/// that of the newest commit, the rows would replace themselves.
fn has_replaced_the_same(run: &ExtractRun<'_>, begun: &Begun, extracted: &Extracted) -> bool {
    let Some(newest) = &begun.newest else { return false };
    run.table.disposition == Disposition::Replace
        && !run.request.full_refresh
        && extracted.cursor.is_some()
        && extracted.cursor == newest.cursor_to
        && newest.disposition == Disposition::Replace
        && newest.reset.is_none()
        && newest.rows == extracted.rows()
        && newest.schema_fingerprint == run.table.columns.fingerprint()
        && (newest.rejected.is_none() && extracted.rejected.is_none())
}

pub(crate) fn summary(
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
        drift: Vec::new(),
        aside: None,
        parts: None,
        facts: extracted.facts.clone(),
    }
}

#[cfg(test)]
mod tests;
