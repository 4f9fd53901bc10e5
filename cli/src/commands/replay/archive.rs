//! From the archive to data files: partition by partition, each record once.

use chrono::Utc;
use sluice_aws::S3Lake;
use sluice_core::{
    Cell, DataFile, Error, Result, Sequence, Table,
    extract::{ExtractRequest, ExtractRun},
};
use sluice_parquet::TableWriter;
use sluice_pipeline::replay::{self, Rows};

use super::{Answer, Partition, Replay};
use crate::failure::{Failure, Outcome};

/// Where rows go: into data files, or nowhere in a dry run.
struct Files<'a>(Option<TableWriter<'a, S3Lake>>);

impl Rows for Files<'_> {
    async fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        match &mut self.0 {
            Some(writer) => writer.push(row).await,
            None => Ok(()),
        }
    }
}

impl Replay<'_> {
    /// Reads what is asked for. The files lie beside those of extracts: nothing in the lake is told of them.
    pub(super) async fn read(&self) -> Outcome<(Answer, Vec<DataFile>)> {
        let store = self.context.platform.store()?;
        let request = self.request();
        let finding = replay::find(&store, &request);
        let found = self.context.progress.spin("listing the archive", finding).await?;
        let partitions: Vec<i32> = found.keys().copied().collect();
        let committed = self.channels().committed(&partitions).await?;
        // The writer sees the columns of a row, the origin's among them, as those of its table.
        let table = Table { columns: replay::columns(self.table), ..self.table.clone() };
        let asked = ExtractRequest::scheduled(table.table.clone(), Utc::now());
        let run =
            ExtractRun { request: &asked, table: &table, run_id: self.run_id, sequence: Sequence(0), cursor: None };
        let mut files = Files(if self.args.dry_run { None } else { Some(TableWriter::new(&store, &run)?) });
        let mut answer = Answer {
            table: self.table.table.clone(),
            topic: self.topic.to_owned(),
            from: self.args.from,
            to: self.args.to,
            outcome: "",
            side_table: None,
            files_problem: None,
            partitions: Vec::new(),
        };
        let objects: usize = found.values().map(Vec::len).sum();
        let bar = self.context.progress.bar(objects as u64, "objects");
        for (partition, archives) in &found {
            bar.set_message(format!("of partition {partition}"));
            let committed = committed.get(partition).copied();
            let of_partition = (*partition, archives.as_slice());
            let reading =
                replay::read(&store, self.formats, &request, of_partition, committed, &mut files, || bar.inc(1));
            let archived = Box::pin(reading).await.map_err(of_read)?;
            answer.partitions.push(Partition::of(&archived, archives.len(), committed));
        }
        bar.finish_and_clear();
        let Some(writer) = files.0 else { return Ok((answer, Vec::new())) };
        let (files, rejected) = writer.finish().await?;
        match rejected {
            None => Ok((answer, files)),
            Some(rejected) => Err(Failure::from(
                Error::internal("rows that keep their contract were rejected on their way into files")
                    .with("path", rejected.path),
            )),
        }
    }
}

fn of_read(error: Error) -> Failure {
    let conflict = error.kind() == sluice_core::Kind::InvalidData;
    let failure = Failure::from(error);
    if conflict {
        return failure.hint("narrow --from and --to to one creation of the topic, or look at the named object");
    }
    failure
}
