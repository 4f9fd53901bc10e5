//! A Kafka cluster of one broker that says in how many partitions its topic is, and nothing else: what a producer asks
//! before it sends its first record.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const API_VERSIONS: u16 = 18;
const METADATA: u16 = 3;

/// It serves as long as the runtime that has started it.
#[derive(Debug, Clone)]
pub struct Cluster {
    topic: &'static str,
    port: u16,
    partitions: Arc<AtomicU32>,
    connections: Arc<AtomicU32>,
}

impl Cluster {
    /// Listens on a port of its own. A topic without partitions does not exist.
    pub async fn start(topic: &'static str, partitions: u32) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let cluster = Cluster { topic, port, partitions: Arc::new(partitions.into()), connections: Arc::default() };
        let serving = cluster.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        Ok(cluster)
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn set_partitions(&self, partitions: u32) {
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// How often it was connected to.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Until the client breaks off, or asks for what nobody has expected.
    async fn serve(self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut request = vec![0; stream.read_u32().await? as usize];
            stream.read_exact(&mut request).await?;
            let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
            let mut answer = request[4..8].to_vec();
            match (number(0), number(2)) {
                // Error, keys, and of each the lowest and the highest version.
                (API_VERSIONS, 0) => answer.extend([0, 0, 0, 0, 0, 1, 0, 3, 0, 1, 0, 1]),
                (API_VERSIONS, _) => answer.extend([0, 35, 0, 0, 0, 0]),
                (METADATA, 1) => answer.extend(self.metadata()),
                (key, version) => {
                    eprintln!("nobody expected a request of key {key} in version {version}");
                    return Ok(());
                }
            }
            stream.write_u32(answer.len() as u32).await?;
            stream.write_all(&answer).await?;
        }
    }

    /// One broker, which is the controller and leads all partitions.
    fn metadata(&self) -> Vec<u8> {
        let (none, broker) = (u32::MAX, 1_u32);
        let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
        let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
        let count = self.partitions.load(Ordering::Relaxed);
        let topics = count.min(1);
        let mut bytes = numbers(&[1, broker]);
        bytes.extend(text("127.0.0.1"));
        bytes.extend(numbers(&[u32::from(self.port)]));
        bytes.extend(&none.to_be_bytes()[..2]);
        bytes.extend(numbers(&[broker, topics]));
        if topics == 0 {
            return bytes;
        }
        bytes.extend([0, 0]);
        bytes.extend(text(self.topic));
        bytes.push(0);
        bytes.extend(numbers(&[count]));
        // Not in order: no broker promises one.
        for partition in (0..count).rev() {
            bytes.extend([0, 0]);
            bytes.extend(numbers(&[partition, broker, 1, broker, 1, broker]));
        }
        bytes
    }
}
