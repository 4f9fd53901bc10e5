//! `COPY` from the server to the sink: the connection's [interceptor](crate::interceptor) leads blocks of rows off, a
//! thread of its own decodes them.

use std::pin::pin;

use arrow_array::{Array, ArrayRef, cast::AsArray, types::Int64Type};
use futures::StreamExt;
use sluice_core::{Cell, Error, Result};
use tokio::sync::{
    mpsc::{Receiver, channel},
    oneshot,
};

use crate::{
    client::Session,
    columns::{Batch, header_bytes},
    decode::Decoded,
    encoding,
    error::classify,
    frames::Block,
    lengths::Lengths,
    sink::{BatchSink, Invalid, InvalidRow},
    type_map::Field,
};

/// Blocks between the connection and the decoder. When they are full, nobody reads from the connection and the server
/// waits.
const WAITING_BLOCKS: usize = 4;

pub(crate) struct Scanned<S> {
    pub rows: u64,
    /// Of all rows, the rejected ones too: a rejected row has been read.
    pub largest_cursor: Option<i64>,
    /// It takes the rows of the next `COPY`, or ends.
    pub sink: S,
}

/// How the rows of a `COPY` are to be read.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    pub fields: Vec<Field>,
    pub lengths: Option<Lengths>,
    pub cursor_index: usize,
    /// These fields have come as bytes in hexadecimal: every row is rejected with them.
    pub as_bytes: Vec<usize>,
}

/// Runs a `COPY` to its end and gives its rows to the sink, which lives on a thread of its own meanwhile.
pub(crate) async fn stream<S: BatchSink>(session: &Session, copy: &str, format: Format, sink: S) -> Result<Scanned<S>> {
    let (rows, received_rows) = channel(WAITING_BLOCKS);
    let (end, is_end) = oneshot::channel();
    let decoder = Decoder { format, sink, rows: 0, largest_cursor: None, has_begun: false };
    let decoding = tokio::task::spawn_blocking(move || decoder.run(received_rows, is_end));
    session.copy_sink.open(rows);
    let received = receive(session, copy).await;
    session.copy_sink.close();
    match &received {
        // A decoder that is not there to hear it has failed, and says so below.
        Ok(()) => drop(end.send(())),
        Err(_) => drop(end),
    }
    let decoded = decoding.await.map_err(|error| Error::internal("the decoding thread broke down").because(error))?;
    // A decoder that has failed lets the connection's side fail too: its own error is the cause.
    match (received, decoded) {
        (Ok(()), Ok(Some(scanned))) => Ok(scanned),
        (_, Err(error)) | (Err(error), _) => Err(error),
        (Ok(()), Ok(None)) => Err(Error::internal("the rows ended and their decoder was not told")),
    }
}

/// Ends a sink, which may block.
pub(crate) async fn finish(sink: impl BatchSink) -> Result<()> {
    let finished = tokio::task::spawn_blocking(move || sink.finish()).await;
    finished.map_err(|error| Error::internal("the decoding thread broke down").because(error))?
}

/// Waits for the end, which the client sees; the rows do not come this way.
async fn receive(session: &Session, copy: &str) -> Result<()> {
    let failed = |error| classify(error, "the read of the source's table broke off");
    let mut messages = pin!(session.client.copy_out(copy).await.map_err(failed)?);
    match messages.next().await {
        None => Ok(()),
        Some(Err(error)) => Err(failed(error)),
        Some(Ok(_)) => Err(Error::internal("a row of the source's table is lost")),
    }
}

/// Lives on its own thread until the last row.
struct Decoder<S> {
    format: Format,
    sink: S,
    rows: u64,
    largest_cursor: Option<i64>,
    has_begun: bool,
}

impl<S: BatchSink> Decoder<S> {
    /// `None` when the rows have ended before the read did.
    fn run(mut self, mut blocks: Receiver<Block>, is_end: oneshot::Receiver<()>) -> Result<Option<Scanned<S>>> {
        while let Some(block) = blocks.blocking_recv() {
            self.decode(&block)?;
        }
        if is_end.blocking_recv().is_err() {
            return Ok(None);
        }
        Ok(Some(Scanned { rows: self.rows, largest_cursor: self.largest_cursor, sink: self.sink }))
    }

    fn decode(&mut self, block: &Block) -> Result<()> {
        let Format { fields, lengths, cursor_index, as_bytes } = &self.format;
        let header = if self.has_begun { 0 } else { header_bytes(&block.bytes)? };
        self.has_begun = true;
        let batch = Batch::new(&block.bytes, block.messages, fields.len(), header, lengths.as_ref())?;
        if batch.rows() == 0 {
            return Ok(());
        }
        let mut columns = batch.decode(fields)?;
        self.rows += batch.rows() as u64;
        self.largest_cursor = self.largest_cursor.max(largest(&columns.arrays[*cursor_index]));
        if !as_bytes.is_empty() {
            columns.marked = (0..batch.rows()).collect();
        }
        let marked = columns.marked.iter();
        let invalid = marked.map(|row| invalid_row(fields, &batch, *row, as_bytes)).collect::<Result<Vec<_>>>()?;
        self.sink.batch(columns.arrays, &invalid)
    }
}

fn invalid_row<'a>(fields: &'a [Field], batch: &Batch<'a>, row: usize, as_bytes: &[usize]) -> Result<InvalidRow<'a>> {
    let mut invalid = InvalidRow { row, cells: Vec::with_capacity(fields.len()), values: Vec::new() };
    for (at, (field, decoded)) in batch.row(row, fields)?.into_iter().enumerate() {
        let decoded = match decoded {
            Decoded::Fits(Cell::Text(bytes)) if as_bytes.contains(&at) => {
                Decoded::Invalid { original: bytes.to_owned(), rule: encoding::RULE }
            }
            other => other,
        };
        invalid.cells.push(match decoded {
            Decoded::Fits(cell) => cell,
            Decoded::Invalid { original, rule } => {
                invalid.values.push(Invalid { column: &field.name, original, rule });
                Cell::Null
            }
        });
    }
    Ok(invalid)
}

fn largest(cursor: &ArrayRef) -> Option<i64> {
    let cursor = cursor.as_primitive_opt::<Int64Type>()?;
    if cursor.null_count() == 0 { cursor.values().iter().copied().max() } else { cursor.iter().flatten().max() }
}
