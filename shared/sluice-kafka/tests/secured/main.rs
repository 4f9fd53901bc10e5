//! TLS and SASL against a real broker, whose address is in `SLUICE_TEST_KAFKA`. The broker itself knows neither, so a
//! front stands before it that ends TLS and asks for the user, by its own reading of Kafka's protocol and of RFC 5802.

mod front;
mod iam;
mod scram;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use front::{Front, Login};
use iam::{Key, Msk, Principal};
use rskafka::client::{ClientBuilder, partition::UnknownTopicHandling};
use sluice_core::{Kind, Secret, port::Secrets};
use sluice_kafka::{
    Admin, Cluster, Credentials, Iam, KafkaConfig, Mechanism, Message, Placed, Producer, SecurityProtocol,
};

/// Names the variable that must hold the address of a Kafka broker that the tests may write to.
const VARIABLE: &str = "SLUICE_TEST_KAFKA";
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Enough for a broker that cannot be reached, which is tried again until the timeout ends.
const REFUSED_WITHIN: Duration = Duration::from_millis(300);
const USER: &str = "svc";
const PASSWORD: &str = "p=ss,w\u{f6}rd";

fn broker() -> String {
    std::env::var(VARIABLE)
        .unwrap_or_else(|_| panic!("{VARIABLE} is not set: it must hold a broker's address; `make test` starts one"))
}

fn credentials(password: &str, front: &Front) -> Credentials {
    let ca_pem = Some(front.ca_pem.clone());
    Credentials { username: Some(USER.into()), password: Some(Secret::new(password)), ca_pem, iam: None }
}

