//! The writer of one large run: batches are encoded on their source's thread while finished bytes are uploaded.
//!
//! [`BatchWriter`] lives on the thread that makes the batches; [`Upload`] on the thread of the store. Between them waits
//! one row group: an encoder that runs further ahead waits too. Memory is bounded by that one, the one under way and the
//! store's parts, however long the table is.

use arrow_array::ArrayRef;
use bytes::Bytes;
use futures::future::join;
use serde_json::Value;
use sluice_core::{
    DataFile, Error, Rejected, Result, RunId, Schema, TableId, contract,
    extract::ExtractRun,
    lake,
    port::{Content, ObjectStore},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::{
    check,
    encoder::{Counts, FileEncoder, FileLimit, Piece},
    layout::Layout,
    original::original,
    rejects::{RejectFile, RejectedRows},
};

/// Files of a size that warehouses load best, and a bound on one file's rows where they compress to almost nothing.
const FILE_LIMIT: FileLimit = FileLimit { bytes: 128 * 1024 * 1024, rows: 16_000_000 };

/// Finished row groups between encoder and upload.
const WAITING_PIECES: usize = 1;

enum Message {
    Piece(Piece),
    /// The last message: every file has ended.
    Done(Option<RejectedRows>),
}

/// The two ends of one run's writer.
pub fn batch_writer<'a, S: ObjectStore>(store: &'a S, run: &ExtractRun<'_>) -> Result<(BatchWriter, Upload<'a, S>)> {
    let (sender, receiver) = channel(WAITING_PIECES);
    let layout = Layout::new(run)?;
    let writer = BatchWriter {
        contract: run.table.columns.clone(),
        encoder: FileEncoder::new(layout.schema(), FILE_LIMIT),
        layout,
        rejects: RejectFile::new(run.request.time),
        sender,
    };
    let (table, run_id, columns) = (run.table.table.clone(), run.run_id.clone(), run.table.columns.columns().len());
    Ok((writer, Upload { store, table, run_id, columns, receiver, files: Vec::new(), is_cut_off: false }))
}

/// A row of a batch that does not get into the file.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedRow {
    /// Its place in the batch.
    pub row: usize,
    /// What the source had sent, for a person to read.
    pub original: Value,
    pub reason: String,
}

/// Takes batches, one array per column of the contract. Its calls block, so it belongs on a thread of its own.
pub struct BatchWriter {
    contract: Schema,
    layout: Layout,
    encoder: FileEncoder,
    rejects: RejectFile,
    sender: Sender<Message>,
}

impl BatchWriter {
    /// Takes one array per column of the contract. Rows that break the contract go to the reject file with the rule they
    /// broke; that is no error. So do the `invalid` ones, in the order of their rows, which the source could not turn into
    /// values: what the arrays hold in their places does not count.
    pub fn write(&mut self, mut columns: Vec<ArrayRef>, invalid: Vec<RejectedRow>) -> Result<()> {
        debug_assert!(invalid.is_sorted_by_key(|invalid| invalid.row), "invalid rows come in order");
        let mut rejected = invalid;
        let judged = rejected.len();
        for row in check::suspects(&self.contract, &columns)? {
            if rejected[..judged].binary_search_by_key(&row, |invalid| invalid.row).is_ok() {
                continue;
            }
            let cells = check::row(&self.contract, &columns, row)?;
            if let Err(violation) = contract::check(&self.contract, &cells) {
                let original = Value::Object(original(&self.contract, &cells));
                rejected.push(RejectedRow { row, original, reason: violation.to_string() });
            }
        }
        if !rejected.is_empty() {
            rejected.sort_by_key(|rejected| rejected.row);
            columns = check::without(&columns, rejected.iter().map(|rejected| rejected.row))?;
            for RejectedRow { original, reason, .. } in &rejected {
                self.rejects.add(original, reason)?;
            }
        }
        let mut ready = Vec::new();
        self.encoder.write(self.layout.batch(columns)?, &mut ready)?;
        self.send(ready)
    }

