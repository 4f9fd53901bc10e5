use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

#[test]
fn requests_stay_under_the_limit_and_keep_the_order() {
    let message = |n: u8, bytes: usize| Message {
        key: Some(Bytes::copy_from_slice(&[n])),
        value: Some(vec![n; bytes].into()),
        headers: BTreeMap::new(),
        timestamp: DateTime::UNIX_EPOCH,
    };
    let cut = requests(vec![message(0, 500_000), message(1, 300_000), message(2, 200_000), message(3, 2_000_000)]);
    let keys: Vec<Vec<u8>> =
        cut.iter().map(|r| r.iter().map(|r| r.key.as_ref().expect("a key")[0]).collect()).collect();
    assert_eq!(keys, [vec![0, 1], vec![2], vec![3]]);
    assert!(requests(Vec::new()).is_empty());
}

const TOPIC: &str = "purchases";
const API_VERSIONS: u16 = 18;
const METADATA: u16 = 3;

/// A broker that says how many partitions the topic has, and nothing else.
#[derive(Clone)]
struct Fake {
    port: u16,
    partitions: Arc<AtomicU32>,
    connections: Arc<AtomicU32>,
}

impl Fake {
    async fn start(partitions: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let fake = Fake { port, partitions: Arc::new(partitions.into()), connections: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        fake
    }

    /// Until the client breaks off.
    async fn serve(self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut request = vec![0; stream.read_u32().await.ok()? as usize];
            stream.read_exact(&mut request).await.ok()?;
            let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
            let mut answer = request[4..8].to_vec();
            match (number(0), number(2)) {
                // Error, keys, and of each the lowest and the highest version.
                (API_VERSIONS, 0) => answer.extend([0, 0, 0, 0, 0, 1, 0, 3, 0, 1, 0, 1]),
                (API_VERSIONS, _) => answer.extend([0, 35, 0, 0, 0, 0]),
                (METADATA, 1) => answer.extend(self.metadata()),
                other => panic!("nobody expected {other:?}"),
            }
            stream.write_u32(answer.len() as u32).await.ok()?;
            stream.write_all(&answer).await.ok()?;
        }
    }

    /// One broker, which leads all partitions.
    fn metadata(&self) -> Vec<u8> {
        let (none, broker) = (u32::MAX, 1_u32);
        let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
        let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
        let count = self.partitions.load(Ordering::Relaxed);
        let mut bytes = numbers(&[1, broker]);
        bytes.extend(text("127.0.0.1"));
        bytes.extend(numbers(&[u32::from(self.port)]));
        bytes.extend(&none.to_be_bytes()[..2]);
        bytes.extend(numbers(&[broker, 1]));
        bytes.extend([0, 0]);
        bytes.extend(text(TOPIC));
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

/// Makes what is known of the topic older.
async fn age(producer: &Producer, by: Duration) {
    let mut topics = producer.topics.lock().await;
    let (_, at) = topics.0.get_mut(TOPIC).expect("it was looked up");
    *at = at.checked_sub(by).expect("a time");
}

/// Keys of a topic that has been given more partitions would go where Kafka's other clients do not send them.
#[tokio::test]
async fn a_topics_new_partitions_are_found_after_a_while() {
    let fake = Fake::start(2).await;
    let producer = Producer::connect(&format!("127.0.0.1:{}", fake.port)).await.expect("a producer");
    let numbers = async || -> Vec<i32> {
        producer.partitions(TOPIC).await.expect("partitions").iter().map(PartitionClient::partition).collect()
    };
    assert_eq!(numbers().await, [0, 1]);
    fake.partitions.store(3, Ordering::Relaxed);
    age(&producer, Duration::from_secs(240)).await;
    assert_eq!(numbers().await, [0, 1]);
    age(&producer, Duration::from_secs(60)).await;
    assert_eq!(numbers().await, [0, 1, 2]);
}

#[tokio::test]
async fn connections_stay_while_a_topic_has_the_same_partitions() {
    let fake = Fake::start(2).await;
    let producer = Producer::connect(&format!("127.0.0.1:{}", fake.port)).await.expect("a producer");
    let first = producer.partitions(TOPIC).await.expect("partitions");
    let connections = fake.connections.load(Ordering::Relaxed);
    age(&producer, PARTITIONS_KEPT).await;
    let second = producer.partitions(TOPIC).await.expect("partitions");
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(fake.connections.load(Ordering::Relaxed), connections);
}
