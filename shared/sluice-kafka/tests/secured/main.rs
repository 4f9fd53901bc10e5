//! TLS and SASL against a real broker, whose address is in `SLUICE_TEST_KAFKA`. The broker itself knows neither, so a
//! front stands before it that ends TLS and asks for the user, by its own reading of Kafka's protocol and of RFC 5802.

mod front;
mod scram;

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use bytes::Bytes;
use chrono::Utc;
use front::{Front, Login};
use rskafka::client::{ClientBuilder, partition::UnknownTopicHandling};
use sluice_core::{Kind, Secret, port::Secrets};
use sluice_kafka::{Admin, Cluster, Credentials, KafkaConfig, Mechanism, Message, Producer, SecurityProtocol};

/// Names the variable that must hold the address of a Kafka broker that the tests may write to.
const VARIABLE: &str = "SLUICE_TEST_KAFKA";
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Enough for a refusal, which is tried again until the timeout ends.
const REFUSED_WITHIN: Duration = Duration::from_millis(300);
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
    let producer = Producer::connect_with(config, credentials, READ_TIMEOUT).await.expect("a connection");
    let message = |n: u8| Message {
        key: Some(Bytes::copy_from_slice(&[n])),
        value: Some(Bytes::from(vec![n; 1_000])),
        headers: BTreeMap::new(),
        // A broker forgets an old record within the minute, whenever it came.
        timestamp: Utc::now(),
    };
    let placed = producer.produce(&topic, (0..20).map(message).collect()).await.expect("produced");
    for (n, place) in (0..20).zip(placed) {
        let partition = plain.partition_client(&topic, place.partition, UnknownTopicHandling::Error).await;
        let read = partition.expect("a partition").fetch_records(place.offset, 1..1_000_000, 1_000).await;
        let records = read.expect("records").0;
        assert_eq!(records.first().and_then(|found| found.record.value.clone()), Some(vec![n; 1_000]));
    }
}

/// A broker that is merely slow refuses nothing: the reason has to be there.
async fn refusal(config: &KafkaConfig, credentials: &Credentials, reason: &str) -> Kind {
    let error = Producer::connect_with(config, credentials, REFUSED_WITHIN).await.err().expect("a refusal");
    assert!(error.chain().contains(reason), "{} does not say: {reason}", error.chain());
    error.kind()
}

/// The Kafka secret, which is rotated when it was refused.
struct Rotated {
    old: Secret,
    new: Secret,
    refused: Cell<bool>,
}

impl Rotated {
    fn new(old: &str, new: &str, front: &Front) -> Self {
        let secret = |password: &str| {
            let value = serde_json::json!({"username": USER, "password": password, "ca_pem": front.ca_pem});
            Secret::new(value.to_string())
        };
        Rotated { old: secret(old), new: secret(new), refused: Cell::new(false) }
    }
}

impl Secrets for Rotated {
    async fn get(&self, _: &str) -> sluice_core::Result<Secret> {
        Ok(if self.refused.get() { self.new.clone() } else { self.old.clone() })
    }

    fn forget(&self, _: &str) {
        self.refused.set(true);
    }
}

#[tokio::test]
async fn a_rotated_password_is_read_again_and_a_wrong_one_is_an_auth_error() {
    let logins = [
        (Mechanism::Plain, Login::Plain { user: USER, password: PASSWORD }),
        (
            Mechanism::ScramSha512,
            Login::Scram { digest: scram::Digest::Sha512, user: USER, password: PASSWORD, honest: true },
        ),
    ];
    for (mechanism, login) in logins {
        let front = Front::start(&broker(), login).await;
        let secret = Some("kafka".to_owned());
        let config = KafkaConfig { secret, ..config(&front, SecurityProtocol::SaslSsl, mechanism) };
        let produced = async |secrets: Rotated| {
            let cluster = Cluster::new(config.clone(), secrets, Duration::from_secs(15));
            // The topic is not there: a client that learns that was let in.
            cluster.produce("no-such-topic", Vec::new()).await.expect_err("no topic").kind()
        };
        assert_eq!(produced(Rotated::new("old", PASSWORD, &front)).await, Kind::NotFound);
        assert_eq!(produced(Rotated::new("old", "old", &front)).await, Kind::Auth);
    }
}

#[tokio::test]
async fn a_refused_user_is_told_at_once_and_not_after_every_retry() {
    let front = Front::start(&broker(), Login::Plain { user: USER, password: PASSWORD }).await;
    let config = config(&front, SecurityProtocol::SaslSsl, Mechanism::Plain);
    let wrong = credentials("wrong", &front);
    let patient = Producer::connect_with(&config, &wrong, Duration::from_secs(3_600));
    let refused =
        tokio::time::timeout(Duration::from_secs(60), patient).await.expect("an answer before the retries end");
    assert_eq!(refused.err().map(|error| error.kind()), Some(Kind::Auth));
}

