use std::time::Duration;

use sluice_core::Kind;
use sluice_kafka::{Cluster as Client, KafkaConfig};
use sluice_testkit::kafka::Cluster;

use super::world::Vault;
use crate::delivery::EventProducer;

#[tokio::test]
async fn an_error_about_a_topic_leaves_the_connection_as_it_is() {
    let cluster = Cluster::start("purchases", 0).await.expect("a free port");
    let config = KafkaConfig { bootstrap: cluster.bootstrap(), ..KafkaConfig::default() };
    let client = Client::new(config, Vault::default(), Duration::from_secs(10));
    for _ in 0..3 {
        let error = EventProducer::produce(&client, "purchases", Vec::new()).await.expect_err("there is no such topic");
        assert_eq!(error.kind(), Kind::NotFound);
    }
    assert_eq!(cluster.connections(), 1);
}
