//! The extract loop for tables that outlast one invocation: the read is partitioned, other invocations take the parts, and
//! the one that sees that all of them are there puts the one commit.
//!
//! **Nothing new guards the table.** A partitioned read has the sequence that its plan names, and its commit is put only if
//! absent like any other. Whatever commits that sequence first (a run, a reset) makes the plan void, and its parts stop.
//!
//! **What is missed by no one.** The cursor of the commit is the one that was true when the plan was made. Parts are read
//! later and may see more; all that came after the plan is read again by the next run, and the merge finds it there
//! already. Where reading a row twice would count it twice (rows that are appended), or where all rows must be of one
//! moment (a table that is replaced whole), a read is never partitioned.
//!
//! **What is repeated.** Messages may come twice, late, or never. A part that has a result is not read again; of two
//! attempts at a part the first result counts, and each attempt has files of its own. Before the plan is put, a message
//! is on its way that will look after it: it queues again what seems lost, and gives the plan up when nothing has come for
//! a day.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_core::{
    Column, Commit, Disposition, Error, Kind, LakeId, Loader, Rejected, Result, RunId, Sequence, Table,
    event::{self, LoadFailed},
    extract::{self as summaries, ExtractRequest, ExtractRun, ExtractSummary, Extracted, Parts},
    lake,
    port::{Bus, Clock, DelayedQueue, ObjectStore},
    split::{Chunk, FORMAT_VERSION, GivenUp, PartResult, Partitioning, QueuedAgain, SplitMessage, SplitPlan},
};

use crate::{
    extract::{ContractCheck, Source, Steps, asks_for_more, summary},
    runs,
};

mod objects;

/// How often somebody looks whether a plan needs anything.
const LOOK_EVERY: TimeDelta = TimeDelta::minutes(5);

/// No part takes longer than an invocation lives. After this long without a result, something may be lost.
const QUIET: TimeDelta = TimeDelta::minutes(20);

/// A plan without a result for this long needs a person. The next run makes a new one. However long a plan takes whose parts
/// come in, it is not given up: a thousand parts, four at a time, may take days.
const STUCK: TimeDelta = TimeDelta::hours(24);

/// A source whose reads can be partitioned.
pub trait SplitSource: Source {
    /// Partitions what `read` would read, if that is more than one invocation should. Without effect.
    fn partition(&mut self, run: &ExtractRun<'_>) -> impl Future<Output = Result<Option<Partitioning>>>;

    /// Makes every row of the chunk durable that was there when the plan was made, and may add rows that have come
    /// since. `planned` is the partitioning's cursor. A final error ends the plan: the source is not, or does not hold, what
    /// the plan was made for. One that is not the source that was partitioned is a `Conflict`.
    fn read_chunk(
        &mut self,
        run: &ExtractRun<'_>,
        chunk: &Chunk,
        planned: &sluice_core::Cursor,
    ) -> impl Future<Output = Result<Extracted>>;
}

/// How a message about a plan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The plan has ended before, or was never made: there is nothing to do.
    Over,
    UnderWay(Parts),
    Committed(Sequence),
    GivenUp,
}

/// How a plan under way stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    pub sequence: Sequence,
    pub run_id: RunId,
    pub planned_at: DateTime<Utc>,
    pub parts: Parts,
}

/// The plan that a table's next commit waits for. `newest` is the table's newest commit.
pub async fn progress(store: &impl ObjectStore, table: &Table, newest: Option<&Commit>) -> Result<Option<Progress>> {
    let Some(plan) = objects::newest_plan(store, &table.table).await? else { return Ok(None) };
    if has_passed(&plan, newest) || objects::is_given_up(store, &plan).await? {
        return Ok(None);
    }
    let done = results(store, &plan).await?.into_iter().flatten().count();
    let parts = Parts { done, of: plan.chunks.len() };
    Ok(Some(Progress { sequence: plan.sequence, run_id: plan.run_id, planned_at: plan.planned_at, parts }))
}