    /// Ends the last file. A writer that is dropped without this has failed, and its upload with it.
    pub fn finish(mut self) -> Result<()> {
        let mut ready = Vec::new();
        self.encoder.finish(&mut ready)?;
        self.send(ready)?;
        let Self { rejects, sender, .. } = self;
        sender.blocking_send(Message::Done(rejects.finish()?)).map_err(|_| upload_ended())
    }

    fn send(&self, ready: Vec<Piece>) -> Result<()> {
        for piece in ready {
            self.sender.blocking_send(Message::Piece(piece)).map_err(|_| upload_ended())?;
        }
        Ok(())
    }
}

/// Only seen when the upload has failed, whose error is the one that counts.
fn upload_ended() -> Error {
    Error::internal("the upload of the run's files has ended before its last row")
}

/// Puts what a [`BatchWriter`] makes.
pub struct Upload<'a, S> {
    store: &'a S,
    table: TableId,
    run_id: RunId,
    /// The contract's.
    columns: usize,
    receiver: Receiver<Message>,
    files: Vec<DataFile>,
    /// The writer went away before its end, so the error that matters is the one that ended it.
    is_cut_off: bool,
}

impl<S: ObjectStore> Upload<'_, S> {
    /// Uploads while `read` feeds the writer. Files are named in the order of their making.
    pub async fn during<T>(
        mut self,
        read: impl Future<Output = Result<T>>,
    ) -> Result<(T, Vec<DataFile>, Option<Rejected>)> {
        // The receiver goes with the upload, so that a writer does not wait for one that has failed.
        let upload = async move {
            let uploaded = self.run().await;
            (uploaded, self.is_cut_off, self.files)
        };
        let (read, (uploaded, is_cut_off, files)) = join(read, upload).await;
        match (read, uploaded) {
            (Ok(read), Ok(rejected)) => Ok((read, files, rejected)),
            (Err(error), _) if is_cut_off => Err(error),
            (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
        }
    }

    async fn run(&mut self) -> Result<Option<Rejected>> {
        loop {
            let first = match self.receiver.recv().await {
                Some(Message::Piece(Piece::Bytes(bytes))) => bytes,
                Some(Message::Piece(Piece::End(_))) => return Err(Error::internal("a file without content ended")),
                Some(Message::Done(None)) => return Ok(None),
                Some(Message::Done(Some(rejected))) => {
                    let path = lake::rejected_key(&self.table, &self.run_id);
                    self.store.put(&path, rejected.body).await?;
                    return Ok(Some(Rejected::one(rejected.rows, path)));
                }
                None => return Err(self.cut_off()),
            };
            let path = lake::data_key(&self.table, &self.run_id, self.files.len());
            let mut content = FileContent { first: Some(first), upload: self, counts: Counts::default(), bytes: 0 };
            let store = content.upload.store;
            let stored = store.put_content(&path, &mut content).await?;
            let (counts, bytes) = (content.counts, content.bytes);
            self.files.push(counts.file(self.columns, path, bytes, stored));
        }
    }

    fn cut_off(&mut self) -> Error {
        self.is_cut_off = true;
        Error::internal("the rows of a file ended before the file did")
    }
}

/// One file's bytes, as they come.
struct FileContent<'u, 'a, S> {
    first: Option<Bytes>,
    upload: &'u mut Upload<'a, S>,
    counts: Counts,
    bytes: u64,
}

impl<S: ObjectStore> Content for FileContent<'_, '_, S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let bytes = match self.first.take() {
            Some(first) => first,
            None => match self.upload.receiver.recv().await {
                Some(Message::Piece(Piece::Bytes(bytes))) => bytes,
                Some(Message::Piece(Piece::End(counts))) => {
                    self.counts = counts;
                    return Ok(None);
                }
                Some(Message::Done(_)) | None => return Err(self.upload.cut_off()),
            },
        };
        self.bytes += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests;
