//! A replay: a streaming table's rows of some time, made again from the archive, compared, and swapped in where they differ.
//!
//! The order of effects is what makes it safe to end anywhere. Dead letters and data files are functions of the records
//! or of this replay alone, the side table is nobody's but this replay's, and the swap is one transaction with its row in
//! the ledger. The announcement comes after the swap, and also when nothing differs: an earlier replay may have died
//! between the two. Files go when there is an outcome, the side table in any case but one. Called again, a replay finds
//! what still differs, which after a swap is nothing.

mod archive;
#[cfg(test)]
mod fakes;
mod port;
mod report;
#[cfg(test)]
mod tests;

use sluice_core::{
    Cell, DataFile, Error, Kind, Result, Sequence,
    event::{self, TableLoaded},
    port::{Bus, Deletion, Listing, ObjectStore},
};

pub use archive::columns;
pub use port::{Files, Mode, Operator, Range, Request, Step, Warehouse};
pub use report::{Compared, Outcome, Partition, Report};

use crate::stream::{Channel, Decode};

/// A replay: its ports and what is asked for.
pub struct Replay<'a, S, D, W, B, O> {
    pub store: &'a S,
    pub formats: &'a D,
    pub warehouse: &'a W,
    pub bus: &'a B,
    pub operator: &'a O,
    pub request: Request<'a>,
}

