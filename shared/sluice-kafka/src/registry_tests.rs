use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
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
                let (status, body) = {
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

    fn registry(&self, secret: Option<&str>) -> Registry<OneSecret> {
        let config = RegistryConfig { url: self.url.clone(), secret: secret.map(str::to_owned) };
        let registry = Registry::new(config, Client::new().expect("a client"), OneSecret);
        registry.with_retry(RetryPolicy::without_waits(3))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unbroken").iter().map(|(path, _)| path.clone()).collect()
    }
}

struct OneSecret;

impl Secrets for OneSecret {
    async fn get(&self, name: &str) -> Result<Secret> {
        Ok(Secret::new(match name {
            "good" => r#"{"api_key": "key", "api_secret": "s3cret"}"#,
            _ => r#"{"password": "s3cret"}"#,
        }))
    }
}

fn schema() -> Value {
    let schema = json!({"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]});
    json!({"schema": schema.to_string()})
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
    let error = fake.registry(Some("other")).schema(7).await.map(|_| ()).expect_err("no credentials in it");
    assert!(error.kind() == Kind::Config && !error.chain().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn an_unknown_id_makes_the_record_bad_and_is_asked_again() {
    let unknown = json!({"error_code": 40403, "message": "Schema 7 not found"});
    let fake = Fake::start([("schemas/ids/7", vec![(404, unknown), (200, schema())])]).await;
    let registry = fake.registry(None);
    let reason = registry.schema(7).await.expect("an answer").map(|_| ()).expect_err("unknown");
    assert!(reason.contains("does not know the schema id 7"), "{reason}");
    assert!(registry.schema(7).await.expect("an answer").is_ok(), "it was registered late");
}

#[tokio::test]
async fn what_is_no_avro_schema_makes_the_record_bad() {
    let json_schema = json!({"schema": "{}", "schemaType": "JSON"});
    let broken = json!({"schema": "{\"type\": \"nope\"}", "schemaType": "AVRO"});
    let fake = Fake::start([("schemas/ids/1", vec![(200, json_schema)]), ("schemas/ids/2", vec![(200, broken)])]).await;
    let registry = fake.registry(None);
    for (id, part) in [(1, "is JSON, not AVRO"), (2, "cannot be used")] {
        let reason = registry.schema(id).await.expect("an answer").map(|_| ()).expect_err("unusable");
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

#[tokio::test]
async fn references_are_followed_by_subject_and_version() {
    let inner = json!({"schema": json!({"type": "fixed", "name": "shop.Money", "size": 8}).to_string()});
    let outer = json!({
        "schema": json!({"type": "record", "name": "R", "fields": [{"name": "price", "type": "shop.Money"}]}).to_string(),
        "references": [{"name": "shop.Money", "subject": "shop/money", "version": 3}],
    });
    let gone = json!({"error_code": 40402, "message": "Version not found"});
    let path = "subjects/shop%2Fmoney/versions/3";
    let fake = Fake::start([("schemas/ids/7", vec![(200, outer)]), (path, vec![(404, gone), (200, inner)])]).await;
    let registry = fake.registry(None);
    let error = registry.schema(7).await.map(|_| ()).expect_err("the reference is missing");
    assert_eq!(error.kind(), Kind::NotFound);
    registry.schema(7).await.expect("an answer").expect("a schema");
    assert_eq!(fake.asked(), ["schemas/ids/7", path, "schemas/ids/7", path]);
}
