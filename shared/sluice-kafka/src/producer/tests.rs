use sluice_testkit::kafka::Cluster;

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

/// Makes what is known of the topic older.
async fn age(producer: &Producer, by: Duration) {
    let mut topics = producer.topics.lock().await;
    let (_, at) = topics.0.get_mut(TOPIC).expect("it was looked up");
    *at = at.checked_sub(by).expect("a time");
}

/// Keys of a topic that has been given more partitions would go where Kafka's other clients do not send them.
#[tokio::test]
async fn a_topics_new_partitions_are_found_after_a_while() {
    let cluster = Cluster::start(TOPIC, 2).await.expect("a free port");
    let producer = Producer::connect(&cluster.bootstrap()).await.expect("a producer");
    let numbers = async || -> Vec<i32> {
        producer.partitions(TOPIC).await.expect("partitions").iter().map(PartitionClient::partition).collect()
    };
    assert_eq!(numbers().await, [0, 1]);
    cluster.set_partitions(3);
    age(&producer, Duration::from_secs(240)).await;
    assert_eq!(numbers().await, [0, 1]);
    age(&producer, Duration::from_secs(60)).await;
    assert_eq!(numbers().await, [0, 1, 2]);
}

#[tokio::test]
async fn connections_stay_while_a_topic_has_the_same_partitions() {
    let cluster = Cluster::start(TOPIC, 2).await.expect("a free port");
    let producer = Producer::connect(&cluster.bootstrap()).await.expect("a producer");
    let first = producer.partitions(TOPIC).await.expect("partitions");
    let connections = cluster.connections();
    age(&producer, PARTITIONS_KEPT).await;
    let second = producer.partitions(TOPIC).await.expect("partitions");
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(cluster.connections(), connections);
}
