//! The load loop's warehouse on Snowflake: the ledger and the load block over the SQL API, files over Snowpipe.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sluice_core::{
    Commit, Error, LakeId, Result, Retry, Schema, TableId,
    drift::Action,
    port::{Row, Secrets, Statements, required},
};
use sluice_pipeline::load::{CommitRef, Copied, LedgerState, PipeProgress, Warehouse};
use sluice_snowflake::{
    Snowpipe,
    pipe::{FileReport, FileStatus},
    sql::{
        evolve::{self, Present},
        ledger, load,
    },
};
use uuid::Uuid;

/// Names the requests of this platform among all UUIDs derived from names.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f1c_a2b0_8d4e_4c57_9f1b_6d0e_2a77_31c9);

/// The columns that raw tables are known to have, by table and fingerprint. Tables only ever grow, so what once fitted
/// fits.
#[derive(Debug, Default)]
pub struct Shapes(Mutex<BTreeSet<(TableId, String)>>);

impl Shapes {
    fn has(&self, commit: &Commit) -> bool {
        let shape = (commit.table.clone(), commit.schema.fingerprint());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&shape)
    }

    fn add(&self, commit: &Commit) {
        let shape = (commit.table.clone(), commit.schema.fingerprint());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shape);
    }
}

/// One invocation's view of the warehouse.
pub struct Snowflake<'a, S, Sec> {
    pub statements: &'a S,
    pub pipe: &'a Snowpipe<Sec>,
    /// The invocation: a resent request of it runs once, a new invocation is a new attempt.
    pub attempt: &'a str,
    /// The table's columns in `platform/sources.yaml`: whoever put one there wants it in the raw table.
    pub contract: &'a Schema,
    pub shapes: &'a Shapes,
}

impl<S: Statements, Sec: Secrets> Snowflake<'_, S, Sec> {
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

    fn request(&self, what: &str, (lake, at): (&LakeId, &CommitRef)) -> Uuid {
        let name = format!("{what}/{lake}/{}/{}/{}", at.table, at.sequence, self.attempt);
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }
}

fn at(commit: &Commit) -> CommitRef {
    CommitRef { table: commit.table.clone(), sequence: commit.sequence }
}

