use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sluice_core::Kind;
use sluice_kafka::KafkaConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::world::Vault;
use crate::delivery::{Broker, Log};

const API_VERSIONS: u16 = 18;
const METADATA: u16 = 3;

/// A cluster without topics, by Kafka's protocol; its port, and how often it was connected to.
async fn empty_cluster() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let connections = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, port));
        }
    });
    (port, connections)
}

/// Until the client breaks off.
async fn serve(mut stream: TcpStream, port: u16) -> Option<()> {
    loop {
        let mut request = vec![0; stream.read_u32().await.ok()? as usize];
        stream.read_exact(&mut request).await.ok()?;
        let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let mut answer = request[4..8].to_vec();
        match (number(0), number(2)) {
            // Error, keys, and of each the lowest and the highest version.
            (API_VERSIONS, 0) => answer.extend([0, 0, 0, 0, 0, 1, 0, 3, 0, 1, 0, 1]),
            (API_VERSIONS, _) => answer.extend([0, 35, 0, 0, 0, 0]),
            (METADATA, 1) => {
                // One broker: its number, host, port and no rack. It is the controller, and there are no topics.
                answer.extend([0, 0, 0, 1, 0, 0, 0, 1, 0, 9]);
                answer.extend(b"127.0.0.1");
                answer.extend(u32::from(port).to_be_bytes());
                answer.extend([255, 255, 0, 0, 0, 1, 0, 0, 0, 0]);
            }
            other => panic!("nobody expected {other:?}"),
        }
        stream.write_u32(answer.len() as u32).await.ok()?;
        stream.write_all(&answer).await.ok()?;
    }
}

#[tokio::test]
async fn an_error_about_a_topic_leaves_the_connection_as_it_is() {
    let (port, connections) = empty_cluster().await;
    let config = KafkaConfig { bootstrap: format!("127.0.0.1:{port}"), ..KafkaConfig::default() };
    let broker = Broker::new(config, Vault::default(), Duration::from_secs(10));
    for _ in 0..3 {
        let error = broker.produce("purchases", Vec::new()).await.expect_err("there is no such topic");
        assert_eq!(error.kind(), Kind::NotFound);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}