/// The principal that the cluster of MSK knows, in a region.
fn principal(msk: &'static Msk, region: &str, front: &Front) -> Credentials {
    let iam = Iam::new(Some(SharedCredentialsProvider::new(Principal(msk))), Some(region.to_owned()));
    Credentials { ca_pem: Some(front.ca_pem.clone()), iam: Some(iam), ..Credentials::default() }
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
    // Whom a broker refuses is told at once.
    let within = if config.protocol.is_authenticated() { READ_TIMEOUT } else { REFUSED_WITHIN };
    let error = Producer::connect_with(config, credentials, within).await.err().expect("a refusal");
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
    assert_eq!(refusal(&config, &credentials("wrong", &front), "refuses the user").await, Kind::Auth);
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
        assert_eq!(refusal(&config, &credentials("wrong", &front), "refuses the user").await, Kind::Auth);
        let other = if mechanism == Mechanism::ScramSha256 { Mechanism::ScramSha512 } else { Mechanism::ScramSha256 };
        let other = KafkaConfig { mechanism: other, ..config };
        assert_eq!(
            refusal(&other, &credentials(PASSWORD, &front), "does not take this way to log in").await,
            Kind::Config
        );
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

const REGION: &str = "eu-west-1";

/// A cluster of MSK before the broker, and how the principal reaches it.
async fn cluster_of_msk(key: Key) -> (&'static Msk, Front, KafkaConfig, Credentials) {
    let msk = Msk::start(REGION, key);
    let front = Front::start(&broker(), Login::Iam(msk)).await;
    let config = config(&front, SecurityProtocol::SaslSsl, Mechanism::Iam);
    let credentials = principal(msk, REGION, &front);
    (msk, front, config, credentials)
}

#[tokio::test]
async fn a_role_and_a_user_prove_themselves_with_iam() {
    for (topic, key) in [("iam-role", Key::of_role(1)), ("iam-user", Key::of_user(1))] {
        let (msk, _front, config, credentials) = cluster_of_msk(key).await;
        produces(topic, &config, &credentials).await;
        let mut admin = Admin::connect(&config, &credentials).await.expect("let in");
        let topic = format!("{topic}-admin-{}", std::process::id());
        admin.create(&topic, Some(2), &BTreeMap::new()).await.expect("a topic");
        assert_eq!(admin.topics().await.expect("topics")[&topic].partitions, 2);
        assert_eq!(msk.refused(), 0);
    }
}

/// Each refusal of a login comes at once, with its reason and with what to do.
#[tokio::test]
async fn a_refused_principal_is_told_at_once_what_to_allow() {
    let refused = async |config: &KafkaConfig, credentials: &Credentials| {
        let patient = Producer::connect_with(config, credentials, Duration::from_secs(3_600));
        let error = tokio::time::timeout(Duration::from_secs(60), patient).await.expect("before the retries end");
        let (error, same) = (error.err().expect("a refusal"), Admin::connect(config, credentials).await.err());
        let same = same.expect("a refusal");
        assert_eq!((error.kind(), error.hint()), (same.kind(), same.hint()), "{}", error.chain());
        (error.kind(), format!("{}; {}", error.chain(), error.hint().unwrap_or_default()))
    };
    let (msk, front, config, credentials) = cluster_of_msk(Key { may_connect: false, ..Key::of_role(1) }).await;
    let (kind, text) = refused(&config, &credentials).await;
    assert_eq!(kind, Kind::Auth, "{text}");
    assert!(text.contains("Access denied") && text.contains("kafka-cluster:Connect on the cluster"), "{text}");
    msk.rotate(Key::of_role(2));
    for ahead in [-400, 901] {
        msk.set_ahead(ahead);
        let (kind, text) = refused(&config, &credentials).await;
        assert!(kind == Kind::Auth && text.contains("this machine's clock"), "{text}");
    }
    msk.set_ahead(0);
    let (kind, text) = refused(&config, &principal(msk, "eu-west-2", &front)).await;
    assert!(kind == Kind::Auth && text.contains("the region is the cluster's"), "{text}");
    // The session would end at once; a moment later the credentials have ended, too.
    msk.rotate(Key { ends: Some(Utc::now() + TimeDelta::milliseconds(1_900)), ..Key::of_role(3) });
    let (kind, text) = refused(&config, &credentials).await;
    let is_short = text.contains("Session too short") || text.contains("expired");
    assert!(kind == Kind::Auth && is_short && text.contains("log in"), "{text}");

    let judged = msk.refused();
    msk.rotate(Key { ends: Some(Utc::now() - TimeDelta::seconds(1)), ..Key::of_role(4) });
    let (kind, text) = refused(&config, &credentials).await;
    assert!(kind == Kind::Auth && text.contains("expired") && text.contains("log in"), "{text}");
    let (kind, text) = refused(&config, &Credentials { iam: None, ..credentials.clone() }).await;
    assert_eq!(kind, Kind::Internal, "{text}");
    let clear = KafkaConfig { protocol: SecurityProtocol::SaslPlaintext, ..config.clone() };
    assert!(Producer::connect_with(&clear, &credentials, REFUSED_WITHIN).await.is_err());
    assert_eq!(msk.refused(), judged, "a broker has seen a token that cannot be good");
    let (kind, text) =
        refused(&KafkaConfig { mechanism: Mechanism::ScramSha512, ..config }, &self::credentials(PASSWORD, &front))
            .await;
    assert!(kind == Kind::Config && text.contains("9098"), "{text}");
}

#[tokio::test]
async fn a_clock_that_is_minutes_off_is_taken() {
    let (msk, _front, config, credentials) = cluster_of_msk(Key::of_role(1)).await;
    for ahead in [-290, 290] {
        msk.set_ahead(ahead);
        Producer::connect_with(&config, &credentials, READ_TIMEOUT).await.expect("let in");
    }
}

#[tokio::test]
async fn brokers_that_take_too_many_logins_are_asked_again() {
    let (msk, _front, config, credentials) = cluster_of_msk(Key::of_role(1)).await;
    msk.set_busy(3);
    Producer::connect_with(&config, &credentials, READ_TIMEOUT).await.expect("let in at last");
    assert_eq!(msk.refused(), 3);
    msk.set_busy(1);
    let error = Admin::connect(&config, &credentials).await.err().expect("a refusal");
    assert_eq!((error.kind(), error.is_transient()), (Kind::RateLimited, true), "{}", error.chain());
}

/// By then the client alone logs in again, in words of its own.
#[tokio::test]
async fn a_role_that_has_lost_its_right_is_refused_when_its_session_ends() {
    let (msk, _front, config, credentials) = cluster_of_msk(Key::of_role(1)).await;
    let plain = ClientBuilder::new(vec![broker()]).build().await.expect("the broker");
    let topic = format!("iam-lost-{}", std::process::id());
    plain.controller_client().expect("a controller").create_topic(&topic, 1, 1, 5_000).await.expect("a topic");
    let producer = Producer::connect_with(&config, &credentials, Duration::from_secs(1)).await.expect("a connection");
    let message = || Message { key: None, value: None, headers: BTreeMap::new(), timestamp: Utc::now() };
    producer.produce(&topic, vec![message()]).await.expect("produced");
    msk.rotate(Key { may_connect: false, ..Key::of_role(2) });
    msk.end_sessions();
    let error = producer.produce(&topic, vec![message()]).await.expect_err("a refusal");
    assert_eq!(error.kind(), Kind::Auth, "{}", error.chain());
    assert!(error.hint().is_some_and(|hint| hint.contains("kafka-cluster:Connect")));
}

/// A broker ends a connection at the first request after the session; by then the role has other credentials.
#[tokio::test]
async fn sessions_that_end_lose_and_double_no_record() {
    let (msk, front, config, credentials) = cluster_of_msk(Key::of_role(0)).await;
    let plain = ClientBuilder::new(vec![broker()]).build().await.expect("the broker");
    let topic = format!("iam-sessions-{}", std::process::id());
    plain.controller_client().expect("a controller").create_topic(&topic, 3, 1, 5_000).await.expect("a topic");
    let producer = Producer::connect_with(&config, &credentials, READ_TIMEOUT).await.expect("a connection");
    let message = |n: u16| Message {
        key: Some(Bytes::copy_from_slice(&n.to_be_bytes())),
        value: Some(Bytes::copy_from_slice(&n.to_be_bytes())),
        headers: BTreeMap::new(),
        timestamp: Utc::now(),
    };
    let mut placed: Vec<Placed> = Vec::new();
    for round in 0..8_u16 {
        let sent = (round * 30..(round + 1) * 30).map(message).collect();
        placed.extend(producer.produce(&topic, sent).await.expect("produced"));
        msk.end_sessions();
        msk.rotate(Key::of_role(usize::from(round) + 1));
    }
    let ends = Producer::connect(&broker()).await.expect("the broker").ends(&topic).await.expect("ends");
    assert_eq!(ends.values().sum::<i64>(), 240, "records were doubled or lost");
    let places: BTreeSet<(i32, i64)> = placed.iter().map(|place| (place.partition, place.offset)).collect();
    assert_eq!(places.len(), 240);
    // A login for each round and partition at least, each with the credentials of its time and a token that has just begun.
    let taken = msk.taken();
    assert!(taken.len() >= 8 * 3 && taken.iter().all(|left| *left >= 890), "{taken:?}");
    assert_eq!(msk.refused(), 0);
    drop(front);
}

/// What the function that takes events holds for its life.
#[tokio::test]
async fn a_cluster_by_iam_asks_for_no_secret() {
    let (msk, front, config, credentials) = cluster_of_msk(Key::of_role(1)).await;
    let iam = credentials.iam.clone().expect("a principal");
    // The authority of the front's certificate is in the secret; no user is.
    let mut rotated = Rotated::new("", "", &front);
    rotated.old = Secret::new(serde_json::json!({ "ca_pem": front.ca_pem }).to_string());
    let config = KafkaConfig { secret: Some("kafka".to_owned()), ..config };
    let cluster = Cluster::new(config, rotated, Duration::from_secs(15)).with_iam(iam);
    let produce = async || cluster.produce("no-such-topic", Vec::new()).await.expect_err("no topic");
    let error = produce().await;
    assert_eq!(error.kind(), Kind::NotFound, "{}", error.chain());
    assert!(error.hint().is_some_and(|hint| hint.contains("kafka-cluster:DescribeTopic")));
    let logins = msk.taken().len();
    produce().await;
    assert_eq!(msk.taken().len(), logins, "a connection that is good is kept");
}
