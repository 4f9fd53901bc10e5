//! Topics as code against a real broker, whose address is in `SLUICE_TEST_KAFKA`, and a registry in this process that keeps
//! Confluent's documented answers.

mod registry;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

use registry::Fake;
use sluice_core::{
    Kind, Result, Secret,
    port::{Secrets, SystemClock},
};
use sluice_http::{Client, RetryPolicy};
use sluice_kafka::{
    Admin, Credentials, KafkaConfig, Registry, RegistryConfig, Settings,
    topics::{Place, Plan, Topic, What},
};

/// Names the variable that must hold the address of a Kafka broker that the tests may write to.
const VARIABLE: &str = "SLUICE_TEST_KAFKA";

struct NoSecrets;

impl Secrets for NoSecrets {
    async fn get(&self, name: &str) -> Result<Secret> {
        panic!("nobody asks for {name}")
    }
}

fn config() -> KafkaConfig {
    let bootstrap = std::env::var(VARIABLE)
        .unwrap_or_else(|_| panic!("{VARIABLE} is not set: it must hold a broker's address; `make test` starts one"));
    // The first address is nobody's: any of the brokers will do.
    KafkaConfig { bootstrap: format!("127.0.0.1:1, {bootstrap}"), ..KafkaConfig::default() }
}

async fn admin() -> Admin {
    Admin::connect(&config(), &Credentials::default()).await.expect("a controller")
}

async fn place(registry: Option<&Fake>) -> Place<NoSecrets, SystemClock> {
    let registry = registry.map(|fake| {
        let config = RegistryConfig { url: fake.url.clone(), secret: None };
        let client = Client::new().expect("a client");
        Registry::new(config, client, NoSecrets).with_retry(RetryPolicy::without_waits(1))
    });
    Place { cluster: admin().await, registry }
}

