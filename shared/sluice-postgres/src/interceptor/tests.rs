use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    runtime::Builder,
    sync::mpsc::{Receiver, channel},
    task::yield_now,
};

use super::*;
use crate::frames::BLOCK_BYTES;

/// A fixed sequence of numbers: a failure repeats itself.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// What a server sends, in pieces; between two of them the stream may have nothing to read.
struct Server {
    pieces: VecDeque<Vec<u8>>,
    /// What was read from it so far.
    sent: Arc<AtomicUsize>,
    pauses: Numbers,
}

impl Server {
    fn new(pieces: Vec<Vec<u8>>, seed: u64) -> Self {
        Server { pieces: pieces.into(), sent: Arc::default(), pauses: Numbers(seed) }
    }
}

impl AsyncRead for Server {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pauses.below(4) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(out.remaining()));
            out.put_slice(&piece);
            self.sent.fetch_add(piece.len(), Ordering::Relaxed);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as i32 + 4).to_be_bytes(), body].concat()
}

/// Everything of the stream cut at random places.
fn cut(bytes: &[u8], numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let longest = [3, 100, 9_000, 400_000][numbers.below(4)];
        let (piece, after) = rest.split_at((1 + numbers.below(longest)).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

/// A conversation: what is sent, what of it is rows for the copy sink, and what is the client's.
#[derive(Default)]
struct Conversation {
    sent: Vec<u8>,
    rows: Vec<u8>,
    messages: usize,
    others: Vec<u8>,
}

impl Conversation {
    fn other(&mut self, message: Vec<u8>) {
        self.sent.extend(&message);
        self.others.extend(message);
    }

    fn row(&mut self, message: Vec<u8>) {
        self.sent.extend(&message);
        self.rows.extend(message);
        self.messages += 1;
    }

    fn random(numbers: &mut Numbers) -> Self {
        let body = |numbers: &mut Numbers, longest| {
            let length = numbers.below(longest);
            (0..length).map(|_| numbers.below(256) as u8).collect::<Vec<u8>>()
        };
        let mut all = Self::default();
        for _ in 0..numbers.below(5) {
            let kind = b"RKZSNTDC"[numbers.below(8)];
            all.other(message(kind, &body(numbers, 300)));
        }
        all.other(message(COPY_OUT, &body(numbers, 20)));
        for _ in 0..numbers.below(2_000) {
            match numbers.below(400) {
                // Longer than a block, now and then.
                0 => all.row(message(b'd', &body(numbers, 3 * BLOCK_BYTES))),
                1 => all.other(message(AT_ANY_TIME[numbers.below(3)], &body(numbers, 200))),
                _ => all.row(message(b'd', &body(numbers, 200))),
            }
        }
        // The end, an error in the middle, or a server that goes away there.
        match numbers.below(5) {
            0 => {
                all.other(b"d\0\0\0\xFFcut off"[..numbers.below(12)].to_vec());
                return all;
            }
            1 => all.other(message(b'E', &body(numbers, 100))),
            _ => all.other(message(b'c', &body(numbers, 100))),
        }
        // Nobody has opened the copy sink for what comes then: the client's, rows too.
        for _ in 0..numbers.below(4) {
            let kind = b"CZHdEN"[numbers.below(6)];
            all.other(message(kind, &body(numbers, 1_000)));
        }
        // A server that goes away in the middle of a message, or sends what is none.
        match numbers.below(4) {
            0 => all.other(b"d\0\0\0\xFFcut off".to_vec()),
            1 => all.other(b"E\0\0\0\0".to_vec()),
            2 => all.other(b"d\0".to_vec()),
            _ => {}
        }
        all
    }
}

/// Reads a stream to its end, with buffers of all sizes.
async fn client(mut interceptor: CopyInterceptor<Server>, mut numbers: Numbers) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        let mut part = vec![0; 1 + numbers.below(20_000)];
        let count = interceptor.read(&mut part).await?;
        if count == 0 {
            return Ok(read);
        }
        read.extend(&part[..count]);
    }
}

async fn collect(mut rows: Receiver<Block>) -> (Vec<u8>, usize) {
    let (mut bytes, mut messages) = (Vec::new(), 0);
    while let Some(block) = rows.recv().await {
        assert!(block.messages > 0);
        bytes.extend(&block.bytes);
        messages += block.messages;
        yield_now().await;
    }
    (bytes, messages)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().build().unwrap().block_on(work)
}

/// However the server's bytes are cut, the copy sink gets exactly the rows and the client exactly the rest.
#[test]
fn rows_go_to_the_copy_sink_and_everything_else_to_the_client() {
    for seed in 0..300 {
        let mut numbers = Numbers(seed);
        let expected = Conversation::random(&mut numbers);
        let server = Server::new(cut(&expected.sent, &mut numbers), seed);
        let copy_sink = CopySink::default();
        let (sender, receiver) = channel(1 + numbers.below(3));
        copy_sink.open(sender);
        let interceptor = CopyInterceptor::new(server, copy_sink);
        let (client, (rows, messages)) =
            block_on(async { tokio::join!(client(interceptor, numbers), collect(receiver)) });
        assert!(client.unwrap() == expected.others, "seed {seed}: the client");
        assert!(rows == expected.rows && messages == expected.messages, "seed {seed}: the rows");
    }
}

#[test]
fn with_the_copy_sink_closed_everything_is_the_clients() {
    for seed in 0..50 {
        let mut numbers = Numbers(seed);
        let expected = Conversation::random(&mut numbers);
        let copy_sink = CopySink::default();
        let (sender, receiver) = channel(1);
        copy_sink.open(sender);
        copy_sink.close();
        let interceptor = CopyInterceptor::new(Server::new(cut(&expected.sent, &mut numbers), seed), copy_sink);
        let (client, rows) = block_on(async { tokio::join!(client(interceptor, numbers), collect(receiver)) });
        assert!(client.unwrap() == expected.sent, "seed {seed}");
        assert_eq!(rows, (Vec::new(), 0));
    }
}

/// Blocks wait only in the channel: while it is full, nothing is read.
#[test]
fn a_slow_taker_stops_the_reading() {
    let row = message(b'd', &[7; 95]);
    let rows = row.repeat(200_000);
    let server = Server::new(vec![message(COPY_OUT, &[]), rows.clone(), message(b'c', &[])], 3);
    let sent = server.sent.clone();
    let copy_sink = CopySink::default();
    let (sender, mut receiver) = channel(2);
    copy_sink.open(sender);
    let taken = block_on(async move {
        let reading = tokio::spawn(client(CopyInterceptor::new(server, copy_sink), Numbers(1)));
        let mut taken = 0;
        loop {
            for _ in 0..1_000 {
                yield_now().await;
            }
            let waiting = sent.load(Ordering::Relaxed) - taken;
            // Two in the channel, one that waits for a place in it; the first messages are the client's.
            assert!(waiting <= 3 * BLOCK_BYTES + 100, "{waiting} bytes were read ahead");
            let Some(block) = receiver.recv().await else { break };
            taken += block.bytes.len();
        }
        reading.await.unwrap().unwrap();
        taken
    });
    assert_eq!(taken, rows.len());
}

#[test]
fn a_taker_that_has_gone_ends_the_connection() {
    let rows = message(b'd', &[7; 95]).repeat(20_000);
    let server = Server::new(vec![message(COPY_OUT, &[]), rows, message(b'c', &[])], 3);
    let copy_sink = CopySink::default();
    let (sender, receiver) = channel(1);
    copy_sink.open(sender);
    drop(receiver);
    let error = block_on(client(CopyInterceptor::new(server, copy_sink), Numbers(1))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