/// The ports of partitioned reads.
#[derive(Debug)]
pub struct Split<'a, O, B, C, L> {
    pub store: &'a O,
    pub bus: &'a B,
    pub clock: &'a C,
    /// The queue that wakes this function with [`SplitMessage`]s.
    pub queue: &'a L,
    pub lake_id: &'a LakeId,
}

impl<O: ObjectStore, B: Bus, C: Clock, L: DelayedQueue> Split<'_, O, B, C, L> {
    /// Runs one extract of one table. Its read may be partitioned; while it is, no other read of the table begins: a run for
    /// what is new says how far that one is, and a request for more is refused with `Conflict`. A dry run
    /// says so too.
    pub async fn run<S: SplitSource>(
        &self,
        source: &mut S,
        table: &Table,
        run_id: &RunId,
        request: &ExtractRequest,
    ) -> Result<ExtractSummary> {
        let steps = self.steps();
        let mut begun = steps.begin::<S>(table, request).await?;
        if request.dry_run {
            // Asked for before the count, which may take long: the answer is about the commit that the run began from.
            let under_way = progress(self.store, table, begun.newest.as_ref()).await?;
            let summary = steps.dry_run(source, &begun.run(table, run_id, request), &begun).await?;
            return Ok(ExtractSummary { parts: under_way.map(|plan| plan.parts), ..summary });
        }
        if request.aside.is_some() {
            return steps.aside(source, &begun.run(table, run_id, request), &begun).await;
        }
        let plan = objects::newest_plan(self.store, &table.table).await?;
        if let Some(plan) = plan.as_ref().filter(|plan| !has_passed(plan, begun.newest.as_ref()))
            && !objects::is_given_up(self.store, plan).await?
        {
            let is_answered = answers(plan, request);
            match self.look_after(plan, table).await? {
                Outcome::UnderWay(parts) if is_answered => return Ok(in_parts(plan, parts)),
                Outcome::UnderWay(parts) => return Err(under_way(plan, parts)),
                Outcome::Committed(_) if is_answered => {
                    return Ok(in_parts(plan, Parts { done: plan.chunks.len(), of: plan.chunks.len() }));
                }
                Outcome::Committed(_) => begun = steps.begin::<S>(table, request).await?,
                Outcome::GivenUp | Outcome::Over => {}
            }
        }
        let run = begun.run(table, run_id, request);
        let check = steps.check_contract(source, &run, &begun).await?;
        let run = ExtractRun { table: check.as_ref().map_or(table, |check| &check.table), ..run };
        if may_be_partitioned(table)
            && let Some(partitioning) = source.partition(&run).await?
            && partitioning.chunks.len() > 1
        {
            let number = plan.map_or(1, |plan| plan.number + 1);
            let kept = begun.kept(run.table, check.as_ref());
            return self.plan(number, &run, check.as_ref(), kept, partitioning).await;
        }
        steps.read_and_commit(source, &run, &begun, check.as_ref()).await
    }

    /// Serves one message. `attempt` is this invocation's own id.
    pub async fn handle<S: SplitSource>(
        &self,
        source: &mut S,
        table: &Table,
        message: &SplitMessage,
        attempt: &RunId,
    ) -> Result<Outcome> {
        let Some(plan) = objects::plan(self.store, &table.table, message.number).await? else {
            return Ok(Outcome::Over);
        };
        runs::follow(&plan.run_id);
        if self.is_over(&plan).await? {
            return Ok(Outcome::Over);
        }
        let Some(part) = message.part.filter(|_| may_be_partitioned(table)) else {
            let outcome = self.look_after(&plan, table).await?;
            if let Outcome::UnderWay(_) = outcome {
                self.send(&plan, None).await?;
            }
            return Ok(outcome);
        };
        self.read_part(source, &plan, part, table, attempt).await?;
        // The last part is most likely the one that is missing.
        let mut all = Vec::with_capacity(plan.chunks.len());
        for part in (0..plan.chunks.len()).rev() {
            let Some(result) = objects::result(self.store, &plan, part).await? else {
                let parts = Parts { done: all.len(), of: plan.chunks.len() };
                return Ok(Outcome::UnderWay(parts));
            };
            all.push(result);
        }
        all.reverse();
        self.commit(&plan, table, all).await
    }

    fn steps(&self) -> Steps<'_, O, B, C> {
        Steps { store: self.store, bus: self.bus, clock: self.clock, lake_id: self.lake_id }
    }

    /// Makes the plan and queues its parts.
    async fn plan(
        &self,
        number: u64,
        run: &ExtractRun<'_>,
        check: Option<&ContractCheck>,
        kept: Vec<Column>,
        partitioning: Partitioning,
    ) -> Result<ExtractSummary> {
        let Partitioning { chunks, cursor, is_whole, mut facts } = partitioning;
        facts.insert("parts".to_owned(), chunks.len().into());
        if let Some(check) = check {
            check.remember(&mut facts)?;
        }
        let plan = SplitPlan {
            format_version: FORMAT_VERSION,
            number,
            table: run.table.table.clone(),
            sequence: run.sequence,
            run_id: run.run_id.clone(),
            planned_at: self.clock.now(),
            request: run.request.clone(),
            columns: run.table.columns.clone(),
            kept,
            cursor_from: run.cursor.cloned(),
            cursor_to: cursor,
            is_whole,
            chunks,
            drift: check.map(|check| check.drift.changes.clone()).unwrap_or_default(),
            facts,
        };
        // Before the plan: from its put on, whatever dies, somebody looks after it.
        self.send(&plan, None).await?;
        if !objects::put_plan(self.store, &plan).await? {
            let lost = Error::conflict("another run has partitioned the table's read first")
                .with("table", &plan.table)
                .with("sequence", plan.sequence);
            return Err(if asks_for_more(run.request) { lost.with_hint(when_to_ask_again()) } else { lost });
        }
        tracing::info!(table = %plan.table, plan = number, parts = plan.chunks.len(), "the read is partitioned");
        for part in 0..plan.chunks.len() {
            self.send(&plan, Some(part)).await?;
        }
        Ok(in_parts(&plan, Parts { done: 0, of: plan.chunks.len() }))
    }

    async fn send(&self, plan: &SplitPlan, part: Option<usize>) -> Result<()> {
        let message = SplitMessage { table: plan.table.clone(), number: plan.number, part };
        let body = serde_json::to_value(&message)
            .map_err(|error| Error::internal("cannot encode a message to ourselves").because(error))?;
        let delay = if part.is_some() { TimeDelta::zero() } else { LOOK_EVERY };
        self.queue.send(&body, delay.to_std().unwrap_or_default()).await
    }

    /// Whether nothing is left to do for the plan. `Conflict` when its place in the log is another's.
    async fn is_over(&self, plan: &SplitPlan) -> Result<bool> {
        if objects::is_given_up(self.store, plan).await? {
            return Ok(true);
        }
        let key = lake::log_key(&plan.table, plan.sequence);
        let Some(body) = self.store.get(&key).await? else { return Ok(false) };
        if Commit::decode(&body)?.run_id == plan.run_id {
            return Ok(true);
        }
        Err(Error::conflict("another run has committed first; the partitioned read is void")
            .with("table", &plan.table)
            .with("sequence", plan.sequence)
            .as_final())
    }

    async fn read_part<S: SplitSource>(
        &self,
        source: &mut S,
        plan: &SplitPlan,
        part: usize,
        table: &Table,
        attempt: &RunId,
    ) -> Result<()> {
        let chunk = plan.chunks.get(part).ok_or_else(|| {
            Error::invalid_data("the plan has no such part").with("table", &plan.table).with("part", part)
        })?;
        if objects::result(self.store, plan, part).await?.is_some() {
            return Ok(());
        }
        let table = as_planned(plan, table);
        let run_id = lake::part_run(&plan.run_id, part, attempt);
        let run = ExtractRun { run_id: &run_id, ..run_of(plan, &table) };
        let extracted = match source.read_chunk(&run, chunk, &plan.cursor_to).await {
            Ok(extracted) => extracted,
            Err(error) => {
                if error.is_final() {
                    self.give_up(plan, error.kind(), &format!("part {part}: {}", error.chain())).await?;
                }
                return Err(error.with("part", part));
            }
        };
        let Extracted { files, rejected, .. } = extracted;
        let result = PartResult { part, attempt: attempt.clone(), files, rejected, ended_at: self.clock.now() };
        objects::put_result(self.store, plan, &result).await
    }

    /// Commits what is complete, gives up what goes on no more, and queues again what seems lost.
    async fn look_after(&self, plan: &SplitPlan, table: &Table) -> Result<Outcome> {
        if !may_be_partitioned(table) {
            let reason = "the table is no longer merged by key, so it cannot be read in parts";
            self.give_up(plan, Kind::Config, reason).await?;
            return Ok(Outcome::GivenUp);
        }
        let found = results(self.store, plan).await?;
        let last = found.iter().flatten().map(|result| result.ended_at).fold(plan.planned_at, DateTime::max);
        let missing: Vec<usize> = (0..found.len()).filter(|part| found[*part].is_none()).collect();
        if missing.is_empty() {
            return self.commit(plan, table, found.into_iter().flatten().collect()).await;
        }
        let quiet = self.clock.now() - last;
        if quiet >= STUCK {
            let (missing, all, hours) = (missing.len(), found.len(), STUCK.num_hours());
            let reason = format!("{missing} of {all} parts are not read, and none has come for {hours} hours");
            self.give_up(plan, Kind::Timeout, &reason).await?;
            return Ok(Outcome::GivenUp);
        }
        let parts = Parts { done: found.len() - missing.len(), of: found.len() };
        self.queue_again(plan, parts.done, missing, times_to_queue_again(quiet)).await?;
        Ok(Outcome::UnderWay(parts))
    }

    /// The first that looks does it, for each time once. One that dies meanwhile has sent messages that may come twice.
    async fn queue_again(&self, plan: &SplitPlan, results: usize, parts: Vec<usize>, time: u32) -> Result<()> {
        if time == 0 || objects::is_queued_again(self.store, plan, results, time).await? {
            return Ok(());
        }
        tracing::warn!(table = %plan.table, plan = plan.number, missing = parts.len(), "parts are queued again");
        for part in &parts {
            self.send(plan, Some(*part)).await?;
        }
        let queued = QueuedAgain { number: plan.number, parts, at: self.clock.now() };
        objects::queued_again(self.store, plan, results, time, &queued).await
    }

    /// The first one commits; for all others it is done already.
    async fn commit(&self, plan: &SplitPlan, table: &Table, parts: Vec<PartResult>) -> Result<Outcome> {
        let (mut files, mut rejects) = (Vec::new(), Vec::new());
        for part in parts {
            files.extend(part.files);
            rejects.extend(part.rejected);
        }
        let rejected = match &rejects[..] {
            [] => None,
            several => Some(Rejected {
                rows: several.iter().map(|rejected| rejected.rows).sum(),
                path: lake::rejected_prefix(&plan.table, &plan.run_id),
                files: several.iter().map(|rejected| rejected.path.clone()).collect(),
            }),
        };
        let table = as_planned(plan, table);
        let whole_since = plan.is_whole.then_some(plan.sequence);
        let extracted = Extracted { files, rejected, cursor: None, whole_since, facts: plan.facts.clone() };
        let run = run_of(plan, &table);
        let (cursor, drift, kept) = (plan.cursor_to.clone(), plan.drift.clone(), plan.kept.clone());
        self.steps().commit(&run, &extracted, Some(cursor), drift, kept).await?;
        let summary = summary(summaries::Outcome::Committed, &run, Some(plan.sequence), &extracted);
        self.tell(plan, Ok(summary)).await;
        Ok(Outcome::Committed(plan.sequence))
    }

    async fn tell(&self, plan: &SplitPlan, ended: Result<ExtractSummary>) {
        let took = (self.clock.now() - plan.planned_at).to_std().unwrap_or_default();
        runs::ended(self.store, self.clock, &plan.table, &plan.run_id, &ended, took).await;
    }

    /// Announced first: a plan that has ended is looked at by nobody.
    async fn give_up(&self, plan: &SplitPlan, kind: Kind, reason: &str) -> Result<()> {
        let error = Error::new(kind, format!("the read in parts is given up: {reason}"));
        self.tell(plan, Err(error.with("plan", plan.number))).await;
        self.bus
            .announce(event::load_failed(&LoadFailed {
                id: format!("{}#split-{}", plan.table, plan.number),
                run_id: plan.run_id.clone(),
                table: plan.table.clone(),
                sequence: plan.sequence,
                kind: kind.to_string(),
                reason: reason.to_owned(),
            }))
            .await?;
        let end = GivenUp { number: plan.number, reason: reason.to_owned(), at: self.clock.now() };
        objects::give_up(self.store, plan, &end).await
    }
}

