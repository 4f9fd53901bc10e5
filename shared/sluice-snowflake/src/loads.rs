//! The load loop's warehouse: the ledger and the load block over the SQL API, the asynchronous load over Snowpipe.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use chrono::{DateTime, Utc};
use sluice_core::{
    Commit, Error, Kind, LakeId, Result, Retry, RunId, Schema, TableId,
    drift::Action,
    port::{Row, Secrets, Statements, required},
};
use sluice_pipeline::load::{CommitRef, Copied, LedgerState, LoadProgress, Warehouse};
use uuid::Uuid;

use crate::{
    answer::{optional, text, value},
    auth::held,
    fates::{self, fate_of_history, fate_of_report},
    pipe::Snowpipe,
    sql::{
        evolve::{self, Present},
        ledger, load, lock,
    },
};

/// Names the requests of this platform among all UUIDs derived from names.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f1c_a2b0_8d4e_4c57_9f1b_6d0e_2a77_31c9);

/// What an instance knows of raw tables. All of it can be lost at any time.
#[derive(Debug, Default)]
pub struct Known {
    /// Tables whose lock is there.
    lockable: Mutex<BTreeSet<TableId>>,
    /// Tables that have the columns of a fingerprint. Tables only ever grow, so what once fitted fits.
    shapes: Mutex<BTreeSet<(TableId, String)>>,
}

/// One invocation's view of the warehouse.
pub struct Loads<'a, S, Sec> {
    pub statements: S,
    pub pipe: &'a Snowpipe<Sec>,
    /// The invocation: a resent request of it runs once, a new invocation is a new attempt.
    pub attempt: &'a str,
    pub known: &'a Known,
}

impl<S: Statements, Sec: Secrets> Loads<'_, S, Sec> {
    async fn execute(&self, what: &str, at: (&LakeId, &CommitRef), statement: &str) -> Result<Vec<Row>> {
        self.execute_in(what, at, self.attempt, statement).await
    }

    /// A statement for a commit has the id of the run that made it in its tag.
    async fn execute_for(&self, what: &str, commit: &Commit, statement: &str) -> Result<Vec<Row>> {
        self.execute_in(what, (&commit.lake_id, &at(commit)), &commit.run_id.0, statement).await
    }

    async fn execute_in(&self, what: &str, at: (&LakeId, &CommitRef), run: &str, statement: &str) -> Result<Vec<Row>> {
        let (_, CommitRef { table, sequence }) = at;
        let request = self.request(what, at);
        let tag = format!("sluice:{what}:{table}:{sequence}:{run}");
        self.statements.execute(statement, request, &tag).await
    }

    /// Deliveries of one table stand in line at its lock. It is made sure of once per instance: a stack that was founded by
    /// an earlier version has none.
    async fn lock(&self, commit: &Commit) -> Result<()> {
        if held(&self.known.lockable).contains(&commit.table) {
            return Ok(());
        }
        let statement = lock::create(&commit.lake_id, &commit.table);
        let tag = format!("sluice:lock:{}:{}", commit.table, commit.run_id);
        match self.statements.execute(&statement, Uuid::new_v4(), &tag).await {
            // Another instance has made it at the same time.
            Err(error) if error.kind() == Kind::Conflict => {}
            made => drop(made?),
        }
        held(&self.known.lockable).insert(commit.table.clone());
        Ok(())
    }

    fn request(&self, what: &str, (lake, at): (&LakeId, &CommitRef)) -> Uuid {
        let name = format!("{what}/{lake}/{}/{}/{}", at.table, at.sequence, self.attempt);
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }
}

fn at(commit: &Commit) -> CommitRef {
    CommitRef { table: commit.table.clone(), sequence: commit.sequence }
}

