//! A table's replay: the raw table made again from the commits that are loaded, in their order, compared, and swapped in where
//! it differs.
//!
//! The side table is nobody's but this replay's, and only the swap changes anything: one transaction with its row in the
//! ledger, under the lock that the table's loads take. A load that came since the commits were looked up is seen there, in
//! the change itself: the swap changes nothing then, and the replay builds again with that load among the commits. So no load
//! waits for a replay, none is lost and none counts twice. The announcement comes after the swap, and also when nothing
//! differs: an earlier replay may have died between the two.
//!
//! What was put aside is a list beside the table, which no replay touches. What was erased from the lake is not built, and
//! what the table still has of it is left alone.

mod build;
mod port;
mod report;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

use sluice_core::{
    Commit, Error, Loader, Result, Sequence, Table, TableId,
    event::{self, TableLoaded},
    port::{Bus, Listing, ObjectStore},
};

pub use build::{Build, History, Scope};
pub use port::{Entry, Mode, Operator, Request, Standing, Status, Step, Swapped, Warehouse};
pub use report::{Compared, Outcome, Report, Rows, Values};

/// A table that is loaded more often than this while it is built is loaded faster than it can be.
pub(crate) const MOST_ROUNDS: usize = 5;

/// A replay: its ports and what is asked for.
pub struct Rebuild<'a, S, W, B, O> {
    pub store: &'a S,
    pub warehouse: &'a W,
    pub bus: &'a B,
    pub operator: &'a O,
    pub request: Request<'a>,
}

impl<S, W, B, O> Rebuild<'_, S, W, B, O>
where
    S: ObjectStore + Listing,
    W: Warehouse,
    B: Bus,
    O: Operator,
{
    /// Gives what was found also when it failed: then an outcome says how far it had come.
    pub async fn run(&self) -> (Report, Result<()>) {
        let mut report = Report::new(self.request.table.table.clone());
        let ended = self.rounds(&mut report).await;
        if report.side_table.is_none() || report.outcome == Some(Outcome::Compared) {
            return (report, ended);
        }
        self.operator.begins(Step::Dropping);
        let dropped = self.warehouse.drop_side_table().await;
        if dropped.is_ok() {
            report.side_table = None;
        }
        let dropped = dropped.map_err(|error| error.with_hint(format!("drop {} by hand", self.warehouse.side_table())));
        (report, ended.and(dropped))
    }

    async fn rounds(&self, report: &mut Report) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            if self.round(report).await? {
                return Ok(());
            }
        }
        Err(was_loaded(&self.request.table.table))
    }

    /// Whether it has ended; otherwise the table was loaded meanwhile.
    async fn round(&self, report: &mut Report) -> Result<bool> {
        let Rebuild { store, warehouse, operator, request, .. } = self;
        operator.begins(Step::Reading);
        // The log after the ledger: a commit that is loaded is in the log that is read then.
        let standing = warehouse.look().await?;
        let history = History::read(*store, request.table).await?;
        let loaded = loaded(&standing);
        let build = history.build(request.table, |commit| loaded.contains(&commit.sequence))?;
        let is_unloaded = |commit: &&Commit| !loaded.contains(&commit.sequence);
        report.unloaded = history.commits.iter().filter(is_unloaded).map(|commit| commit.sequence).collect();
        report.commits = build.commits.len();
        report.rows = build.commits.iter().map(|commit| commit.rows).sum();
        report.erased_before = build.erased_before;
        if build.commits.is_empty() {
            report.outcome = Some(Outcome::NothingArchived);
            return Ok(true);
        }
        if request.mode == Mode::DryRun {
            report.outcome = Some(Outcome::DryRun);
            return Ok(true);
        }
        report.side_table = Some(warehouse.side_table());
        fill(*warehouse, *operator, &build).await?;
        operator.begins(Step::Comparing);
        report.place(warehouse.compare(&build.scope).await?);
        self.conclude(report, &build.scope, &standing).await
    }

    async fn conclude(&self, report: &mut Report, scope: &Scope, standing: &Standing) -> Result<bool> {
        let Rebuild { warehouse, operator, request, .. } = self;
        let (changes, only_held) = (report.changes(), report.only_held());
        let Mode::Swap { delete_unarchived } = request.mode else {
            report.outcome = Some(Outcome::Compared);
            return has_stood(*warehouse, standing).await;
        };
        if changes == 0 || (only_held > 0 && !delete_unarchived) {
            if !has_stood(*warehouse, standing).await? {
                return Ok(false);
            }
            if only_held > 0 {
                report.outcome = Some(Outcome::Refused);
                return Err(lacks_rows(only_held));
            }
            report.outcome = Some(Outcome::NothingToChange);
            return self.announce(scope.newest, 0).await.map(|()| true);
        }
        match operator.confirms(report) {
            Ok(true) => {}
            answer => {
                report.outcome = Some(Outcome::Declined);
                return answer.map(|_| true);
            }
        }
        operator.begins(Step::Swapping);
        if warehouse.swap(scope, standing.mark.as_deref(), delete_unarchived).await? == Swapped::Moved {
            return Ok(false);
        }
        report.outcome = Some(Outcome::Replayed);
        self.announce(scope.newest, changes).await.map(|()| true)
    }

    /// dbt must see what has changed.
    async fn announce(&self, sequence: Sequence, rows: u64) -> Result<()> {
        let Request { table, run_id, lake_id, .. } = self.request;
        let detail = TableLoaded {
            id: format!("{}#{run_id}", table.table),
            run_id: run_id.clone(),
            lake_id: lake_id.clone(),
            table: table.table.clone(),
            sequence,
            rows,
        };
        self.operator.begins(Step::Announcing);
        self.bus.announce(event::table_loaded(&detail)).await.map_err(|error| {
            error.with_hint("the rows are in the table; call again, which changes nothing and announces them")
        })
    }
}

/// Whether a table's loads do not stand in line at its lock: the warehouse takes them by itself.
pub fn has_no_line(table: &Table) -> bool {
    table.loader == Loader::Async
}

/// The commits that are in the table, as the ledger tells.
pub(crate) fn loaded(standing: &Standing) -> BTreeSet<Sequence> {
    standing.entries.iter().filter(|entry| entry.status == Status::Loaded).map(|entry| entry.sequence).collect()
}

pub(crate) async fn fill(warehouse: &impl Warehouse, operator: &impl Operator, build: &Build<'_>) -> Result<()> {
    operator.begins(Step::Filling { commits: build.commits.len() });
    warehouse.begin().await?;
    for commit in &build.commits {
        warehouse.add(commit).await?;
        operator.has_added();
    }
    Ok(())
}

/// Whether the table was not loaded since.
pub(crate) async fn has_stood(warehouse: &impl Warehouse, standing: &Standing) -> Result<bool> {
    Ok(standing.mark.is_none() || warehouse.look().await?.mark == standing.mark)
}

pub(crate) fn was_loaded(table: &TableId) -> Error {
    let text = format!("the table was loaded each of {MOST_ROUNDS} times that it was built again; nothing was changed");
    Error::conflict(text)
        .with("table", table)
        .with_hint("pause its schedule with `sluice pause TABLE`, then call again")
}

fn lacks_rows(rows: u64) -> Error {
    let text = format!("the table holds {rows} rows that no loaded commit of the lake makes");
    Error::conflict(text).with_hint("look at them with --no-swap; --delete-unarchived removes them with the swap")
}
