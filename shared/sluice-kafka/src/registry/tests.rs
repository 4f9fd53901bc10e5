use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use serde_json::{Value, json};
use sluice_core::{Retry, Secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// What is answered to the requests of one path, in turn; the last answer stays. A status and a body.
type Answers = Vec<(u16, String)>;

/// A registry that answers by path, and what it was asked: path and authorization.
#[derive(Clone)]
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    answers: Arc<Mutex<BTreeMap<String, Answers>>>,
}

impl Fake {
    async fn start(answers: impl IntoIterator<Item = (&str, Vec<(u16, Value)>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let texts =
            |answers: Vec<(u16, Value)>| answers.into_iter().map(|(status, body)| (status, body.to_string())).collect();
        let fake = Fake {
            url: format!("http://{}/registry/", listener.local_addr().expect("an address")),
            asked: Arc::default(),
            answers: Arc::new(Mutex::new(
                answers.into_iter().map(|(path, list)| (path.to_owned(), texts(list))).collect(),
            )),
        };
        let serving = fake.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a request"));
                }
                let head = String::from_utf8(head).expect("text");
                let path = head.split(' ').nth(1).expect("a path").trim_start_matches("/registry/").to_owned();
                let header = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
                serving.asked.lock().expect("unbroken").push((path.clone(), header.to_owned()));
                let (status, body) = if header == REFUSED {
                    (401, json!({"error_code": 401, "message": "Unauthorized"}).to_string())
                } else {
                    let mut answers = serving.answers.lock().expect("unbroken");
                    let list = answers.get_mut(&path).unwrap_or_else(|| panic!("nobody expected {path}"));
                    if list.len() > 1 { list.remove(0) } else { list[0].clone() }
                };
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.expect("answered");
            }
        });
        fake
    }

    fn registry(&self, secret: Option<&str>) -> Registry<OneSecret, Seconds> {
        let config = RegistryConfig { url: self.url.clone(), secret: secret.map(str::to_owned) };
        let registry = Registry::new(config, Client::new().expect("a client"), OneSecret::default());
        registry.with_retry(RetryPolicy::without_waits(3)).with_clock(Seconds::default())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unbroken").iter().map(|(path, _)| path.clone()).collect()
    }
}

/// A clock that moves when it is told to.
#[derive(Default)]
struct Seconds(AtomicI64);

impl Seconds {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Seconds {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }
}

/// The registry's secret; the one named `rotated` is remembered as it was until it is refused.
#[derive(Default)]
struct OneSecret(Mutex<bool>);

/// `key:old`.
const REFUSED: &str = "Basic a2V5Om9sZA==";

impl Secrets for OneSecret {
    async fn get(&self, name: &str) -> Result<Secret> {
        let is_read_again = *self.0.lock().expect("unbroken");
        Ok(Secret::new(match name {
            "rotated" if !is_read_again => r#"{"api_key": "key", "api_secret": "old"}"#,
            "good" | "rotated" => r#"{"api_key": "key", "api_secret": "s3cret"}"#,
            "open" => "{}",
            _ => r#"{"password": "s3cret"}"#,
        }))
    }

    fn forget(&self, _: &str) {
        *self.0.lock().expect("unbroken") = true;
    }
}

