//! A connection's stream, with the rows of a `COPY` led off before the client sees them.
//!
//! The client hands out every row as a message of its own, which for rows of a hundred bytes costs more than reading and
//! decoding them. So between the connection and the client sits a [`CopyInterceptor`]: it reads large blocks, leaves the
//! messages that carry rows in them, and gives whole blocks to the reader that has opened the [`CopySink`]. All other
//! messages go to the client as they came, in their order, so that it sees a `COPY` of no rows and everything else as it
//! was, errors included.
//!
//! The copy sink is a channel of few blocks, which together hold few bytes: a block of one very long row waits until all
//! others are done with, and the next one until it is. While there is no room nothing is read, and the server waits.

use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::{Semaphore, mpsc::Sender},
};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_util::sync::{PollSemaphore, PollSender};

use crate::frames::{BLOCK_BYTES, Block, Frames, Front};

/// The server begins to send rows.
const COPY_OUT: u8 = b'H';

/// What a server may say at any time: a notice, a notification, a setting's new value.
const AT_ANY_TIME: [u8; 3] = [b'N', b'A', b'S'];

/// What the blocks under way may hold together; one that is longer goes alone.
const ROOM: usize = 8 * BLOCK_BYTES;

/// Where the rows of the connection's next `COPY` go. Nobody has opened it: to the client.
#[derive(Debug, Clone, Default)]
pub(crate) struct CopySink(Arc<Mutex<Option<Sender<Block>>>>);

impl CopySink {
    /// For the next `COPY`. The sender is dropped at the end of that `COPY`, whatever the end is.
    pub(crate) fn open(&self, rows: Sender<Block>) {
        self.set(Some(rows));
    }

    /// For a `COPY` that has not even begun.
    pub(crate) fn close(&self) {
        self.set(None);
    }

    fn set(&self, rows: Option<Sender<Block>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    fn take(&self) -> Option<Sender<Block>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[derive(Debug)]
pub(crate) struct CopyInterceptor<S> {
    stream: S,
    frames: Frames,
    copy_sink: CopySink,
    /// While a `COPY` is under way whose rows are not the client's.
    rows: Option<Rows>,
    has_ended: bool,
}

/// The way of a `COPY`'s rows.
#[derive(Debug)]
struct Rows {
    sender: PollSender<Block>,
    room: PollSemaphore,
}

impl Rows {
    fn new(sender: Sender<Block>) -> Self {
        Rows { sender: PollSender::new(sender), room: PollSemaphore::new(Arc::new(Semaphore::new(ROOM))) }
    }
}

impl<S> CopyInterceptor<S> {
    pub(crate) fn new(stream: S, copy_sink: CopySink) -> Self {
        CopyInterceptor { stream, frames: Frames::default(), copy_sink, rows: None, has_ended: false }
    }

    fn poll_hand_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(rows) = &mut self.rows
            && self.frames.has_rows()
        {
            let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader of the rows has ended");
            ready!(rows.sender.poll_reserve(cx)).map_err(gone)?;
            let bytes = u32::try_from(self.frames.row_bytes().min(ROOM)).unwrap_or(u32::MAX);
            let room = ready!(rows.room.poll_acquire_many(cx, bytes));
            rows.sender.send_item(Block { room, ..self.frames.take_rows() }).map_err(gone)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CopyInterceptor<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let interceptor = self.get_mut();
        while !interceptor.frames.passes() {
            match interceptor.frames.front(interceptor.rows.is_some()) {
                Front::Client { kind, length } => {
                    ready!(interceptor.poll_hand_over(cx))?;
                    match kind {
                        COPY_OUT => interceptor.rows = interceptor.copy_sink.take().map(Rows::new),
                        kind if AT_ANY_TIME.contains(&kind) => {}
                        _ => interceptor.rows = None,
                    }
                    interceptor.frames.pass(length);
                }
                Front::Unknown if interceptor.has_ended => {
                    ready!(interceptor.poll_hand_over(cx))?;
                    interceptor.rows = None;
                    interceptor.frames.pass_rest();
                    break;
                }
                Front::Unknown => {
                    if interceptor.frames.is_full() {
                        ready!(interceptor.poll_hand_over(cx))?;
                    }
                    let read = pin!(interceptor.stream.read_buf(interceptor.frames.space()));
                    interceptor.has_ended = ready!(read.poll(cx))? == 0;
                }
            }
        }
        interceptor.frames.pass_to(out);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CopyInterceptor<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for CopyInterceptor<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// TLS below the interceptor: what is led off has been decrypted.
pub(crate) struct TlsCopyInterceptor<T> {
    pub tls: T,
    pub copy_sink: CopySink,
}

impl<S, T> TlsConnect<S> for TlsCopyInterceptor<T>
where
    T: TlsConnect<S>,
    T::Stream: 'static,
    T::Error: 'static,
    T::Future: Send + 'static,
{
    type Stream = CopyInterceptor<T::Stream>;
    type Error = T::Error;
    type Future = BoxFuture<'static, Result<Self::Stream, Self::Error>>;

    fn connect(self, stream: S) -> Self::Future {
        let copy_sink = self.copy_sink;
        self.tls
            .connect(stream)
            .map(|connected| connected.map(|stream| CopyInterceptor::new(stream, copy_sink)))
            .boxed()
    }
}

#[cfg(test)]
mod tests;
