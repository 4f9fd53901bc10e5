//! What is asked of brokers that are there and not as they should be.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sluice_core::{
    Secret,
    port::{Secrets, SystemClock},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::topics::{Place, Topic};

/// A broker that answers requests for metadata and for new topics; where it has no answer, it closes the connection. How often it
/// was asked for metadata.
async fn broker(
    metadata: impl Fn(&str, usize) -> Option<Body> + Send + 'static,
    created: impl Fn() -> Body + Send + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, asked) = (listener.local_addr().expect("an address").to_string(), Arc::new(AtomicUsize::new(0)));
    let (own, counted) = (address.clone(), Arc::clone(&asked));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            while let Ok(length) = stream.read_i32().await {
                let mut request = vec![0; usize::try_from(length).expect("a length")];
                stream.read_exact(&mut request).await.expect("a request");
                let answer = match i16::from_be_bytes([request[0], request[1]]) {
                    3 => metadata(&own, counted.fetch_add(1, Ordering::Relaxed)),
                    19 => Some(created()),
                    _ => Some(Body::default().i16(0).list(&[3, 19], |body, key| body.i16(*key).i16(0).i16(9))),
                };
                let Some(answer) = answer else { break };
                let frame = Body::default().bytes(&[&request[4..8], &answer.0].concat());
                stream.write_all(&frame.0).await.expect("answered");
            }
        }
    });
    (address, asked)
}

/// Of a broker that is the controller and knows these topics.
fn cluster_of(address: &str, topics: &[&str]) -> Option<Body> {
    let (host, port) = address.rsplit_once(':').expect("an address");
    let port: i32 = port.parse().expect("a port");
    let body = Body::default().list(&[()], |body, ()| body.i32(1).text(host).i32(port).i16(-1)).i32(1);
    Some(body.list(topics, |body, topic| body.i16(0).text(topic).i8(0).list::<()>(&[], |body, ()| body)))
}

fn of(bootstrap: String) -> KafkaConfig {
    KafkaConfig { bootstrap, ..KafkaConfig::default() }
}

#[tokio::test]
async fn another_broker_is_asked_where_one_names_no_controller() {
    let nobody = || Body::default();
    let (silent, asked) = broker(|_, _| None, nobody).await;
    let (whole, _) = broker(|own, _| cluster_of(own, &[]), nobody).await;
    const TIMES: usize = 30;
    for _ in 0..TIMES {
        let admin = Admin::connect(&of(format!("{silent},{whole}")), &Credentials::default()).await;
        assert_eq!(admin.expect("a controller").controller.address, whole);
    }
    let first = asked.load(Ordering::Relaxed);
    assert!(0 < first && first < TIMES, "not each time the same is first: {first}");
}

struct NoSecrets;

impl Secrets for NoSecrets {
    async fn get(&self, name: &str) -> Result<Secret> {
        panic!("nobody asks for {name}")
    }
}

#[tokio::test]
async fn a_topic_that_another_has_just_made_may_be_listed_later() {
    let metadata = |own: &str, asked: usize| cluster_of(own, if asked < 3 { &[] } else { &["events"] });
    let exists = || Body::default().i32(0).list(&["events"], |body, topic| body.text(topic).i16(36).i16(-1));
    let (address, _) = broker(metadata, exists).await;
    let cluster = Admin::connect(&of(address), &Credentials::default()).await.expect("a controller");
    let mut place = Place::<NoSecrets, SystemClock> { cluster, registry: None };
    let topic = Topic { name: "events".into(), partitions: None, settings: BTreeMap::new(), schema: None };
    let (done, left) = place.apply(&[topic], &Default::default()).await;
    assert_eq!((done.len(), left.expect("a plan").changes.len()), (1, 0));
}
