//! From data files to the live table: the side table, the comparison, the swap, and who is told.

use std::time::Duration;

use sluice_aws::EventBus;
use sluice_core::{
    DataFile, Error, Kind, Sequence,
    event::{self, TableLoaded},
    port::{Bus, Row, required},
};
use sluice_pipeline::replay::delete_files;
use sluice_snowflake::{
    sql::{
        load, lock,
        replay::{self as sql, Range},
    },
    value as count_of,
};

use super::{Answer, Replay, render};
use crate::{
    confirm,
    failure::{Failure, Outcome},
    output,
};

/// Copying and comparing millions of rows takes minutes.
const LONGEST: Duration = Duration::from_secs(3_600);

impl Replay<'_> {
    /// Counts the live table's rows, which is all that can be compared without the side table.
    pub(super) async fn count_held(&self, answer: &mut Answer, ranges: &[Range]) -> Outcome {
        let replay = self.sql(ranges, "");
        for row in self.ask("counting rows", &sql::live(&replay)).await? {
            let (offsets, rows) = (count_of::<u64>(&row, "offsets")?, count_of::<u64>(&row, "row_count")?);
            if let Some(partition) = answer.partition(number(&row)?) {
                partition.held = Some(offsets);
                partition.twice = Some(rows.saturating_sub(offsets));
            }
        }
        // A partition without a row has no line in the answer.
        for partition in answer.partitions.iter_mut().filter(|partition| partition.first.is_some()) {
            partition.held.get_or_insert(0);
        }
        Ok(())
    }

    /// Compares, and swaps what differs. Whatever ends it, the side table goes, unless it was asked for. The data files
    /// go when there is an outcome.
    pub(super) async fn settle(
        &self,
        mut answer: Answer,
        ranges: &[Range],
        files: &[DataFile],
        by: &str,
        bus: &str,
    ) -> Outcome {
        let replay = self.sql(ranges, by);
        answer.side_table = Some(replay.side_table());
        let outcome = Box::pin(self.compare_and_swap(&mut answer, &replay, files, bus)).await;
        // Without an outcome it broke off: whether rows were swapped in is not known, and its files may tell why.
        if !answer.outcome.is_empty() {
            answer.files_problem = Box::pin(self.delete(files)).await;
        }
        if answer.outcome != "compared" {
            let dropped = self.ask("dropping the side table", &replay.drop_side_table()).await;
            if dropped.is_ok() {
                answer.side_table = None;
            } else if outcome.is_ok() {
                dropped.map_err(|failure| failure.hint(format!("drop {} by hand", replay.side_table())))?;
            }
        }
        if !answer.outcome.is_empty() {
            output::print(self.context.json, &answer, render::text)?;
        }
        outcome
    }

    async fn compare_and_swap(
        &self,
        answer: &mut Answer,
        replay: &sql::Replay<'_>,
        files: &[DataFile],
        bus: &str,
    ) -> Outcome {
        self.ask("making the side table", &replay.create()).await?;
        replay.permit_loaded(&self.ask("filling the side table", &replay.load(files)?).await?)?;
        for row in self.ask("comparing", &replay.compare()).await? {
            let count = |column| count_of(&row, column).map(Some);
            if let Some(partition) = answer.partition(number(&row)?) {
                partition.held = count("held")?;
                partition.only_archived = count("only_archived")?;
                partition.only_held = count("only_held")?;
                partition.differing = count("differing")?;
                partition.twice = count("twice")?;
            }
        }
        if self.args.no_swap {
            answer.outcome = "compared";
            return Ok(());
        }
        let changes = answer.changes();
        if changes == 0 {
            answer.outcome = "nothing to change";
            // An earlier call may have died before it could tell.
            return self.announce(answer, 0, bus).await;
        }
        let only_held = answer.sum(|partition| partition.only_held);
        if only_held > 0 && !self.args.delete_unarchived {
            answer.outcome = "refused";
            return Err(lacks_rows(only_held));
        }
        if !self.args.yes {
            let question = format!("change {changes} rows of {}?", answer.table);
            if let Err(declined) = confirm::confirm(&render::text(answer), &question) {
                answer.outcome = "refused";
                return Err(declined);
            }
        }
        self.ask("preparing the ledger", &lock::create(self.lake_id(), &self.table.table)).await?;
        let swap = replay.swap(files.len(), self.args.delete_unarchived)?;
        let rows = self.ask("swapping rows in", &swap).await.map_err(of_swap)?;
        let said = rows.first().map(|row| required(row, load::RESULT_COLUMN)).transpose()?;
        if !said.is_some_and(|said| [sql::REPLAYED, sql::ALREADY_REPLAYED].contains(&said)) {
            return Err(Error::internal("the swap answered something else than that it is done").into());
        }
        answer.outcome = "replayed";
        self.announce(answer, changes, bus).await
    }

    /// Deletes the data files: their rows are in the side table, and nothing names them. Gives why one is left; the
    /// replay is done all the same.
    async fn delete(&self, files: &[DataFile]) -> Option<String> {
        let deleting = async {
            let store = self.context.platform.store()?;
            delete_files(&store, files).await.map_err(Failure::from)
        };
        let deleted = self.context.progress.spin("deleting data files", deleting).await;
        deleted.err().map(|failure| failure.message())
    }

    /// dbt must see what has changed.
    async fn announce(&self, answer: &Answer, rows: u64, bus: &str) -> Outcome {
        let highest = answer.partitions.iter().filter_map(|partition| partition.last).max().unwrap_or_default();
        let detail = TableLoaded {
            id: format!("{}#{}", answer.table, self.run_id),
            run_id: self.run_id.clone(),
            lake_id: self.lake_id().clone(),
            table: answer.table.clone(),
            sequence: Sequence(highest.unsigned_abs()),
            rows,
        };
        let bus = EventBus::new(&self.context.platform.place.aws, bus);
        Box::pin(bus.announce(event::table_loaded(&detail))).await.map_err(|error| {
            Failure::from(error).hint("the rows are in the table; call again, which changes nothing and announces them")
        })
    }

    fn sql<'a>(&'a self, ranges: &'a [Range], by: &'a str) -> sql::Replay<'a> {
        sql::Replay { table: self.table, topic: self.topic, lake: self.lake_id(), id: self.id, by, ranges }
    }

    async fn ask(&self, what: &str, statement: &str) -> Outcome<Vec<Row>> {
        let tag = format!("replay:{}", self.id);
        Ok(self.context.progress.spin(what, self.warehouse.run(&tag, statement, LONGEST)).await?)
    }
}

fn number(row: &Row) -> Outcome<i32> {
    let text = required(row, "number")?;
    text.parse::<i32>().map_err(|error| {
        Failure::from(Error::invalid_data("the warehouse's answer holds no partition's number").because(error))
    })
}

fn lacks_rows(rows: u64) -> Failure {
    let text =
        format!("the table holds {rows} rows that the archive lacks, or whose records break the contract of today");
    Failure::from(Error::new(Kind::Conflict, text))
        .hint("widen --from and --to, or look at them with --no-swap; --delete-unarchived removes them with the swap")
}

/// The comparison has seen none, so they have come since.
fn of_swap(failure: Failure) -> Failure {
    if failure.message().contains(sql::ARCHIVE_LACKS_ROWS) {
        return failure.hint("rows came into the range meanwhile; nothing was changed, call again");
    }
    failure
}