/// A name that no other test has.
fn name(of: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("topics-{of}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn topic(name: &str, partitions: u32, settings: &[(&str, &str)]) -> Topic {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Topic { name: name.to_owned(), partitions: Some(partitions), settings, schema: None }
}

async fn applied(place: &mut Place<NoSecrets, SystemClock>, topics: &[Topic]) -> (usize, Plan) {
    let (done, left) = place.apply(topics, &BTreeSet::new()).await;
    (done.len(), left.expect("an apply"))
}

async fn kept(admin: &mut Admin, topic: &str) -> Settings {
    let mut found = admin.settings(&[topic], &["cleanup.policy", "retention.ms"]).await.expect("settings");
    found.remove(topic).expect("the topic's settings").expect("allowed")
}

#[tokio::test]
async fn a_topic_is_made_as_its_entry_says_and_the_second_plan_is_empty() {
    let (mut place, mut admin) = (place(None).await, admin().await);
    let name = name("made");
    let wanted = [topic(&name, 4, &[("cleanup.policy", "compact,delete"), ("retention.ms", "86400000")])];
    let (done, left) = applied(&mut place, &wanted).await;
    assert!(done == 1 && left.is_empty(), "{done}: {}", left.to_text());
    assert_eq!(admin.topics().await.expect("topics")[&name].partitions, 4);
    let kept = kept(&mut admin, &name).await;
    assert_eq!(kept["retention.ms"], "86400000");
    assert!(kept["cleanup.policy"].contains("compact") && kept["cleanup.policy"].contains("delete"), "{kept:?}");
    let (done, left) = applied(&mut place, &wanted).await;
    assert!(done == 0 && left.is_empty(), "{done}: {}", left.to_text());
}

#[tokio::test]
async fn a_topic_gets_more_partitions_and_another_retention() {
    let (mut place, mut admin) = (place(None).await, admin().await);
    let name = name("grown");
    applied(&mut place, &[topic(&name, 2, &[("retention.ms", "86400000")])]).await;
    let wanted = [topic(&name, 5, &[("retention.ms", "172800000")])];
    let plan = place.plan(&wanted).await.expect("a plan");
    assert!(matches!(plan.changes[0].what, What::Grow { from: 2, to: 5 }), "{}", plan.to_text());
    let (done, left) = applied(&mut place, &wanted).await;
    assert!(done == 2 && left.is_empty(), "{done}: {}", left.to_text());
    assert_eq!(admin.topics().await.expect("topics")[&name].partitions, 5);
    assert_eq!(kept(&mut admin, &name).await["retention.ms"], "172800000");
}

#[tokio::test]
async fn nothing_shrinks_and_records_are_lost_only_where_that_was_said() {
    let (mut place, mut admin) = (place(None).await, admin().await);
    let name = name("kept");
    applied(&mut place, &[topic(&name, 3, &[("retention.ms", "172800000")])]).await;
    let wanted = [topic(&name, 2, &[("retention.ms", "86400000")])];
    let (done, left) = applied(&mut place, &wanted).await;
    assert_eq!((done, left.changes.len(), left.blocked.len()), (0, 1, 1), "{}", left.to_text());
    assert_eq!(kept(&mut admin, &name).await["retention.ms"], "172800000");
    let (done, left) = place.apply(&wanted, &BTreeSet::from([name.clone()])).await;
    let left = left.expect("an apply");
    assert_eq!((done.len(), left.changes.len(), left.blocked.len()), (1, 0, 1), "{}", left.to_text());
    assert_eq!(kept(&mut admin, &name).await["retention.ms"], "86400000");
    assert_eq!(admin.topics().await.expect("topics")[&name].partitions, 3, "Kafka takes none away");
}

#[tokio::test]
async fn settings_are_refused_for_each_topic_by_itself() {
    let (mut place, mut admin) = (place(None).await, admin().await);
    let (one, nobodys) = (name("one"), name("nobodys"));
    applied(&mut place, &[topic(&one, 1, &[("retention.ms", "86400000")])]).await;
    let mut found = admin.settings(&[&one, &nobodys], &["retention.ms"]).await.expect("an answer");
    assert_eq!(found.remove(&one).expect("told").expect("its settings")["retention.ms"], "86400000");
    assert_eq!(found.remove(&nobodys).expect("told").expect_err("no such topic").kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_topic_that_no_entry_names_is_told_and_left_alone() {
    let (mut place, mut admin) = (place(None).await, admin().await);
    let (one, other) = (name("one"), name("other"));
    admin.create(&other, Some(1), &Settings::new()).await.expect("a topic");
    let (_, left) = applied(&mut place, &[topic(&one, 1, &[])]).await;
    assert!(left.is_empty() && left.unnamed.contains(&other), "{}", left.to_text());
    assert!(admin.topics().await.expect("topics").contains_key(&other));
}

#[tokio::test]
async fn a_topic_made_twice_or_a_name_that_kafka_refuses_is_told_with_its_kind() {
    let mut admin = admin().await;
    let name = name("twice");
    admin.create(&name, None, &Settings::new()).await.expect("the brokers decide how many partitions");
    let twice = admin.create(&name, Some(1), &Settings::new()).await.expect_err("it is there");
    assert_eq!(twice.kind(), Kind::Conflict, "{}", twice.chain());
    let refused = admin.create("no good name", Some(1), &Settings::new()).await.expect_err("no name of a topic");
    assert_eq!(refused.kind(), Kind::Config, "{}", refused.chain());
    let gone = admin.grow(&format!("{name}-gone"), 2).await.expect_err("no such topic");
    assert_eq!(gone.kind(), Kind::NotFound, "{}", gone.chain());
}

#[tokio::test]
async fn a_schema_is_checked_first_then_registered_once() {
    let fake = Fake::start().await;
    let mut place = place(Some(&fake)).await;
    let name = name("avro");
    let schema = |fields: &str| format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#);
    let first = Topic { schema: Some(schema(r#"{"name": "a", "type": "int"}"#)), ..topic(&name, 1, &[]) };
    let (done, left) = applied(&mut place, std::slice::from_ref(&first)).await;
    assert!(done == 2 && left.is_empty(), "{done}: {}", left.to_text());
    assert_eq!(applied(&mut place, std::slice::from_ref(&first)).await.0, 0);
    assert_eq!(fake.versions(&format!("{name}-value")), 1);
    // A field that older records lack and that has no default.
    let fields = r#"{"name": "a", "type": "int"}, {"name": "b", "type": "int"}"#;
    let breaks = Topic { schema: Some(schema(fields)), ..first.clone() };
    let (done, left) = applied(&mut place, std::slice::from_ref(&breaks)).await;
    assert!(done == 0 && left.blocked[0].reason.contains("-value does not take its schema"), "{}", left.to_text());
    assert_eq!(fake.versions(&format!("{name}-value")), 1, "nothing was registered");
    let fields = r#"{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 0}"#;
    let fits = Topic { schema: Some(schema(fields)), ..first };
    let (done, left) = applied(&mut place, std::slice::from_ref(&fits)).await;
    assert!(done == 1 && left.is_empty(), "{done}: {}", left.to_text());
    assert_eq!(fake.versions(&format!("{name}-value")), 2);
}

#[tokio::test]
async fn without_a_registry_a_schema_is_told_as_registered_nowhere() {
    let mut place = place(None).await;
    let wanted = [Topic { schema: Some("\"int\"".into()), ..topic(&name("alone"), 1, &[]) }];
    let (_, left) = applied(&mut place, &wanted).await;
    assert!(left.is_empty() && left.warnings[0].contains("SchemaRegistryUrl"), "{}", left.to_text());
}

#[tokio::test]
async fn what_is_no_broker_is_told_and_asked_no_further() {
    let fake = Fake::start().await;
    let bootstrap = fake.url.trim_start_matches("http://").to_owned();
    let config = KafkaConfig { bootstrap: bootstrap.clone(), ..KafkaConfig::default() };
    let error = Admin::connect(&config, &Credentials::default()).await.err().expect("no broker");
    assert!(error.chain().contains("no Kafka broker") && error.chain().contains(&bootstrap), "{}", error.chain());
    let none = Admin::connect(&KafkaConfig::default(), &Credentials::default()).await.err().expect("no address");
    assert_eq!(none.kind(), Kind::Config);
}