#[tokio::test]
async fn records_travel_encrypted_to_a_server_that_proves_who_it_is() {
    let front = Front::start(&broker(), Login::None).await;
    let config = config(&front, SecurityProtocol::Ssl, Mechanism::default());
    produces("ssl", &config, &credentials(PASSWORD, &front)).await;
    let refused = async |config: &KafkaConfig, credentials: &Credentials, reason: &str| {
        assert_eq!(refusal(config, credentials, reason).await, Kind::Unavailable);
    };
    // No public authority has signed this certificate.
    refused(&config, &Credentials::default(), "UnknownIssuer").await;
    let other = Front::start(&broker(), Login::None).await;
    // Another authority.
    refused(&config, &credentials(PASSWORD, &other), "invalid peer certificate").await;
    let plain = KafkaConfig { protocol: SecurityProtocol::Plaintext, ..config };
    // The front takes nothing in clear.
    refused(&plain, &Credentials::default(), "early eof").await;
}

#[tokio::test]
async fn a_user_proves_itself_with_plain() {
    let front = Front::start(&broker(), Login::Plain { user: USER, password: PASSWORD }).await;
    let config = config(&front, SecurityProtocol::SaslSsl, Mechanism::Plain);
    produces("plain", &config, &credentials(PASSWORD, &front)).await;
    assert_eq!(refusal(&config, &credentials("wrong", &front), "SaslAuthenticationFailed").await, Kind::Auth);
    let anonymous = KafkaConfig { protocol: SecurityProtocol::Ssl, ..config.clone() };
    assert_eq!(
        refusal(&anonymous, &credentials(PASSWORD, &front), "without sending TLS close_notify").await,
        Kind::Unavailable
    );
    let nameless = Credentials { username: None, ..credentials(PASSWORD, &front) };
    let error = Producer::connect_with(&config, &nameless, REFUSED_WITHIN).await.err().expect("an error");
    assert_eq!(error.kind(), Kind::Config);
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
        assert_eq!(refusal(&config, &credentials("wrong", &front), "SaslAuthenticationFailed").await, Kind::Auth);
        let other = if mechanism == Mechanism::ScramSha256 { Mechanism::ScramSha512 } else { Mechanism::ScramSha256 };
        let other = KafkaConfig { mechanism: other, ..config };
        assert_eq!(refusal(&other, &credentials(PASSWORD, &front), "UnsupportedSaslMechanism").await, Kind::Config);
    }
    // A server that lets everybody in, to hear what they say, does not know the password and cannot sign.
    let login = Login::Scram { digest: scram::Digest::Sha512, user: USER, password: PASSWORD, honest: false };
    let front = Front::start(&broker(), login).await;
    let config = config(&front, SecurityProtocol::SaslSsl, Mechanism::ScramSha512);
    assert_eq!(refusal(&config, &credentials(PASSWORD, &front), "mutual authentication").await, Kind::Auth);
}

#[tokio::test]
async fn an_administrator_proves_itself_as_a_producer_does() {
    let scram = |digest, honest| Login::Scram { digest, user: USER, password: PASSWORD, honest };
    for (mechanism, login) in [
        (Mechanism::Plain, Login::Plain { user: USER, password: PASSWORD }),
        (Mechanism::ScramSha256, scram(scram::Digest::Sha256, true)),
        (Mechanism::ScramSha512, scram(scram::Digest::Sha512, true)),
    ] {
        let front = Front::start(&broker(), login).await;
        let config = config(&front, SecurityProtocol::SaslSsl, mechanism);
        let refused = async |config: &KafkaConfig, credentials: &Credentials| {
            Admin::connect(config, credentials).await.err().expect("a refusal").kind()
        };
        let mut admin = Admin::connect(&config, &credentials(PASSWORD, &front)).await.expect("let in");
        let topic = format!("admin-{mechanism:?}-{}", std::process::id()).to_lowercase();
        admin.create(&topic, Some(2), &BTreeMap::new()).await.expect("a topic");
        assert_eq!(admin.topics().await.expect("topics")[&topic].partitions, 2);
        assert_eq!(refused(&config, &credentials("wrong", &front)).await, Kind::Auth, "{mechanism:?}");
        let nameless = Credentials { username: None, ..credentials(PASSWORD, &front) };
        assert_eq!(refused(&config, &nameless).await, Kind::Config, "{mechanism:?}");
        assert_eq!(refused(&config, &Credentials::default()).await, Kind::Unavailable, "no authority that it knows");
        let other = if mechanism == Mechanism::Plain { Mechanism::ScramSha512 } else { Mechanism::Plain };
        let other = KafkaConfig { mechanism: other, ..config };
        assert_eq!(refused(&other, &credentials(PASSWORD, &front)).await, Kind::Config, "{mechanism:?}");
    }
    let front = Front::start(&broker(), scram(scram::Digest::Sha512, false)).await;
    let config = config(&front, SecurityProtocol::SaslSsl, Mechanism::ScramSha512);
    let error = Admin::connect(&config, &credentials(PASSWORD, &front)).await.err().expect("a server without proof");
    assert_eq!(error.kind(), Kind::Auth, "{}", error.chain());
}