impl<S: Statements, Sec: Secrets> Warehouse for Snowflake<'_, S, Sec> {
    async fn ledger(&self, lake: &LakeId, at: &CommitRef) -> Result<LedgerState> {
        let rows = self.execute("ledger", (lake, at), &ledger::entry(lake, &at.table, at.sequence)).await?;
        rows.first().map_or(Ok(LedgerState::Absent), state)
    }

    async fn prepare(&self, commit: &Commit) -> Result<()> {
        if self.shapes.has(commit) {
            return Ok(());
        }
        let rows = self.execute_for("columns", commit, &evolve::columns(&commit.table)).await?;
        let present: Vec<Present> = rows.iter().map(Present::of).collect::<Result<_>>()?;
        let evolved =
            |name: &str| commit.drift.iter().any(|change| change.column == name && change.action == Action::Evolved);
        let permits = |name: &str| evolved(name) || self.contract.position(name).is_some();
        for (number, statement) in evolve::statements(commit, &present, permits)?.iter().enumerate() {
            tracing::warn!(table = %commit.table, statement, "the raw table evolves");
            self.execute_for(&format!("evolve-{number}"), commit, statement).await?;
        }
        self.shapes.add(commit);
        Ok(())
    }

    async fn copy(&self, commit: &Commit) -> Result<Copied> {
        let answer = self.execute_for("load", commit, &load::render(commit)?).await?;
        let copied = |merged_away| Copied { rows: commit.rows, merged_away };
        if let Some(rows) = load::merged_away(commit, &answer)? {
            return Ok(copied(rows));
        }
        match answer.first().and_then(|row| row.get(load::RESULT_COLUMN)?.as_deref()) {
            Some(load::LOADED | load::ALREADY_LOADED) => Ok(copied(0)),
            Some(load::LOOK_AGAIN) => {
                let text =
                    "the table's lock has seen this commit, or has no row, and the ledger does not know the commit";
                let error = Error::unavailable(text).with_retry(Retry::Exhausted).with("table", &commit.table);
                Err(error.with("sequence", commit.sequence).with_hint(
                    "nothing, if it passes: another delivery has loaded it a moment ago; otherwise run the foundation's \
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
    async fn progress(&self, commit: &Commit) -> Result<PipeProgress> {
        let reported = self.pipe.insert_report(&commit.table, None).await?;
        let fates = fates(reported.files.iter().map(|file| (file.path.as_str(), fate_of_report(file))), commit);
        let progress = progress(commit, &fates);
        if progress != PipeProgress::Unknown {
            return Ok(progress);
        }
        let statement = ledger::copy_history(&commit.table);
        let history = self.execute_for("history", commit, &statement).await?;
        let history: Vec<(&str, Fate)> = history.iter().map(fate_of_history).collect::<Result<_>>()?;
        Ok(self::progress(commit, &self::fates(history, commit)))
    }

    async fn compare(&self, commit: &Commit) -> Result<()> {
        let Some(statement) = load::piped_values(commit) else { return Ok(()) };
        let answer = self.execute_for("values", commit, &statement).await?;
        load::refuse_piped(commit, &answer)
    }

    async fn settle(&self, commit: &Commit, state: &LedgerState) -> Result<()> {
        let statement = match state {
            LedgerState::Loaded { rows } => ledger::confirm(commit, *rows),
            LedgerState::Failed { reason } => ledger::fail(commit, reason),
            LedgerState::Absent | LedgerState::Submitted { .. } => {
                return Err(Error::internal("only an end can be settled").with("table", &commit.table));
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
}

impl<S: Statements, Sec: Secrets> Snowflake<'_, S, Sec> {
    /// Takes back that a commit has failed: the next delivery tries it again.
    pub async fn forget_failure(&self, lake: &LakeId, at: &CommitRef) -> Result<()> {
        let statement = ledger::forget_failure(lake, &at.table, at.sequence);
        self.execute("forget", (lake, at), &statement).await.map(drop)
    }
}

fn state(row: &Row) -> Result<LedgerState> {
    match required(row, "status")? {
        "submitted" => {
            let age = required(row, "age_seconds")?;
            // A clock that was set back makes an age negative, which is as good as none.
            let age: i64 = age.parse().map_err(|_| Error::internal("the age of a ledger row is no number"))?;
            Ok(LedgerState::Submitted { age: Duration::from_secs(age.max(0).unsigned_abs()) })
        }
        "loaded" => {
            let rows = required(row, "rows_loaded")?;
            let rows = rows.parse().map_err(|_| Error::internal("the ledger's row count is no number"))?;
            Ok(LedgerState::Loaded { rows })
        }
        "failed" => {
            let reason = row.get("reason").cloned().flatten();
            Ok(LedgerState::Failed { reason: reason.unwrap_or_else(|| "no reason kept".into()) })
        }
        other => Err(Error::internal(format!("the ledger has an unknown status '{other}'"))),
    }
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Pending,
    Loaded(u64),
    /// Its rows were read, and some of them refused: it will not get better.
    Failed(String),
    /// It was not read at all: permissions, keys, the bucket. It may be named again.
    Unread(String),
}

impl Fate {
    fn of_failure(rows_parsed: u64, reason: String) -> Self {
        if rows_parsed > 0 { Fate::Failed(reason) } else { Fate::Unread(reason) }
    }
}

fn fate_of_report(file: &FileReport) -> Fate {
    let failure = || {
        let reason = file.first_error.clone().or_else(|| file.system_error.clone());
        Fate::of_failure(file.rows_parsed, reason.unwrap_or_else(|| "Snowpipe gave no reason".into()))
    };
    match file.status {
        FileStatus::Loaded => Fate::Loaded(file.rows_inserted),
        FileStatus::Failed | FileStatus::Partial => failure(),
        FileStatus::InProgress if file.complete => failure(),
        FileStatus::InProgress => Fate::Pending,
    }
}

fn fate_of_history(row: &Row) -> Result<(&str, Fate)> {
    let fate = match required(row, "status")?.to_ascii_lowercase().as_str() {
        "loaded" => {
            let rows = required(row, "row_count")?;
            Fate::Loaded(rows.parse().map_err(|_| Error::internal("the copy history's row count is no number"))?)
        }
        "load in progress" => Fate::Pending,
        _ => {
            let reason = row.get("first_error_message").cloned().flatten();
            let parsed = row.get("row_parsed").and_then(|rows| rows.as_deref()?.parse().ok()).unwrap_or(0);
            Fate::of_failure(parsed, reason.unwrap_or_else(|| "no reason kept".into()))
        }
    };
    Ok((required(row, "file_name")?, fate))
}

/// The fates of the commit's own files. A file may be told about twice: a later word, or a success, counts.
fn fates<'a>(told: impl IntoIterator<Item = (&'a str, Fate)>, commit: &Commit) -> BTreeMap<String, Fate> {
    let mut fates = BTreeMap::new();
    for (told_path, fate) in told {
        let Some(file) = commit.files.iter().find(|file| told_path.ends_with(&file.path)) else { continue };
        if !matches!(fates.get(&file.path), Some(Fate::Loaded(_))) {
            fates.insert(file.path.clone(), fate);
        }
    }
    fates
}

/// The commit is where its files are: unknown as long as one is, pending as long as one is, unread if one is.
fn progress(commit: &Commit, fates: &BTreeMap<String, Fate>) -> PipeProgress {
    let mut rows = 0;
    let mut pending = false;
    let mut unread = None;
    for file in &commit.files {
        match fates.get(&file.path) {
            None => return PipeProgress::Unknown,
            Some(Fate::Pending) => pending = true,
            Some(Fate::Loaded(loaded)) => rows += loaded,
            Some(Fate::Failed(reason)) => return PipeProgress::Failed { reason: format!("{}: {reason}", file.path) },
            Some(Fate::Unread(reason)) => unread = Some(format!("{}: {reason}", file.path)),
        }
    }
    match unread {
        Some(reason) => PipeProgress::Unread { reason },
        None if pending => PipeProgress::Pending,
        None => PipeProgress::Loaded { rows },
    }
}

/// All sequences of a table that the ledger knows the end of, or that are being followed since less than the limit.
pub async fn known_sequences(
    statements: &impl Statements,
    lake: &LakeId,
    table: &TableId,
    limit: Duration,
    attempt: &str,
) -> Result<Vec<u64>> {
    let request = Uuid::new_v5(&NAMESPACE, format!("sweep/{lake}/{table}/{attempt}").as_bytes());
    let rows = statements
        .execute(&ledger::sequences(lake, table, limit.as_secs()), request, &format!("sluice:sweep:{table}"))
        .await?;
    rows.iter()
        .map(|row| {
            required(row, "sequence")?.parse().map_err(|_| Error::internal("a sequence in the ledger is no number"))
        })
        .collect()
}
