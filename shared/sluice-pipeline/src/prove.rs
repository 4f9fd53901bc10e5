//! A proof: whether source, commits, ledger and table are equal, and where not, of which commits.
//!
//! What each side can tell exactly: the log has every commit and what its files hold; the ledger has what was loaded of them;
//! the raw table is compared row by row and value by value with what the commits make in a side table, as a replay makes it
//! (see [`crate::rebuild`]); and the source, where its cursor tells which rows lie behind it, is read again by the function that
//! reads it, and compared with the same side table. Sums of commits would not do: rows that were read twice, and rows that a
//! later version has replaced, are in several commits and once in the table.
//!
//! Nothing is changed. The table may be loaded meanwhile: then all is looked at again.

mod port;
mod report;
#[cfg(test)]
mod tests;

use std::pin::pin;

use futures::future::{Either, select};
use sluice_core::{
    DataFile, Disposition, Error, Loader, Result, Sequence, Table,
    extract::{Aside, AsideRows},
    port::{Deletion, Listing, ObjectStore},
    sources::Source,
};

pub use port::{SourceRows, Warehouse};
pub use report::{Column, Fault, Finding, Proof};

use crate::rebuild::{self, Compared, History, MOST_ROUNDS, Operator, Standing, Status, Step, Values};

/// A proof: its ports and its table.
pub struct Prove<'a, S, W, R, O> {
    pub store: &'a S,
    pub warehouse: &'a W,
    pub source: &'a R,
    pub operator: &'a O,
    pub table: &'a Table,
}

impl<S, W, R, O> Prove<'_, S, W, R, O>
where
    S: ObjectStore + Listing + Deletion,
    W: Warehouse,
    R: SourceRows,
    O: Operator,
{
    /// Proves until it is stopped. What it has put for itself goes, however it ends.
    pub async fn run(&self, stopped: impl Future<Output = ()>) -> Result<Proof> {
        let mut files = Vec::new();
        let proof = match select(pin!(self.rounds(&mut files)), pin!(stopped)).await {
            Either::Left((proof, _)) => proof,
            Either::Right(_) => {
                Err(Error::conflict("the proof was stopped; what it has put for itself is gone").as_final())
            }
        };
        self.operator.begins(Step::Dropping);
        let mut cleared = Ok(());
        for file in &files {
            cleared = cleared.and(self.store.delete(file).await);
        }
        cleared = cleared.and(self.warehouse.drop_source_table().await);
        cleared = cleared.and(self.warehouse.drop_side_table().await);
        let left = |error: Error| {
            let side = self.warehouse.side_table();
            error.with_hint(format!("the proof was made; drop {side} and {side}_SOURCE, if they are there"))
        };
        let proof = proof?;
        cleared.map_err(left).map(|()| proof)
    }

    /// `files`: what is to be deleted, however it ends.
    async fn rounds(&self, files: &mut Vec<String>) -> Result<Proof> {
        for _ in 0..MOST_ROUNDS {
            if let Some(proof) = self.round(files).await? {
                return Ok(proof);
            }
        }
        Err(rebuild::was_loaded(&self.table.table))
    }

    async fn round(&self, files: &mut Vec<String>) -> Result<Option<Proof>> {
        let Prove { store, warehouse, operator, table, .. } = self;
        operator.begins(Step::Reading);
        let standing = warehouse.look().await?;
        let history = History::read(*store, table).await?;
        let build = history.build(table, |_| true)?;
        rebuild::fill(*warehouse, *operator, &build).await?;
        operator.begins(Step::Comparing);
        let with_table = warehouse.compare(&build.scope).await?;
        let unproven = unproven(table);
        let with_source = match &unproven {
            Some(_) => None,
            None => match self.with_source(history.newest(), files).await? {
                None => return Ok(None),
                compared => compared,
            },
        };
        if !rebuild::has_stood(*warehouse, &standing).await? {
            return Ok(None);
        }
        let erased = build.erased_before;
        let mut findings: Vec<Finding> = with_source.iter().flat_map(of_source).collect();
        let ledger = of_ledger(&history, &standing);
        let unloaded: Vec<Sequence> = ledger
            .iter()
            .filter(|finding| finding.fault == Fault::NotLoaded)
            .flat_map(|finding| finding.commits.clone())
            .collect();
        findings.extend(ledger);
        findings.extend(of_table(&with_table, &unloaded));
        let loaded = standing.entries.iter().filter(|entry| entry.status == Status::Loaded);
        Ok(Some(Proof {
            table: table.table.clone(),
            equal: findings.is_empty(),
            newest: history.newest(),
            source: with_source.as_ref().map(|compared| compared.total(|rows| rows.held)),
            source_unproven: unproven.map(str::to_owned),
            committed: history.commits.iter().map(|commit| commit.rows).sum(),
            built: with_table.total(|rows| rows.built),
            loaded: loaded.map(|entry| entry.rows).sum(),
            held: with_table.total(|rows| rows.held),
            erased_before: erased,
            columns: columns(&with_table, with_source.as_ref()),
            findings,
        }))
    }

    /// `None` when a run has committed since the log was read.
    async fn with_source(&self, newest: Sequence, files: &mut Vec<String>) -> Result<Option<Compared>> {
        let mut read = Vec::new();
        for rows in [AsideRows::Behind, AsideRows::Ahead] {
            let Aside { newest: of, files: found, rejected } = self.source.read(rows).await?;
            files.extend(found.iter().map(|file: &DataFile| file.path.clone()));
            files.extend(rejected.map(|rejected| rejected.path));
            if of != newest {
                return Ok(None);
            }
            read.push(found);
        }
        self.warehouse.fill_source(&read[0], &read[1]).await?;
        self.warehouse.compare_source().await.map(Some)
    }
}