impl<S: Statements, Sec: Secrets> Warehouse for Loads<'_, S, Sec> {
    const OVERDUE_HINT: &'static str = "ask SYSTEM$PIPE_STATUS of the table's pipe and fix what stops it (its owner's \
        grants, the stage, the lake's permissions); the sweep hands the files in again";

    async fn ledger(&self, lake: &LakeId, at: &CommitRef, run_id: Option<&RunId>) -> Result<LedgerState> {
        let run = run_id.map_or(self.attempt, |run_id| run_id.0.as_str());
        let statement = ledger::entry(lake, &at.table, at.sequence);
        let rows = self.execute_in("ledger", (lake, at), run, &statement).await?;
        rows.first().map_or(Ok(LedgerState::Absent), state)
    }

    async fn prepare(&self, commit: &Commit, contract: &Schema) -> Result<()> {
        let shape = (commit.table.clone(), commit.schema.fingerprint());
        if held(&self.known.shapes).contains(&shape) {
            return Ok(());
        }
        let rows = self.execute_for("columns", commit, &evolve::columns(&commit.table)).await?;
        let present: Vec<Present> = rows.iter().map(Present::of).collect::<Result<_>>()?;
        let evolved =
            |name: &str| commit.drift.iter().any(|change| change.column == name && change.action == Action::Evolved);
        let permits = |name: &str| evolved(name) || contract.position(name).is_some();
        for (number, statement) in evolve::statements(commit, &present, permits)?.iter().enumerate() {
            tracing::warn!(table = %commit.table, statement, "the raw table evolves");
            self.execute_for(&format!("evolve-{number}"), commit, statement).await?;
        }
        held(&self.known.shapes).insert(shape);
        Ok(())
    }

    async fn copy(&self, commit: &Commit) -> Result<Copied> {
        self.lock(commit).await?;
        let answer = self.execute_for("load", commit, &load::render(commit)?).await?;
        let copied = |merged_away| Copied { rows: commit.rows, merged_away };
        if let Some(load::LeftOut { merged_away, not_taken }) = load::left_out(commit, &answer)? {
            if not_taken > 0 {
                let hint = "give the table's entry a `version_column`, or `disposition: replace`";
                tracing::warn!(
                    table = %commit.table, sequence = commit.sequence.0, not_taken, hint,
                    "rows are not taken, because the table has other values under their key"
                );
            }
            return Ok(copied(merged_away));
        }
        match answer.first().and_then(|row| row.get(load::RESULT_COLUMN)?.as_deref()) {
            Some(load::LOADED | load::ALREADY_LOADED) => Ok(copied(0)),
            Some(load::LOOK_AGAIN) => {
                let text =
                    "the table's lock has seen this commit, or has no row, and the ledger does not know the commit";
                let error = Error::unavailable(text).with_retry(Retry::Exhausted).with("table", &commit.table);
                Err(error.with("sequence", commit.sequence).with_hint(
                    "nothing, if it passes: another delivery has loaded it a moment ago; otherwise run the \
                     statement that makes the table's lock (docs/add-a-table.md)",
                ))
            }
            other => {
                let said = other.unwrap_or("nothing").to_owned();
                Err(Error::internal("the load block answered something else than how it ended").with("answer", said))
            }
        }
    }

    async fn submit(&self, commit: &Commit) -> Result<()> {
        self.execute_for("submit", commit, &ledger::submit(commit)).await?;
        let request = self.request("insertFiles", (&commit.lake_id, &at(commit)));
        self.pipe.insert_files(&commit.table, &commit.files, request).await
    }

    /// Snowpipe's own report forgets after some minutes, the copy history after two weeks.
    async fn progress(&self, commit: &Commit) -> Result<LoadProgress> {
        let reported = self.pipe.insert_report(&commit.table, None).await?;
        let told = reported.files.iter().map(|file| (file.path.as_str(), fate_of_report(file)));
        let progress = fates::progress(commit, told);
        if progress != LoadProgress::Unknown {
            return Ok(progress);
        }
        let history = self.execute_for("history", commit, &ledger::copy_history(&commit.table)).await?;
        let told = history.iter().map(fate_of_history).collect::<Result<Vec<_>>>()?;
        Ok(fates::progress(commit, told))
    }

    async fn compare(&self, commit: &Commit) -> Result<()> {
        let Some(statement) = load::piped_values(commit) else { return Ok(()) };
        let answer = self.execute_for("values", commit, &statement).await?;
        load::refuse_piped(commit, &answer)
    }

    async fn record_outcome(&self, commit: &Commit, state: &LedgerState) -> Result<()> {
        let statement = match state {
            LedgerState::Loaded { rows } => ledger::confirm(commit, *rows),
            LedgerState::Failed { reason } => ledger::fail(commit, reason),
            LedgerState::Absent | LedgerState::Submitted { .. } => {
                return Err(Error::internal("only an outcome can be recorded").with("table", &commit.table));
            }
        };
        // The entry may be missing when the files were found loaded before anything was recorded here.
        self.execute_for("submit", commit, &ledger::submit(commit)).await?;
        self.execute_for("settle", commit, &statement).await.map(drop)
    }

    async fn refuse(&self, lake: &LakeId, at: &CommitRef, reason: &str) -> Result<()> {
        let statement = ledger::unreadable(lake, &at.table, at.sequence, reason);
        self.execute("refuse", (lake, at), &statement).await.map(drop)
    }

    async fn forget_failure(&self, lake: &LakeId, at: &CommitRef) -> Result<()> {
        let statement = ledger::forget_failure(lake, &at.table, at.sequence);
        self.execute("forget", (lake, at), &statement).await.map(drop)
    }

    async fn known(&self, lake: &LakeId, table: &TableId, since: DateTime<Utc>) -> Result<Vec<u64>> {
        let request = Uuid::new_v5(&NAMESPACE, format!("sweep/{lake}/{table}/{}", self.attempt).as_bytes());
        let statement = ledger::sequences(lake, table);
        let tag = format!("sluice:sweep:{table}:{}", self.attempt);
        let rows = self.statements.execute(&statement, request, &tag).await?;
        let known = |row: &Row| -> Result<Option<u64>> {
            let submitted_at = optional::<DateTime<Utc>>(row, "submitted_at")?;
            Ok(if submitted_at.is_none_or(|at| at >= since) { Some(value(row, "sequence")?) } else { None })
        };
        rows.iter().filter_map(|row| known(row).transpose()).collect()
    }
}

fn state(row: &Row) -> Result<LedgerState> {
    match required(row, "status")? {
        "submitted" => {
            // A clock that was set back makes an age negative, which is as good as none.
            let age: i64 = value(row, "age_seconds")?;
            Ok(LedgerState::Submitted { age: Duration::from_secs(age.max(0).unsigned_abs()) })
        }
        "loaded" => Ok(LedgerState::Loaded { rows: value(row, "rows_loaded")? }),
        "failed" => Ok(LedgerState::Failed { reason: text(row, "reason").unwrap_or_else(|| "no reason kept".into()) }),
        other => Err(Error::internal(format!("the ledger has an unknown status '{other}'"))),
    }
}