/// A row that is read twice must count once, and rows of different moments must fit together.
fn may_be_partitioned(table: &Table) -> bool {
    table.disposition == Disposition::Merge && table.loader == Loader::Copy
}

/// Whether a plan does what a request asks for. What is new is brought by any plan; more than that, such as the whole
/// table, only by the one that was made for this request, which meets it when it is delivered again.
fn answers(plan: &SplitPlan, request: &ExtractRequest) -> bool {
    plan.request == *request || !asks_for_more(request)
}

fn under_way(plan: &SplitPlan, Parts { done, of }: Parts) -> Error {
    let message = format!("nothing was begun: a read of the table is under way in parts, {done} of {of} are done");
    let refused = Error::conflict(message).with("table", &plan.table).with("plan", plan.number);
    refused.with("sequence", plan.sequence).with_hint(when_to_ask_again())
}

/// After most conflicts another run has done the work. Not so for a request that the plan does not answer.
fn when_to_ask_again() -> String {
    format!(
        "wait until `sluice status` no longer shows the table's read in parts, then run again; a plan of which no part \
         comes in for {} hours is given up by itself",
        STUCK.num_hours()
    )
}

/// Whether the log has gone past the plan, by its own commit or another's.
fn has_passed(plan: &SplitPlan, newest: Option<&Commit>) -> bool {
    newest.is_some_and(|commit| commit.sequence >= plan.sequence)
}