/// Why nothing can be said of a table's source.
fn unproven(table: &Table) -> Option<&'static str> {
    match (&table.source, table.disposition) {
        (Source::Postgres { .. }, Disposition::Merge) => None,
        (Source::Postgres { .. }, _) => {
            Some("each run reads the whole table: what has changed since the last one is not behind a cursor")
        }
        (Source::HubspotContacts, _) => Some(
            "HubSpot changes records in place and tells no state of an earlier time; the weekly comparison finds what is gone",
        ),
        (Source::ExchangeRates { .. } | Source::Currencies, _) => {
            Some("asking again would spend the vendor's quota; a backfill finds days that are missing")
        }
        _ if table.loader == Loader::Streaming => Some("a stream's records are compared by `sluice replay --topic`"),
        _ => Some("how this kind of source keeps what it had is not known"),
    }
}

fn of_source(compared: &Compared) -> Vec<Finding> {
    let found = [
        report::of_rows(compared, Fault::NotCommitted, |rows| rows.only_held),
        report::of_rows(compared, Fault::GoneFromSource, |rows| rows.only_built),
        changed(compared, Fault::ChangedInSource),
    ];
    found.into_iter().flatten().collect()
}

fn of_table(compared: &Compared, unloaded: &[Sequence]) -> Vec<Finding> {
    let mut loaded = compared.clone();
    loaded.commits.retain(|commit, _| !unloaded.contains(&Sequence(*commit)));
    let found = [
        report::of_rows(&loaded, Fault::NotInTable, |rows| rows.only_built),
        report::of_rows(compared, Fault::OnlyInTable, |rows| rows.only_held),
        changed(compared, Fault::ChangedInTable),
        report::of_rows(compared, Fault::TwiceInTable, |rows| rows.twice),
    ];
    found.into_iter().flatten().collect()
}

fn changed(compared: &Compared, fault: Fault) -> Option<Finding> {
    let finding = report::of_rows(compared, fault, |rows| rows.differing)?;
    let differs = |values: &&Values| values.differing > 0;
    let columns = compared.columns.iter().filter(differs).map(|values| values.column.clone()).collect();
    Some(Finding { columns, ..finding })
}

fn of_ledger(history: &History, standing: &Standing) -> Vec<Finding> {
    let mut findings = Vec::new();
    for commit in &history.commits {
        let mut entries = standing.entries.iter().filter(|entry| entry.sequence == commit.sequence);
        let of = |fault, reason: Option<String>| Finding {
            reason,
            ..Finding::of(fault, vec![commit.sequence], commit.rows)
        };
        match entries.next() {
            None => findings.push(of(Fault::NotLoaded, Some("the ledger does not know it".to_owned()))),
            Some(entry) => match entry.status {
                Status::Failed => findings.push(of(Fault::NotLoaded, entry.reason.clone())),
                Status::Submitted => {
                    findings
                        .push(of(Fault::NotLoaded, Some("its files were handed in and are not confirmed".to_owned())));
                }
                Status::Loaded if entry.rows != commit.rows || entry.run_id != commit.run_id => {
                    let text = format!("the ledger has {} rows of run {}", entry.rows, entry.run_id);
                    findings.push(of(Fault::RecordedOtherwise, Some(text)));
                }
                Status::Loaded => {}
            },
        }
        if entries.next().is_some() {
            findings.push(of(Fault::RecordedTwice, None));
        }
    }
    // The log was read after the ledger.
    let unknown = standing.entries.iter().filter(|entry| entry.sequence > history.newest());
    findings.extend(unknown.map(|entry| Finding::of(Fault::UnknownCommit, vec![entry.sequence], entry.rows)));
    findings
}

fn columns(with_table: &Compared, with_source: Option<&Compared>) -> Vec<Column> {
    let in_source = |name: &str| with_source?.columns.iter().find(|values| values.column == name);
    let column = |values: &Values| {
        let source = in_source(&values.column);
        Column {
            column: values.column.clone(),
            source: source.map(|values| values.held),
            committed: values.built,
            table: values.held,
            source_differs: source.map_or(0, |values| values.differing),
            table_differs: values.differing,
        }
    };
    with_table.columns.iter().map(column).collect()
}