impl<S, D, W, B, O> Replay<'_, S, D, W, B, O>
where
    S: ObjectStore + Listing + Deletion,
    D: Decode,
    W: Warehouse,
    B: Bus,
    O: Operator,
{
    /// Gives what was found also when it failed: then an outcome says how far it had come.
    pub async fn run(&self, files: impl Files) -> (Report, Result<()>) {
        let Request { table, topic, from, to, .. } = self.request;
        let mut report = Report {
            table: table.table.clone(),
            topic: topic.to_owned(),
            from,
            to,
            outcome: None,
            side_table: None,
            files_problem: None,
            partitions: Vec::new(),
        };
        let ended = self.replay(&mut report, files).await;
        (report, ended)
    }

    /// Whatever ends it, the side table goes, unless it was asked for.
    async fn replay(&self, report: &mut Report, files: impl Files) -> Result<()> {
        let is_dry_run = self.request.mode == Mode::DryRun;
        let files = if is_dry_run { self.read(report, Nowhere).await? } else { self.read(report, files).await? };
        let ranges = self.ranges(report);
        if ranges.is_empty() {
            report.outcome = Some(Outcome::NothingArchived);
            return Ok(());
        }
        if is_dry_run {
            self.operator.begins(Step::Counting);
            report.place(&self.warehouse.count(&ranges).await?);
            report.outcome = Some(Outcome::DryRun);
            return Ok(());
        }
        report.side_table = Some(self.warehouse.side_table());
        let ended = self.compare_and_swap(report, &ranges, &files).await;
        // Without an outcome it broke off: whether rows were swapped in is not known, and its files may tell why.
        if report.outcome.is_some() {
            self.operator.begins(Step::DeletingFiles);
            report.files_problem = delete(self.store, &files).await.err().map(|error| error.chain());
        }
        if report.outcome == Some(Outcome::Compared) {
            return ended;
        }
        self.operator.begins(Step::Dropping);
        let dropped = self.warehouse.drop_side_table().await;
        if dropped.is_ok() {
            report.side_table = None;
        }
        ended.and(dropped.map_err(|error| error.with_hint(format!("drop {} by hand", self.warehouse.side_table()))))
    }

    /// Reads what is asked for.
    async fn read(&self, report: &mut Report, mut files: impl Files) -> Result<Vec<DataFile>> {
        let Replay { store, formats, operator, request, .. } = self;
        operator.begins(Step::Listing);
        let found = archive::find(*store, request).await?;
        let channels: Vec<Channel> = found.keys().map(|partition| request.channel(*partition)).collect();
        let committed = self.warehouse.committed(&channels).await?;
        operator.begins(Step::Reading { objects: found.values().map(Vec::len).sum() });
        for ((partition, archives), channel) in found.iter().zip(&channels) {
            let committed = committed.get(&channel.name).copied();
            let of_partition = (*partition, archives.as_slice());
            let step = || operator.has_read(*partition);
            let reading = archive::read(*store, *formats, request, of_partition, committed, &mut files, step);
            let archived = reading.await.map_err(of_read)?;
            report.partitions.push(Partition::of(&archived, archives.len(), committed));
        }
        files.finish().await
    }

    fn ranges(&self, report: &Report) -> Vec<Range> {
        let range = |&Partition { partition, first, last, .. }: &Partition| {
            Some(Range { partition, first: first?, last: last?, channel: self.request.channel(partition).name })
        };
        report.partitions.iter().filter_map(range).collect()
    }

    async fn compare_and_swap(&self, report: &mut Report, ranges: &[Range], files: &[DataFile]) -> Result<()> {
        let Replay { warehouse, operator, .. } = self;
        operator.begins(Step::Filling);
        warehouse.fill(files).await?;
        operator.begins(Step::Comparing);
        report.place(&warehouse.compare(ranges).await?);
        let Mode::Swap { delete_unarchived } = self.request.mode else {
            report.outcome = Some(Outcome::Compared);
            return Ok(());
        };
        let (changes, unarchived) = (report.changes(), report.unarchived());
        if changes == 0 {
            report.outcome = Some(Outcome::NothingToChange);
            return self.announce(report, changes).await;
        }
        if unarchived > 0 && !delete_unarchived {
            report.outcome = Some(Outcome::Refused);
            return Err(lacks_rows(unarchived));
        }
        match operator.confirms(report) {
            Ok(true) => {}
            answer => {
                report.outcome = Some(Outcome::Declined);
                return answer.map(|_| ());
            }
        }
        operator.begins(Step::Swapping);
        warehouse.swap(ranges, files, delete_unarchived).await?;
        report.outcome = Some(Outcome::Replayed);
        self.announce(report, changes).await
    }

    /// dbt must see what has changed.
    async fn announce(&self, report: &Report, rows: u64) -> Result<()> {
        let Request { table, run_id, lake_id, .. } = self.request;
        let highest = report.partitions.iter().filter_map(|partition| partition.last).max().unwrap_or_default();
        let detail = TableLoaded {
            id: format!("{}#{run_id}", table.table),
            run_id: run_id.clone(),
            lake_id: lake_id.clone(),
            table: table.table.clone(),
            sequence: Sequence(highest.unsigned_abs()),
            rows,
        };
        self.operator.begins(Step::Announcing);
        self.bus.announce(event::table_loaded(&detail)).await.map_err(|error| {
            error.with_hint("the rows are in the table; call again, which changes nothing and announces them")
        })
    }
}

/// Deletes the data files: their rows are in the side table, and nothing names them. One that cannot be deleted keeps none
/// of the others; the first such failure is given, and the replay is done all the same.
async fn delete(store: &impl Deletion, files: &[DataFile]) -> Result<()> {
    let mut outcome = Ok(());
    for file in files {
        outcome = outcome.and(store.delete(&file.path).await);
    }
    outcome
}

/// Where the rows of a dry run go.
struct Nowhere;

impl Files for Nowhere {
    async fn push(&mut self, _: &[Cell<'_>]) -> Result<()> {
        Ok(())
    }

    async fn finish(self) -> Result<Vec<DataFile>> {
        Ok(Vec::new())
    }
}

fn of_read(error: Error) -> Error {
    if error.kind() != Kind::InvalidData {
        return error;
    }
    error.with_hint("narrow --from and --to to one creation of the topic, or look at the named object")
}

fn lacks_rows(rows: u64) -> Error {
    let text =
        format!("the table holds {rows} rows that the archive lacks, or whose records break the contract of today");
    Error::conflict(text).with_hint(
        "widen --from and --to, or look at them with --no-swap; --delete-unarchived removes them with the swap",
    )
}