/// How often parts are to have been queued again after this long without a result: after 20 minutes, after 40, after 80 and
/// so on. What waits for a source that is away is not piled up.
fn times_to_queue_again(quiet: TimeDelta) -> u32 {
    let (mut times, mut due) = (0, QUIET);
    while due <= quiet {
        (times, due) = (times + 1, due * 2);
    }
    times
}

fn as_planned(plan: &SplitPlan, table: &Table) -> Table {
    Table { columns: plan.columns.clone(), ..table.clone() }
}

fn run_of<'a>(plan: &'a SplitPlan, table: &'a Table) -> ExtractRun<'a> {
    let SplitPlan { request, run_id, sequence, cursor_from, .. } = plan;
    ExtractRun { request, table, run_id, sequence: *sequence, cursor: cursor_from.as_ref() }
}

async fn results(store: &impl ObjectStore, plan: &SplitPlan) -> Result<Vec<Option<PartResult>>> {
    let mut found = Vec::with_capacity(plan.chunks.len());
    for part in 0..plan.chunks.len() {
        found.push(objects::result(store, plan, part).await?);
    }
    Ok(found)
}

/// What a run says that has partitioned its read, or has found it partitioned.
fn in_parts(plan: &SplitPlan, parts: Parts) -> ExtractSummary {
    ExtractSummary {
        outcome: summaries::Outcome::InParts,
        sequence: Some(plan.sequence),
        parts: Some(parts),
        ..ExtractSummary::nothing_new(plan.table.clone(), plan.run_id.clone())
    }
}

#[cfg(test)]
mod tests;
