//! `COPY` from the server to the sink: the connection fills chunks of rows, a thread of its own decodes them.

use std::pin::pin;

use arrow_array::{Array, ArrayRef, cast::AsArray, types::Int64Type};
use bytes::Bytes;
use futures::StreamExt;
use sluice_core::{Cell, Error, Result};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::{
    client::Session,
    columns::Batch,
    decode::Decoded,
    error::classify,
    read::{BatchSink, Unfit, UnfitRow},
    type_map::Field,
};

/// A chunk is decoded as one batch: long loops, and arrays that stay in the cache of a core.
const CHUNK_ROWS: usize = 8 * 1024;

/// Or at this many bytes, so that long rows do not make long chunks.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Chunks between the connection and the decoder. When they are full, nobody reads from the connection and the server
/// waits.
const WAITING_CHUNKS: usize = 2;

/// Every binary `COPY` begins with this, then flags and the length of an extension, four bytes each.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER_BYTES: usize = 19;

/// In place of a row's number of values, at the end.
const TRAILER: [u8; 2] = [0xFF, 0xFF];

pub(crate) struct Scanned<D> {
    pub rows: u64,
    /// Of all rows, the rejected ones too: a rejected row has been read.
    pub largest_cursor: Option<i64>,
    pub done: D,
}

/// Whole rows, one after the other.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    rows: usize,
}

/// Runs a `COPY` to its end and gives its rows to the sink, which lives on a thread of its own meanwhile.
pub(crate) async fn stream<S: BatchSink>(
    session: &Session,
    copy: &str,
    fields: &[Field],
    cursor_index: usize,
    sink: S,
) -> Result<Scanned<S::Done>> {
    let (sender, receiver) = channel(WAITING_CHUNKS);
    let decoder = Decoder { fields: fields.to_vec(), cursor_index, sink, rows: 0, largest_cursor: None };
    let decoding = tokio::task::spawn_blocking(move || decoder.run(receiver));
    let received = receive(session, copy, sender).await;
    let decoded = decoding.await.map_err(|error| Error::internal("the decoding thread broke down").because(error))?;
    // A decoder that has failed lets the connection's side fail too: its own error is the cause.
    match (received, decoded) {
        (Ok(()), Ok(Some(scanned))) => Ok(scanned),
        (_, Err(error)) | (Err(error), _) => Err(error),
        (Ok(()), Ok(None)) => Err(Error::internal("the rows ended and their decoder was not told")),
    }
}

/// What the connection's side says to the decoder. Dropped without `End`, the read has failed.
enum Message {
    Chunk(Chunk),
    End,
}

async fn receive(session: &Session, copy: &str, sender: Sender<Message>) -> Result<()> {
    let failed = |error| classify(error, "the read of the source's table broke off");
    let mut messages = pin!(session.client.copy_out(copy).await.map_err(failed)?);
    let mut chunk = Chunk::default();
    let mut begun = false;
    while let Some(message) = messages.next().await {
        let mut row: Bytes = message.map_err(failed)?;
        if !begun {
            row = without_header(row)?;
            begun = true;
        }
        // The server sends each row as one message; the header comes with or before the first.
        if row.is_empty() || row[..] == TRAILER {
            continue;
        }
        if chunk.bytes.capacity() == 0 {
            chunk.bytes.reserve(CHUNK_BYTES + row.len());
        }
        chunk.bytes.extend_from_slice(&row);
        chunk.rows += 1;
        if chunk.rows >= CHUNK_ROWS || chunk.bytes.len() >= CHUNK_BYTES {
            send(&sender, Message::Chunk(std::mem::take(&mut chunk))).await?;
        }
    }
    if chunk.rows > 0 {
        send(&sender, Message::Chunk(chunk)).await?;
    }
    send(&sender, Message::End).await
}

async fn send(sender: &Sender<Message>, message: Message) -> Result<()> {
    // Only seen when the decoder has failed, whose error is the one that counts.
    sender.send(message).await.map_err(|_| Error::internal("the decoder has ended before the rows"))
}

fn without_header(first: Bytes) -> Result<Bytes> {
    let extension = first.get(15..HEADER_BYTES).filter(|_| first.starts_with(SIGNATURE));
    let Some(extension) = extension.and_then(|length| length.first_chunk::<4>()) else {
        return Err(Error::internal("binary COPY does not begin with its header"));
    };
    let end = HEADER_BYTES + u32::from_be_bytes(*extension) as usize;
    if end > first.len() {
        return Err(Error::internal("the header of binary COPY is longer than its message"));
    }
    Ok(first.slice(end..))
}

/// Lives on its own thread until the last row.
struct Decoder<S> {
    fields: Vec<Field>,
    cursor_index: usize,
    sink: S,
    rows: u64,
    largest_cursor: Option<i64>,
}

impl<S: BatchSink> Decoder<S> {
    /// `None` when the connection's side went away before the end.
    fn run(mut self, mut chunks: Receiver<Message>) -> Result<Option<Scanned<S::Done>>> {
        loop {
            match chunks.blocking_recv() {
                Some(Message::Chunk(chunk)) => self.decode(&chunk)?,
                Some(Message::End) => {
                    let (rows, largest_cursor) = (self.rows, self.largest_cursor);
                    return Ok(Some(Scanned { rows, largest_cursor, done: self.sink.finish()? }));
                }
                None => return Ok(None),
            }
        }
    }

    fn decode(&mut self, chunk: &Chunk) -> Result<()> {
        let batch = Batch::new(&chunk.bytes, self.fields.len(), chunk.rows)?;
        let columns = batch.decode(&self.fields)?;
        self.rows += chunk.rows as u64;
        self.largest_cursor = self.largest_cursor.max(largest(&columns.arrays[self.cursor_index]));
        let marked = columns.marked.iter();
        let unfit = marked.map(|row| unfit_row(&self.fields, &batch, *row)).collect::<Result<Vec<_>>>()?;
        self.sink.batch(columns.arrays, &unfit)
    }
}

fn unfit_row<'a>(fields: &'a [Field], batch: &Batch<'a>, row: usize) -> Result<UnfitRow<'a>> {
    let mut unfit = UnfitRow { row, cells: Vec::with_capacity(fields.len()), values: Vec::new() };
    for (field, decoded) in batch.row(row, fields)? {
        unfit.cells.push(match decoded {
            Decoded::Fits(cell) => cell,
            Decoded::Unfit { original, rule } => {
                unfit.values.push(Unfit { column: &field.name, original, rule });
                Cell::Null
            }
        });
    }
    Ok(unfit)
}

fn largest(cursor: &ArrayRef) -> Option<i64> {
    let cursor = cursor.as_primitive_opt::<Int64Type>()?;
    if cursor.null_count() == 0 { cursor.values().iter().copied().max() } else { cursor.iter().flatten().max() }
}
