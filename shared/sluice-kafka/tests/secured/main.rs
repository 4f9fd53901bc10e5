//! TLS and SASL against a real broker, whose address is in `SLUICE_TEST_KAFKA`. The broker itself knows neither, so a
//! front stands before it that ends TLS and asks for the user, by its own reading of Kafka's protocol and of RFC 5802.

mod front;
mod scram;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use front::{Front, Login};
use rskafka::client::{ClientBuilder, partition::UnknownTopicHandling};
use sluice_core::Secret;
use sluice_kafka::{Credentials, KafkaConfig, Mechanism, Message, Producer, SecurityProtocol};

/// Names the variable that must hold the address of a Kafka broker that the tests may write to.
const VARIABLE: &str = "SLUICE_TEST_KAFKA";
const PATIENCE: Duration = Duration::from_secs(10);
/// Enough for a refusal, which is tried again until the patience ends.
const IMPATIENCE: Duration = Duration::from_millis(300);
const USER: &str = "svc";
const PASSWORD: &str = "p=ss,w\u{f6}rd";

fn broker() -> String {
    std::env::var(VARIABLE)
        .unwrap_or_else(|_| panic!("{VARIABLE} is not set: it must hold a broker's address; `make test` starts one"))
}

fn credentials(password: &str, front: &Front) -> Credentials {
    let ca_pem = Some(front.ca_pem.clone());
    Credentials { username: Some(USER.into()), password: Some(Secret::new(password)), ca_pem }
}

fn config(front: &Front, protocol: SecurityProtocol, mechanism: Mechanism) -> KafkaConfig {
    KafkaConfig { bootstrap: format!("localhost:{}", front.port), protocol, mechanism, secret: None }
}

/// Makes a topic, produces through the front, and reads the record back past it.
async fn produces(topic: &str, config: &KafkaConfig, credentials: &Credentials) {
    let plain = ClientBuilder::new(vec![broker()]).build().await.expect("the broker");
    let topic = format!("{topic}-{}", std::process::id());
    plain.controller_client().expect("a controller").create_topic(&topic, 2, 1, 5_000).await.expect("a topic");
    let producer = Producer::connect_with(config, credentials, PATIENCE).await.expect("a connection");
    let message = |n: u8| Message {
        key: Some(Bytes::copy_from_slice(&[n])),
        value: Some(Bytes::from(vec![n; 1_000])),
        headers: BTreeMap::new(),
        timestamp: DateTime::from_timestamp_millis(1_761_868_800_000).expect("a time"),
    };
    let placed = producer.produce(&topic, (0..20).map(message).collect()).await.expect("produced");
    for (n, place) in (0..20).zip(placed) {
        let partition = plain.partition_client(&topic, place.partition, UnknownTopicHandling::Error).await;
        let read = partition.expect("a partition").fetch_records(place.offset, 1..1_000_000, 1_000).await;
        let records = read.expect("records").0;
        assert_eq!(records.first().and_then(|found| found.record.value.clone()), Some(vec![n; 1_000]));
    }
}

async fn is_refused(config: &KafkaConfig, credentials: &Credentials) -> bool {
    Producer::connect_with(config, credentials, IMPATIENCE).await.is_err()
}

#[tokio::test]
async fn records_travel_encrypted_to_a_server_that_proves_who_it_is() {
    let front = Front::start(&broker(), Login::None).await;
    let config = config(&front, SecurityProtocol::Ssl, Mechanism::default());
    produces("ssl", &config, &credentials(PASSWORD, &front)).await;
    assert!(is_refused(&config, &Credentials::default()).await, "no public authority has signed this certificate");
    let other = Front::start(&broker(), Login::None).await;
    assert!(is_refused(&config, &credentials(PASSWORD, &other)).await, "another authority");
    let plain = KafkaConfig { protocol: SecurityProtocol::Plaintext, ..config };
    assert!(is_refused(&plain, &Credentials::default()).await, "the front takes nothing in clear");
}

#[tokio::test]
async fn a_user_proves_itself_with_plain() {
    let front = Front::start(&broker(), Login::Plain { user: USER, password: PASSWORD }).await;
    let config = config(&front, SecurityProtocol::SaslSsl, Mechanism::Plain);
    produces("plain", &config, &credentials(PASSWORD, &front)).await;
    assert!(is_refused(&config, &credentials("wrong", &front)).await);
    let anonymous = KafkaConfig { protocol: SecurityProtocol::Ssl, ..config.clone() };
    assert!(is_refused(&anonymous, &credentials(PASSWORD, &front)).await);
    let nameless = Credentials { username: None, ..credentials(PASSWORD, &front) };
    let error = Producer::connect_with(&config, &nameless, IMPATIENCE).await.err().expect("an error");
    assert_eq!(error.kind(), sluice_core::Kind::Config);
}

#[tokio::test]
async fn a_user_and_the_server_prove_themselves_with_scram() {
    for (topic, mechanism, digest) in [
        ("scram-256", Mechanism::ScramSha256, scram::Digest::Sha256),
        ("scram-512", Mechanism::ScramSha512, scram::Digest::Sha512),
    ] {
        let login = Login::Scram { digest, user: USER, password: PASSWORD, honest: true };
        let front = Front::start(&broker(), login).await;
        let config = config(&front, SecurityProtocol::SaslSsl, mechanism);
        produces(topic, &config, &credentials(PASSWORD, &front)).await;
        assert!(is_refused(&config, &credentials("wrong", &front)).await);
        let other = if mechanism == Mechanism::ScramSha256 { Mechanism::ScramSha512 } else { Mechanism::ScramSha256 };
        assert!(is_refused(&KafkaConfig { mechanism: other, ..config }, &credentials(PASSWORD, &front)).await);
    }
    // A server that lets everybody in, to hear what they say, does not know the password and cannot sign.
    let login = Login::Scram { digest: scram::Digest::Sha512, user: USER, password: PASSWORD, honest: false };
    let front = Front::start(&broker(), login).await;
    let config = config(&front, SecurityProtocol::SaslSsl, Mechanism::ScramSha512);
    assert!(is_refused(&config, &credentials(PASSWORD, &front)).await);
}