fn schema() -> Value {
    let schema = json!({"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]});
    json!({"schema": schema.to_string()})
}

#[tokio::test]
async fn a_rotated_key_of_the_registry_is_read_again_after_a_refusal() {
    let fake = Fake::start([("schemas/ids/7", vec![(200, schema())])]).await;
    let registry = fake.registry(Some("rotated"));
    registry.schema(7).await.expect("an answer").expect("a schema");
    assert_eq!(fake.asked().len(), 2, "refused once, then let in");
}

#[tokio::test]
async fn an_id_is_asked_once_and_with_the_secrets_credentials() {
    let fake = Fake::start([("schemas/ids/7", vec![(200, schema())])]).await;
    let registry = fake.registry(Some("good"));
    for _ in 0..3 {
        registry.schema(7).await.expect("an answer").expect("a schema");
    }
    let asked = fake.asked.lock().expect("unbroken").clone();
    assert_eq!(asked, [("schemas/ids/7".to_owned(), "Basic a2V5OnMzY3JldA==".to_owned())]);
    fake.registry(Some("open")).schema(7).await.expect("an answer").expect("a schema");
    assert_eq!(fake.asked.lock().expect("unbroken").last(), Some(&("schemas/ids/7".to_owned(), String::new())));
    let error = fake.registry(Some("other")).schema(7).await.map(|_| ()).expect_err("no credentials in it");
    assert!(error.kind() == Kind::Config && !error.chain().contains("s3cret"), "{error}");
}

/// The reason why records of the id are bad.
async fn reason(registry: &Registry<OneSecret, Seconds>, id: u32) -> String {
    registry.schema(id).await.expect("an answer").map(|_| ()).expect_err("no schema that can be used")
}

#[tokio::test]
async fn an_unknown_id_makes_the_record_bad_and_is_asked_again_after_a_while() {
    let unknown = json!({"error_code": 40403, "message": "Schema 7 not found"});
    let fake = Fake::start([("schemas/ids/7", vec![(404, unknown), (200, schema())])]).await;
    let registry = fake.registry(None);
    for wait in [0, 29] {
        registry.clock.pass(wait);
        let reason = reason(&registry, 7).await;
        assert!(reason.contains("does not know the schema id 7"), "{reason}");
    }
    assert_eq!(fake.asked().len(), 1);
    registry.clock.pass(1);
    assert!(registry.schema(7).await.expect("an answer").is_ok(), "it was registered late");
    registry.clock.pass(-100);
    assert!(registry.schema(7).await.expect("an answer").is_ok());
    assert_eq!(fake.asked().len(), 2, "a schema is for ever");
}

/// The function has five minutes for a batch: a question per record would outlast it, and the partition would stand still.
#[tokio::test]
async fn thousands_of_records_of_one_bad_id_make_one_request() {
    let unknown = json!({"error_code": 40403, "message": "Schema not found"});
    let json_schema = json!({"schema": "{}", "schemaType": "JSON"});
    let broken = json!({"schema": "{\"type\": \"nope\"}"});
    for (answer, lasts) in [((404, unknown), false), ((200, json_schema), true), ((200, broken), true)] {
        let fake = Fake::start([("schemas/ids/7", vec![answer])]).await;
        let registry = fake.registry(None);
        let first = reason(&registry, 7).await;
        for _ in 1..5_000 {
            assert_eq!(reason(&registry, 7).await, first);
        }
        assert_eq!(fake.asked().len(), 1, "{first}");
        registry.clock.pass(1_000_000);
        reason(&registry, 7).await;
        assert_eq!(fake.asked().len(), if lasts { 1 } else { 2 }, "{first}");
    }
}

#[tokio::test]
async fn unknown_ids_are_forgotten_when_their_time_is_over() {
    let unknown = json!({"error_code": 40403, "message": "Schema not found"});
    let paths: Vec<String> = (0..20).map(|id| format!("schemas/ids/{id}")).collect();
    let fake = Fake::start(paths.iter().map(|path| (path.as_str(), vec![(404, unknown.clone())]))).await;
    let registry = fake.registry(None);
    for id in 0..20 {
        reason(&registry, id).await;
        registry.clock.pass(10);
    }
    assert_eq!(registry.known.borrow().len(), 3);
}

#[tokio::test]
async fn what_is_no_avro_schema_makes_the_record_bad() {
    let json_schema = json!({"schema": "{}", "schemaType": "JSON"});
    let broken = json!({"schema": "{\"type\": \"nope\"}", "schemaType": "AVRO"});
    let fake = Fake::start([("schemas/ids/1", vec![(200, json_schema)]), ("schemas/ids/2", vec![(200, broken)])]).await;
    let registry = fake.registry(None);
    for (id, part) in [(1, "is JSON, not AVRO"), (2, "cannot be used")] {
        let reason = reason(&registry, id).await;
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test]
async fn a_failing_registry_fails_the_delivery_by_kind() {
    let refused = json!({"error_code": 401, "message": "s3cret"});
    let elsewhere = json!("<html>");
    for (status, body, kind, retry, calls) in [
        (401, refused.clone(), Kind::Auth, Retry::Permanent, 1),
        (403, refused, Kind::Auth, Retry::Permanent, 1),
        (404, elsewhere.clone(), Kind::NotFound, Retry::Permanent, 1),
        (429, json!({"error_code": 429}), Kind::RateLimited, Retry::Exhausted, 3),
        (500, json!({"error_code": 50001}), Kind::Unavailable, Retry::Exhausted, 3),
        (503, elsewhere, Kind::Unavailable, Retry::Exhausted, 3),
    ] {
        let fake = Fake::start([("schemas/ids/7", vec![(status, body)])]).await;
        let error = fake.registry(None).schema(7).await.map(|_| ()).expect_err("refused");
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{status}");
        assert_eq!(fake.asked().len(), calls, "{status}");
        assert!(!error.chain().contains("s3cret"), "{error}");
    }
}

/// A record whose field is of a type that other schemas have, by subject and version.
fn referring(name: &str, references: &[(&str, i64)]) -> Value {
    let schema = json!({"type": "record", "name": "R", "fields": [{"name": "price", "type": name}]});
    let reference = |(subject, version): &(&str, i64)| json!({"name": name, "subject": subject, "version": version});
    json!({"schema": schema.to_string(), "references": references.iter().map(reference).collect::<Vec<_>>()})
}

#[tokio::test]
async fn references_are_followed_by_subject_and_version() {
    let inner = json!({"schema": json!({"type": "fixed", "name": "shop.Money", "size": 8}).to_string()});
    let outer = referring("shop.Money", &[("shop/money", 3)]);
    let path = "subjects/shop%2Fmoney/versions/3";
    let fake = Fake::start([("schemas/ids/7", vec![(200, outer)]), (path, vec![(200, inner)])]).await;
    let registry = fake.registry(None);
    registry.schema(7).await.expect("an answer").expect("a schema");
    assert_eq!(fake.asked(), ["schemas/ids/7", path]);
}

/// What a schema refers to is part of it: a lack of it is no failure of the registry, and no delivery mends it.
#[tokio::test]
async fn a_reference_that_is_gone_makes_the_record_bad() {
    for code in [40401, 40402] {
        let gone = json!({"error_code": code, "message": "not found"});
        let path = "subjects/money/versions/3";
        let inner = json!({"schema": json!({"type": "fixed", "name": "Money", "size": 8}).to_string()});
        let fake = Fake::start([
            ("schemas/ids/7", vec![(200, referring("Money", &[("money", 3)]))]),
            (path, vec![(404, gone), (200, inner)]),
        ])
        .await;
        let registry = fake.registry(None);
        for _ in 0..2 {
            let reason = reason(&registry, 7).await;
            assert!(reason.contains("schema 7 cannot be used: it refers to version 3 of money"), "{reason}");
        }
        assert_eq!(fake.asked(), ["schemas/ids/7", path]);
        registry.clock.pass(30);
        registry.schema(7).await.expect("an answer").expect("it was put back");
    }
}

#[tokio::test]
async fn a_schema_with_more_references_than_are_followed_makes_the_record_bad() {
    let inner = json!({"schema": json!({"type": "fixed", "name": "Money", "size": 8}).to_string()});
    let paths: Vec<String> = (0..65).map(|n| format!("subjects/money/versions/{n}")).collect();
    let answers = paths.iter().map(|path| (path.as_str(), vec![(200, inner.clone())]));
    let references: Vec<(&str, i64)> = (0..65).map(|n| ("money", n)).collect();
    let outer = ("schemas/ids/7", vec![(200, referring("Money", &references))]);
    let fake = Fake::start(answers.chain([outer])).await;
    let registry = fake.registry(None);
    for _ in 0..2 {
        let reason = reason(&registry, 7).await;
        assert!(reason.contains("schema 7 cannot be used: it refers to more than 64 schemas"), "{reason}");
    }
    assert_eq!(fake.asked().len(), 65, "each once");
}
