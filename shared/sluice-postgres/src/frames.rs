//! The server's messages in the bytes of a connection: a kind, a length, a body.
//!
//! [`Frames`] holds what was read and says whose the bytes at its front are: the rows of a `COPY`, which leave in
//! [`Block`]s of many without being copied, or the client's, to which they go unchanged.

use bytes::{Buf, BufMut, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

/// A block is handed over at about this size: large reads and long loops, and still in the cache of a core.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// A block with less room than this is full.
const LEAST_READ: usize = 16 * 1024;

/// The kind, and the length, which counts itself and the body.
pub(crate) const HEADER_BYTES: usize = 5;

/// A row of a `COPY`, with the stream's header before the first and its trailer after the last.
const COPY_DATA: u8 = b'd';

/// Whole [`COPY_DATA`] messages, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub bytes: BytesMut,
    pub messages: usize,
    /// Its share of what all blocks together may hold, given back with the block.
    #[expect(dead_code, reason = "held, not read")]
    pub room: Option<OwnedSemaphorePermit>,
}

/// The message at the front.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Not enough of it is here.
    Unknown,
    /// It is the client's, with its header this many bytes long.
    Client { kind: u8, length: usize },
}

/// The length of a message of this header, or `None` if it is none: what the client makes of it is its own affair.
pub(crate) fn length(header: [u8; HEADER_BYTES]) -> Option<usize> {
    let [_, length @ ..] = header;
    let length = usize::try_from(i32::from_be_bytes(length)).ok()?;
    (length >= 4).then_some(length + 1)
}

#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// What was read and has gone to nobody yet.
    bytes: BytesMut,
    /// At their front, whole rows: their bytes and their messages.
    row_bytes: usize,
    messages: usize,
    /// The length of the row behind them, as far as it is known: not all of it is here.
    next_row: usize,
    /// The bytes that have not gone yet of the message that goes to the client.
    passing: usize,
}

impl Frames {
    /// Where the next bytes are read to. Has room: the buffer is never larger than a block, or one row that is. Such a row
    /// gets its room at once: a buffer that grows step by step is copied at each, and for a while twice there.
    pub(crate) fn space(&mut self) -> &mut BytesMut {
        if self.is_full() {
            let whole = BLOCK_BYTES.max(self.row_bytes + self.next_row);
            self.bytes.reserve(whole.saturating_sub(self.bytes.len()).max(LEAST_READ));
        }
        &mut self.bytes
    }

    /// Walks over rows, if they are not the client's, to the first message that is.
    pub(crate) fn front(&mut self, takes_rows: bool) -> Front {
        while let Some(header) = self.bytes[self.row_bytes..].first_chunk::<HEADER_BYTES>() {
            let (kind, length) = (header[0], length(*header));
            match length {
                Some(length) if takes_rows && kind == COPY_DATA => {
                    if self.bytes.len() - self.row_bytes < length {
                        self.next_row = length;
                        return Front::Unknown;
                    }
                    self.next_row = 0;
                    self.row_bytes += length;
                    self.messages += 1;
                }
                length => return Front::Client { kind, length: length.unwrap_or(HEADER_BYTES) },
            }
        }
        Front::Unknown
    }

    pub(crate) fn has_rows(&self) -> bool {
        self.messages > 0
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// No room is left for a read worth its while.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.capacity() - self.bytes.len() < LEAST_READ
    }

    /// The rows walked over so far.
    pub(crate) fn take_rows(&mut self) -> Block {
        let bytes = self.bytes.split_to(std::mem::take(&mut self.row_bytes));
        Block { bytes, messages: std::mem::take(&mut self.messages), room: None }
    }

    /// The next `length` bytes are the client's. Rows before them have been taken.
    pub(crate) fn pass(&mut self, length: usize) {
        self.passing = length;
    }

    /// Everything that is here is the client's: the server has ended, in the middle of a message or not.
    pub(crate) fn pass_rest(&mut self) {
        self.passing = self.bytes.len();
    }

    /// Some of the client's bytes are here.
    pub(crate) fn passes(&self) -> bool {
        self.passing > 0 && !self.bytes.is_empty()
    }

    pub(crate) fn pass_to(&mut self, mut out: impl BufMut) {
        let count = self.passing.min(self.bytes.len()).min(out.remaining_mut());
        out.put_slice(&self.bytes[..count]);
        self.bytes.advance(count);
        self.passing -= count;
    }
}
