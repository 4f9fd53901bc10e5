//! The two requests of Kafka's protocol that reading a partition takes, and nothing of a client's comfort.
//!
//! A client library gives up a whole batch in which a header has no value or a timestamp is beyond its calendar. Kafka keeps
//! both, and an event source mapping delivers both, so records are read from their bytes ([`batch`](crate::kafka_poller::batch)).

use std::{io, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const CLIENT_ID: &str = "sluice-poller";
/// No answer is longer: a batch is at most what the broker takes in one message.
const MOST_ANSWER_BYTES: usize = 256 << 20;
/// Beyond the time that the broker was asked to wait.
const PATIENCE: Duration = Duration::from_secs(10);

const FETCH: (i16, i16) = (1, 4);
const METADATA: (i16, i16) = (3, 1);

const OFFSET_OUT_OF_RANGE: i16 = 1;

/// A connection to one broker.
pub(crate) struct Connection {
    stream: TcpStream,
    sent: i32,
}

/// What a broker has of a partition.
pub(crate) enum Fetched {
    /// Batches, the last one perhaps cut off.
    Batches(Vec<u8>),
    /// The offset is not in the topic.
    OutOfRange,
}

impl Connection {
    /// To the broker that leads the partition; any of the addresses knows it.
    pub(crate) async fn to_leader(bootstrap: &str, topic: &str, partition: i32) -> Result<Self> {
        let mut why = None;
        for address in bootstrap.split(',').map(str::trim) {
            let leader = async { Self::open(address).await?.leader(topic, partition).await };
            match leader.await {
                Ok(leader) => return Self::open(&leader).await,
                Err(error) => why = Some(error),
            }
        }
        Err(why.unwrap_or_else(|| anyhow::anyhow!("there is no broker to ask")))
    }

    async fn open(address: &str) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(io::Error::from).flatten();
        let stream = stream.with_context(|| format!("cannot connect to Kafka at {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, sent: 0 })
    }

    async fn leader(&mut self, topic: &str, partition: i32) -> Result<String> {
        let mut body = 1_i32.to_be_bytes().to_vec();
        put_text(topic, &mut body);
        let answer = self.ask(METADATA, &body, Duration::ZERO).await?;
        let mut answer = Fields(&answer);
        let mut brokers = Vec::new();
        for _ in 0..answer.i32()? {
            brokers.push((answer.i32()?, format!("{}:{}", answer.text()?, answer.i32()?)));
            answer.nullable_text()?;
        }
        answer.i32()?;
        for _ in 0..answer.i32()? {
            let (_, name, _) = (answer.i16()?, answer.text()?, answer.i8()?);
            let is_asked = name == topic;
            for _ in 0..answer.i32()? {
                let (_, number, leader) = (answer.i16()?, answer.i32()?, answer.i32()?);
                for _ in 0..2 {
                    for _ in 0..answer.i32()? {
                        answer.i32()?;
                    }
                }
                if is_asked && number == partition {
                    let broker = brokers.into_iter().find(|(id, _)| *id == leader);
                    return broker.map(|(_, address)| address).context("the partition has no leader now");
                }
            }
        }
        bail!("the broker does not know the partition")
    }

    /// Waits for this long where there is nothing yet.
    pub(crate) async fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
        bytes: i32,
        wait: Duration,
    ) -> Result<Fetched> {
        const CONSUMER: i32 = -1;
        const READ_COMMITTED: u8 = 1;

        let mut body = CONSUMER.to_be_bytes().to_vec();
        body.extend((wait.as_millis() as i32).to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        body.extend(bytes.to_be_bytes());
        body.push(READ_COMMITTED);
        body.extend(1_i32.to_be_bytes());
        put_text(topic, &mut body);
        body.extend(1_i32.to_be_bytes());
        body.extend(partition.to_be_bytes());
        body.extend(from.to_be_bytes());
        body.extend(bytes.to_be_bytes());
        let answer = self.ask(FETCH, &body, wait).await?;
        let mut answer = Fields(&answer);
        answer.i32()?;
        if answer.i32()? != 1 || answer.text()? != topic || answer.i32()? != 1 {
            bail!("the broker answers for another topic");
        }
        let (_, error) = (answer.i32()?, answer.i16()?);
        let (_, _) = (answer.i64()?, answer.i64()?);
        for _ in 0..answer.i32()? {
            let (_, _) = (answer.i64()?, answer.i64()?);
        }
        match error {
            0 => Ok(Fetched::Batches(answer.nullable_bytes()?.unwrap_or_default().to_vec())),
            OFFSET_OUT_OF_RANGE => Ok(Fetched::OutOfRange),
            code => bail!("the broker answers with Kafka's error {code}"),
        }
    }

    async fn ask(&mut self, (key, version): (i16, i16), body: &[u8], wait: Duration) -> Result<Vec<u8>> {
        self.sent += 1;
        let mut request = Vec::with_capacity(body.len() + 64);
        request.extend(key.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(self.sent.to_be_bytes());
        put_text(CLIENT_ID, &mut request);
        request.extend(body);
        let exchange = async {
            self.stream.write_all(&(request.len() as u32).to_be_bytes()).await?;
            self.stream.write_all(&request).await?;
            let length = self.stream.read_i32().await?;
            let length = usize::try_from(length).ok().filter(|length| *length <= MOST_ANSWER_BYTES);
            let mut answer = vec![0; length.context("the broker announces an answer of no usable length")?];
            self.stream.read_exact(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let mut answer = timeout(wait + PATIENCE, exchange).await.context("the broker does not answer")??;
        if Fields(&answer).i32()? != self.sent {
            bail!("the broker answers another request");
        }
        answer.drain(..4);
        Ok(answer)
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

/// An answer's fields, one after the other.
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().context("the bytes end too early")?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("the bytes end too early")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn nullable_text(&mut self) -> Result<Option<&'a str>> {
        let length = self.i16()?;
        let bytes = usize::try_from(length).ok().map(|length| self.take(length)).transpose()?;
        Ok(bytes.map(std::str::from_utf8).transpose()?)
    }

    fn text(&mut self) -> Result<&'a str> {
        self.nullable_text()?.context("a text is missing")
    }

    fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>> {
        let length = self.i32()?;
        usize::try_from(length).ok().map(|length| self.take(length)).transpose()
    }
}
